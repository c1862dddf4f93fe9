"""Wordle against known facts."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, product

import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs import make_policy, task
from lmrl_envs.wordle.rules import (
    MOST_WORDS,
    PLAIN,
    SOLVED,
    WordList,
    encode,
    feedback,
    independent_feedback,
    load_tree,
    load_words,
    paired_text,
    parse_feedback,
)
from tools.wordle_trees import Solver, play

ID, FULL = "lmrl/Wordle-v0", "lmrl/Wordle-Full-v0"


@pytest.mark.parametrize(
    ("guess", "secret", "standard", "independent"),
    [
        ("speed", "abide", "b b y b y", "b b y y y"),
        ("speed", "erase", "y b y y b", "y b y y b"),
        ("speed", "steal", "g b g b b", "g b g y b"),
        ("speed", "crepe", "b y g y b", "b y g y b"),
        ("eerie", "elect", "g y b b b", "g y b b y"),
        ("allow", "local", "y y y y b", "y y y y b"),
        ("crane", "crane", "g g g g g", "g g g g g"),
        ("geese", "eerie", "b g y b g", "b g y b g"),
    ],
)
def test_feedback_of_repeated_letters(guess: str, secret: str, standard: str, independent: str) -> None:
    assert PLAIN[feedback(guess, secret)] == standard
    assert PLAIN[independent_feedback(guess, secret)] == independent


@pytest.mark.parametrize("duplicates", ["standard", "independent"])
def test_tables_equal_the_rules(duplicates: str) -> None:
    rng = random.Random(0)
    words = ["".join(rng.choice("abcde") for _ in range(5)) for _ in range(300)]
    words = list(dict.fromkeys(words))  # few letters: many repeats
    listed = WordList(words, words, duplicates)
    for guess in range(0, len(words), 7):
        assert listed.row(guess).tolist() == [listed.score(words[guess], secret) for secret in words]


@pytest.mark.parametrize("duplicates", ["standard", "independent"])
def test_codes_of_pairs_equal_the_rules(duplicates: str) -> None:
    listed = WordList(["speed", "erase", "steal"], ["speed", "crepe", "eerie", "allow"], duplicates)
    guesses, answers = np.array([3, 0, 1, 0, 3]), np.array([2, 1, 0, 0, 1])
    for _ in range(2):  # rows are filled at the first use
        found = listed.codes(guesses, answers).tolist()
        assert found == [
            listed.score(listed.guesses[g], listed.answers[a]) for g, a in zip(guesses, answers, strict=True)
        ]
        assert found == [listed.code(g, a) for g, a in zip(guesses.tolist(), answers.tolist(), strict=True)]


def test_what_is_no_feedback() -> None:
    assert len(PLAIN) == 243 == len(set(PLAIN))
    for text in ("invalid", "Wordle:", "g g g g", "g g g g g g", "g g g g x", "a b c d e", ""):
        assert parse_feedback(text) is None


def test_standard_marks_are_never_more_than_the_letters() -> None:
    words = load_words("common").answers
    for guess in words[::5]:
        for secret in words[::7]:
            marks = PLAIN[feedback(guess, secret)].split()
            for letter, n in Counter(x for x, m in zip(guess, marks, strict=True) if m != "b").items():
                assert n <= secret.count(letter)
            assert (feedback(guess, secret) == SOLVED) == (guess == secret)


def test_word_lists() -> None:
    common, full = load_words("common"), load_words("full")
    assert len(common.answers) == 431 and common.answers == common.guesses
    assert len(full.answers) >= 2000 and len(full.guesses) >= 10000
    assert set(full.answers) <= set(full.guesses) and set(common.answers) <= set(full.guesses)
    assert gym.make(ID).unwrapped.vocabulary == common.guesses


@pytest.mark.parametrize("code", [0, 1, 100, SOLVED])
def test_texts_round_trip(code: int) -> None:
    assert parse_feedback(PLAIN[code]) == code == parse_feedback(paired_text("crane", code))
    assert encode([code // 3**k % 3 for k in range(4, -1, -1)]) == code


def test_paired_form() -> None:
    env = gym.make(ID, feedback="paired")
    env.reset(options={"secret": "crash"})
    assert env.step("clear")[0] == "c1g l2b e3b a4y r5y"


def test_rules_of_play() -> None:
    env = gym.make(ID)
    assert env.reset(seed=0, options={"secret": "about"})[0] == "Wordle:"
    assert env.step("ZZZZZ")[0] == "invalid"
    assert env.step("hello world")[4]["valid"] is False
    assert env.step(" T r U s T ")[0] == "b b y b g"
    text, reward, terminated, truncated, info = env.step("ABOUT")
    assert (text, reward, terminated, truncated) == ("g g g g g", 0.0, True, False)
    assert info == {"valid": True, "turn": 4, "success": True, "secret": "about"}
    assert env.unwrapped.transcript.episode_return == -3


def test_six_guesses_are_the_rule_of_the_game() -> None:
    env = gym.make(ID)
    env.reset(options={"secret": "about"})
    for _ in range(5):
        assert env.step("")[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step("after")
    assert (reward, terminated, truncated, info["success"]) == (-1.0, True, False, False)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"vocabulary": "nowhere.txt"},
        {"vocabulary": []},
        {"vocabulary": 5},
        {"vocabulary": {"crane", "slate"}},
        {"vocabulary": ["crane", "toolong"]},
        {"vocabulary": ["crane", "CRANE"]},
        {"vocabulary": ["crane", "crane"]},
        {"feedback": "colours"},
        {"duplicates": "none"},
    ],
)
def test_wrong_arguments(kwargs: dict) -> None:
    with pytest.raises(ValueError):
        gym.make(ID, **kwargs)


def test_a_wrong_word_is_told_by_its_number_and_lists_have_an_end() -> None:
    with pytest.raises(ValueError, match="word 2 of 4 is not"):
        load_words(["crane", "toolong", "slate", "x"])
    words = ["".join(letters) for letters in islice(product("abcdefghij", repeat=5), MOST_WORDS + 1)]
    with pytest.raises(ValueError, match="15001 words, at most 15000"):
        load_words(words)
    assert len(load_words(words[:-1]).answers) == 15_000


def test_own_vocabulary(tmp_path) -> None:
    (tmp_path / "words.txt").write_text("crane\nslate\ntrace\n")
    for vocabulary in (str(tmp_path / "words.txt"), ["crane", "slate", "trace"]):
        env = gym.make(ID, vocabulary=vocabulary)
        env.reset(options={"secret": "slate"})
        assert env.step("about")[0] == "invalid"
        assert env.step("slate")[2]
    with pytest.raises(ValueError, match="answers"):
        gym.make(ID).reset(options={"secret": "zzzzz"})


def test_expert_tree_is_whole_and_its_mean_is_the_reference() -> None:
    words, bundled = load_words("common"), load_tree("common")
    needed = [play(bundled["tree"], words, secret) for secret in words.answers]
    assert max(needed) <= 6
    mean = -float(np.mean([n - 1 for n in needed]))
    assert mean == pytest.approx(bundled["mean_return"]) == pytest.approx(task(ID).reference.optimum)
    assert mean > -1.94  # better than the bound that LMRL-Gym gives
    assert bundled["exact"] is True


def test_solver_is_exact_on_lists_small_enough_to_search_without_bounds() -> None:
    def brute(words: WordList, secrets: tuple[int, ...]) -> int:
        if len(secrets) == 1:
            return 1
        best = 10**9
        for guess in range(len(words.guesses)):
            parts: dict[int, list[int]] = {}
            for s in secrets:
                parts.setdefault(int(words.row(guess)[s]), []).append(s)
            if len(parts) == 1 and SOLVED not in parts:
                continue
            cost = len(secrets) + sum(brute(words, tuple(p)) for code, p in parts.items() if code != SOLVED)
            best = min(best, cost)
        return best

    rng = random.Random(5)
    answers = load_words("common").answers
    for _ in range(6):
        sample = rng.sample(answers, 7)
        words = WordList(sample, sample, "standard")
        assert Solver(words).solve(np.arange(7))[0] == brute(words, tuple(range(7)))


def test_expert_plays_the_tree_and_recovers_off_it() -> None:
    env = gym.make(ID)
    for seed in range(25):
        env.reset(seed=seed)
        player = make_policy(ID, "expert")
        env.step("music")  # not the tree's first guess
        over = False
        while not over:
            _, _, over, _, info = env.step(player.act(env.unwrapped.transcript))
        assert info["success"]


def test_full_list_reference_is_the_tree_found() -> None:
    bundled = load_tree("full")
    assert task(FULL).reference.optimum == pytest.approx(bundled["mean_return"], abs=1e-4)
    assert bundled["one_guess_bound"] > bundled["mean_return"]
