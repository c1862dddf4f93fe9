"""Tasks as environments of SkyRL-Gym itself."""

from __future__ import annotations

import gymnasium
import pytest
import skyrl_gym
from player import action, chat

import lmrl_bridges.skyrl as bridge
import lmrl_envs

IDS = ["lmrl/Wordle-v0", "lmrl/MazeFullyObserved-v0", "lmrl/TwentyQuestions-v1"]


def play(row: dict, steps: int = 10**6, name: str = "expert") -> tuple[list[str], list[float], dict, bool]:
    env = skyrl_gym.make("lmrl", env_config={}, extras=row)
    messages, _ = env.init(list(row["prompt"]))
    paid, done = [], False
    while not done and len(paid) < steps:
        said = action(row["env_id"], chat([(m["role"], m["content"]) for m in messages]), name)
        out = env.step(said)
        messages += [{"role": "assistant", "content": said}, *out["observations"]]
        paid.append(out["reward"])
        done = out["done"]
    found = [m["content"] for m in messages], paid, env.get_metrics(), done
    env.close()
    return found


@pytest.mark.parametrize("env_id", IDS)
def test_a_group_plays_one_game(env_id: str) -> None:
    one, two = bridge.rows(env_id, 2, seed=4)
    first = play(one)
    assert first == play(one) and first[0] != play(two)[0]
    env = gymnasium.make(env_id)
    opening, _ = env.reset(seed=one["seed"])
    texts, paid, metrics, done = first
    assert texts[1] == opening and done and metrics["finished"] == 1.0
    total, over = 0.0, False
    for said in texts[2::2]:
        _, reward, *ends, _ = env.step(said)
        total += reward
        over = any(ends)
    assert over and metrics["return"] == pytest.approx(total) == pytest.approx(sum(paid))


def test_a_game_cut_off_adds_up_to_the_least() -> None:
    row = bridge.rows("lmrl/Wordle-v0", 1)[0]
    least = lmrl_envs.task("lmrl/Wordle-v0").return_range[0]
    for steps in (1, 2):
        _, paid, metrics, _ = play({**row, "max_turns": steps}, name="random")
        assert len(paid) == steps and sum(paid) == metrics["return"] == least and metrics["finished"] == 0.0
