"""What all bridges share (lmrl_bridges.game); each of them is tested against the real package by `make test-bridges`."""

from __future__ import annotations

import gymnasium
import pytest

import lmrl_envs
from lmrl_bridges import Game, game_rows
from lmrl_bridges.game import borrowed
from lmrl_envs.seeding import episode_seed

IDS = [id for id in lmrl_envs.task_ids() if id.startswith("lmrl/")]


def game(id: str, **arguments) -> Game:
    try:
        return Game(id, **arguments)
    except gymnasium.error.DependencyNotInstalled as problem:
        pytest.skip(str(problem))


def play(now: Game, seed: int, name: str = "expert", most: int = 10**6) -> list[float]:
    now.reset(seed)
    player, paid = lmrl_envs.make_policy(now.row.id, name, seed=1), []
    while not now.over and len(paid) < most:
        paid.append(now.step(player.act(now.transcript))[1])
    return paid


@pytest.mark.parametrize("id", IDS)
def test_a_bridge_plays_what_the_environment_plays(id: str) -> None:
    """Reading a message for its action leaves an action as it is, and both ways of paying add up to the return."""
    read, raw = game(id), game(id, read=False, rewards="score")
    for seed in range(3):
        own, paid = play(read, seed, "suboptimal"), play(raw, seed, "suboptimal")
        for kind in ("observations", "rewards"):
            assert getattr(read.transcript, kind) == getattr(raw.transcript, kind)
        assert sum(own) == pytest.approx(read.score) == pytest.approx(sum(paid)) == pytest.approx(read.result["return"])
        assert read.over and read.result["turns"] == len(own) == read.env.turn
        assert read.step("anything")[:2] == ("The game is over.", 0.0)
    assert read.result["success"] == float(read.info["success"])
    raw.rewards = "step"  # as servers do, whose clients choose
    assert play(raw, 2, "suboptimal") == own


@pytest.mark.parametrize("id", IDS)
def test_an_unfinished_game_scores_the_least(id: str) -> None:
    least = lmrl_envs.task(id).return_range[0]
    for most in (0, 1):
        now = game(id, rewards="score")
        paid = play(now, 0, "random", most)
        if not now.over:
            assert now.score == least and now.result["success"] == 0.0 and sum(paid) == (least if most else 0.0)


@pytest.mark.parametrize("id", IDS)
def test_every_task_publishes_one_tool(id: str) -> None:
    tool = lmrl_envs.task(id).surface.answer_form.tool
    schema = tool.schema()["function"]
    assert schema["name"] == tool.name and tool.name.isidentifier() and tool.argument.isidentifier()
    assert list(schema["parameters"]["properties"]) == schema["parameters"]["required"] == [tool.argument]


def test_rows_are_games_of_their_streams() -> None:
    rows = game_rows("lmrl/Wordle-v0", 3, seed=5, stream="evaluation", env_kwargs={"feedback": "paired"})
    assert [row["seed"] for row in rows] == [episode_seed("evaluation", 5, k) for k in range(3)]
    trained = game_rows("lmrl/Wordle-v0", 3, seed=5)
    assert not {row["seed"] for row in trained} & {row["seed"] for row in rows}
    assert trained[0]["prompt"][0]["role"] == "system"


def test_a_game_that_was_let_go_of_is_played_by_one_other(monkeypatch: pytest.MonkeyPatch) -> None:
    one = borrowed("lmrl/Wordle-v0")
    paid = play(one, 3)
    one.rewards = "score"
    assert borrowed("lmrl/Wordle-v0") is not one  # it is being played
    one.let_go()
    assert borrowed("lmrl/Wordle-v0", {"vocabulary": "full"}) is not one
    again = borrowed("lmrl/Wordle-v0")
    assert again is one and again is not borrowed("lmrl/Wordle-v0") and play(again, 3) == paid
    closed = []
    live = borrowed(
        "lmrl/TwentyQuestions-v1", {"simulator": "openai:m", "simulator_options": {"base_url": "http://127.0.0.1:9"}}
    )
    monkeypatch.setattr(live.env, "close", lambda: closed.append(live))
    live.let_go()
    assert closed == [live]  # its partner lives elsewhere
