"""The matrix of results as a page of Markdown: every algorithm on every task of the suite ``matrix``, out of archives of runs.

A cell is taken from the run with the most training seeds on the same task and data, of that suite where there are several. What has no result
says why (`EMPTY`), and what was trained by a file that has changed since is marked.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.learning.train import code_of
from lmrl_benchmarks.reporting.results import ResultRow, load_results
from lmrl_benchmarks.reporting.submission import run_folder
from lmrl_benchmarks.running.cells import Cell, found_cells, read_suite
from lmrl_benchmarks.running.suite import Suite, SuiteAgent, SuiteTask, load_suite
from lmrl_envs import doors
from lmrl_envs.files.arguments import from_elsewhere
from lmrl_envs.files.untrusted import read

SUITE, EMPTY = "matrix", "empty.toml"
SEEDS = 3
"""Training seeds of a cell; with fewer it is marked."""
ALGORITHMS = ("bc", "filtered_bc", "mc", "ilql", "cql", "ppo", "reinforce", "grpo", "online_filtered_bc")


@dataclass(frozen=True)
class Entry:
    """An algorithm's result on a task."""

    row: ResultRow
    archive: str
    suite: Suite
    agent: SuiteAgent
    about: Mapping[str, Any]
    """What the archive holds of the model of its first training seed."""

    @property
    def changed(self) -> bool:
        """Whether the algorithm's file is another one now, or nobody knows."""
        return self.about.get("code") != _code(self.agent.train)


def _code(algorithm: str) -> str:
    """Hash of the file of an algorithm that packages bring; "" for others: code that an archive names is not run."""
    with from_elsewhere():
        try:
            return code_of(algorithm)
        except ValueError:
            return ""


def entries_of(archive: Path) -> Iterable[tuple[str, str, Entry]]:
    """Of every trained agent of a run: the task's id, the name of its data, and what it reached."""
    with run_folder(archive) as folder:
        results = load_results(folder)
        for row in results.rows:
            agent = next((a for a in results.suite.agents if a.name == row.agent), None)
            entry = next(e for e in results.suite.tasks if e.slug == row.task)
            if agent is not None and agent.train and not entry.kwargs:
                about = _about(folder, results.suite, entry, agent)
                yield entry.id, entry.data.get("name", ""), Entry(row, archive.name, results.suite, agent, about)


def _about(folder: Path, suite: Suite, entry: SuiteTask, agent: SuiteAgent) -> dict[str, Any]:
    files = (Cell(entry, agent, seed).folder(folder) / "agent.json" for seed in suite.training_seeds)
    return next((read(file, dict[str, Any]) for file in files if file.is_file()), {})


def changed_since(archive: Path) -> list[str]:
    """The algorithms of a run whose files have changed since, or that do not tell by which file they were trained."""
    found: dict[str, bool] = {}
    with run_folder(archive) as folder:
        suite, _ = read_suite(folder)
        there = {cell.agent.name for cell in found_cells(suite, folder)}
        for agent in suite.agents:
            if agent.train and agent.name in there:
                told = [_about(folder, suite, entry, agent).get("code") for entry in suite.tasks]
                known = {code for code in told if code is not None}
                found[agent.train] = found.get(agent.train, False) or known != {_code(agent.train)}
    return sorted(name for name, changed in found.items() if changed)


def chosen(found: Sequence[tuple[str, str, Entry]], task: SuiteTask, algorithm: str) -> Entry | None:
    """The result of an algorithm on a task: of any run that trained it so, most seeds first, then the suite's own."""
    mine = [
        entry
        for id, data, entry in found
        if (id, data) == (task.id, task.data.get("name", "")) and doors.short_name(entry.agent.train) == algorithm
    ]
    plain = [entry for entry in mine if not entry.agent.agent_kwargs and "long" not in entry.agent.name]
    return max(plain, key=lambda e: (e.row.seeds, e.suite.name == SUITE, e.row.returns), default=None)


