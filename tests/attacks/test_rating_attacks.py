"""Talks that people rate: agents are not told the game, and a folder of ratings from elsewhere is read as what it is or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from lmrl_agents.playing.protocol import Action, Request
from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.reporting.ratings import MOST_AGENTS, RATINGS, SCALES
from lmrl_benchmarks.serve.rate import RatingTalks
from lmrl_envs import load_task
from lmrl_envs.seeding import episode_seed

CHAT = "lmrl/Chat-v0"
MARKS = dict.fromkeys(SCALES, 3)
LINE: dict[str, Any] = {
    "rater": "ann", "agent": "some", "env_id": CHAT, "env_kwargs": {}, "seed": 1, "texts": ["Hi.", "Hello."], "thumbs": [0],
    "scores": MARKS,
}  # fmt: skip


class Listens:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def act_with_details(self, requests: Any) -> list[Action]:
        self.asked += requests
        return [Action("Hello.") for _ in requests]

    act = act_with_details


def test_an_agent_that_is_rated_is_not_told_the_game(tmp_path: Path) -> None:
    """What it is asked names no seed from which the person's part can be computed, nor does the number of the talk."""
    agent, parts = Listens(), []
    env: Any = gymnasium.make(CHAT).unwrapped
    for folder in "abc":
        person = RatingTalks(tmp_path / folder, "ann", CHAT, {}, {"listens": agent})  # type: ignore[dict-item]
        person.state()
        parts.append((person.seed, person.part))
    for request, (seed, _) in zip(agent.asked, parts, strict=True):
        assert seed not in {request.seed, *(episode_seed("evaluation", base, request.episode) for base in range(100))}
    assert len({seed for seed, _ in parts}) == 3, "the same number is another game in another folder"
    env.reset(seed=parts[0][0])
    assert parts[0][1] == load_task(CHAT).surface.secret(env), (
        "kept with the rating, by which the part can be found again"
    )


def damaged(**changes: Any) -> Callable[[], str]:
    return lambda: json.dumps({**LINE, **changes})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (damaged(thumbs=[10**18]), "line 2 is damaged"),
        (damaged(thumbs=[0, 0]), "line 2 is no rating"),
        (damaged(thumbs=[True]), "line 2 is damaged"),
        (damaged(scores={**MARKS, "quality": 6}), "line 2 is damaged"),
        (damaged(scores={**MARKS, "quality": 5.0}), "line 2 is damaged"),
        (damaged(scores={"quality": 5}), "line 2 is no rating"),
        (damaged(agent=""), "line 2 is damaged"),
        (damaged(rater="x" * 10**6), "line 2 is damaged"),
        (lambda: "[" * 10**5, "line 2 is damaged"),
        (lambda: "not json", "line 2 is damaged"),
    ],
    ids=range(10),
)
def test_a_line_that_is_no_rating_is_named_and_not_left_out(
    line: Callable[[], str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = json.dumps(LINE)
    (tmp_path / RATINGS).write_text(f"{good}\n{line()}\n{good}\n")
    before = (tmp_path / RATINGS).read_bytes()
    assert lmrl(["ratings", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert message in told and len(told) < 600 and not (tmp_path / "ratings.html").exists()
    if "damaged" in message:  # and nobody who goes on to rate there takes it out
        with pytest.raises(ValueError, match=message):
            RatingTalks(tmp_path, "bob", CHAT, {}, {"listens": Listens()})  # type: ignore[dict-item]
    assert (tmp_path / RATINGS).read_bytes() == before


def test_names_reach_page_and_terminal_plain_and_are_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "<script>x</script>[bold]\x1b]52;c;eA==\x07"
    (tmp_path / RATINGS).write_text(json.dumps({**LINE, "agent": name}) + "\n")
    assert lmrl(["ratings", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out and "<script>x" not in (tmp_path / "ratings.html").read_text()
    (tmp_path / RATINGS).write_text(
        "".join(json.dumps({**LINE, "agent": str(k)}) + "\n" for k in range(MOST_AGENTS + 1))
    )
    assert lmrl(["ratings", str(tmp_path)]) == 2 and f"more than {MOST_AGENTS} agents" in capsys.readouterr().err
