"""``lmrl ratings``."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from tyro.conf import OmitArgPrefixes, Positional

from lmrl_benchmarks.commands.terminal import ON_TERMINAL, Listing, shown, wide_console
from lmrl_benchmarks.reporting.pages import write_page
from lmrl_benchmarks.reporting.ratings import SCALES, agreement, read_ratings, table


def ratings(folder: Positional[Path], listing: OmitArgPrefixes[Listing] = ON_TERMINAL) -> None:
    """What people thought of agents they talked with (lmrl serve --ratings): a table and a page, ratings.html in the folder.

    Args:
        folder: Of the ratings.
        listing: How it is told.
    """
    found = read_ratings(folder)
    rows, agreed, scales = table(found), agreement(found), (*SCALES, "total")
    page = write_page(folder / "ratings.html", "ratings.html", rows=rows, agreed=agreed, scales=scales)
    if listing.tells(rows, {"agents": rows, "agreement": agreed}):
        return
    told = Table("agent", "talks", "raters", *scales)
    for row in rows:
        marks = [f"{row[s]:.2f} [{row[f'{s}_low']:.2f}, {row[f'{s}_high']:.2f}]" for s in scales]
        told.add_row(
            shown(row["agent"]), str(row["talks"]), str(row["raters"]), *(mark.replace("[", r"\[") for mark in marks)
        )
    told.add_row("agreement", "", "", *("-" if agreed[s] is None else f"{agreed[s]:.2f}" for s in scales))
    wide_console().print(told)
    print(f"page: {page}")
