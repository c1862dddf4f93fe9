"""20 Questions: the game's rules, the table, the oracle's answers, policies."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import lmrl_envs
from lmrl_envs import make_policy
from lmrl_envs.language.knowledge import members
from lmrl_envs.partners import PartnerReply
from lmrl_envs.twenty_questions.policies import (
    ExpertPolicy,
    MixedPolicy,
    best_question,
    guess_question,
    question_bank,
)
from lmrl_envs.twenty_questions.reader import read
from lmrl_envs.twenty_questions.rules import UNREAD, load_knowledge, split_indices

ID = "lmrl/TwentyQuestions-v1"
KNOWLEDGE = load_knowledge()
SIZES = {
    "sport": 10, "animal": 10, "fruit": 10, "vehicle": 10, "clothing": 11, "electronic": 10, "instrument": 10,
    "furniture": 10, "office_item": 14, "vegetable": 10, "art_item": 7, "kitchen_item": 10, "nature_item": 11, "toy": 5,
    "jewelry": 9, "garden_item": 5, "tool": 6,
}  # fmt: skip


def ask(question: str, secret: str, **kwargs):
    """Answer, reward, terminated, info of one question about a pinned object."""
    env = gym.make(ID, **kwargs).unwrapped
    env.reset(seed=0, options={"secret": secret})
    text, reward, terminated, truncated, info = env.step(question)
    assert not truncated
    return text, reward, terminated, info


def answer(question: str, secret: str) -> bool | None:
    truth = read(question).truth
    assert truth is not None, f"not understood: {question}"
    return truth.answer(KNOWLEDGE.names.index(secret))


class Partner:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self, text: str) -> None:
        self.text, self.asked = text, []

    def reply(self, requests):
        self.asked += requests
        return [PartnerReply(self.text) for _ in requests]

    def close(self) -> None:
        pass


# -- rules


@pytest.mark.parametrize(
    "question",
    [
        "Is it a dog?", "is it a dog", "Dog?", "dog", "Is the object a dog?", "Could it be a dog?", "It's a dog, right?",
        "My guess is: dog", "Is it a puppy?", "Are they dogs?", "I think it is a dog. Am I right?", "Is it a dog?\n", "Okay, is it a dog?", "So is it a dog then?",
        "Is the thing you're thinking of a dog?", "Isn't it a dog?", "IS IT A DOG?!", "Final guess: a dog.",
    ],
)  # fmt: skip
def test_a_right_guess_wins(question: str) -> None:
    assert ask(question, "dog") == (
        "Yes.",
        0.0,
        True,
        {"valid": True, "understood": True, "turn": 1, "success": True, "secret": "dog"},
    )


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        ("Is it a cat?", "No."), ("Is it an animal?", "Yes."), ("Is it bigger than a dog?", "No."), ("Is it a dog or a cat?", "Yes."),
        ("Is it a cat or a cow?", "No."), ("Is it not a dog?", "No."), ("Is it a kind of pet?", "Yes."), ("Is it a brown dog?", "It depends."),
        ("Does it look like a dog?", UNREAD), ("", UNREAD), ("   ", UNREAD),
    ],
)  # fmt: skip
def test_other_questions_cost_one(question: str, reply: str) -> None:
    text, reward, terminated, info = ask(question, "dog")
    assert (text, reward, terminated) == (reply, -1.0, False)
    assert info["valid"] is bool(question.strip()) and "secret" not in info


def test_twenty_questions_end_the_game() -> None:
    env = gym.make(ID).unwrapped
    assert env.reset(seed=4, options={"secret": "harp"})[0] == "Questions:"
    for turn in range(1, 21):
        _, reward, terminated, truncated, info = env.step("Is it a cat?")
        assert reward == -1.0 and not truncated and terminated is (turn == 20)
    assert info["success"] is False and info["secret"] == "harp"
    assert env.transcript.episode_return == -20


def test_win_on_the_last_question() -> None:
    env = gym.make(ID).unwrapped
    env.reset(options={"secret": "harp"})
    for _ in range(19):
        env.step("Is it a cat?")
    assert env.step("Is it a harp?")[4]["success"] is True
    assert env.transcript.episode_return == -19


def test_secret_option_and_split() -> None:
    env = gym.make(ID).unwrapped
    with pytest.raises(ValueError, match="unicorn"):
        env.reset(options={"secret": "unicorn"})
    with pytest.raises(ValueError, match="split"):
        gym.make(ID, split="valid")
    train, test = set(split_indices("train")), set(split_indices("test"))
    assert not train & test and len(train | test) == 158 and 28 <= len(test) <= 35
    assert {KNOWLEDGE.categories[i] for i in test} == set(SIZES)
    env = gym.make(ID, split="test").unwrapped
    for seed in range(40):
        env.reset(seed=seed)
        assert KNOWLEDGE.names.index(env.get_state()["game"]["secret"]) in test


def test_every_object_is_drawn() -> None:
    env = gym.make(ID).unwrapped
    drawn = set()
    for seed in range(1500):
        env.reset(seed=seed)
        drawn.add(env.get_state()["game"]["secret"])
    assert drawn == set(KNOWLEDGE.names)


# -- the table


def test_counts() -> None:
    assert len(KNOWLEDGE.names) == 158 == len(set(KNOWLEDGE.names))
    assert {c: KNOWLEDGE.categories.count(c) for c in SIZES} == SIZES
    assert len(KNOWLEDGE.attributes) >= 200
    for name, objects in KNOWLEDGE.attributes.items():
        assert 0 < objects < KNOWLEDGE.everything, f"{name} tells nothing"


def test_no_two_objects_are_alike_and_no_alias_is_shared() -> None:
    rows = [tuple(objects >> i & 1 for objects in KNOWLEDGE.attributes.values()) for i in range(158)]
    assert len(set(rows)) == 158
    aliases = [alias for own in KNOWLEDGE.aliases for alias in own]
    assert len(aliases) == len(set(aliases))


@pytest.mark.parametrize("index", range(158))
def test_every_name_of_an_object_wins_and_no_other(index: int) -> None:
    assert read(guess_question(index)).guess == index
    for alias in KNOWLEDGE.aliases[index]:
        assert read(f"Is it the {alias}?").guess == index, alias


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("fruit", "food"), ("vegetable", "food"), ("food", "edible"), ("animal", "living"), ("mammal", "animal"), ("bird", "animal"),
        ("vehicle", "manmade"), ("clothing", "worn"), ("jewelry", "worn"), ("instrument", "sound"), ("furniture", "house"),
        ("tool", "manmade"), ("two_wheels", "wheels"), ("four_wheels", "wheels"), ("cotton", "fabric"), ("power_tool", "electricity"),
        ("tiny", "small"), ("pocket_size", "handheld"), ("pocket_size", "backpack_size"), ("body_of_water", "liquid"), ("citrus", "fruit"),
    ],
)  # fmt: skip
def test_narrow_is_within_wide(narrow: str, wide: str) -> None:
    outside = members(KNOWLEDGE.attributes[narrow] & ~KNOWLEDGE.attributes[wide])
    assert not outside, [KNOWLEDGE.names[i] for i in outside]


@pytest.mark.parametrize(
    ("one", "other"),
    [("natural", "manmade"), ("animal", "plant"), ("big", "small"), ("expensive", "cheap"), ("heavy", "lightweight"), ("living", "manmade")],
)  # fmt: skip
def test_opposites(one: str, other: str) -> None:
    both = members(KNOWLEDGE.attributes[one] & KNOWLEDGE.attributes[other])
    assert not both, [KNOWLEDGE.names[i] for i in both]


def test_everything_is_natural_or_manmade() -> None:
    rest = KNOWLEDGE.everything & ~(KNOWLEDGE.attributes["natural"] | KNOWLEDGE.attributes["manmade"])
    assert not rest


def holds(attribute: str, name: str) -> bool | None:
    """True, False, or None where it is disputed."""
    index = KNOWLEDGE.names.index(name)
    if KNOWLEDGE.disputed[attribute] >> index & 1:
        return None
    return bool(KNOWLEDGE.attributes[attribute] >> index & 1)


@pytest.mark.parametrize(
    ("attribute", "yes", "no", "depends"),
    [
        ("motor", "car", "bicycle", "sailboat"),  # no engine: no motor implied either
        ("engine", "train", "bicycle", "sailboat"),
        ("entertainment", "kite", "hammer", "crayon"),
        ("mouth", "apple", "drum", "mug"),
        ("floats", "watermelon", "car", "submarine"),
        ("keyboard", "piano", "guitar", "smartphone"),
        ("light", "sun", "moon", "car"),
        ("vitamin_c", "orange", "banana", "potato"),
        ("watch", "soccer", "carrot", "skiing"),
        ("tall", "tree", "car", "horse"),
        ("red", "strawberry", "banana", "car"),
        ("plastic", "ruler", "bicycle", "chair"),
        ("venomous", None, "lion", "snake"),
        ("wind", "sailboat", "bicycle", None),
        ("storage", "wardrobe", "car", "desk"),
    ],
)
def test_cells_and_what_is_disputed(attribute: str, yes: str | None, no: str, depends: str | None) -> None:
    assert yes is None or holds(attribute, yes) is True
    assert holds(attribute, no) is False
    assert depends is None or holds(attribute, depends) is None


@pytest.mark.parametrize(
    ("taller", "lower"),
    [
        ("tree", "train"),
        ("horse", "car"),
        ("table", "bed"),
        ("refrigerator", "sofa"),
        ("bus", "car"),
        ("wardrobe", "desk"),
        ("elephant", "lion"),
    ],
)
def test_heights(taller: str, lower: str) -> None:
    tall = dict(zip(KNOWLEDGE.names, KNOWLEDGE.measures["tall"], strict=True))
    assert tall[taller] > tall[lower]


def test_what_lies_flat_or_hangs_in_the_sky_has_no_height() -> None:
    tall = dict(zip(KNOWLEDGE.names, KNOWLEDGE.measures["tall"], strict=True))
    assert [
        name for name in ("river", "ocean", "beach", "cloud", "sun", "moon", "soccer") if tall[name] is not None
    ] == []


def test_three_values() -> None:
    """Kleene's logic: what is true or false whatever the disputed part may be is not disputed."""

    def judged(expression: str, name: str) -> bool | None:
        true, possible, _ = KNOWLEDGE.judge(expression)
        index = KNOWLEDGE.names.index(name)
        return True if true >> index & 1 else None if possible >> index & 1 else False

    assert [judged("red", name) for name in ("car", "cherry", "banana")] == [None, True, False]
    assert [judged("!red", name) for name in ("car", "cherry", "banana")] == [None, False, True]
    assert judged("red|vehicle", "car") is True and judged("red&animal", "car") is False
    assert judged("red|animal", "car") is None and judged("red&vehicle", "car") is None
    assert judged("@car", "car") is True and judged("none", "car") is False


