"""The room where English is read: lists, letters, words and numbers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lmrl_envs.language.lists import sections, table, words
from lmrl_envs.language.numbers import digits, spoken_number
from lmrl_envs.language.strategy import QuestionTree, least_questions
from lmrl_envs.language.text import INVISIBLE, SPACES, plain
from lmrl_envs.language.truth import Truth
from lmrl_envs.language.words import Slips, base_forms, stem
from lmrl_envs.twenty_questions.reader import read


def test_a_list_is_read_by_sections_and_lines_of_a_key_add_up(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(
        "# a comment\nalone\n\n[one]\na: b c; d\n a: e;\nnone:\n[two]\nword  other\n[one]\nf: g: h\n"
    )
    found = sections(str(tmp_path / "module.py"), "x.txt")
    assert found == {"": ["alone"], "one": ["a: b c; d", "a: e;", "none:", "f: g: h"], "two": ["word  other"]}
    assert table(found["one"]) == {"a": ["b c", "d", "e"], "none": [], "f": ["g: h"]}
    assert words(found["two"]) == ["word", "other"]


def test_text_is_brought_to_one_form() -> None:
    assert plain("Ｔｏｋｙｏ’s “Ä”") == 'tokyo\'s "ä"'
    assert plain("To\u200bkyo\u00a0é", "NFKD", {}, dropped=INVISIBLE, blank=SPACES) == "tokyo e"
    assert plain("`ASCII´".replace("´", "")) == "`ascii"


@pytest.mark.parametrize(
    ("text", "value"),
    [("5,000,000", 5e6), ("2.5", 2.5), ("12.", 12.0), ("1.2.3", 0.0), ("$20", 20.0), ("10:30", 1030.0)],
)
def test_digits(text: str, value: float) -> None:
    assert digits(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("twenty-seven thousand five hundred", 27_500),
        ("half a million", 500_000),
        ("nineteen", 19),
        ("two hundred and six", 206),
    ],
)
def test_numbers_in_words(text: str, value: float) -> None:
    found = spoken_number(text)
    assert found is not None and found[0] == value


def test_base_forms_and_stems() -> None:
    assert stem("cities") == "cit" and stem("gas") == "gas"
    assert base_forms("stopped")[:3] == ["stopp", "stoppe", "stop"] and base_forms("cities")[0] == "city"


def test_slips_of_one_letter() -> None:
    slips = Slips(["religion", "currency"])
    assert slips.missing("relgion") == "religion" and slips.missing("religion") is None
    for slip in ("relgion", "relihion", "reilgion"):  # missing, wrong, swapped
        assert "religion" in {meant for _, meant in slips.near(slip)}
    assert "religion" in {cut for cut, _ in slips.near("relligion")}  # one too many


def test_a_number_with_two_points_is_no_crash() -> None:
    read("Is it heavier than 1.2.3 kg?")


@pytest.mark.parametrize("seed", range(6))
def test_a_tree_takes_the_questions_that_promise_the_least_counted_one_by_one(seed: int) -> None:
    draw = random.Random(seed)
    yes = [draw.getrandbits(40) & draw.getrandbits(40) for _ in range(30)]
    tree = QuestionTree([Truth(one, one | draw.getrandbits(40) & draw.getrandbits(40)) for one in yes], width=4)
    things = draw.getrandbits(40)
    sizes = [[part.bit_count() for part in tree.parts(question, things)] for question in range(30)]
    ranked = sorted((sum(least_questions(n, 2) for n in own), question) for question, own in enumerate(sizes))
    useful = [question for _, question in ranked if max(sizes[question]) < things.bit_count()]
    assert tree._promising(things, things.bit_count(), 4) == useful[:4]
    question = tree.best(things)
    assert question is None or question in useful[:4]


def test_a_tree_of_a_hand_counted_game() -> None:
    # Four things, and two questions that halve them: one question each for all four, one each for the two pairs, and a guess
    # costs the second of each pair one more.
    tree = QuestionTree([Truth(0b0011, 0b0011), Truth(0b0101, 0b0101)])
    assert tree.cost(0b0001) == 0 and tree.cost(0b0011) == 1 and tree.cost(0b1111) == least_questions(4, 2) == 6
