"""Contamination: by how much the same agent does better on public games than on sealed ones.

What is hidden in public games can be computed, and may be in what a model was trained on. Both kinds are drawn from the same
distribution, so an agent that knew nothing of either plays them equally well, up to chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmrl_benchmarks.reporting.results import FinishedCell, load_results
from lmrl_benchmarks.running.records import read_run
from lmrl_benchmarks.scores.comparison import unpaired
from lmrl_benchmarks.scores.references import scale_of
from lmrl_datasets.schema import to_json


@dataclass(frozen=True)
class Contamination:
    """One agent on one task, public games against sealed ones."""

    task: str
    agent: str
    public: float
    """Mean return."""
    held: float
    difference: float
    low: float
    high: float
    score: float | None
    """The difference in normalised scores; None where the game has no references."""
    why_not: str = ""
    """Why the two cannot be compared."""


def contamination_of(public: Path, held: Path) -> list[Contamination]:
    """Compare what two runs share.

    Args:
        public: folder of a run of a public suite.
        held: folder of a run of a sealed suite.

    Raises:
        SuiteError: a folder holds no run.
        ValueError: the first is sealed or the second is not, or they share no task and agent.
    """
    known, sealed = load_results(public), load_results(held)
    if known.suite.commitment or not sealed.suite.commitment:
        raise ValueError(f"{public} must be a run of a public suite and {held} one of a sealed suite")
    mine, theirs = _cells(known.played), _cells(sealed.played)
    found = [_compared(mine[key], theirs[key]) for key in mine if key in theirs]
    if not found:
        raise ValueError(f"{public} and {held} share no agent on the same task")
    return found


def _cells(played: list[FinishedCell]) -> dict[tuple[str, str, str], list[FinishedCell]]:
    found: dict[tuple[str, str, str], list[FinishedCell]] = {}
    for one in played:
        entry = one.cell.task
        found.setdefault((entry.id, to_json(entry.kwargs), one.cell.agent.name), []).append(one)
    return found


def _compared(public: list[FinishedCell], held: list[FinishedCell]) -> Contamination:
    cell = public[0].cell
    means, returns = [], []
    for cells in (public, held):
        # Training seeds play the same games: each game counts once.
        returns.append(np.mean([one.returns for one in cells], axis=0))
        means.append(float(returns[-1].mean()))
    difference, low, high = unpaired(returns[0], returns[1])
    scale = scale_of(cell.task.id, cell.task.kwargs)
    score = scale.score(means[0]) - scale.score(means[1]) if scale else None
    why = "" if _identity(public) == _identity(held) else "they are not the same agents: another spec, code or weights"
    return Contamination(cell.task.slug, cell.agent.name, means[0], means[1], difference, low, high, score, why)


def _identity(cells: list[FinishedCell]) -> list[str]:
    keys = ("agent", "agent_kwargs", "agent_fingerprint")
    return sorted(to_json({key: read_run(one.path)["spec"].get(key) for key in keys}) for one in cells)


def print_contamination(found: list[Contamination]) -> None:
    """Print a table to the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="mean returns on public and on sealed games", title_justify="left", padding=(0, 0, 0, 1))
    for column in ("task", "agent", "public", "sealed", "difference", "95 %", "score"):
        table.add_column(column, justify="left" if column in ("task", "agent") else "right")
    for row in found:
        numbers = [
            f"{row.public:.3g}",
            f"{row.held:.3g}",
            f"{row.difference:+.3g}",
            f"{row.low:+.3g} to {row.high:+.3g}",
        ]
        score = "n/a" if row.score is None else f"{row.score:+.1f}"
        cells = [row.why_not, "", "", "", ""] if row.why_not else [*numbers, score + ("*" if row.low > 0 else "")]
        table.add_row(escape(row.task), escape(row.agent), *cells)
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
    console.print("* plays the public games better than chance explains (95 % bootstrap over games)")
