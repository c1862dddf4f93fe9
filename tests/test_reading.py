"""The reader of questions: what it promises, over all things and templates, and what it refuses."""

from __future__ import annotations

import random
from pathlib import Path

import gymnasium as gym
import pytest

from lmrl_envs.guess_my_city import reader as cities
from lmrl_envs.language.lexicon import SENSES
from lmrl_envs.language.lists import entries
from lmrl_envs.language.reading import Reader
from lmrl_envs.language.rewrites import Rewrites
from lmrl_envs.language.truth import Truth, contrary, surely
from lmrl_envs.twenty_questions.policies import guess_question, question_bank
from lmrl_envs.twenty_questions.reader import load_reader, read, read_after
from lmrl_envs.twenty_questions.rules import UNREAD, load_knowledge

KNOWLEDGE = load_knowledge()
DATA = str(Path(__file__).parent / "data" / "-")
TEMPLATES = entries(DATA, "guess_templates.txt")
KNOWN = [[part.strip() for part in line.split("|")] for line in entries(DATA, "twenty_questions_known.txt")]
BANK = [
    (text, truth)
    for text, truth in question_bank()
    if text.startswith(("Is it ", "Does it ", "Can it ", "Do you ", "Can you "))
]


def meaning(question: str) -> Truth:
    truth = read(question).truth
    assert truth is not None, f"not understood: {question}"
    return truth


# -- three answers


def test_three_answers_add_up_and_turn_round() -> None:
    one, other, everything = Truth(0b0001, 0b0011), Truth(0b0101, 0b0111), 0b1111
    assert (one & other)[:2] == (0b0001, 0b0011) and (one | other)[:2] == (0b0101, 0b0111)
    assert contrary(one, everything)[:2] == (0b1100, 0b1110) and contrary(contrary(one, everything), everything) == one
    assert one.narrowed()[:2] == (0, 0b0001)
    leaning = Truth(0b0001, 0b0111, 0b0010)  # of the second more would say yes, of the third no
    assert leaning.usually() == surely(0b0011) and contrary(leaning, everything).usually() == surely(0b1100)
    assert (leaning & other).usually() == surely(0b0001) and (leaning | other).usually() == surely(0b0111)
    assert [one.answer(i) for i in range(3)] == [True, None, False] and surely(5)[:2] == (5, 5)


# -- guesses


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_guess_in_any_words_is_one_for_every_object(template: str) -> None:
    for index, name in enumerate(KNOWLEDGE.names):
        words = guess_question(index)[len("Is it ") : -1]
        text = template.replace("{a}", words).replace("{name}", name)
        if text.strip("?") != "orange":  # the word alone is a colour too
            assert read(text).guess == index, text


@pytest.mark.parametrize(
    "words",
    [
        "Is it a dog or a cat?",
        "Is it a dog and a cat?",
        "dog, cat",
        "Is it a dog dog?",
        "Is it like a dog?",
        "Is it a dog's toy?",
    ],
)
def test_more_than_one_thing_is_no_guess(words: str) -> None:
    assert read(words).guess is None


# -- what does not change an answer, and what turns it round


@pytest.mark.parametrize(
    "hedge",
    [
        "Hmm, {}",
        "So, {}",
        "Okay. {}",
        "{} Please?",
        "Just to be clear, {}",
        "{} Yes or no?",
        "Based on your answers so far, {}",
        "I have a question. {}",
    ],
)
def test_hedges_change_nothing(hedge: str) -> None:
    for text, truth in BANK[::7]:
        assert read(hedge.format(text)).truth == truth, hedge.format(text)


@pytest.mark.parametrize(
    "opening",
    [
        "Would you say it is ",
        "Is it true that it is ",
        "Do you think it is ",
        "I wonder if it is ",
        "Could you tell me whether it is ",
    ],
)
def test_what_is_said_of_the_question_changes_nothing(opening: str) -> None:
    for text, truth in BANK:
        if text.startswith("Is it a"):
            asked = opening + text.removeprefix("Is it ")
            assert read(asked).truth == truth, asked


