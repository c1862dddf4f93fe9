"""The page of an experiment: a table of means over seeds with intervals, and its curves."""

from __future__ import annotations

import html
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_benchmarks.experiments.grid import Cell, Experiment, results
from lmrl_envs.files import write_atomically

SEED = "seed"
_STYLE = "body{font:15px sans-serif;margin:2em auto;max-width:70em}td,th{padding:.2em .7em;text-align:right}td:first-child,th:first-child{text-align:left}.red{background:#c33;color:#fff}"

Groups = dict[tuple[Any, ...], list[dict[str, Any]]]


def groups(done: Iterable[tuple[Cell, dict[str, Any]]]) -> Groups:
    """The results of cells that differ in their seed alone, together."""
    found: Groups = {}
    for cell, result in done:
        found.setdefault(tuple(shown(value) for key, value in cell.items() if key != SEED), []).append(result)
    return found


def shown(value: Any) -> str:
    """A setting in a few words."""
    if isinstance(value, dict):
        return " + ".join(f"{weight:g} {name}" for name, weight in value.items())
    return str(value)


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean and standard error (0 for one value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def table(experiment: Experiment, out: Path) -> list[list[str]]:
    """The table's rows, the head first: mean and half of the 95 % interval over seeds."""
    done = groups(results(experiment, out))
    columns = list(dict.fromkeys(name for own in done.values() for one in own for name in one["numbers"]))
    rows = [[*(key for key in experiment.grid if key != SEED), "seeds", *columns]]
    for settings, own in done.items():
        cells = []
        for name in columns:
            mean, error = mean_and_error(
                [one["numbers"][name] for one in own if name in one["numbers"]] or [float("nan")]
            )
            cells.append(f"{mean:.3g}" + (f" ± {1.96 * error:.2g}" if len(own) > 1 else ""))
        rows.append([*settings, str(len(own)), *cells])
    return rows


def write_page(experiment: Experiment, out: Path, page: Path) -> Path:
    """Write the page of a run."""
    head, *rows = table(experiment, out)
    parts = [f"<h1>{html.escape(experiment.name)}</h1><p>{html.escape(experiment.description)}</p><table>"]
    parts.append("<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>")
    for row in rows:  # a column "harmed ..." counts groups that lose while the mean gains: red where there are any
        red = [name.startswith("harmed") and cell[:1] not in ("0", "n") for name, cell in zip(head, row, strict=True)]
        cells = zip(red, map(html.escape, row), strict=True)
        parts.append("<tr>" + "".join(f"<td{' class=red' * is_red}>{cell}</td>" for is_red, cell in cells) + "</tr>")
    parts.append("</table>" + figure(groups(results(experiment, out))))
    body = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(experiment.name)}</title>'
    write_atomically(page, f"{body}<style>{_STYLE}</style>{''.join(parts)}</html>\n")
    return page


def figure(done: Groups) -> str:
    """The curves as SVG: a panel for each first setting, a line for each of the others and each curve, averaged over seeds."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels: dict[Any, list[tuple[str, list[dict[str, Any]]]]] = {}
    for settings, own in done.items():
        if any(one["curves"] for one in own):
            panels.setdefault(settings[0], []).append((", ".join(settings[1:]), own))
    if not panels:
        return ""
    rows = -(-len(panels) // 3)
    drawn = Figure(figsize=(4.2 * min(3, len(panels)), 3.2 * rows), layout="constrained")
    for place, (name, lines) in enumerate(panels.items(), 1):
        axes = drawn.add_subplot(rows, min(3, len(panels)), place)
        axes.set_title(name, fontsize=8)
        for number, (label, own) in enumerate(lines):
            for dash, curve in enumerate(own[0]["curves"]):
                points = np.mean([one["curves"][curve] for one in own], axis=0)
                style = ("-", "--", ":", "-.")[dash % 4]
                axes.plot(*points.T, style, color=f"C{number}", label=f"{curve} {label}", linewidth=1)
        axes.legend(frameon=False, fontsize=6)
        axes.spines[["top", "right"]].set_visible(False)
    text = io.StringIO()
    with rc_context({"svg.hashsalt": "lmrl"}):
        drawn.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]