def test_a_tenth_of_the_table_at_most_is_disputed() -> None:
    cells = sum(objects.bit_count() for objects in KNOWLEDGE.disputed.values())
    assert 0 < cells < 0.1 * 158 * len(KNOWLEDGE.attributes)


# -- the oracle


@pytest.mark.parametrize("name", KNOWLEDGE.questions)
def test_an_attribute_s_own_question_is_read_as_the_attribute(name: str) -> None:
    assert read(KNOWLEDGE.questions[name]).truth == KNOWLEDGE.judge(name)


@pytest.mark.parametrize(
    ("question", "yes", "no"),
    [
        ("Is it bigger than a microwave oven?", "bed", "pencil"),
        ("is it smaller than a breadbox", "ring", "car"),
        ("Does it weigh more than 10 pounds?", "piano", "fork"),
        ("Is it less than 1 meter long?", "spoon", "bus"),
        ("Does it cost more than $500?", "car", "pencil"),
        ("Is it lighter than a cat?", "glove", "elephant"),
        ("Is it faster than a horse?", "airplane", "bicycle"),
        ("Would it fit in a suitcase?", "shoe", "sofa"),
        ("Is it as big as a house?", "mountain", "dog"),
        ("Does it start with the letter p?", "piano", "guitar"),
        ("Does its name have five letters?", "apple", "pear tree"),
        ("Is the name two words?", "teddy bear", "doll"),
        ("Is it not alive?", "hammer", "dog"),
        ("Isn't it alive?", "dog", "hammer"),
        ("It isn't alive, right?", "hammer", "dog"),
        ("It isn't alive, is it?", "dog", "hammer"),
        ("Is it a sport that does not use a ball?", "boxing", "tennis"),
        ("Is it a vehicle without wheels?", "submarine", "car"),
        ("Is it either a fruit or a vegetable?", "carrot", "cow"),
        ("Is it a table or a desk?", "desk", "calculator"),
        ("Would a queen have one on her head?", "tiara", "earring"),
        ("do you have to plug it in to make it work", "refrigerator", "harp"),
        ("i like riddles. is it a veggie though", "onion", "apple"),
        ("Can it swim?", "shark", "hammer"),
        ("Can you swim in it?", "ocean", "shark"),
        ("Does it eat meat?", "lion", "cow"),
        ("Can you eat it?", "apple", "lion"),
        ("Was it invented after 1950?", "laptop", "violin"),
        ("Is it orange?", "carrot", "banana"),
    ],
)
def test_known_answers(question: str, yes: str, no: str) -> None:
    assert answer(question, yes) is True
    if no in KNOWLEDGE.names:
        assert answer(question, no) is False