def control(found: Sequence[tuple[str, str, Entry]], task: SuiteTask) -> Entry | None:
    """The best clone of a task, however long it was trained and however it is decoded."""
    clones = [
        e for id, data, e in found if (id, data) == (task.id, task.data.get("name", "")) and e.agent.train == "bc"
    ]
    return max(clones, key=lambda e: e.row.returns, default=None)


def page(archives: Sequence[Path], empty: Mapping[str, Mapping[str, str]]) -> str:
    """The page.

    Args:
        archives: of runs.
        empty: task -> algorithm, or "all" -> why there is no result.

    Raises:
        KeyError: a cell has neither a result nor a reason.
    """
    suite = load_suite(SUITE)
    found = [entry for archive in archives for entry in entries_of(archive)]
    lines, reasons, sources, count = [], dict[tuple[str, str], list[str]](), [], 0
    for task in suite.tasks:
        cells, control_of = [], control(found, task)
        for algorithm in ALGORITHMS:
            entry = chosen(found, task, algorithm)
            cells.append(_cell(entry))
            if entry is None:
                own = empty[task.id]
                reasons.setdefault((task.id, own.get(algorithm) or own["all"]), []).append(algorithm)
                continue
            count += 1
            seconds = entry.about.get("cpu_seconds")
            seconds = seconds if isinstance(seconds, int | float) else None
            sources.append(
                f"| {task.id} | {algorithm} | {entry.row.returns:.2f} | {entry.row.return_low:.2f} to {entry.row.return_high:.2f} "
                f"| {entry.row.success:.2f} | {entry.row.valid:.2f} | {entry.row.seeds} | {'' if seconds is None else f'{seconds:.0f}'} "
                f"| {entry.agent.start or ''} | `{entry.archive.removesuffix('.tar.xz')}` |"
            )
        lines.append(f"| {task.id} | " + " | ".join(cells) + f" | {_cell(control_of)} |")
    return "\n".join(
        [
            inspect.cleandoc(_HEAD.format(count=count, all=len(suite.tasks) * len(ALGORITHMS))),
            "",
            "| task | " + " | ".join(ALGORITHMS) + " | best clone |",
            "|---" * (len(ALGORITHMS) + 2) + "|",
            *lines,
            "",
            "## Cells with a result",
            "",
            "| task | algorithm | return | 95 % | success | valid | seeds | CPU s | starts from | archive |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *sources,
            "",
            "## Cells without",
            "",
            *(f"- `{id}`, {', '.join(names)}: {why}." for (id, why), names in reasons.items()),
            "",
            "## Archives whose algorithms have changed since",
            "",
            "| archive | algorithms |",
            "|---|---|",
            *(f"| `{a.name.removesuffix('.tar.xz')}` | {', '.join(changed_since(a)) or 'none'} |" for a in archives),
            "",
        ]
    )


_HEAD = """
# Matrix

<!-- written by: lmrl leaderboard matrix benchmarks/results --out docs/matrix.md -->

Normalised scores (0 is the random player, 100 the best possible one), sampled at temperature 1, mean over training seeds, by `nano`
models from scratch; {count} of {all} cells have a result. `*`: the algorithm's file has changed since; `†`: fewer than
three training seeds, which is no claim. "Best clone" is behaviour
cloning at its best: however long it was trained, at the temperature that was best on validation games. The training seeds of a cell share
one dataset: they tell how weights, batches and games vary, not the data. "CPU s" is that of the first seed; in these archives
it leaves out the encoding of the data and the choice of beta or temperature, which `lmrl train` counts since.
"""


def _cell(entry: Entry | None) -> str:
    if entry is None or entry.row.score is None:
        return ""
    return f"{entry.row.score:.0f}{'†' if entry.row.seeds < SEEDS else ''}{'*' if entry.changed else ''}"


def write_page(results: Path, out: Path) -> Path:
    """Write the page of the archives in a folder; returns it."""
    archives = sorted(results.glob("*.tar.xz"))
    out.write_text(page(archives, tomllib.loads((results / EMPTY).read_text("utf-8"))), "utf-8")
    return out
