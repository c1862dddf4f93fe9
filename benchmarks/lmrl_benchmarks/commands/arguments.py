"""What several commands share: arguments, and text from anywhere on the terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.markup import escape

from lmrl_envs.core import printable

KeyValues = tuple[str, ...]
"""``key=value`` pairs; a value is JSON where it can be, else a string."""


def key_values(pairs: KeyValues) -> dict[str, Any]:
    """Read ``key=value`` pairs.

    Raises:
        ValueError: a pair without ``=``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ValueError(f"{pair!r} is not key=value")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def shown(text: object) -> str:
    """Any text for a rich console: neither its markup nor a terminal's control sequences are obeyed."""
    return escape(printable(str(text)))
