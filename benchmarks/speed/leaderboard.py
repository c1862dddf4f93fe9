"""Speed of the leaderboard: scripted agents on a suite, verification, and the report of many episodes.

    python benchmarks/speed/leaderboard.py [--suite core] [--episodes 1000] [--report-episodes 100000] [--json FILE]

CPU seconds are those of this process and its children, so that they mean something on a machine that others use too; the
wall time on n idle cores is about the CPU time by n. Nothing here is a test: it prints what it measures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.results import load_results
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import EPISODES, RUN, SUMMARY
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import Suite, SuiteAgent, SuiteTask, load_suite
from lmrl_benchmarks.running.verify import verify_records
from lmrl_envs.files import provenance

SCRIPTED = ["random", "suboptimal", "expert"]
TEXT_GAMES = ("Wordle-v0", "Wordle-Full-v0", "MazeFullyObserved-v0", "TextNavFullyObserved-v0", "TwentyQuestions-v1", "GuessMyCity-v1", "CarDealer-v1")  # fmt: skip


def cpu_seconds() -> float:
    """CPU seconds of this process and of children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(wall seconds, CPU seconds, what the work gave)."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    found = work()
    return time.perf_counter() - wall, cpu_seconds() - cpu, found


def suite_speed(name: str, episodes: int | None, workers: int, folder: Path, without: list[str]) -> dict[str, Any]:
    """Scripted agents on a suite, records, statistics and report, end to end; then one agent after the other."""
    suite = load_suite(name)
    tasks = tuple(replace(task, episodes=episodes or task.episodes) for task in suite.tasks if task.slug not in without)
    suite = replace(suite, tasks=tasks)
    out = folder / "suite"
    wall, cpu, failed = timed(lambda: run_suite(suite, out, agents=suite.only(SCRIPTED), workers=workers))
    assert not failed, failed
    more_wall, more_cpu, _ = timed(lambda: write_report(out, folder / "suite.html"))
    played = len(load_results(out).episodes)
    found = {"suite": name, "tasks": len(tasks), "episodes": played, "workers": workers, "without": without,
             "wall_s": wall + more_wall, "cpu_s": cpu + more_cpu, "report_cpu_s": more_cpu}  # fmt: skip
    print(f"{name}: {played} episodes of {len(tasks)} tasks, {len(SCRIPTED)} scripted agents, with report: "
          f"{found['cpu_s']:.0f} CPU s, {found['wall_s']:.0f} s with {workers} workers")  # fmt: skip
    return found


def verify_speed(episodes: int, folder: Path) -> dict[str, float]:
    """Episodes verified per CPU second, games of the suboptimal player."""
    found = {}
    for name in TEXT_GAMES:
        out = folder / name
        evaluate(EvaluationSpec(f"lmrl/{name}", "suboptimal", episodes, 1), out, slots=128)
        list(verify_records(out))  # imports, word lists and houses are loaded once
        _, cpu, breaches = timed(lambda out=out: list(verify_records(out)))
        assert not breaches, breaches[:3]
        found[name] = episodes / cpu
        print(f"verify {name}: {found[name]:,.0f} episodes per CPU second")
    return found


def report_speed(episodes: int, folder: Path) -> dict[str, Any]:
    """The report of many episodes: real records of scripted agents, copied under other names until there are enough."""
    tasks = tuple(SuiteTask(f"lmrl/{name}") for name in TEXT_GAMES)
    names = [f"{agent}-{copy}" for copy in range(4) for agent in SCRIPTED]
    each = -(-episodes // (len(tasks) * len(names)))
    agents = tuple(SuiteAgent(name=name, spec=name.split("-")[0]) for name in names)
    suite = Suite("many", 1, each, 5, (0,), tasks, agents)
    out = folder / "many"
    first = tuple(agent for agent in agents if agent.name.endswith("-0"))
    failed = run_suite(suite, out, agents=first, workers=1)
    assert not failed, failed
    for task in tasks:
        for agent in agents:
            source = out / "cells" / task.slug / f"{agent.spec}-0" / "seed-0"
            target = out / "cells" / task.slug / agent.name / "seed-0"
            if source != target:
                target.mkdir(parents=True)
                for file in (RUN, EPISODES, SUMMARY):
                    shutil.copy(source / file, target / file)
    page = folder / "many.html"
    wall, cpu, _ = timed(lambda: write_report(out, page))
    played = each * len(tasks) * len(names)
    found = {
        "episodes": played,
        "wall_s": wall,
        "cpu_s": cpu,
        "megabytes": page.stat().st_size / 1e6,
        "page": str(page),
    }
    print(f"report of {played} episodes: {cpu:.1f} CPU s, {wall:.1f} s, page of {found['megabytes']:.1f} MB")
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", default="core")
    parser.add_argument("--episodes", type=int, default=None, help="per task, in place of the suite's")
    parser.add_argument("--without", default="", help="tasks to leave out, separated by commas")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--verify-episodes", type=int, default=1000)
    parser.add_argument("--report-episodes", type=int, default=100_000)
    parser.add_argument("--only", choices=("suite", "verify", "report"))
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {"provenance": provenance()}
        without = [name for name in given.without.split(",") if name]
        if given.only in (None, "suite"):
            found["suite"] = suite_speed(given.suite, given.episodes, given.workers, folder, without)
        if given.only in (None, "verify"):
            found["verify"] = verify_speed(given.verify_episodes, folder)
        if given.only in (None, "report"):
            found["report"] = report_speed(given.report_episodes, folder)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