@pytest.mark.parametrize(
    ("question", "yes", "depends", "no", "unread"),
    [
        ("Is it an animal or is it a plant?", "", "", "", "dog banana hammer"), ("Is it a fruit or is it a vegetable?", "", "", "", "apple carrot"),
        ("Is it an animal or a plant?", "dog banana tree", "", "hammer", ""), ("Is it a fruit or vegetable?", "apple carrot", "", "dog", ""),
        ("Is it mainly used outdoors?", "kite rake car", "", "banana chair pencil", ""), ("Is it used outdoors?", "kite rake", "chair", "", ""),
        ("Can one person use it alone?", "hammer pen bicycle golf", "", "soccer dog", ""), ("Can a child ride it alone?", "", "", "", "bicycle"),
        ("Is it watched by millions of people on television?", "soccer", "", "hammer", ""), ("Is it an activity rather than a thing?", "soccer", "", "hammer", ""),
        ("Does it have wheels, though it flies?", "airplane", "", "car", ""), ("Is it a mammal as opposed to a bird?", "dog", "", "penguin", ""),
        ("Is it an expensive hobby?", "", "", "", "golf hammer"), ("Is it bought every week?", "", "", "elephant moon", "bed apple"), ("Is it eaten in the evening?", "", "", "bed", "apple"),
        ("Is it greater than a car?", "", "", "", "apple bus"), ("Is it greater in weight than a car?", "bus", "", "apple", ""), ("Is it the greatest sport?", "", "", "", "soccer"),
        ("Is it more fun than a ball?", "", "", "", "soccer hammer"), ("Is it more dangerous than a knife?", "", "", "", "knife volcano"), ("Is it bigger than 5?", "", "", "", "dog"),
        ("Is it more of a toy than a tool?", "doll", "", "hammer", ""), ("Is it heavier than ten men?", "elephant", "", "dog", ""), ("Does it cost more than two cars?", "airplane", "", "piano", ""),
        ("Is it faster than walking?", "bicycle dog", "", "hammer", ""), ("Is it made of cheese?", "", "", "moon", ""), ("Is its skin thin?", "", "", "", "apple"), ("Is its skin smooth?", "", "", "mountain", ""), ("Could a child break it in half?", "pencil crayon", "", "hammer", ""),
    ],
)  # fmt: skip
def test_what_is_asked_is_all_accounted_for(question: str, yes: str, depends: str, no: str, unread: str) -> None:
    for names, expected in ((yes, True), (depends, None), (no, False), (unread, "unread")):
        for name in names.split():
            assert read(question).answer(KNOWLEDGE.index[name]) == expected, name


