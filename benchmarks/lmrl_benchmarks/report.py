"""The report of a run: one static HTML file, no network, readable without JavaScript; and the table for the terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_benchmarks.records import EPISODES, SUMMARY, Record, RecordError, RecordFile
from lmrl_benchmarks.runner import Cell, found_cells, read_suite
from lmrl_benchmarks.statistics import bootstrap_interval, iqm, mean, stratified_interval
from lmrl_datasets.schema import storable
from lmrl_datasets.store import write_atomically
from lmrl_envs import normalized_score, task

SHOWN_TURNS = 120


@dataclass(frozen=True)
class Row:
    """One agent on one task, over its training seeds."""

    task: str
    agent: str
    seeds: int
    episodes: int
    score: float
    """Normalised (optimum scale), mean over seeds."""
    low: float
    high: float
    noise_only: bool
    """The interval is over the episodes of a single seed: evaluation noise, not training noise."""
    few_seeds: bool
    """Fewer than five training seeds: the interval is hardly more than their range."""
    returns: float
    success: float
    length: float
    valid: float
    errors: int
    seconds: float
    lmrl: float | None
    scores: tuple[float, ...]
    """Normalised score of each seed."""
    optimum_is: str


@dataclass(frozen=True)
class Overall:
    """One agent over all tasks."""

    agent: str
    tasks: int
    mean: float
    iqm: float
    mean_interval: tuple[float, float] | None
    """None unless every task was played with the same number of training seeds, two at least."""
    iqm_interval: tuple[float, float] | None


def rows_of(out: Path) -> list[Row]:
    """The rows of a run, in the order of the suite; unfinished cells are left out."""
    suite, _ = read_suite(out)
    groups: dict[tuple[str, str], list[tuple[Cell, dict[str, Any]]]] = {}
    for cell in found_cells(suite, out):
        path = cell.folder(out) / SUMMARY
        if path.is_file():
            summary = json.loads(path.read_text("utf-8"))
            groups.setdefault((cell.task.slug, cell.agent.name), []).append((cell, summary))
    return [_row(out, group) for group in groups.values()]


def _row(out: Path, group: list[tuple[Cell, dict[str, Any]]]) -> Row:
    cell = group[0][0]
    summaries = [summary for _, summary in group]
    scores = [summary["normalized_score"] for summary in summaries]
    if len(scores) > 1:
        low, high = bootstrap_interval(scores)
    else:
        low, high = sorted(normalized_score(cell.task.id, x) for x in summaries[0]["return_ci95"])

    def average(key: str) -> float:
        return float(np.mean([summary[key] for summary in summaries]))

    lmrl = [summary["normalized_score_lmrl"] for summary in summaries]
    return Row(
        task=cell.task.slug,
        agent=cell.agent.name,
        seeds=len(scores),
        episodes=summaries[0]["episodes"],
        score=float(np.mean(scores)),
        low=low,
        high=high,
        noise_only=len(scores) == 1,
        few_seeds=1 < len(scores) < 5,
        returns=average("return_mean"),
        success=average("success_rate"),
        length=average("length_mean"),
        valid=average("valid_rate"),
        errors=sum(summary["errors"] for summary in summaries),
        seconds=average("seconds"),
        lmrl=None if lmrl[0] is None else float(np.mean(lmrl)),
        scores=tuple(scores),
        optimum_is=task(cell.task.id).reference.optimum_is,
    )


def overall_of(rows: Sequence[Row]) -> list[Overall]:
    """Mean and IQM over the tasks that an agent played, with stratified bootstrap intervals; most tasks first, then best."""
    found = []
    for agent in dict.fromkeys(row.agent for row in rows):
        mine = [row for row in rows if row.agent == agent]
        pooled = np.concatenate([np.asarray(row.scores) for row in mine])
        scores = [row.scores for row in mine]
        # Pooled runs weigh tasks equally only when every task has as many of them.
        several = min(row.seeds for row in mine) > 1 and len({row.seeds for row in mine}) == 1
        found.append(
            Overall(
                agent=agent,
                tasks=len(mine),
                mean=float(np.mean([row.score for row in mine])),
                iqm=float(iqm(pooled)),
                mean_interval=stratified_interval(scores, statistic=mean) if several else None,
                iqm_interval=stratified_interval(scores, statistic=iqm) if several else None,
            )
        )
    return sorted(found, key=lambda entry: (-entry.tasks, -entry.mean))


def print_table(out: Path) -> None:
    """Print the rows of a run to the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title="normalised scores: 0 the random policy, 100 the best", title_justify="left", padding=(0, 0, 0, 1)
    )
    for column in ("agent", "score", "95 %", "return", "won", "turns", "valid"):
        table.add_column(
            column,
            justify="left" if column == "agent" else "right",
            no_wrap=True,
            min_width=24 if column == "agent" else None,
        )
    last = None
    for row in rows_of(out):
        if row.task != last:
            table.add_section()
            table.add_row(f"[bold]{escape(row.task)}[/bold]")
        errors = f" [red]{row.errors} errors[/red]" if row.errors else ""
        table.add_row(
            escape(row.agent) + errors,
            f"{row.score:.1f}",
            f"{row.low:.1f} to {row.high:.1f}" + ("*" if row.noise_only else "+" if row.few_seeds else " "),
            f"{row.returns:.2f}",
            f"{row.success:.2f}",
            f"{row.length:.1f}",
            f"{row.valid:.2f}",
        )
        last = row.task
    console = Console()
    console.print(table)
    console.print("* one seed: the interval is over episodes and shows evaluation noise only")
    console.print("+ fewer than five training seeds: the interval is hardly more than their range")


