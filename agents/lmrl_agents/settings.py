"""Settings as the command line takes them: dataclasses are its commands, read by tyro; free settings are ``key=value``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from tyro.constructors import PrimitiveConstructorSpec

from lmrl_envs.files.untrusted import decode


def key_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; a value is JSON where it can be, else a string.

    Raises:
        ValueError: a pair without ``=``.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ValueError(f"{pair!r} is not key=value")
        try:
            values[key] = decode(text)
        except ValueError:
            values[key] = text
    return values


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


KeyValues = Annotated[
    dict[str, Any],
    PrimitiveConstructorSpec(
        nargs="*",
        metavar="KEY=VALUE ...",
        instance_from_str=key_values,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=_pairs,
    ),
]
"""A dict that is ``key=value`` pairs on the command line."""
