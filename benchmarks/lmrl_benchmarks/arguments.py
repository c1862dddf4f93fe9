"""Argument types that several commands share."""

from __future__ import annotations

import json
from typing import Any

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