def _figure(rows: Sequence[Row]) -> str:
    """Scores with intervals, one panel per task, as inline SVG in the page's own colours."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(row.task for row in rows))
    agents = list(dict.fromkeys(row.agent for row in rows))
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lmrl", "font.family": "sans-serif", "font.size": 10}):
        height = 0.34 * len(agents) + 0.9
        columns = min(3, len(tasks))
        lines = -(-len(tasks) // columns)
        figure, axes = plt.subplots(lines, columns, figsize=(3.7 * columns, height * lines), squeeze=False, sharey=True)
        for axis in axes.flat[len(tasks) :]:
            axis.set_visible(False)
        for name, axis in zip(tasks, axes.flat, strict=False):
            for row in (row for row in rows if row.task == name):
                y = agents.index(row.agent)
                axis.plot([row.low, row.high], [y, y], color="#0b7a75", lw=3, alpha=0.45, solid_capstyle="round")
                axis.plot(row.score, y, "o", color="#0b7a75", ms=6)
            axis.set_title(name.replace("$", r"\$"), fontsize=10)
            axis.axvline(0, color="#999999", lw=0.8)
            axis.axvline(100, color="#999999", lw=0.8, ls=":")
            axis.set_yticks(range(len(agents)), [agent.replace("$", r"\$") for agent in agents])
            axis.invert_yaxis() if axis is axes.flat[0] else None
            axis.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    svg = buffer.getvalue()
    # Text and axes follow the page's colour, so that the figure is readable in dark mode.
    svg = (
        svg[svg.index("<svg") :]
        .replace("#000000", "currentColor")
        .replace("<svg ", '<svg class="figure" role="img" ', 1)
    )
    return svg.replace("<text ", '<text fill="currentColor" ')


def _transcript(cell: Cell, record: Record, minimum: float) -> dict[str, Any]:
    turns: list[dict[str, Any]] = [{"text": record.observations[0], "action": False, "reward": None}]
    for action, reward, observation in zip(record.actions, record.rewards, record.observations[1:], strict=False):
        turns.append({"text": action, "action": True, "reward": reward})
        turns.append({"text": observation, "action": False, "reward": None})
    cut = max(0, len(turns) - SHOWN_TURNS)
    return {
        "task": cell.task.slug,
        "agent": cell.agent.name,
        "seed": cell.seed,
        "episode": record.episode,
        "return": record.score(minimum),
        "success": record.success,
        "error": record.error,
        "turns": turns[:SHOWN_TURNS],
        "cut": cut,
        "info": {key: value for key, value in record.info.items() if key not in ("turn", "valid", "success")},
    }


def _transcripts(out: Path, found: Sequence[Cell]) -> list[dict[str, Any]]:
    """Per cell the episode whose return is the median one, and the first that ended in an error."""
    shown = []
    for cell in found:
        if not (cell.folder(out) / EPISODES).is_file():
            continue
        minimum = task(cell.task.id).return_range[0]
        try:
            records = RecordFile(cell.folder(out)).read()
        except RecordError:
            continue
        good = sorted((r for r in records if r.error is None), key=lambda r: (r.score(minimum), r.episode))
        if good:
            shown.append(_transcript(cell, good[len(good) // 2], minimum))
        shown += [_transcript(cell, r, minimum) for r in records if r.error is not None][:1]
    return shown


def write_report(out: Path, html: Path) -> Path:
    """Write the page; returns its absolute path.

    Raises:
        SuiteError: the folder holds no run.
    """
    import jinja2

    suite, record = read_suite(out)
    rows = rows_of(out)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lmrl_benchmarks", "templates"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html").render(
        suite=suite,
        digest=record["digest"],
        provenance=record["provenance"],
        rows=rows,
        overall=overall_of(rows),
        figure=_figure(rows) if rows else "",
        transcripts=_transcripts(out, found_cells(suite, out)),
        tags={entry.slug: task(entry.id).tags for entry in suite.tasks},
    )
    html.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(html, storable(page))
    return html.resolve()
