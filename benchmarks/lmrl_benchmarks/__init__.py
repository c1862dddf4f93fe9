"""Suites, runs, records, statistics, reports, and the command line of lmrl.

Examples:
    >>> import lmrl_benchmarks
    >>> lmrl_benchmarks.results("runs/quick").groupby(["task", "agent"])["score"].mean()
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["curves", "ratings", "results"]


def results(path: str | Path) -> pd.DataFrame:
    """Every episode of a run as a row of a data frame; see `lmrl_benchmarks.reporting.frames.results`."""
    from lmrl_benchmarks.reporting.frames import results as read

    return read(path)


def curves(path: str | Path) -> pd.DataFrame:
    """Learning curves as a data frame; see `lmrl_benchmarks.reporting.frames.curves`."""
    from lmrl_benchmarks.reporting.frames import curves as read

    return read(path)


def ratings(path: str | Path) -> pd.DataFrame:
    """Talks that people rated as a data frame; see `lmrl_benchmarks.reporting.ratings.ratings_frame`."""
    from lmrl_benchmarks.reporting.ratings import ratings_frame as read

    return read(path)
