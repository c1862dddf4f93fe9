"""Figures of the report: inline SVG from matplotlib, in the page's own colours, so that they follow light and dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmrl_benchmarks.reporting.frames import curves
from lmrl_benchmarks.scores.comparison import profile, profile_band

if TYPE_CHECKING:
    import pandas as pd

    from lmrl_benchmarks.reporting.results import Results

COLOURS = 10
"""Colours of the page's palette: variables --c0 to --c9 of the style sheet."""
MARKERS = "osD^v<>pP*"


def colour(index: int) -> str:
    """A colour that `as_svg` turns into a variable of the style sheet."""
    return f"#ab01{index % COLOURS:02d}"


INK, SOFT, LINE = "#ab02aa", "#ab02bb", "#ab02cc"
_NAMED = {INK: "currentColor", SOFT: "var(--soft)", LINE: "var(--line)"}


@contextmanager
def in_style(name: str) -> Iterator[Any]:
    """matplotlib.pyplot, drawing as the page looks; ``name`` salts the names of parts."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with plt.style.context([Path(__file__).parent / "figures.mplstyle", {"svg.hashsalt": name}]):
        yield plt
        plt.close("all")


def as_svg(figure: Any, label: str, width: float) -> str:
    """The figure as SVG for the page; ``width`` (rem) is what it is not shrunk below on a phone."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = re.sub(r"#ab01(\d\d)", lambda match: f"var(--c{int(match[1])})", svg[svg.index("<svg") :])
    for colour, name in _NAMED.items():
        svg = svg.replace(colour, name)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Names of parts would meet those of the other figures; what is referred to has a name made of the figure's salt.
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", svg)
    most = round(100 * figure.get_figwidth())  # about natural size: its letters are those of the page
    style = f"min-width:{width}rem;max-width:{most}px"
    return svg.replace("<svg ", f'<svg class="figure" role="img" aria-label="{label}" style="{style}" ', 1)


def scores_figure(results: Results) -> str:
    """Scores with intervals, one panel per task, agents in the order of the overall table."""
    rows = [row for row in results.rows if row.score is not None]
    tasks = [name for name in results.tasks if any(row.task == name for row in rows)]
    agents = [entry.agent for entry in results.overall]
    if not rows:
        return ""
    with in_style("scores") as plt:
        columns = min(3, len(tasks))
        lines = -(-len(tasks) // columns)
        size = (3.7 * columns, (0.27 * len(agents) + 0.75) * lines)
        figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, sharey=True)
        for axis in axes.flat[len(tasks) :]:
            axis.set_visible(False)
        for name, axis in zip(tasks, axes.flat, strict=False):
            for row in (row for row in rows if row.task == name):
                y = agents.index(row.agent)
                # A clone that never wins may score -300: what is far below random is drawn at the edge.
                low, score, high = (max(-30.0, min(130.0, x or 0.0)) for x in (row.low, row.score, row.high))
                axis.plot([low, high], [y, y], color=colour(0), lw=4, alpha=0.4, solid_capstyle="round")
                axis.plot(score, y, "o" if score == row.score else "<", color=colour(0), ms=6)
            axis.set_title(name, loc="left")
            axis.set_xlim(-35, 135)
            axis.axvline(0, color=SOFT, lw=0.8)
            axis.axvline(100, color=SOFT, lw=0.8, ls=":")
            axis.set_xticks([0, 50, 100])
            axis.set_yticks(range(len(agents)), agents)
            axis.set_ylim(len(agents) - 0.4, -0.6)
            axis.tick_params(length=0)
        figure.tight_layout()
        return as_svg(figure, "Scores with intervals, task by task", 18.0 * columns)


def aggregates_figure(results: Results) -> str:
    """Mean, IQM and optimality gap of every agent with their intervals."""
    entries = results.overall
    if not entries:
        return ""
    titles = {"mean": "mean score", "iqm": "interquartile mean", "gap": "optimality gap (less is better)"}
    with in_style("aggregates") as plt:
        figure, axes = plt.subplots(1, 3, figsize=(10.5, 0.3 * len(entries) + 0.8), sharey=True, squeeze=False)
        for (key, title), axis in zip(titles.items(), axes[0], strict=True):
            for y, entry in enumerate(entries):
                low, high = entry.intervals[key]
                axis.barh(y, high - low or 0.4, left=low, height=0.62, color=colour(0), alpha=0.35)
                axis.plot([entry.values[key]] * 2, [y - 0.31, y + 0.31], color=colour(0), lw=2)
            axis.set_title(title, loc="left")
            axis.set_yticks(range(len(entries)), [entry.agent for entry in entries])
            axis.set_ylim(len(entries) - 0.4, -0.6)
            axis.grid(axis="x", lw=0.6)
            axis.tick_params(length=0)
        figure.tight_layout()
        return as_svg(figure, "Aggregates over tasks with intervals", 52.0)


