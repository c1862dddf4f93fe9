"""The page of an experiment: a table of means over seeds with intervals, and what `figures` draws of its cells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lmrl_benchmarks.experiments.figures import figures
from lmrl_benchmarks.experiments.grid import Cell, Experiment, results
from lmrl_benchmarks.experiments.told import mean_and_error, values_of
from lmrl_benchmarks.reporting import pages

SEED = "seed"
Groups = dict[tuple[str, ...], list[dict[str, Any]]]


def groups(done: Iterable[tuple[Cell, dict[str, Any]]]) -> Groups:
    """The results of cells that differ in their seed alone, together."""
    found: Groups = {}
    for cell, result in done:
        found.setdefault(tuple(shown(value) for key, value in cell.items() if key != SEED), []).append(result)
    return found


def shown(value: Any) -> str:
    """A setting in a few words."""
    if isinstance(value, dict):
        if any("." in name for name in value):  # settings of a model, not the weights of a mix
            return ", ".join(f"{name} {own}" for name, own in value.items())
        return " + ".join(f"{weight:g} {name}" for name, weight in value.items())
    return str(value)


def settings_of(experiment: Experiment) -> list[str]:
    """Names of the settings that groups differ in."""
    return [key for key in experiment.grid if key != SEED]


WIDE = 12
"""Columns of a table that a terminal still shows as one."""


def table(experiment: Experiment, out: Path) -> list[list[str]]:
    """The table's rows, the head first: mean and half of the 95 % interval over seeds; "" where a cell does not tell it."""
    done = groups(results(experiment, out))
    columns = list(dict.fromkeys(name for own in done.values() for one in own for name in one["numbers"]))
    rows = [[*settings_of(experiment), "seeds", *columns]]
    for settings, own in done.items():
        cells = []
        for name in columns:
            if not (values := values_of(own, name)):
                cells.append("")
                continue
            mean, error = mean_and_error(values)
            if error < 1e-9 * max(1.0, abs(mean)):  # what is exact differs between seeds by rounding alone
                error = 0.0
            cells.append(f"{mean:.3g}" + (f" ± {1.96 * error:.2g}" if len(own) > 1 else ""))
        rows.append([*settings, str(len(own)), *cells])
    return rows


def as_text(experiment: Experiment, out: Path) -> str:
    """The table for a terminal: a wide one with a line for each number, of which cells tell different ones."""
    rows = table(experiment, out)
    if len(rows[0]) <= WIDE:
        return "\n".join("  ".join(cell or "-" for cell in row) for row in rows)
    head, *own = rows
    first = len(settings_of(experiment)) + 1
    lines: list[str] = []
    for row in own:
        lines.append(", ".join(f"{name} {cell}" for name, cell in zip(head[:first], row, strict=False)))
        lines += [f"  {name}: {cell}" for name, cell in zip(head[first:], row[first:], strict=True) if cell]
    return "\n".join(lines)


def write_page(experiment: Experiment, out: Path, page: Path) -> Path:
    """Write the page of a run."""
    head, *rows = table(experiment, out)
    keys = settings_of(experiment)
    told = [
        [(cell, _kind(name, cell, place < len(keys))) for place, (name, cell) in enumerate(zip(head, row, strict=True))]
        for row in rows
    ]
    drawn = figures(groups(results(experiment, out)), keys)
    return pages.write_page(
        page, "experiment.html", experiment=experiment, head=head, settings=len(keys), rows=told, figures=drawn
    )


def _kind(name: str, cell: str, is_setting: bool) -> str:
    """A column "harmed ..." counts groups that lose while the mean gains: red where there are any."""
    return "left" if is_setting else "red" if name.startswith("harmed") and cell[:1] not in ("0", "") else ""
