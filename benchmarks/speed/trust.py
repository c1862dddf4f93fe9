"""What it costs not to trust: an agent's own process, verification, import, batches; each beside what it is held against.

The agent of the first rows answers a millisecond after it was asked, as a small model does. Its two forms, in a process of its own
and in this one, play whole games of Wordle in turns, and what is told is the time from one answer to the next that a tenth of the answers
stays below: other work on the machine can only make them slower.
"""

from __future__ import annotations

import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from leaderboard import cpu_seconds
from peers import Peers
from table import Table

from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.rollout import Rollout
from lmrl_agents.playing.room import close, open_agent
from lmrl_benchmarks.reporting.submission import run_folder
from lmrl_benchmarks.running.verify import verify_run
from lmrl_datasets import generate, load_dataset
from lmrl_datasets.exchange import read_jsonl, write_jsonl

RESULTS = Path(__file__).parents[1] / "results"
AGENT = '''
import time
class Waits:
    """Answers each request after a millisecond."""
    def act(self, requests):
        return [self.answer() for _ in requests]
    def answer(self):
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        return "crane"
'''


class Clocked:
    """An agent, and when it was asked."""

    def __init__(self, agent: Any) -> None:
        self.agent, self.asked = agent, []
        if hasattr(agent, "act_with_details"):
            self.act_with_details = lambda requests: self.clocked(agent.act_with_details, requests)

    def clocked(self, act: Any, requests: Any) -> Any:
        self.asked.append(time.perf_counter())
        return act(requests)

    def act(self, requests: Any) -> list[str]:
        return self.clocked(self.agent.act, requests)


def turns(agent: Any, slots: int, seconds: float) -> float:
    """Turns of so many games a wall second: environment, agent and what is between them."""
    clocked, number, spent = Clocked(agent), 0, []
    rollout, until = Rollout(clocked, "lmrl/Wordle-v0", slots=slots), time.perf_counter() + seconds
    while time.perf_counter() < until:
        number += 1
        assert len(list(rollout.play(range(slots), number))) == slots
        spent += [b - a for a, b in pairwise(clocked.asked)]
        clocked.asked.clear()
    return 1 / sorted(spent)[len(spent) // 10]


def rows(table: Table, _: Peers) -> None:
    """All of them."""
    with tempfile.TemporaryDirectory() as folder:
        own_process(table, Path(folder))
        imported(table, Path(folder), 1000 if table.quick else 100_000)
    verified(table)
    agent = load_agent("random")
    rollout = Rollout(agent, "lmrl/Wordle-v0", slots=64)

    def batches() -> float:
        started, cpu = 0, time.process_time()
        while time.process_time() - cpu < table.seconds:
            started += sum(1 for _ in rollout.play(range(640), started))
        return started / (time.process_time() - cpu)

    table.compare("batch evaluation: Wordle, random, 64 games at once", batches, unit="episodes/s")


def own_process(table: Table, folder: Path) -> None:
    """An agent in its room and out of it."""
    (folder / "waits.py").write_text(AGENT)
    spec = f"{folder / 'waits.py'}:Waits"
    own, inside = open_agent(spec), load_agent(spec)
    try:
        for slots in (1, 2, 3, 16):
            table.compare(
                f"an agent's own process: a model of 1 ms an answer, games at once: {slots}",
                lambda slots=slots: turns(own, slots, table.seconds),
                {"--in-process": lambda slots=slots: turns(inside, slots, table.seconds)},
                unit="turns/s",
                target=1 / 1.1,
                clock="s",
                note="the time that a tenth of the turns stay below",
            )
    finally:
        close(own)


def imported(table: Table, folder: Path, episodes: int) -> None:
    """`lmrl data import` of a file of JSON lines."""
    generate("wordle/mixed-v0", folder / "data", episodes=episodes)
    write_jsonl(load_dataset(str(folder / "data")), folder / "episodes.jsonl")
    count = iter(range(1000))

    def once() -> float:
        began = cpu_seconds()
        read_jsonl(folder / "episodes.jsonl", folder / f"imported{next(count)}", "wordle/copy-v0")
        return episodes / (cpu_seconds() - began)

    table.compare(f"import of {episodes:,} episodes of Wordle from JSON lines", once, unit="episodes/s")


def verified(table: Table) -> None:
    """`lmrl leaderboard verify` of every committed archive, all of its games."""
    archives = sorted(RESULTS.glob("*.tar.xz"))[: 1 if table.quick else None]

    def once() -> float:
        began = cpu_seconds()
        for archive in archives:
            with run_folder(archive) as folder:
                breaches = {name: found for name, found in verify_run(folder) if found}
                assert not breaches, (archive, breaches)
        return len(archives) / (cpu_seconds() - began)

    table.compare(f"verification of the {len(archives)} committed archives", once, unit="archives/s", repeats=1)