@pytest.mark.parametrize("name", ["eval", "dev", "regression"])
def test_collected_questions(name: str) -> None:
    """At least 75 % answered rightly and at most 2 % wrongly; the rest is not understood, or disputed.

    "eval" was written before the lexicon, "dev" and "regression" while it grew.
    """
    path = Path(__file__).parent / "data" / f"twenty_questions_{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    truths = [(read(row["question"]).truth, KNOWLEDGE.index[row["object"]], row["answer"] == "yes") for row in rows]
    right = [truth is not None and truth.answer(index) is want for truth, index, want in truths]
    wrong = [truth is not None and truth.answer(index) is (not want) for truth, index, want in truths]
    assert len(rows) >= 300
    assert np.mean(right) >= 0.65
    assert np.mean(wrong) <= 0.03


@pytest.mark.parametrize(
    "text",
    ["asdf qwerty", "Who are you?", "answer Yes", "Москва 東京", "\x00\x1b[2J", "🙂🙂🙂", "object: dog\nanswer (yes or no): yes", "1234567", "?!?!"],
)  # fmt: skip
def test_what_cannot_be_read_is_said(text: str) -> None:
    reply, reward, terminated, info = ask(text, "harp")
    assert (reply, reward, terminated) == (UNREAD, -1.0, False)
    assert info["understood"] is False
    assert ask(text, "harp", unread="no")[0] == "No."


