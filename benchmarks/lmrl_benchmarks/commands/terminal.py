"""Text from anywhere on the terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from lmrl_envs.files import printable, replacing

if TYPE_CHECKING:
    import pandas as pd


def wide_console(least: int = 120) -> Console:
    """A console on which a table's names are whole, also through a pipe: a narrower terminal wraps its lines."""
    return Console(width=max(Console().width, least))


def shown(text: object) -> str:
    """Any text for a rich console: neither its markup nor a terminal's control sequences are obeyed."""
    return escape(printable(str(text)))


TABLES = (".csv", ".parquet")
"""How files end that hold tables."""


def as_json(value: Any) -> None:
    """Print a listing as JSON."""
    print(json.dumps(value, indent=1))


def _no_formula(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def write_table(table: pd.DataFrame, path: Path) -> int:
    """Write a data frame as its file's ending says; returns its rows.

    What anybody said is in it, and spreadsheets run a CSV's text that begins as a formula does: there it begins with an apostrophe.

    Raises:
        ValueError: another ending.
    """
    if path.suffix not in TABLES:
        raise ValueError(f"{path.name}: the name of a table must end in {' or '.join(TABLES)}")
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            texts = {name: cells.map(_no_formula) for name, cells in table.items() if cells.dtype.kind not in "biuf"}
            table.assign(**texts).to_csv(temporary, index=False)  # type: ignore[arg-type]
        else:
            table.to_parquet(temporary, index=False)
    return len(table)


@dataclass(frozen=True)
class Listing:
    """How a listing is told, in place of the table on the terminal."""

    json: bool = False
    """Print JSON."""
    csv: Path | None = None
    """Write a table."""
    parquet: Path | None = None
    """The same as Parquet."""

    def tells(self, rows: Sequence[Mapping[str, Any]], whole: Any = None) -> bool:
        """Print or write rows as it was asked for (as JSON ``whole``, where that is more); False where nothing was."""
        if self.json:
            as_json(list(rows) if whole is None else whole)
        for path in filter(None, (self.csv, self.parquet)):
            import pandas as pd

            count = write_table(pd.DataFrame.from_records(list(rows)), path)
            print(f"{path}: {count:,} rows", file=sys.stderr if self.json else sys.stdout)
        return self.json or bool(self.csv or self.parquet)


ON_TERMINAL = Listing()


LONGEST_MESSAGE = 8000


class PlainFormatter(logging.Formatter):
    """Messages quote models, agents and clients: no terminal obeys them, and none is endless."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return printable(super().format(record)[:LONGEST_MESSAGE])
