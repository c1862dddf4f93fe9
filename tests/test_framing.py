"""What people say around a question: left out where it says nothing of what is hidden, and never where it changes the question."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from lmrl_envs.guess_my_city import reader as cities
from lmrl_envs.guess_my_city.rules import guessed_city
from lmrl_envs.language.frames import narrows, without_frame
from lmrl_envs.language.lists import sections
from lmrl_envs.twenty_questions import reader as objects

FRAMES = sections(str(Path(__file__).parent / "data" / "-"), "framing.txt")
READERS: list[tuple[Any, list[str]]] = [(objects, FRAMES["objects"]), (cities, FRAMES["cities"])]
EACH = 5
"""Questions that each frame is put around."""


def framed(frame: str, question: str) -> str:
    own = question if frame.startswith("{q}") else question[0].lower() + question[1:]
    return frame.replace("{q}", own).replace("{Q}", question)


@pytest.mark.parametrize(("reader", "questions"), READERS)
def test_what_says_nothing_of_the_secret_changes_no_answer(reader: Any, questions: list[str]) -> None:
    following = cycle(questions)
    for frame in FRAMES["harmless"]:
        for _ in range(EACH):
            question = next(following)
            text = framed(frame, question)
            assert reader.read(text).truth == reader.read(question).truth is not None, text


@pytest.mark.parametrize(("reader", "questions"), READERS)
def test_what_changes_a_question_is_never_dropped(reader: Any, questions: list[str]) -> None:
    following, dropped, count = cycle(questions), [], 0
    for frame in FRAMES["changing"]:
        for _ in range(EACH):
            question = next(following)
            text = framed(frame, question.rstrip("?")).rstrip("?") + "?"
            count += 1
            if reader.read(text).truth == reader.read(question).truth:
                dropped.append(text)
    # Some come to the same: what has hosted the Games has so in the Middle Ages or not at all.
    assert len(dropped) <= SAME * count, "\n".join(dropped)


SAME = 0.04


@pytest.mark.parametrize("template", FRAMES["guesses"])
def test_a_guess_of_any_polite_kind_wins(template: str) -> None:
    for name in ("Accra", "Cape Town", "Dar es Salaam"):
        assert guessed_city(template.replace("{a}", name)) == name
    for name in ("harp", "frying pan", "lawn mower"):
        index = objects.load_reader().knowledge.names.index(name)
        assert objects.read(template.replace("{a}", f"a {name}")).guess == index, name


def test_what_points_back_is_not_left_out() -> None:
    for text in (
        "My nephew is super tall, like 6 foot 7, would that help him with this?",
        "My car is red. Is it bigger than that?",
        "My sister has a cat. Would she like it?",
        "I have a dog. Is it one of those?",
    ):
        assert objects.read(text).truth is None, text


def test_a_frame_is_found_only_where_there_is_one() -> None:
    assert not list(without_frame("is it purple?", "thing"))
    assert next(without_frame("Is the thing, if I may ask, purple?", "thing")) == "is it purple?"
    assert narrows("As for its inside, is it red?") == "is it red?"
    assert narrows("Is it red?") is None


@pytest.mark.parametrize("reader", [objects, cities])
def test_one_of_two_opposites_is_not_answered_with_yes_or_no(reader: Any) -> None:
    for text in (
        "Is it big, or is it small?",
        "Is it hot or is it cold?",
        "Is it safe or dangerous?",
        "Is it rich or poor?",
    ):
        assert reader.read(text).truth is None, text


def test_where_else_somebody_was_is_not_denied() -> None:
    for text in ("Did the Beatles play there?", "Did Freud work there?"):
        reading = cities.read(text)
        assert {reading.answer(index) for index in range(len(cities.load_reader().knowledge.names))} == {
            True,
            "unread",
        }, text
    assert cities.read("Was Oscar Wilde born there?").answer(0) is False