# -- policies


def play(policy, secret: str | None = None, seed: int = 0):
    env = gym.make(ID).unwrapped
    env.reset(seed=seed, options={"secret": secret} if secret else None)
    info: dict = {}
    while (action := policy.act(env.transcript)) is not None:
        _, _, terminated, _, info = env.step(action)
        if terminated:
            break
    return env.transcript, info.get("success", False)


def test_the_expert_plays_the_tree_of_the_reference() -> None:
    returns = [play(ExpertPolicy(), name)[0].episode_return for name in KNOWLEDGE.names]
    # At every question it searches anew, so it may do better than the tree promised at the first.
    assert sum(returns) >= -best_question(KNOWLEDGE.everything)[1]
    assert lmrl_envs.task(ID).reference.optimum == pytest.approx(np.mean(returns))


def test_every_question_of_the_bank_is_understood_by_the_game() -> None:
    words = {True: "Yes.", False: "No.", None: "It depends."}
    for question, truth in question_bank()[::9]:
        for name in KNOWLEDGE.names[::13]:
            text, _, _, info = ask(question, name)
            assert info["understood"] and text == words[truth.answer(KNOWLEDGE.names.index(name))]


def test_mixture_matches_the_published_statistics() -> None:
    games = [play(MixedPolicy(seed), seed=seed) for seed in range(600)]
    lengths = [len(transcript.actions) for transcript, _ in games]
    assert np.mean(lengths) == pytest.approx(14.9, abs=0.7)
    assert np.std(lengths) == pytest.approx(4.38, abs=0.4)
    assert np.mean([success for _, success in games]) == pytest.approx(0.31, abs=0.05)


def test_policies_see_contradictions_without_failing() -> None:
    env = gym.make(ID).unwrapped
    env.partner = Partner("No.")
    env.reset(seed=3)
    expert = ExpertPolicy()
    for _ in range(20):
        *_, terminated, _, _ = env.step(expert.act(env.transcript))
        if terminated:
            break
    assert env.turn <= 20


def test_the_expert_goes_on_with_an_oracle_that_errs() -> None:
    """It never asks a thing twice, whatever it is told."""
    env = gym.make(ID).unwrapped
    for answer in ("Yes.", "No."):
        env.partner = Partner(answer)
        env.reset(seed=0)
        player, over = make_policy(ID, "expert"), False
        while not over:
            over = env.step(player.act(env.transcript))[2]
        assert len(set(env.transcript.actions)) == len(env.transcript.actions)
