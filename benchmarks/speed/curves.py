"""How cost grows: environments over their number and over turns; training over batch, context and width; memory of a slot."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from environments import MOVES, QUESTIONS, drawn, together
from models import SIZE, fresh, letters
from peers import Peers
from table import Table, number

from lmrl_agents.learning.losses import mean, surprise
from lmrl_agents.learning.optimisation import adamw
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_envs.wrappers import ChatObservation

COUNTS = (1, 4, 16, 64, 256, 1024, 4096)
TURNS = (1, 25, 50, 100, 200, 400)


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def over_environments(id: str, actions: Sequence[str], seconds: float, **arguments: Any) -> dict[str, dict[int, float]]:
    """Microseconds of CPU per game step, and memory per game after play, by the number of games at once."""
    cost = {}
    for count in reversed(COUNTS):
        vector: Any = gym.make_vec(id, num_envs=count, vectorization_mode="vector_entry_point", **arguments)
        together(vector, drawn(actions, count), 0.0)  # knowledge and word lists are loaded once
        # Python's collector goes through all objects now and then: several batches pay for it together.
        cost[count] = 1e6 / together(vector, drawn(actions, count), seconds, least=8)
        vector.close()
    most = max(COUNTS)
    # In a process of its own: here, games would take memory that others have left.
    with multiprocessing.get_context("spawn").Pool(1) as other:
        memory = other.apply(bytes_a_game, (id, list(actions), most, arguments))
    return {"microseconds a step": {n: cost[n] for n in COUNTS}, "bytes a game": {most: memory}}


def bytes_a_game(id: str, actions: Sequence[str], count: int, arguments: dict[str, Any]) -> float:
    """How much this process grows by games that play 8 turns each, divided by their number."""
    random.seed(0)
    before = 0
    for games in (1, count):  # with the first one knowledge and word lists are loaded
        before = resident()
        vector: Any = gym.make_vec(id, num_envs=games, vectorization_mode="vector_entry_point", **arguments)
        together(vector, drawn(actions, games), 0.0, least=8)
    return (resident() - before) / count


def over_turns(repeats: int) -> dict[str, dict[int, float]]:
    """Microseconds of CPU per step of the first n turns of a conversation of 400: chess, answered with an illegal move."""
    found: dict[str, dict[int, float]] = {}
    for name, wrap in (("text", lambda env: env), ("conversation as chat messages", ChatObservation)):
        env: Any = wrap(gym.make("lmrl/Chess-v0", simulator="random"))
        spent = np.full((repeats, max(TURNS)), np.inf)
        for k in range(repeats):
            env.reset(seed=k)
            for turn in range(max(TURNS)):
                started = time.perf_counter_ns()
                env.step("pass")
                spent[k, turn] = time.perf_counter_ns() - started
        # The least over games: a turn's own cost without what the machine did besides.
        means = spent.min(axis=0).cumsum() / np.arange(1, max(TURNS) + 1) / 1e3
        found[name] = {turns: float(means[turns - 1]) for turns in TURNS}
    return found


def training_rate(batch: int, context: int, width: int, seconds: float) -> float:
    """Tokens per CPU second of steps of behaviour cloning; every second token is an action's."""
    tokenizer = letters()
    size = {"width": width, "heads": max(1, width // 64), "max_positions": max(512, context)}
    model = fresh(tokenizer, max_tokens=max(512, context), **size).train()
    optimizer = adamw(1e-3, 0.01, model)
    rng = np.random.default_rng(0)
    ids = rng.integers(4, len(tokenizer), (batch, context)).tolist()
    turns = range(0, context - 1, 2)
    episodes = [
        TokenEpisode([(row[t],) for t in turns], [(row[t + 1],) for t in turns], [0.0] * len(turns), terminated=True)
        for row in ids
    ]
    store = StepStore.of(episodes, model.form, tokenizer.pad)

    def step() -> None:
        data = store.clone_batch(np.arange(batch))
        logits = model.logits([model.action_states(data)])
        loss = mean(surprise(logits, data.token), data.weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    step()
    steps, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds or not steps:
        step()
        steps += 1
    return steps * batch * context / spent


def rows(table: Table, _: Peers) -> None:
    """All curves."""
    window = table.seconds / 3
    words = list(gym.make("lmrl/Wordle-v0").unwrapped.vocabulary)  # type: ignore[attr-defined]
    moves = [f"{a}{b}{c}{d}" for a in "abcdefgh" for b in "12" for c in "abcdefgh" for d in "34"]
    tasks: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
        "lmrl/MazeFullyObserved-v0": (MOVES, {}),
        "lmrl/Wordle-v0": (words, {}),
        "lmrl/TwentyQuestions-v1": (QUESTIONS, {}),
        "lmrl/CarDealer-v1": (["What is your budget?", "How about the Toyota SUV for 27.5k?"], {}),
        "lmrl/TextNavFullyObserved-v0": (["go west", "go east", "go south", "take plate"], {}),
        "lmrl/Chess-v0": (moves, {"simulator": "random"}),
    }
    curves = {}
    for id, (actions, arguments) in tasks.items():
        random.seed(0)
        try:
            curves[id] = over_environments(id, actions, window, **arguments)
        except gym.error.DependencyNotInstalled:
            print(f"  {id} not measured: TextWorld is not installed")
            continue
        points = ", ".join(f"{n:,}: {number(c)}" for n, c in curves[id]["microseconds a step"].items())
        print(f"  {id}, microseconds a step at n games at once: {points}", flush=True)
        table.find("environments", curves)
    table.find("turns", over_turns(5 if table.quick else 20))
    training = {}
    for name, points in (
        ("batch", [{"batch": n} for n in (4, 16, 64, 256)]),
        ("context", [{"context": n} for n in (32, 128, 512)]),
        ("width", [{"width": n} for n in (64, 128, 256, 512)]),
    ):
        training[name] = {
            point[name]: training_rate(**{"batch": 32, "context": 128, "width": SIZE["width"], **point}, seconds=window)
            for point in points
        }
        print(f"  training, tokens/s by {name}: " + ", ".join(f"{n}: {number(r)}" for n, r in training[name].items()))
        table.find("training", training)
    slot = 2 * SIZE["layers"] * SIZE["width"] * 4
    table.find("bytes of caches a token of a slot (4 layers of width 256, float32)", slot)