def test_not_turns_a_question_round() -> None:
    everything, asked = KNOWLEDGE.everything, 0
    for text, truth in BANK:
        if text.startswith("Is it ") and not {"or", "and"} & set(text.split()):
            asked += 1
            assert meaning("Is it not " + text.removeprefix("Is it ")) == contrary(truth, everything), text
            assert meaning("Isn't it " + text.removeprefix("Is it ")) == truth, text
            assert meaning("It isn't " + text.removeprefix("Is it ")[:-1] + ", is it?") == truth, text
    assert asked > 100


@pytest.mark.parametrize("word", ["blorfing", "zantic", "quarp"])
def test_a_word_that_nobody_knows_is_never_answered_over(word: str) -> None:
    rng = random.Random(word)
    for text, _ in BANK:
        words = text[:-1].split()
        at = rng.randrange(2, len(words) + 1)
        asked = " ".join([*words[:at], word, *words[at:]]) + "?"
        assert read(asked).truth is None, asked


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("hvae", "have"),
        ("vegatable", "vegetable"),
        ("electricty", "electricity"),
        ("weels", "wheels"),
        ("insturment", "instrument"),
    ],
)
def test_slips_of_the_pen_are_mended(slip: str, meant: str) -> None:
    tokenizer = load_reader().lexicon.tokenizer
    assert tokenizer(slip) and [token.base for token in tokenizer(slip)] == [token.base for token in tokenizer(meant)]


@pytest.mark.parametrize("word", ["stable", "badge", "archer", "amble", "bade"])
def test_a_word_of_its_own_is_no_slip(word: str) -> None:
    assert read(f"Is it a {word}?").truth is None


# -- known answers, and refusals


@pytest.mark.parametrize(("question", "yes", "no"), KNOWN, ids=[row[0] for row in KNOWN])
def test_known_answers(question: str, yes: str, no: str) -> None:
    truth = meaning(question)
    assert not yes or truth.answer(KNOWLEDGE.index[yes]) is True
    assert truth.answer(KNOWLEDGE.index[no]) is False


@pytest.mark.parametrize(
    "text",
    [
        "Is it big or small?", "Big or small?", "Is it natural, or did people make it?", "Which is it closer to, a guitar or a drum?",
        "What is it made of?", "Is it an animal? Is it alive?", "Is its fur brown?", "Is the ball kicked?", "Does cutting it make you cry a bit less?",
        "Does it hop like a rabbit?", "Is it sharper than it looks?", "Is it bigger than that?", "lol this is hard", "I give up.", "is it is it is it?",
        "È un animale?", "Ist es größer als ein Auto?", "¿Está vivo?", "これは動物ですか", "Does the quickly of it seven?", "Was it a dog?",
        "Is it the sharpest thing in the drawer?", "Does its quarp name end in r?",
    ],
)  # fmt: skip
def test_what_is_not_accounted_for_is_not_answered(text: str) -> None:
    assert read(text).truth is None


def test_a_choice_without_a_verb_is_only_answered_where_it_is_neither() -> None:
    choice = read("Fruit or vegetable?")
    assert choice.answer(KNOWLEDGE.index["hammer"]) is False
    assert choice.answer(KNOWLEDGE.index["apple"]) == "unread"


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("Do you use it with your hands?", {"hammer": True, "drum": True, "cloud": False}),
        ("Do you need both hands to use it?", {"hammer": False, "violin": True}),
        ("Can you hold it?", {"violin": True, "coat": True, "sofa": False}),
        ("Can it be held in one hand?", {"spoon": True, "cat": False}),
        ("Is it for the bedroom?", {"bed": True, "anklet": False}),
        ("Is it used outside?", {"rake": True, "anklet": None, "sofa": False}),
        ("Is it used in the garden?", {"rake": True, "pencil": False}),
        ("Can you put food in it?", {"refrigerator": True, "hammer": False}),
    ],
)
def test_hands_and_places(question: str, answers: dict[str, bool | None]) -> None:
    reading = read(question)
    assert {name: reading.answer(KNOWLEDGE.index[name]) for name in answers} == answers


