"""Hours of mixed load in one process, to see whether anything grows: memory, open files, threads, child processes.

    python tools/soak/soak.py --hours 2 --out runs/soak [--seed 0] [--minutes-between-suites 10]
    python tools/soak/soak.py --report runs/soak [--json benchmarks/results/soak.json]

A round is: a slice of games of every id in a vector environment that lives as long as the soak (masked resets, skipped slots,
hostile actions, at times a state saved and restored), of every id in one that is made anew; evaluations by scripted agents
and by untrained language models through the code of the leaderboard's runner; Stockfish, started, killed in mid-game and
stopped, where it is installed; and now and then a whole small suite over worker processes. Between rounds, about every
minute, ``samples.jsonl`` gets a line: after a garbage collection, and after the C allocator has given back what it merely
keeps for later (malloc_trim). The report fits a line to the samples after warm-up (least squares). Linux with glibc only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import chess
import gymnasium
import numpy as np
from gymnasium.error import DependencyNotInstalled
from samples import SAMPLES, SETTINGS, TEXT_GAMES, report, sample

import lmrl_envs
from lmrl_envs import make_policy, task, task_ids
from lmrl_envs.chess.partner import best_moves
from lmrl_envs.contract import HOSTILE_ACTIONS

MODEL_TASKS = ("lmrl/MazeFullyObserved-v0", "lmrl/Wordle-v0", "lmrl/TwentyQuestions-v1")
SLOTS = 64
FEWEST = 3
"""Rounds that are played in any case: fewer samples have no slope."""


# -- what is done


def actions_of(id: str, seed: int, games: int = 60) -> list[str]:
    """Actions worth playing: those of the task's policies in some games, and hostile ones, one in ten."""
    env: Any = gymnasium.make(id)
    found: list[str] = []
    for k in range(games if "Chess" not in id else 4):
        env.reset(seed=seed + k)
        policy = make_policy(id, ("random", "suboptimal", "expert")[k % 3], seed=seed + k)
        for _ in range(60):
            found.append(policy.act(env.unwrapped.transcript) or "")
            _, _, terminated, truncated, _ = env.step(found[-1])
            if terminated or truncated:
                break
    env.close()
    return found + list(HOSTILE_ACTIONS) * max(1, len(found) // (10 * len(HOSTILE_ACTIONS)))


class Games:
    """Games of one id in a vector environment."""

    def __init__(self, id: str, pool: Sequence[str], rng: random.Random, slots: int = SLOTS, **kwargs: Any) -> None:
        self.id, self.pool, self.rng, self.slots = id, pool, rng, slots
        self.env: Any = gymnasium.make_vec(id, num_envs=slots, vectorization_mode="vector_entry_point", **kwargs)
        self.env.reset(seed=[rng.randrange(2**31) for _ in range(slots)])
        self.over = np.zeros(slots, bool)

    def play(self, seconds: float, episodes: Counter[str]) -> None:
        """Play for ``seconds`` of CPU, one step at least; counts the games that ended."""
        until = time.process_time() + seconds
        while True:
            actions: list[str | None] = self.rng.choices(self.pool, k=self.slots)  # type: ignore[assignment]
            # One that nobody has said before: what remembers actions must forget some.
            actions[self.rng.randrange(self.slots)] = f"{self.rng.choice(self.pool)} {self.rng.random()}"
            for slot in np.flatnonzero(self.over).tolist():
                actions[slot] = None
            _, _, terminated, truncated, _ = self.env.step(actions)
            over = terminated | truncated
            episodes[self.id] += int((over & ~self.over).sum())
            self.over = over
            if over.mean() > 0.3:
                self.env.reset(options={"reset_mask": over})
                self.over = np.zeros(self.slots, bool)
            if time.process_time() > until:
                return

    def copies(self) -> None:
        """Save, restore and clone one game, and look at the others."""
        single = self.env.unwrapped.envs[0]
        twin = single.clone()
        twin.set_state(json.loads(json.dumps(single.get_state())))
        assert twin.transcript == single.transcript == self.env.unwrapped.transcript(0)
        twin.render()


def untrained(id: str, folder: Path, seed: int) -> Path:
    """A language model of the nano preset with random weights and a tokenizer of the task's sample data."""
    from lmrl_agents.learning.run import TrainingRun
    from lmrl_agents.learning.start import fresh_model

    data = f"{task(id).family}/mixed-v0"
    run = TrainingRun(algorithm="bc", env_id=id, data=data, preset="nano", seed=seed, out=folder, sample=True)
    fresh_model(run, run.load_data()).save(folder, {"env_id": id})
    return folder


class Soak:
    """The activities of a round."""

    def __init__(self, out: Path, seed: int, between_suites: float, ids: Sequence[str]) -> None:
        self.out, self.seed, self.between_suites, self.ids = out, seed, between_suites, ids
        self.rng = random.Random(seed)
        self.episodes: Counter[str] = Counter()
        self.pools = {id: actions_of(id, seed) for id in ids}
        self.lasting = {id: Games(id, pool, self.rng) for id, pool in self.pools.items()}
        self.models = {id: untrained(id, out / "models" / task(id).family, seed) for id in MODEL_TASKS if id in ids}
        self.rounds, self.suites, self.last_suite = 0, 0, -math.inf
        self.stockfish = True

    def round(self) -> None:
        """Everything once, in an order drawn anew."""
        work: list[Callable[[], None]] = [lambda id=id: self._play(id) for id in self.pools]
        work += [self._evaluate_scripted, self._evaluate_model, self._engines, self._suite]
        self.rng.shuffle(work)
        for activity in work:
            activity()
        self.rounds += 1

    def _play(self, id: str) -> None:
        seconds = 0.4 if id in TEXT_GAMES else 0.6
        self.lasting[id].play(seconds, self.episodes)
        self.lasting[id].copies()
        fresh = Games(id, self.pools[id], self.rng, slots=self.rng.choice((1, 3, 16)))
        fresh.play(0.05, self.episodes)
        fresh.env.close()

    def _evaluate(self, id: str, agent: str, episodes: int) -> None:
        """As a worker of the leaderboard does it, in this process; nothing of it stays on disk."""
        from lmrl_agents.playing.room import RoomSettings
        from lmrl_benchmarks.running.cells import Job
        from lmrl_benchmarks.running.evaluation import EvaluationSpec
        from lmrl_benchmarks.running.jobs import run_job

        folder, trained = self.out / "cell", os.sep in agent
        spec = EvaluationSpec(id, agent, episodes, self.rng.randrange(2**31))
        problem = run_job(self.out, Job("eval", "eval", "cell", (spec, trained, "cpu", RoomSettings(), False)))
        if problem:
            raise RuntimeError(problem)
        errors = json.loads((folder / "summary.json").read_text("utf-8"))["errors"]
        if errors:
            raise RuntimeError(f"{errors} of {episodes} episodes of {agent} on {id} ended in an error")
        self.episodes[id] += episodes
        shutil.rmtree(folder)

    def _evaluate_scripted(self) -> None:
        id = self.ids[self.rounds % len(self.ids)]
        self._evaluate(id, self.rng.choice(("random", "suboptimal", "expert")), 60 if id in TEXT_GAMES else 4)

    def _evaluate_model(self) -> None:
        if not self.models:
            return
        id = list(self.models)[self.rounds % len(self.models)]
        self._evaluate(id, str(self.models[id]), 12 if "Maze" in id else 24)

    def _engines(self) -> None:
        """A pool of engines, one of them killed in mid-game, closed at the end."""
        chess = [id for id in self.ids if id not in TEXT_GAMES]
        if not self.stockfish or not chess:
            return
        id = chess[self.rounds % len(chess)]
        try:
            games = Games(id, self.pools[id], self.rng, slots=4, simulator="stockfish", nodes=50, pool_size=2)
        except DependencyNotInstalled as problem:
            print(f"no engine: {problem}", flush=True)
            self.stockfish = False
            return
        engine = games.env.unwrapped.envs[0].partner
        for _ in range(3):
            games.play(0.02, self.episodes)
        for pid in engine.pids[:1]:
            os.kill(pid, signal.SIGKILL)
        games.play(0.02, self.episodes)
        games.env.close()

    def _suite(self) -> None:
        """A suite over two worker processes, as ``lmrl leaderboard run`` plays it."""
        if time.monotonic() - self.last_suite < self.between_suites:
            return
        from lmrl_benchmarks.running.runner import run_suite
        from lmrl_benchmarks.running.suite import suite_from

        games = [id for id in self.ids if id in TEXT_GAMES]
        tasks = [{"id": id} for id in self.rng.sample(games, min(3, len(games)))]
        values = {
            "name": "soak",
            "version": 1,
            "episodes": 20,
            "seed": self.rng.randrange(2**31),
            "training_seeds": [0],
        }
        suite = suite_from({**values, "tasks": tasks, "agents": [{"name": "random"}, {"name": "expert"}]})
        problems = run_suite(suite, self.out / "suite", workers=2)
        if problems:
            raise RuntimeError(f"the suite failed: {problems}")
        shutil.rmtree(self.out / "suite")
        for entry in tasks:
            self.episodes[entry["id"]] += 40
        self.suites += 1
        self.last_suite = time.monotonic()


def fill_caches(soak: Soak, entries: int = 20_000) -> None:
    """Put more into the bounded caches of answers and moves than they hold: full from the start, they grow no more."""
    for id in ("lmrl/GuessMyCity-v1", "lmrl/TwentyQuestions-v1", "lmrl/CarDealer-v1"):
        games = soak.lasting.get(id)
        for _ in range(entries // SLOTS if games is not None else 0):
            assert games is not None
            games.env.step([f"{soak.rng.choice(soak.pools[id])[:100]} {soak.rng.random()}" for _ in range(SLOTS)])
            games.env.reset()
    board = chess.Board()
    for _ in range(entries if any("Chess" in id for id in soak.ids) else 0):
        if board.is_game_over(claim_draw=True):
            board.reset()
        board.push(soak.rng.choice(list(board.legal_moves)))
        if any(board.legal_moves):
            best_moves(board, nodes=1, margin=1000)


def run(
    out: Path, hours: float, seed: int, warm_up: float, interval: float, between_suites: float, ids: Sequence[str]
) -> None:
    """Soak for ``hours``; writes settings at once and a sample about every ``interval`` seconds."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    settings = {
        "command": " ".join(["python", *sys.argv]),
        "version": lmrl_envs.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "hours": hours,
        "seed": seed,
        "warm_up_hours": warm_up * hours,
    }
    (out / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    soak = Soak(out, seed, between_suites, ids)
    fill_caches(soak)
    last = -math.inf
    with (out / SAMPLES).open("w", encoding="utf-8") as file:
        while soak.rounds < FEWEST or time.monotonic() < started + hours * 3600:
            soak.round()
            if time.monotonic() - last >= interval or time.monotonic() > started + hours * 3600:
                last = time.monotonic()
                line = sample(soak.episodes, soak.rounds, started)
                file.write(json.dumps(line) + "\n")
                file.flush()
                total = sum(soak.episodes.values())
                shown = " ".join(
                    f"{key} {line[key]}" for key in ("hours", "rss_mb", "heap_mb", "files", "threads", "children")
                )
                print(f"{shown} rounds {soak.rounds} suites {soak.suites} episodes {total:,}", flush=True)
    for games in soak.lasting.values():
        games.env.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=Path("runs/soak"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ids", help="tasks, with commas between; default: all")
    parser.add_argument("--warm-up", type=float, default=0.25, help="share of the time that is not measured")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between samples")
    parser.add_argument("--minutes-between-suites", type=float, default=10.0)
    parser.add_argument("--report", type=Path, help="report on the samples in this folder, and run nothing")
    parser.add_argument("--json", type=Path, help="write the report to this file too")
    arguments = parser.parse_args()
    folder = arguments.report or arguments.out
    if arguments.report is None:
        run(
            folder, arguments.hours, arguments.seed, arguments.warm_up, arguments.interval,
            arguments.minutes_between_suites * 60, arguments.ids.split(",") if arguments.ids else task_ids(),
        )  # fmt: skip
    found = report(folder)
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if arguments.json is not None:
        arguments.json.write_text(text, "utf-8")
    return 0 if found["within_limits"] else 1


if __name__ == "__main__":
    sys.exit(main())
