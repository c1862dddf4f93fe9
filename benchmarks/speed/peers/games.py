"""Games of TextArena, GEM and verifiers: steps per CPU second of one thread, observation included, resets apart.

Order: ``{"game": name, "seconds": s, "actions": [...]}``; answer: ``{"rate": steps/s, "version": ...}``.

What these packages would fetch is replaced: NLTK's corpora by the actions' words, the language model that is TextArena's
game master in 20 Questions by a coin. Both make the peers faster than they are as shipped.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import random
import re
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from orders import serve

Game = tuple[Callable[[int], Any], Callable[[str], bool]]
"""reset(seed) and step(action) -> whether the game is over."""


def stub_corpora(words: list[str]) -> None:
    import nltk
    from nltk.corpus import words as corpus

    nltk.download = lambda *_, **__: True
    nltk.pos_tag = lambda tokens, **_: [(token, "NN") for token in tokens]
    corpus.words = lambda *_, **__: words


def layers(env: Any) -> Iterator[Any]:
    """A wrapped environment of TextArena, its wrappers first."""
    yield env
    while "env" in vars(env):
        env = env.env
        yield env


def forget(env: Any) -> None:
    """Version 0.7.4 keeps the observations of the games before, and grows slower with each."""
    for layer in layers(env):
        if "full_observations" in vars(layer):
            layer.full_observations = {}


def textarena(name: str, players: int = 1) -> Game:
    import textarena as ta

    if name.startswith("TwentyQuestions"):
        coin = random.Random(0)
        ta.agents.OpenRouterAgent = lambda **_: lambda prompt: coin.choice(("Yes", "No"))
    env = ta.make(name)

    def reset(seed: int) -> None:
        env.reset(num_players=players, seed=seed)
        forget(env)

    def step(action: str) -> bool:
        env.get_observation()
        return env.step(action)[0]

    return reset, step


def gem(name: str, wrapper: str | None = None) -> Game:
    import gem as package

    env = package.make(name)
    if wrapper:
        from gem.wrappers.wrapper_factory import WRAPPER_FACTORY

        env = WRAPPER_FACTORY[wrapper](env)

    def step(action: str) -> bool:
        _, _, terminated, truncated, _ = env.step(action)
        return terminated or truncated

    return env.reset, step


def rate(game: Game, actions: list[str], seconds: float) -> float:
    reset, step = game
    spent, steps, seed = 0.0, 0, 0
    while spent < seconds:
        reset(seed)
        seed += 1
        over, played = False, 0
        started = time.thread_time()
        while not over and played < 100:
            over = step(actions[steps % len(actions)])
            steps += 1
            played += 1
        spent += time.thread_time() - started
    return steps / spent


def chess_rate(name: str, seconds: float) -> float:
    import textarena as ta

    env = ta.make(name)
    *_, game = layers(env)
    rng, spent, steps, seed = random.Random(0), 0.0, 0, 0
    while spent < seconds:
        env.reset(num_players=2, seed=seed)
        forget(env)
        seed += 1
        board, over, played = game.state.game_state["board"], False, 0
        while not over and played < 60:
            action = f"[{rng.choice(list(board.legal_moves)).uci()}]"
            started = time.thread_time()
            env.get_observation()
            over = env.step(action)[0]
            spent += time.thread_time() - started
            steps, played = steps + 1, played + 1
    return steps / spent


def verifiers_rate(actions: list[str], seconds: float) -> float:
    """The environment's own loop over one episode after the other, with an agent that answers at once.

    Version 0.4.0 makes its game anew for each episode, which takes most of a second; here it is made once.
    """
    import textarena as ta
    from verifiers.v1.tasksets.textarena import taskset

    class Interaction:
        trace = SimpleNamespace(record_reward=lambda *_: None, info={})
        steps = 0

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            return None

        async def turn(self, message: str = ""):
            self.steps += 1
            return SimpleNamespace(terminated=False, last_reply=actions[self.steps % len(actions)])

    if "verifiers" not in made:
        made["verifiers"] = ta.make("Wordle-v0")
        taskset.ta = SimpleNamespace(make=lambda env_id: made["verifiers"])
    interaction = Interaction()
    agents = SimpleNamespace(player=SimpleNamespace(interaction=lambda task: interaction))
    seed, started = 0, time.thread_time()
    while (spent := time.thread_time() - started) < seconds or not seed:
        task = SimpleNamespace(data=SimpleNamespace(info={"seed": seed, "game": "Wordle-v0"}))
        forget(made["verifiers"])
        asyncio.run(taskset.TextArenaEnv.run(None, task, agents))  # type: ignore[arg-type]
        seed += 1
    return interaction.steps / spent


GAMES: dict[str, Callable[[], Game]] = {
    "TextArena Wordle-v0-raw": lambda: textarena("Wordle-v0-raw"),
    "TextArena Wordle-v0": lambda: textarena("Wordle-v0"),
    "TextArena FrozenLake-v0-raw": lambda: textarena("FrozenLake-v0-raw"),
    "TextArena FrozenLake-v0": lambda: textarena("FrozenLake-v0"),
    "TextArena TwentyQuestions-v1-raw": lambda: textarena("TwentyQuestions-v1-raw"),
    "TextArena TwentyQuestions-v1": lambda: textarena("TwentyQuestions-v1"),
    "TextArena UsedCarNegotiation-v0-raw": lambda: textarena("UsedCarNegotiation-v0-raw", 2),
    "TextArena UsedCarNegotiation-v0": lambda: textarena("UsedCarNegotiation-v0", 2),
    "GEM Wordle": lambda: gem("game:Wordle-v0-hard"),
    "GEM Wordle, concat_with_action": lambda: gem("game:Wordle-v0-hard", "concat_with_action"),
}
made: dict[str, Any] = {}


def answer(order: dict[str, Any]) -> dict[str, Any]:
    name, seconds, actions = order["game"], order["seconds"], order.get("actions", [])
    package = {"TextArena": "textarena", "GEM": "gem-llm", "verifiers": "verifiers"}[name.split()[0]]
    version = importlib.metadata.version(package)
    if words := [match[1] for action in actions if (match := re.search(r"[\[{]([a-z]{5})[\]}]", action))]:
        stub_corpora(sorted(set(words)))
    if name.startswith("verifiers"):
        return {"rate": verifiers_rate(actions, seconds), "version": version}
    if "Chess" in name:
        return {"rate": chess_rate(name.split()[1], seconds), "version": version}
    if name not in made:
        made[name] = GAMES[name]()
    return {"rate": rate(made[name], actions, seconds), "version": version}


if __name__ == "__main__":
    serve(answer)
