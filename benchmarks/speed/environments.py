"""Speed of the environments on one core, beside whatever peers are installed, in one run.

    python benchmarks/speed/environments.py [--peers PATH_OF_PYTHON] [--seconds 1.0] [--json FILE]

CPU seconds of one thread (time.thread_time); resets and steps are timed apart, actions are chosen beforehand. Peers
(textarena, gem-llm) are measured by a subprocess in a virtual environment of their own, because their dependencies clash:

    python -m venv .peers && .peers/bin/pip install textarena==0.7.4 gem-llm==0.1.0
    python benchmarks/speed/environments.py --peers .peers/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PEERS = r"""
import json, random, sys, time
seconds = float(sys.argv[1])
out = {}

def timed(reset, step, actions):
    steps = resets = 0
    step_time = reset_time = 0.0
    k = 0
    while step_time < seconds:
        t = time.thread_time(); reset(resets); reset_time += time.thread_time() - t; resets += 1
        done = False
        t = time.thread_time()
        while not done:
            done = step(actions[k % len(actions)]); k += 1; steps += 1
        step_time += time.thread_time() - t
    return {"steps": steps / step_time, "resets": resets / reset_time}

words = json.loads(sys.argv[2])
import nltk
from nltk.corpus import words as corpus
corpus.words = lambda *a, **k: words          # the corpora cannot be downloaded everywhere: the dictionary is ours
nltk.pos_tag = lambda tokens, **k: [(t, "NN") for t in tokens]
rng = random.Random(0)
actions = ["[" + rng.choice(words) + "]" for _ in range(1000)]
try:
    import textarena as ta
    env = ta.make("Wordle-v0-raw")
    def reset(k): env.reset(num_players=1, seed=k)
    def step(action):
        env.get_observation()
        return env.step(action)[0]
    out["TextArena Wordle (raw)"] = timed(reset, step, actions)
    import importlib.metadata as m
    out["TextArena Wordle (raw)"]["version"] = m.version("textarena")
except Exception as problem:
    out["TextArena Wordle (raw)"] = {"error": f"{type(problem).__name__}: {problem}"}
try:
    import gem, importlib.metadata as m
    env = gem.make("game:Wordle-v0-hard")
    boxed = ["\\boxed{" + a[1:-1] + "}" for a in actions]
    def reset(k): env.reset(k)
    def step(action):
        _, _, terminated, truncated, _ = env.step(action)
        return terminated or truncated
    out["GEM Wordle"] = {**timed(reset, step, boxed), "version": m.version("gem-llm")}
except Exception as problem:
    out["GEM Wordle"] = {"error": f"{type(problem).__name__}: {problem}"}
print(json.dumps(out))
"""


def timed(env: Any, actions: list[str], seconds: float, seeded: bool = True) -> dict[str, float]:
    """Steps and resets per CPU second."""
    steps = resets = 0
    step_time = reset_time = 0.0
    k = 0
    while step_time < seconds:
        started = time.thread_time()
        env.reset(seed=resets if seeded else None)
        reset_time += time.thread_time() - started
        resets += 1
        over, played = False, 0
        started = time.thread_time()
        while not over and played < 100:
            _, _, terminated, truncated, _ = env.step(actions[k % len(actions)])
            over = terminated or truncated
            k += 1
            played += 1
        step_time += time.thread_time() - started
        steps += played
    return {"steps": steps / step_time, "resets": resets / reset_time}


def timed_resets(env: Any, seconds: float, seeded: bool) -> float:
    """Resets per CPU second."""
    count, spent = 0, 0.0
    while spent < seconds:
        started = time.thread_time()
        for k in range(500):
            env.reset(seed=k if seeded else None)
        spent += time.thread_time() - started
        count += 500
    return count / spent


def timed_vector(id: str, actions: list[str], seconds: float, num_envs: int = 1024) -> float:
    """Game steps per CPU second of a native vector environment, masked resets included."""
    import gymnasium as gym

    vector: Any = gym.make_vec(id, num_envs=num_envs, vectorization_mode="vector_entry_point")
    rng = random.Random(1)
    batches = [[rng.choice(actions) for _ in range(num_envs)] for _ in range(16)]
    vector.reset(seed=0)
    count, k = 0, 0
    started = time.thread_time()
    while (spent := time.thread_time() - started) < seconds:
        _, _, terminated, truncated, _ = vector.step(batches[k % 16])
        over = terminated | truncated
        if over.any():
            vector.reset(options={"reset_mask": over})
        count += num_envs
        k += 1
    return count / spent


def timed_chosen(env: Any, choose: Callable[[Any], str], seconds: float, steps_at_most: int = 200) -> dict[str, float]:
    """Steps and resets per CPU second, with each action chosen from the game's state outside the clock."""
    steps = resets = 0
    step_time = reset_time = 0.0
    while step_time < seconds:
        started = time.thread_time()
        env.reset(seed=resets)
        reset_time += time.thread_time() - started
        resets += 1
        over, played = False, 0
        while not over and played < steps_at_most:
            action = choose(env.unwrapped)
            started = time.thread_time()
            _, _, terminated, truncated, _ = env.step(action)
            step_time += time.thread_time() - started
            over = terminated or truncated
            steps += 1
            played += 1
    return {"steps": steps / step_time, "resets": resets / reset_time}


