"""Text from anywhere on the terminal."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.markup import escape

from lmrl_envs.files import printable


def wide_console(least: int = 120) -> Console:
    """A console on which a table's names are whole, also through a pipe: a narrower terminal wraps its lines."""
    return Console(width=max(Console().width, least))


def shown(text: object) -> str:
    """Any text for a rich console: neither its markup nor a terminal's control sequences are obeyed."""
    return escape(printable(str(text)))


LONGEST_MESSAGE = 8000


class PlainFormatter(logging.Formatter):
    """Messages quote models, agents and clients: no terminal obeys them, and none is endless."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return printable(super().format(record)[:LONGEST_MESSAGE])