@pytest.mark.parametrize(
    ("former", "question", "secret", "reply"),
    [
        (["Is it bigger than a shoebox?"], "What about smaller?", "pen", "Yes."),
        (["Is it bigger than a microwave?"], "and heavier?", "train", "Yes."),
        (["Do you wear it?", "Do you wear it on your head?"], "ok then the hands?", "shoe", "No."),
        (["Is it yellow?"], "how about red?", "cherry", "Yes."),
        (["Is it alive?"], "and bigger than that?", "train", UNREAD),
    ],
)
def test_a_follow_up_goes_on_from_the_question_before(
    former: list[str], question: str, secret: str, reply: str
) -> None:
    env = gym.make("lmrl/TwentyQuestions-v1")
    env.reset(seed=0, options={"secret": secret})
    for text in former:
        env.step(text)
    assert env.step(question)[0] == reply
    assert read_after(question, ("Questions:",)).truth == read(question).truth


@pytest.mark.parametrize(
    ("plain", "usually"),
    [
        ("Is it red?", "Is it usually red?"),
        ("Is it found in a garage?", "Is it typically found in a garage?"),
        ("Is it a tool?", "Is it generally a tool?"),
        ("Is it heavier than a cat?", "Is it normally heavier than a cat?"),
    ],
)
def test_usually_is_answered_as_most_people_would(plain: str, usually: str) -> None:
    truth = meaning(plain)
    assert truth.yes != truth.possible  # people differ over some
    assert meaning(usually) == truth.usually() == surely(truth.most)


def test_one_case_is_enough_for_what_can_be() -> None:
    assert meaning("Can it be red?") == surely(meaning("Is it red?").possible)
    assert meaning("Can it have pockets?") == surely(meaning("Does it have pockets?").possible)


SENSE_EXAMPLES = {
    # sense of lexicon.py -> a question with a phrase of it, something of which it is true, and something of which it is not
    "kind": ("Is it an insect or a feline?", "cat", "dog"),
    "quality": ("Is it seaworthy?", "submarine", "car"),
    "material": ("Is it made of denim?", "jeans", "ring"),
    "part": ("Does it have a fretboard?", "guitar", "drum"),
    "place": ("Would you find it in a pencil case?", "eraser", "sofa"),
    "body": ("Is it worn on the head?", "hat", "sock"),
    "who": ("Is it used by mechanics?", "wrench", "harp"),
    "does": ("Does it shed its skin?", "snake", "cow"),
    "done": ("Do you put it over your ears?", "headphones", "kettle"),
    "for": ("Is it used to water plants?", "watering can", "drum"),
    "reach": ("Is it small enough to be carried in one hand?", "pen", "piano"),
    "relate": ("Is it related to royalty?", "tiara", "drill"),
    "phrase": ("Is it associated with Halloween?", "pumpkin", "bus"),
}


@pytest.mark.parametrize("sense", SENSES)
def test_a_phrase_of_every_sense_is_read(sense: str) -> None:
    question, yes, no = SENSE_EXAMPLES[sense]
    truth = meaning(question)
    assert truth.answer(KNOWLEDGE.index[yes]) is True, question
    assert truth.answer(KNOWLEDGE.index[no]) is False, question


@pytest.mark.parametrize(
    "text",
    [
        "Is it more expensive than a meal at a restaurant?",
        "Would it be in a bathroom drawer cabinet?",
        "Is it bigger than the seat of a bus?",
    ],
)
def test_two_nouns_are_not_read_one_by_one(text: str) -> None:
    assert read(text).truth is None, text


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ("I put it to you that the object is alive. Is that correct?", "Is it alive?"),
        ("Haha okay, this may sound silly, but can you eat it?", "Can you eat it?"),
        ("With this I can to hear music?", "Can I hear music with it?"),
        ("is it biger than a car", "Is it bigger than a car?"),
        ("Could leather be used to make it?", "Is it sometimes made of leather?"),
    ],
)
def test_what_is_not_understood_is_tried_in_other_words(asked: str, same: str) -> None:
    assert read(asked).truth is not None
    assert read(asked).truth == read(same).truth