GAMES = 32


def stockfish_rate(pool_size: int, seconds: float) -> float:
    """Agent moves per wall second against Stockfish, many more games at once than engines in the pool.

    A batch is over when its last game is, so that with few games an engine would wait for the other.
    """
    import gymnasium as gym

    vector: Any = gym.make_vec(
        "lmrl/Chess-v0",
        num_envs=GAMES,
        vectorization_mode="vector_entry_point",
        simulator="stockfish",
        nodes=100_000,
        pool_size=pool_size,
    )
    rng = random.Random(0)
    vector.reset(seed=0)
    count = 0
    started = None
    while started is None or time.perf_counter() - started < seconds:
        boards = [env._board for env in vector.envs]
        actions = [rng.choice([move.uci() for move in board.legal_moves]) for board in boards]
        _, _, terminated, truncated, _ = vector.step(actions)
        over = terminated | truncated
        if over.any():
            vector.reset(options={"reset_mask": over})
        if started is None:  # the first step starts the engines
            started = time.perf_counter()
            continue
        count += GAMES
    rate = count / (time.perf_counter() - started)
    vector.close()
    return rate


def once(code: str, repeat: int = 3) -> float:
    """Least CPU seconds of a fresh interpreter that runs ``code`` and prints one number, or of the process itself."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return min(
        float(
            subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(repeat)
    )


DIALOGUES = {
    "lmrl/TwentyQuestions-v0": [
        "Is it alive?", "is it bigger than a microwave oven", "Would you find it in a kitchen?", "Does it have wheels?",
        "Can you wear it?", "is it made of metal or plastic", "Do people play music with it?", "Is it something you eat?",
    ],
    "lmrl/GuessMyCity-v0": [
        "Is it in Asia?", "What language do people speak there?", "is it on the coast", "What is the city famous for?",
        "Does it snow there in winter?", "Is it bigger than Madrid?", "Which river runs through it?", "What do people eat?",
    ],
    "lmrl/CarDealer-v0": [
        "Hi, welcome! What are you looking for?", "What is your budget?", "How about the Toyota SUV for 27.5k?",
        "I can knock two thousand off.", "It has leather seats and a sunroof.", "What would you pay?",
    ],
}  # fmt: skip


def engine_rows(row: Callable[..., float], seconds: float) -> None:
    """Tasks behind engines and scripted partners."""
    import shutil

    import gymnasium as gym

    rng = random.Random(2)

    def any_move(env: Any) -> str:
        return rng.choice([move.uci() for move in env._board.legal_moves])

    def any_command(env: Any) -> str:
        commands = env.transcript[-1].text.rsplit("[", 1)[-1].rstrip("]").split(", ")
        return rng.choice(commands)

    def chosen(env: Any, choose: Callable[[Any], str], least: float = 0.0) -> Callable[[], float]:
        return lambda: timed_chosen(env, choose, max(least, seconds))["steps"]

    row("lmrl/Chess-v0, random replies, agent moves", chosen(gym.make("lmrl/Chess-v0", simulator="random"), any_move))
    row("lmrl/Chess-v0 against builtin, agent moves", chosen(gym.make("lmrl/Chess-v0"), any_move, least=3.0))
    endgames = gym.make("lmrl/ChessEndgames-v0", simulator="random")
    endgames.reset(seed=0)
    row("lmrl/ChessEndgames-v0, resets", lambda: timed_resets(endgames, seconds, True))
    try:
        house = gym.make("lmrl/TextNavFullyObserved-v0")
        house.reset(seed=0)
        row("lmrl/TextNavFullyObserved-v0, steps", chosen(house, any_command))
        row("lmrl/TextNavFullyObserved-v0, warm resets", lambda: timed_resets(house, seconds, True))
    except gym.error.DependencyNotInstalled as problem:
        print(f"Text-Nav not measured: {problem}")
    for id, lines in DIALOGUES.items():
        fresh = [
            f"{line.rstrip('?.!')} {rng.choice(('please', 'then', 'maybe'))} {k}?"
            for k in range(4000)
            for line in lines
        ]
        for what, texts in (("the same lines again", lines), ("every line new", fresh)):
            row(f"{id}, steps ({what})", lambda id=id, texts=texts: timed(gym.make(id), texts, seconds)["steps"])
    if shutil.which("stockfish") or Path("/usr/games/stockfish").exists():
        one = row("lmrl/Chess-v0, stockfish nodes=100000, one engine (wall)", lambda: stockfish_rate(1, 6 * seconds))
        two = row("  the same over a pool of two engines (wall)", lambda: stockfish_rate(2, 6 * seconds))
        row("  two engines are faster by", lambda: two / one, "x")
    else:
        print("Stockfish not measured: it is not installed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="Python of a virtual environment with textarena and gem-llm")
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds for each figure")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    import gymnasium as gym

    import lmrl_envs
    from lmrl_envs.wrappers import ChatObservation

    class Empty(gym.Env):
        """Does nothing: what Gymnasium itself costs."""

        observation_space = action_space = lmrl_envs.FreeText(100)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return "", {}

        def step(self, action):
            return "", 0.0, False, False, {}

    gym.register("Empty-v0", entry_point=Empty)
    rng = random.Random(0)
    words = list(gym.make("lmrl/Wordle-v0").unwrapped.vocabulary)  # type: ignore[attr-defined]
    guesses = [rng.choice(words) for _ in range(1000)]
    moves = [rng.choice(["move up", "move down", "move left", "move right"]) for _ in range(1000)]
    seconds = arguments.seconds

    rows: list[tuple[str, float, str]] = []

    def row(name: str, measure: Callable[[], float], unit: str = "/s") -> float:
        value = measure()
        rows.append((name, value, unit))
        return value

    empty = gym.make("Empty-v0")
    empty_steps = row("empty Gymnasium environment, steps", lambda: timed(empty, moves, seconds)["steps"])
    empty_seeded = row("empty Gymnasium environment, resets with a seed", lambda: timed_resets(empty, seconds, True))
    empty_plain = row("empty Gymnasium environment, resets without", lambda: timed_resets(empty, seconds, False))
    found: dict[str, float] = {}
    for id, actions in (
        ("lmrl/MazeFullyObserved-v0", moves),
        ("lmrl/MazePartiallyObserved-v0", moves),
        ("lmrl/Wordle-v0", guesses),
    ):
        env = gym.make(id)
        found[id] = row(f"{id}, steps", lambda env=env, actions=actions: timed(env, actions, seconds)["steps"])
        seeded = row(f"{id}, resets with a seed", lambda env=env: timed_resets(env, seconds, True))
        plain = row(f"{id}, resets without", lambda env=env: timed_resets(env, seconds, False))
        rows.append(("  share of the empty environment's steps", found[id] / empty_steps, ""))
        rows.append(("  share of its resets with a seed", seeded / empty_seeded, ""))
        rows.append(("  share of its resets without", plain / empty_plain, ""))
        chat = ChatObservation(gym.make(id))
        row(f"{id}, steps as chat messages", lambda chat=chat, actions=actions: timed(chat, actions, seconds)["steps"])
        row(f"{id}, 1,024 games at once, steps", lambda id=id, actions=actions: timed_vector(id, actions, seconds))
    engine_rows(row, seconds)
    row(
        "import lmrl_envs, least wall seconds",
        lambda: once("import time; t=time.time(); import lmrl_envs; print(time.time()-t)"),
        " s",
    )
    row(
        "gym.make of Wordle, first in the process, wall milliseconds",
        lambda: once(
            "import time, gymnasium as g, lmrl_envs; t=time.time(); g.make('lmrl/Wordle-v0'); print(1e3*(time.time()-t))"
        ),
        " ms",
    )
    row(
        "resident memory after import",
        lambda: once(
            "import lmrl_envs; print([int(l.split()[1])/1024 for l in open('/proc/self/status') if l.startswith('VmRSS')][0])"
        ),
        " MB",
    )
    peers: dict[str, Any] = {}
    if arguments.peers:
        command = [arguments.peers, "-c", PEERS, str(seconds), json.dumps(words)]
        result = subprocess.run(command, capture_output=True, text=True)
        peers = (
            json.loads(result.stdout.splitlines()[-1])
            if result.returncode == 0
            else {"peers": {"error": result.stderr[-300:]}}
        )

    for name, value, unit in rows:
        print(f"{name:<64}{value:>16,.2f}{unit}" if value < 1000 else f"{name:<64}{value:>16,.0f}{unit}")
    for name, figures in peers.items():
        if "error" in figures:
            print(f"{name:<64}{'not measured: ' + figures['error']}")
            continue
        print(f"{name + ' ' + figures['version'] + ', steps':<64}{figures['steps']:>16,.0f}/s")
        print(f"{'  lmrl/Wordle-v0 is faster by':<64}{found['lmrl/Wordle-v0'] / figures['steps']:>16,.2f}x")
    if arguments.json:
        record = {
            "rows": [{"name": n.strip(), "value": v, "unit": u.strip()} for n, v, u in rows],
            "peers": peers,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "load": os.getloadavg(),
        }
        arguments.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
