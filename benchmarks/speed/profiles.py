"""Where the time goes: cProfile over steps of each task, torch.profiler over training and generation, the share
of a PPO round that is play."""

from __future__ import annotations

import cProfile
import json
import pstats
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
from environments import CITY, MOVES, QUESTIONS, SALES, alone, any_command, any_move, chosen
from models import ACTION, DATA, SIZE, WORDLE, fresh, letters
from peers import Peers
from rollouts import EngineAgent, playing_rate
from table import Table
from torch.profiler import ProfilerActivity, profile
from training import trainers_take

import lmrl_agents.learning.online
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train

SHOWN = 8


def python_profile(work: Callable[[], Any]) -> dict[str, float]:
    """Shares of time inside the costliest functions of our packages and others, cProfile's own cost included."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats: Any = pstats.Stats(profiler)
    costly = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:SHOWN]
    return {
        f"{Path(file).parent.name}/{Path(file).name}:{name}" if "/" in file else name: own[2] / stats.total_tt
        for (file, _, name), own in costly
    }


def torch_profile(work: Callable[[], Any]) -> dict[str, float]:
    """Shares of CPU time inside the costliest operations of torch."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    events = found.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    costly = sorted(events, key=lambda event: -event.self_cpu_time_total)[:SHOWN]
    return {event.key: event.self_cpu_time_total / whole for event in costly}


def ppo_round(iterations: int) -> tuple[float, float]:
    """CPU seconds of a round, preset nano on Wordle from a policy cloned for 100 steps, and the share that is play."""
    spent = 0.0
    original = lmrl_agents.learning.online.play

    def timed(*arguments, **named):
        nonlocal spent
        started = time.process_time()
        found = original(*arguments, **named)
        spent += time.process_time() - started
        return found

    lmrl_agents.learning.online.play = timed
    try:
        with tempfile.TemporaryDirectory() as out, trainers_take(None, "ppo"):
            settings = {"ppo.iterations": iterations, "bc.steps": 100 if iterations > 1 else 5}
            run = TrainingRun(
                "ppo", WORDLE, DATA, Path(out) / "run", sample=True, show_progress=False, overrides=settings
            )
            whole = json.loads((train(run) / "lmrl.json").read_text())["cpu_seconds"]
    finally:
        lmrl_agents.learning.online.play = original
    return whole / iterations, spent / whole


def rows(table: Table, _: Peers) -> None:
    """All profiles."""
    random.seed(0)
    words = list(gym.make(WORDLE).unwrapped.vocabulary)  # type: ignore[attr-defined]
    fixed: dict[str, Sequence[str]] = {
        "lmrl/MazeFullyObserved-v0": MOVES,
        WORDLE: random.choices(words, k=500),
        "lmrl/TwentyQuestions-v1": QUESTIONS,
        "lmrl/GuessMyCity-v1": CITY,
        "lmrl/CarDealer-v1": SALES,
    }
    found: dict[str, dict[str, float]] = {}
    for id, actions in fixed.items():
        env: Any = gym.make(id)
        found[id] = python_profile(lambda env=env, actions=actions: alone(env, actions, table.seconds / 2))
    for env, choose in (
        (gym.make("lmrl/TextNavFullyObserved-v0"), any_command),
        (gym.make("lmrl/Chess-v0", simulator="random"), any_move),
    ):
        assert env.spec is not None
        found[env.spec.id] = python_profile(lambda env=env, choose=choose: chosen(env, choose, table.seconds / 2))
    table.find("tasks", found)
    steps = 2 if table.quick else 8
    sizes = {f"model.{name}": value for name, value in SIZE.items()} | {"model.compose": False, "bc.batch_size": 32}
    sizes |= {"text.units": "characters", "text.view": "plain", "text.max_action_tokens": ACTION, "bc.steps": steps}
    with tempfile.TemporaryDirectory() as out, trainers_take(letters(), "bc"):
        run = TrainingRun("bc", WORDLE, DATA, Path(out) / "run", sample=True, show_progress=False, overrides=sizes)
        table.find("training (BC, 4 layers of width 256, 32 rows)", torch_profile(lambda: train(run)))
    model = fresh(letters()).eval()
    playing_rate(EngineAgent, model, 2, False)
    games = 8 if table.quick else 64
    table.find(
        "generation (the engine, 64 games of Wordle)",
        torch_profile(lambda: playing_rate(EngineAgent, model, games, False)),
    )
    seconds, play = ppo_round(1 if table.quick else 3)
    table.find(f"PPO (preset nano, Wordle, {seconds:.1f} CPU s a round)", {"play": play, "learning": 1 - play})
