"""Text from anywhere on the terminal."""

from __future__ import annotations

from rich.markup import escape

from lmrl_envs.core import printable


def shown(text: object) -> str:
    """Any text for a rich console: neither its markup nor a terminal's control sequences are obeyed."""
    return escape(printable(str(text)))
