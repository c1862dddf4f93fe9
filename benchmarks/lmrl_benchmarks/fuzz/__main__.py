"""The fuzz campaign: ``python -m lmrl_benchmarks.fuzz --minutes 5 --seed 0``.

Every id gets the same share of CPU time; a case is a function of seed, id and number, whatever the workers. A case that
breaks the contract is minimised and written under ``--out``, with the command that plays it again. Exit status 1 then.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import platform
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import lmrl_envs
from lmrl_benchmarks.fuzz.search import Explored, explore, minimise, replay
from lmrl_envs import task_ids

MOST_FAILURES = 20
"""Cases kept of one kind and id."""


def campaign(
    ids: list[str],
    seed: int,
    *,
    minutes: float,
    actions: int | None = None,
    workers: int = 1,
    engine: bool = False,
    first: int = 0,
    told: Callable[[Explored], None],
) -> None:
    """Explore cases until the time is up, or until ``actions`` actions have been played.

    Args:
        ids: tasks.
        seed: of all cases.
        minutes: most minutes.
        actions: most actions, all tasks together.
        workers: processes; 1 plays in this one.
        engine: let Stockfish play in some cases.
        first: number of the first case of each task.
        told: called with each case as it ends.
    """
    started = time.monotonic()
    spent: dict[str, float] = dict.fromkeys(ids, 0.0)
    numbers = dict.fromkeys(ids, first)
    played = 0

    def more() -> bool:
        return time.monotonic() - started < minutes * 60 and (actions is None or played < actions)

    def jobs() -> Iterator[tuple[str, int]]:
        while more():
            id = min(ids, key=spent.__getitem__)
            numbers[id] += 1
            spent[id] += 0.01  # until it is known
            yield id, numbers[id] - 1

    def ended(found: Explored) -> None:
        nonlocal played
        spent[found.id] += found.cpu_seconds
        played += found.actions
        told(found)

    if workers == 1:
        for id, number in jobs():
            ended(explore(id, seed, number, engine=engine))
        return
    running: set[Future[Explored]] = set()
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for id, number in jobs():
            running.add(pool.submit(explore, id, seed, number, engine=engine))
            if len(running) >= 2 * workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    ended(future.result())
        for future in running:
            ended(future.result())


class Tally:
    """Counts by id, and the failures."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.cpu: dict[str, float] = defaultdict(float)
        self.kinds: Counter[tuple[str, str]] = Counter()
        self.failures: list[str] = []
        self.last = time.monotonic()

    def add(self, found: Explored) -> None:
        count = self.counts[found.id]
        form = "vector" if found.slots else "single"
        count.update({"cases": 1, "actions": found.actions, f"{form}_actions": found.actions})
        if found.variant.get("simulator") == "stockfish":
            count["stockfish_actions"] += found.actions
        self.cpu[found.id] += found.cpu_seconds
        if found.failure is not None:
            self._fail(found)
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            total = sum(c["actions"] for c in self.counts.values())
            print(f"{total:>12,} actions, {len(self.failures)} failures", flush=True)

    def _fail(self, found: Explored) -> None:
        failure = found.failure
        assert failure is not None
        key = (found.id, failure.kind)
        self.kinds[key] += 1
        if self.kinds[key] > MOST_FAILURES:
            return
        if self.kinds[key] == 1:
            failure = minimise(failure)
        path = failure.save(self.out)
        self.failures.append(str(path))
        print(f"\n{found.id} case {found.number} ({found.variant}, {found.slots} slots): {failure.kind}", flush=True)
        print(f"  {failure.message[:600]}")
        print(f"  again: python -m lmrl_benchmarks.fuzz --replay {path}\n", flush=True)

    def table(self) -> dict[str, Any]:
        """Counts and CPU seconds by id."""
        return {id: {**count, "cpu_seconds": round(self.cpu[id], 1)} for id, count in sorted(self.counts.items())}


def _add(path: Path, result: dict[str, Any]) -> None:
    """Append a run to a file of runs, with the sums over all of them."""
    runs = json.loads(path.read_text("utf-8"))["runs"] if path.is_file() else []
    runs.append(result)
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        for id, row in run["tasks"].items():
            sums[id].update(row)
    actions = {id: row["actions"] for id, row in sorted(sums.items())}
    found = {
        "actions": sum(actions.values()),
        "cpu_seconds": round(sum(run["cpu_seconds"] for run in runs), 1),
        "failures": sum(run["failures"] for run in runs),
        "actions_by_task": actions,
        "runs": runs,
    }
    path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _again(path: Path) -> int:
    case = json.loads(path.read_text("utf-8"))
    failure = replay(case)
    if failure is None:
        print(f"{path}: keeps the contract")
        return 0
    print(f"{failure.trace}\n{path}: {failure.kind}: {failure.message}")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lmrl_benchmarks.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--actions", type=int, help="stop after so many actions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case: go on with a campaign")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--ids", help="tasks, with commas between; default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="where failing cases are written")
    parser.add_argument("--json", type=Path, help="add counts, seed and seconds to this file")
    parser.add_argument("--replay", type=Path, help="play one case again, and nothing else")
    arguments = parser.parse_args()
    if arguments.replay is not None:
        return _again(arguments.replay)
    ids = arguments.ids.split(",") if arguments.ids else list(task_ids())
    engine = shutil.which("stockfish") is not None or Path("/usr/games/stockfish").exists()
    print(f"seed {arguments.seed}, {len(ids)} tasks, {'with' if engine else 'without'} Stockfish", flush=True)
    tally = Tally(arguments.out)
    started = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):  # what was played until then is reported
        campaign(
            ids, arguments.seed, minutes=arguments.minutes, actions=arguments.actions, workers=arguments.workers,
            engine=engine, first=arguments.first, told=tally.add,
        )  # fmt: skip
    table = tally.table()
    result = {
        "command": " ".join(["python", "-m", "lmrl_benchmarks.fuzz", *sys.argv[1:]]),
        "version": lmrl_envs.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "seed": arguments.seed,
        "stockfish": engine,
        "actions": sum(row["actions"] for row in table.values()),
        "cases": sum(row["cases"] for row in table.values()),
        "cpu_seconds": round(sum(tally.cpu.values()), 1),
        "seconds": round(time.monotonic() - started, 1),
        "failures": sum(tally.kinds.values()),
        "tasks": table,
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if arguments.json is not None:
        _add(arguments.json, result)
    return 1 if tally.kinds else 0


if __name__ == "__main__":
    sys.exit(main())
