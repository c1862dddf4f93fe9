"""``lmrl leaderboard ...``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def run(
    suite: Annotated[str, tyro.conf.Positional],
    out: Path,
    agents: str | None = None,
    workers: int | None = None,
) -> int:
    """Train and evaluate every cell of a suite that is not there yet, write the report, print the table.

    Args:
        suite: Name of a suite (quick) or a .toml file.
        out: Folder of the run; the same command goes on with a run that was stopped.
        agents: Only these, separated by commas; a name that the suite lacks is taken as the spec of an agent.
        workers: Processes; by default one per core.
    """
    from lmrl_benchmarks.report import print_table, write_report
    from lmrl_benchmarks.runner import run_suite
    from lmrl_benchmarks.suite import load_suite

    loaded = load_suite(suite)
    chosen = loaded.only([name for name in agents.split(",") if name]) if agents is not None else None
    console = Console(stderr=True)
    columns = (
        TextColumn(loaded.name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=None)
        failed = run_suite(
            loaded,
            out,
            agents=chosen,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total, names: progress.update(
                bar, completed=done, total=total, description="; ".join(names)
            ),
        )
    for name, problem in failed.items():
        print(f"lmrl: {name}: {problem.splitlines()[0]}", file=sys.stderr)
        (out / "errors.log").open("a", encoding="utf-8").write(f"{name}\n{problem}\n")
    print_table(out)
    page = write_report(out, out / "report.html")
    print(f"report: {page}")
    return 1 if failed else 0


def report(out: Annotated[Path, tyro.conf.Positional], html: Path) -> int:
    """Write the report of a run as one HTML file.

    Args:
        out: Folder of the run.
        html: The file to write.
    """
    from lmrl_benchmarks.report import write_report

    print(f"report: {write_report(out, html)}")
    return 0


def verify(out: Annotated[Path, tyro.conf.Positional]) -> int:
    """Replay every recorded action of a run and check every number; no model is needed.

    Args:
        out: Folder of the run.
    """
    from lmrl_benchmarks.verify import verify_run

    breaches = 0
    checked = 0
    for name, found in verify_run(out):
        checked += 1
        for breach in found:
            breaches += 1
            print(f"{name}: {breach}", file=sys.stderr)
    print(f"{checked} cells checked, {breaches} breaches")
    return 1 if breaches or not checked else 0