def profile_figure(results: Results) -> str:
    """Performance profiles: the share of runs above each score, over the tasks that all shown agents played."""
    most = max((entry.tasks for entry in results.overall), default=0)
    agents = [entry.agent for entry in results.overall if entry.tasks == most]
    if not agents:
        return ""
    thresholds = np.linspace(-20, 110, 131)
    with in_style("profile") as plt:
        figure, axis = plt.subplots(figsize=(8.4, 4.2))
        for index, agent in enumerate(agents):
            rows = list(results.scored(agent).values())
            line = profile([row.scores for row in rows], thresholds)
            low, high = profile_band([row.draws for row in rows], thresholds)
            style = "-" if index < COLOURS else "--"
            axis.fill_between(thresholds, low, high, color=colour(index), alpha=0.15, lw=0)
            axis.plot(thresholds, line, color=colour(index), ls=style, lw=1.8, label=agent)
        axis.set_xlabel("score")
        axis.set_ylabel("share of runs above it")
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlim(-20, 110)
        axis.grid(lw=0.6)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        figure.tight_layout()
        return as_svg(figure, "Performance profiles", 42.0)


def cost_figure(results: Results) -> str:
    """Mean score against what an episode costs, for every kind of cost that was recorded."""
    names = {"seconds": "agent's seconds per episode", "tokens": "tokens per episode", "usd": "USD per episode"}
    agents = [entry.agent for entry in results.overall]
    points: dict[str, list[tuple[int, float, float]]] = {}
    for index, agent in enumerate(agents):
        rows = list(results.scored(agent).values())
        for key in names:
            costs = [row.costs[key] for row in rows if key in row.costs]
            if costs and len(costs) == len(rows):
                score = float(np.mean([row.score for row in rows]))  # type: ignore[arg-type]
                points.setdefault(key, []).append((index, float(np.mean(costs)), score))
    if not points:
        return ""
    with in_style("cost") as plt:
        figure, axes = plt.subplots(1, len(points), figsize=(7.4 + 3.2 * (len(points) - 1), 3.8), squeeze=False)
        for (key, found), axis in zip(points.items(), axes[0], strict=True):
            for index, cost, score in found:
                axis.plot(
                    cost, score, MARKERS[index % len(MARKERS)], color=colour(index), ms=8, label=agents[index], ls=""
                )
            axis.set_xscale("log")
            if max(cost for _, cost, _ in found) < 300 * min(cost for _, cost, _ in found):
                axis.xaxis.set_major_locator(plt.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_xlabel(names[key])
            axis.set_ylabel("mean score")
            axis.grid(lw=0.6)
            axis.minorticks_off()
        axes[0][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
        figure.tight_layout()
        return as_svg(figure, "Score against cost", 36.0)


EVALUATED = ("evaluation_return", "evaluation_return_greedy")
"""Metrics that are drawn; where a step has both, the first."""


def learning_curves(results: Results) -> pd.DataFrame:
    """Mean evaluation return over the steps of trainings that evaluated on their way: ``task``, ``model``, ``seed``, ``step``, ``value``."""
    import pandas as pd

    cells = [p.cell for p in results.played if p.cell.agent.train]
    trained = pd.DataFrame(
        [(c.training_folder, c.task.slug, c.agent.training_key, c.seed) for c in cells],
        columns=["folder", "task", "model", "seed"],
    ).drop_duplicates()
    told = curves(results.out, EVALUATED) if cells else pd.DataFrame(columns=["folder", "metric", "step", "value"])
    told = told.sort_values("metric", ascending=False, kind="stable").drop_duplicates(["folder", "step"], keep="last")
    found = trained.merge(told, on="folder").sort_values(["task", "model", "seed", "step"], ignore_index=True)
    return found.drop(columns=["folder", "metric"])


def learning_figure(trained: pd.DataFrame) -> str:
    """Evaluation return over training steps: the mean over seeds, and the range of the seeds."""
    if trained.empty:
        return ""
    models, tasks = sorted(trained["model"].unique()), trained["task"].unique()
    with in_style("learning") as plt:
        columns = min(3, len(tasks))
        lines = -(-len(tasks) // columns)
        figure, axes = plt.subplots(lines, columns, figsize=(3.7 * columns, 2.6 * lines + 0.4), squeeze=False)
        for axis in axes.flat[len(tasks) :]:
            axis.set_visible(False)
        for (name, of_task), axis in zip(trained.groupby("task"), axes.flat, strict=False):
            for model, of_model in of_task.groupby("model"):
                seeds = of_model.pivot_table(index="step", columns="seed", values="value").dropna()
                index = models.index(model)
                low, high = seeds.min(axis=1), seeds.max(axis=1)
                axis.fill_between(seeds.index, low, high, color=colour(index), alpha=0.15, lw=0)
                axis.plot(seeds.index, seeds.mean(axis=1), color=colour(index), lw=1.6, label=model)
            axis.set_title(name, loc="left")
            axis.grid(lw=0.6)
            axis.tick_params(length=0)
        handles = [plt.Line2D([], [], color=colour(i), lw=2) for i in range(len(models))]
        figure.legend(handles, models, loc="lower center", ncols=min(5, len(models)), frameon=False)
        figure.tight_layout(rect=(0, 0.35 / figure.get_figheight() * (1 + (len(models) - 1) // 5), 1, 1))
        return as_svg(figure, "Learning curves", 18.0 * columns)


def all_figures(results: Results) -> dict[str, str]:
    """Every figure of the page; "" for those that there is nothing for."""
    return {
        "aggregates": aggregates_figure(results),
        "scores": scores_figure(results),
        "profile": profile_figure(results),
        "cost": cost_figure(results),
        "learning": learning_figure(learning_curves(results)),
    }
