"""Ratings of people: what is kept of a talk, who is talked with, the table; in a real Chromium."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from serving import Server
from test_browser import Open, browser, no_sideways_scrolling, open_page  # noqa: F401  (fixtures)

import lmrl_benchmarks
from lmrl_agents import load_agent
from lmrl_agents.playing.protocol import Action
from lmrl_benchmarks.commands.cli import run as lmrl
from lmrl_benchmarks.reporting.ratings import RATINGS, SCALES, agreement, alpha, read_ratings, table
from lmrl_benchmarks.serve.environments import Refused
from lmrl_benchmarks.serve.rate import RatingTalks

CHAT = "lmrl/Chat-v0"
MARKS = dict.fromkeys(SCALES, 3)


def talks(folder: Path, name: str = "ann", env: str = CHAT) -> RatingTalks:
    return RatingTalks(folder, name, env, {}, {one: load_agent(one) for one in ("random", "expert")})


def rated(person: RatingTalks, **marks: int) -> None:
    state = person.state()
    person.close(state["number"])
    person.rate(state["number"], {**MARKS, **marks})


@pytest.mark.parametrize("env", [CHAT, "lmrl/Negotiation-v0", "lmrl/CarDealer-v1", "lmrl/TwentyQuestions-v1"])
def test_a_talk_is_kept_as_it_was(tmp_path: Path, env: str) -> None:
    person = talks(tmp_path, env=env)
    state = person.state()
    assert (
        state["part"] and len(state["texts"]) == 2 and not {"agent", "random", "expert"} & set(map(str, state.values()))
    )
    state = person.say(0, 1, "Yes, I love jazz.")
    assert len(state["texts"]) == 4 and state["texts"][2] == "Yes, I love jazz."
    person.thumb(0, 0, -1)
    person.thumb(0, 1, 1)
    assert person.thumb(0, 0, 0)["thumbs"] == {"0": 0, "1": 1}
    texts = person.close(0)["texts"]
    assert person.rate(0, {**MARKS, "quality": 5})["number"] == 1
    [line] = read_ratings(tmp_path)
    assert (
        line["texts"] == texts
        and line["thumbs"] == [0, 1]
        and line["scores"]["quality"] == 5
        and line["rater"] == "ann"
    )


def test_agents_come_in_a_random_order_each_as_often_and_go_on_after_a_kill(tmp_path: Path) -> None:
    order = []
    for _ in range(12):
        person = talks(tmp_path)  # a server started anew each time
        order.append(person.agent)
        rated(person)
        (tmp_path / RATINGS).open("a").write('{"rater": "an')
    assert Counter(order) == {"random": 6, "expert": 6} and len({tuple(order[k : k + 2]) for k in range(0, 12, 2)}) == 2
    assert len(read_ratings(tmp_path)) == 12 and talks(tmp_path, "bob").state()["number"] == 0


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("say", (0, 1, "")),
        ("say", (0, 1, "x" * 2001)),
        ("say", (0, 1, None)),
        ("say", (0, 0, "Hello.")),
        ("say", (1, 1, "Hello.")),
        ("thumb", (0, 1, 1)),
        ("thumb", (0, 0, 2)),
        ("thumb", (0, True, 1)),
        ("rate", (0, {"quality": 3})),
        ("rate", (0, {**MARKS, "quality": 6})),
        ("rate", (0, {**MARKS, "quality": True})),
        ("rate", (0, None)),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(tmp_path: Path, what: str, arguments: Any) -> None:
    person = talks(tmp_path)
    state = person.state()
    with pytest.raises(Refused):
        getattr(person, what)(*arguments)
    assert person.state() == state and not (tmp_path / RATINGS).exists()


def test_an_agent_that_fails_can_be_asked_again(tmp_path: Path) -> None:
    class Shy:
        fails = True

        def act_with_details(self, requests: Any) -> list[Action]:
            return [Action("", error="shy") if self.fails else Action("Hello.") for _ in requests]

        act = act_with_details

    agent = Shy()
    person = RatingTalks(tmp_path, "ann", CHAT, {}, {"shy": agent})  # type: ignore[dict-item]
    with pytest.raises(Refused, match="no answer"):
        person.state()
    agent.fails = False
    assert person.state()["texts"][1] == "Hello."
    agent.fails = True
    with pytest.raises(Refused, match="no answer"):
        person.say(0, 1, "Hi.")
    agent.fails = False
    assert len(person.say(0, 1, "Hi.")["texts"]) == 4


def test_agreement_by_hand() -> None:
    assert alpha([{"a": 1, "b": 1}, {"a": 2, "b": 2}]) == 1
    assert alpha([{"a": 1, "b": 2}, {"a": 2, "b": 1}]) == pytest.approx(-0.5)  # 1 - (2 + 2) / (8 / 3)
    assert alpha([{"a": 1}, {"a": 2}]) is None and alpha([{"a": 1, "b": 1}]) is None and alpha([]) is None


def test_the_table_the_page_and_the_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("ann", "bob"):
        for _ in range(4):
            person = talks(tmp_path, name)
            rated(person, quality=5 if person.agent == "expert" else 2)
    rows = table(read_ratings(tmp_path))
    assert [(row["agent"], row["talks"], row["raters"], row["quality"], row["thumbs"]) for row in rows] == [
        ("expert", 4, 2, 5.0, None), ("random", 4, 2, 2.0, None)]  # fmt: skip
    assert rows[0]["quality_low"] == rows[0]["quality_high"] == 5.0 and rows[0]["total"] == 5 + 6 * 3
    assert agreement(read_ratings(tmp_path))["quality"] == 1 and agreement(read_ratings(tmp_path))["fluency"] is None
    frame = lmrl_benchmarks.ratings(tmp_path)
    assert len(frame) == 8 and frame.groupby("agent")["quality"].mean().to_dict() == {"expert": 5.0, "random": 2.0}
    assert lmrl(["ratings", str(tmp_path), "--csv", str(tmp_path / "ratings.csv")]) == 0
    assert len((tmp_path / "ratings.csv").read_text().splitlines()) == 3 and "2 rows" in capsys.readouterr().out
    assert lmrl(["ratings", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agents"][0]["agent"] == "expert"
    assert lmrl(["ratings", str(tmp_path)]) == 0 and "expert" in (tmp_path / "ratings.html").read_text()
    assert lmrl(["ratings", str(tmp_path / "nothing")]) == 2
    with pytest.raises(ValueError, match="needs agents"):
        RatingTalks(tmp_path, "ann", "lmrl/MazeFullyObserved-v0", {}, {"expert": load_agent("expert")})


def test_a_talk_by_hand_with_a_kill_between(open_page: Open, tmp_path: Path) -> None:  # noqa: F811
    page = open_page(("ERR_CONNECTION_REFUSED", "Failed to load"))
    arguments = ("--ratings", "--env", CHAT, "--agent", "expert", "--agent", "random", "--out", tmp_path / "kept")
    for number in range(2):
        with Server(*arguments) as server:
            page.goto("about:blank")
            page.goto(server.url)
            page.wait_for_selector("ol.log li:nth-child(2)")
            assert (
                page.url.endswith("#/rate") and page.locator("[data-progress]").inner_text() == f"{number} talks rated"
            )
            no_sideways_scrolling(page)
            assert (
                "expert" not in page.locator("main").inner_text()
                and "temper" in page.locator("[data-part]").inner_text()
            )
            page.fill("#say", "I'm into <b>jazz</b>.")
            page.keyboard.press("Enter")
            page.wait_for_selector("ol.log li:nth-child(4)")
            assert "<b>jazz</b>" in page.locator("ol.log").inner_text()
            page.click('[data-thumb="1:1"]')
            page.wait_for_selector('[data-thumb="1:1"][aria-pressed=true]')
            page.click("[data-close]")
            for scale in SCALES:
                page.check(f"input[name={scale}][value='4']")
            page.click("text=Keep, and talk to the next")
            page.wait_for_selector(f"text={number + 1} talks rated")
            server.stop(signal.SIGKILL)
    found = read_ratings(tmp_path / "kept")
    assert [own["thumbs"] for own in found] == [[0, 1]] * 2 and {own["agent"] for own in found} == {"expert", "random"}
