"""States are anybody's: every one that no game can be in is a ValueError, and the game that was there goes on."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from lmrl_envs import make_policy, task, task_ids

HOSTILE: list[Any] = [
    None, True, -1, 0, 2**63, 2**200, -(2**200), 1.5, float("nan"), float("inf"), "", "x", "a" * 100_000, "\x00", "\ud800",
    [], {}, [[]], [None], {"a": 1}, ["x"], [1, 2, 3], b"x", (1, 2), object(),
]  # fmt: skip
ODD = ("", "hello", "What would you say to $20,000?")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all parts of a value, the whole first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:30]) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def changed(state: dict[str, Any], rng: random.Random) -> Any:
    """A state with one part replaced, left out, added or put elsewhere."""
    new, path = copy.deepcopy(state), rng.choice(list(places(state)))
    if not path:
        return rng.choice(HOSTILE)
    parent, value = new, copy.deepcopy(rng.choice(HOSTILE))
    for key in path[:-1]:
        parent = parent[key]
    how = rng.randrange(4)
    if how == 0:
        del parent[path[-1]]
    elif how == 1 and isinstance(parent, dict):
        parent[rng.choice(["0", "more", f"{path[-1]}x"])] = value
    elif how == 1:
        parent.insert(rng.randrange(len(parent) + 1), rng.choice([value, copy.deepcopy(parent[path[-1]])]))
    else:
        parent[path[-1]] = value
    return new


def played(id: str, kwargs: dict[str, Any], turns: int = 4) -> tuple[Any, list[dict[str, Any]]]:
    """An environment and the states of a game in it."""
    env: Any = gymnasium.make(id, **kwargs).unwrapped
    policy = make_policy(id, "random", seed=3, **kwargs)
    env.reset(seed=5)
    states = [env.get_state()]
    while env._live and len(states) < turns:
        env.step(policy.act(env.transcript) or "")
        states.append(env.get_state())
    return env, states


@pytest.mark.parametrize("id", task_ids())
def test_no_hostile_state_is_half_taken_or_breaks_the_next_turn(id: str) -> None:
    rng, taken = random.Random(11), 0
    for kwargs in [{}, *task(id).surface.variants][:4]:
        env, states = played(id, dict(kwargs))
        for _ in range(60):
            before = json.dumps(env.get_state(), sort_keys=True)
            try:
                env.set_state(changed(rng.choice(states), rng))
            except ValueError:
                assert (
                    json.dumps(env.get_state(), sort_keys=True) == before
                )  # atomic: neither transcript nor game is new
                continue
            taken += 1  # such as another seed: then it can be played
            json.dumps(env.get_state())
            while env._live and env.turn < 8:
                env.step(rng.choice(ODD))
    assert taken < 120


@pytest.mark.parametrize("id", task_ids())
def test_every_state_of_a_game_is_taken(id: str) -> None:
    for kwargs in [{}, *task(id).surface.variants][:4]:
        env, states = played(id, dict(kwargs), 12)
        other: Any = gymnasium.make(id, **kwargs).unwrapped
        for state in states:
            other.set_state(json.loads(json.dumps(state)))
            assert other.get_state() == state
        env.close()
        other.close()


@pytest.mark.parametrize(
    ("id", "game"),
    [
        ("lmrl/MazeFullyObserved-v0", {"position": []}),
        ("lmrl/MazeFullyObserved-v0", {"position": [0, 0]}),  # a wall
        ("lmrl/MazeFullyObserved-v0", {"maze_seed": 3}),
        ("lmrl/Wordle-v0", {"secret": 5}),
        ("lmrl/Wordle-v0", {"secret": "zzzzz"}),
        ("lmrl/Chess-v0", {"moves": ["e2e5"]}),
        ("lmrl/Chess-v0", {"start": "8/8/8/8/8/8/8/8 w - - 0 1"}),
        ("lmrl/GuessMyCity-v1", {"secret": "Atlantis"}),
        ("lmrl/TwentyQuestions-v1", {"seed": "7"}),
        ("lmrl/CarDealer-v1", {"seed": "a" * 10**6}),
        ("lmrl/CarDealer-v1", {"hidden": {}}),
    ],
)
def test_games_that_no_rules_allow(id: str, game: dict[str, Any]) -> None:
    env, states = played(id, {})
    with pytest.raises(ValueError, match="no state of"):
        env.set_state({**states[0], "game": {**states[0]["game"], **game}})
    assert env.get_state() == states[-1]