def test_what_most_things_would_be_disputed_of_says_nothing() -> None:
    reading = read("Is it shared by many people?")
    assert reading.is_vague
    assert reading.answer(0) == "unread"
    assert not read("Is it alive?").is_vague


def test_a_part_of_who_uses_it_is_no_part_of_the_thing() -> None:
    for question in ("Do you need a finger for it?", "Does it require a foot?"):
        assert read(question).truth is None, question


@pytest.mark.parametrize(
    ("question", "secret", "answer"),
    [
        ("Neck?", "scarf", "unread"), ("Legs?", "chair", True), ("Does it work without an engine?", "bicycle", True),
        ("Can it live without any water?", "tree", False), ("Could it cost more than a car?", "wristwatch", "unread"),
        ("Are the seeds on the outside?", "apple", "unread"), ("Did Napoleon have one?", "smartphone", False),
        ("Did Queen Victoria know about it?", "piano", True), ("Is its surface smooth and flat?", "whiteboard", True),
        ("Did Pelé play it?", "soccer", True), ("is it smalller than a house", "dog", True), ("wear it on ur hnads?", "glove", True),
        ("Is it worn near the foot?", "anklet", True), ("A lady would carry one, is it one of those?", "hat", "unread"),
    ],
)  # fmt: skip
def test_what_a_question_says_beyond_its_words(question: str, secret: str, answer: bool | str) -> None:
    assert read(question).answer(KNOWLEDGE.names.index(secret)) == answer


def test_a_bare_word_goes_on_from_the_question_before() -> None:
    asked = ["Questions:", "Does it go on the ears?", "No."]
    ring, kettle = KNOWLEDGE.names.index("ring"), KNOWLEDGE.names.index("kettle")
    assert read_after("What about the fingers?", asked).answer(ring) is True
    assert read_after("Just water?", ["Questions:", "Do you cook food in it?", "No."]).answer(kettle) == "unread"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "...",
        ". . .",
        "\u2026",
        "?!",
        "\n.\n",
        "'s",
        "(.)",
        "1.",
        ". ?",
        "is it the ...?",
        "utc?",
        "is it on UTC",
    ],
)
@pytest.mark.parametrize("reader", [load_reader(), cities.load_reader()])
def test_no_text_is_too_odd_to_be_read(reader: Reader, text: str) -> None:
    assert reader.read(text).guess is None


def test_what_comes_in_the_place_of_words_stays_apart_from_its_neighbours() -> None:
    rewrites = Rewrites(["true ~ is it true that => so", "reckon ~  i reckon  => ,"])
    assert rewrites("is it true that it flies") == "so it flies"
    assert rewrites("now i reckon it flies") == "now , it flies"
    assert Rewrites(["true ~ is it true that  => so"])("is it true that it flies") == "so it flies"


def test_rules_are_tried_where_their_words_stand_after_what_earlier_rules_brought_too() -> None:
    rewrites = Rewrites(
        [
            "ti ~ (?i)^ti\\b => it",
            "it ~ (?i)^(?:it|this) flies => does it fly",
            "( ~ \\(s\\) => ",
            "fly ~ fly\\b => soar",
        ]
    )
    assert rewrites("It flies(s)?") == "does it soar?"
    assert rewrites("Ti flies?") == "does it soar?"
    assert rewrites("é, it flies?") == "é, it flies?"
    assert Rewrites(["a ~ ^a b|c => d", "a ~ (?i)^(?:a|b) c => e"])("f c a c") == "f d a d"


def test_what_is_false_is_so_with_any_detail_and_what_is_true_says_nothing_of_it() -> None:
    hammer, shoe = (1 << KNOWLEDGE.names.index(name) for name in ("hammer", "shoe"))
    truth = meaning("Do you wear it to paint a wall?")
    assert not truth.possible & hammer and not truth.yes & shoe
    for turned in (
        "Does it bark at nobody?",
        "Do you wear it in few kitchens?",
    ):  # true of what never barks, worn by none
        assert read(turned).truth is None
