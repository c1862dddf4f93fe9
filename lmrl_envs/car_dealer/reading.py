"""Understanding a seller's line: which cars and features it names, what it asks and does, and what it means for the price.

Money, yes and no are read by `lmrl_envs.language.bargaining`; this adds the words of the trade (``vocabulary.txt``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lmrl_envs.car_dealer.stock import BRANDS, TYPES, Car
from lmrl_envs.language import bargaining_line
from lmrl_envs.language.bargaining import Meaning, Standing, understand
from lmrl_envs.language.bargaining_line import REMEMBERED_LENGTH, Line
from lmrl_envs.language.lists import sections, table
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.prices import PAUSES, find_amounts

_VOCABULARY = sections(__file__, "vocabulary.txt")


def _meanings(names: Sequence[str], section: str) -> dict[str, str]:
    """A word of a line -> the brand or type it means."""
    others = table(_VOCABULARY[section])
    return {name.lower(): name for name in names} | {word: name for name, words in others.items() for word in words}


def _as_read(phrase: str) -> str:
    """A phrase as it stands in the tokens of a line."""
    return f" {' '.join(find_amounts(phrase).tokens)} "


def _phrases(section: str) -> dict[str, list[tuple[str, str]]]:
    """The longest word of each phrase -> (phrase, what it means): only phrases whose word is there are looked for."""
    found: dict[str, list[tuple[str, str]]] = {}
    for meaning, phrases in table(_VOCABULARY[section]).items():
        for phrase in map(_as_read, phrases):
            found.setdefault(max(phrase.split(), key=len), []).append((phrase, meaning))
    return found


_BRAND_WORDS, _TYPE_WORDS = _meanings(BRANDS, "brands"), _meanings(TYPES, "types")
_FEATURES, _ACTS = _phrases("features"), _phrases("acts")
_OTHER_CARS = {word: word.title() if len(word) > 3 else word.upper() for word in listed(_VOCABULARY["other cars"])}
NAMES = frozenset([*_BRAND_WORDS, *_TYPE_WORDS])
"""Words that name a car, which are harmless wherever the buyer understands the rest."""
_QUESTIONS = frozenset({"ask_budget", "ask_needs", "ask_features", "ask_opinion", "ask_offer"})
_ABOUT_YOU = frozenset(("want", "need", "like", "prefer", "love", "fancy", "interested", "after", "important", "into"))
_ORDINALS = {word: i for i, words in enumerate(_VOCABULARY["ordinals"]) for word in words.split()}
_SUPERLATIVES = {"cheapest": 0, "priciest": -1, "dearest": -1}
_PLACES = frozenset([*_SUPERLATIVES, *_ORDINALS, "expensive"])
_MARKERS = re.compile(r"<\||###|</|\[inst|\{\"")


class Reading(NamedTuple):
    """What a buyer takes in of a line."""

    line: Line
    words: frozenset[str]
    brands: tuple[tuple[int, str], ...]
    """At which token each brand is named."""
    types: tuple[tuple[int, str], ...]
    features: tuple[str, ...]
    acts: frozenset[str]
    others: tuple[str, ...]
    """Makes that this shop does not sell."""

    @property
    def empty(self) -> bool:
        """Nothing in it that could be a word."""
        return not self.words


def read(line: str) -> Reading:
    """Read any string; never raises."""
    return _read(line) if len(line) <= REMEMBERED_LENGTH else _read.__wrapped__(line)


@lru_cache(maxsize=4096)
def _read(text: str) -> Reading:
    line = bargaining_line.read(text)
    of_the_trade = _of_the_trade if len(line.tokens) <= REMEMBERED_LENGTH // 4 else _of_the_trade.__wrapped__
    words, brands, types, features, acts, others = of_the_trade(line.tokens, line.question)
    return Reading(
        line, words, brands, types, features, acts | {"marker"} if _MARKERS.search(line.text) else acts, others
    )


@lru_cache(maxsize=4096)
def _of_the_trade(tokens: tuple[str, ...], question: bool) -> tuple[Any, ...]:
    """What follows from the words of a line, whatever its amounts: the fields of `Reading` after the first."""
    words = frozenset(tokens) - PAUSES
    brands = tuple((at, _BRAND_WORDS[token]) for at, token in enumerate(tokens) if token in _BRAND_WORDS)
    types = tuple((at, _TYPE_WORDS[token]) for at, token in enumerate(tokens) if token in _TYPE_WORDS)
    others = tuple(_OTHER_CARS[token] for token in tokens if token in _OTHER_CARS)
    joined = f" {' '.join(tokens)} "
    features = tuple(dict.fromkeys(_said(_FEATURES, words, joined)))
    acts = set(_said(_ACTS, words, joined))
    if not (question or "?" in tokens or words & {"know", "tell", "wonder"}):
        acts -= _QUESTIONS
    else:
        acts.add("question")
        asked = range(*_asking(tokens))
        if features or any(at in asked for at, _ in (*brands, *types)):
            about = not words.isdisjoint(_ABOUT_YOU) and "you" in words
            if (
                about
                or ("or" in words and len(words) < 9)
                or any(tokens[at - 1] in ("a", "an", "any", "some") for at, _ in (*brands, *types) if at in asked)
            ):
                acts.add("about_you")
        if words & {"features", "feature"} and words & {"any", "what", "which"}:
            acts.add("ask_features")
        if "ask_budget" in acts and "much" in words:
            acts.discard("ask_needs")  # "How much do you want to pay?"
        if "ask_features" in acts:
            acts.discard("ask_needs")
    return words, brands, types, features, frozenset(acts), others


def _asking(tokens: Sequence[str]) -> tuple[int, int]:
    """The sentence that asks: the tokens up to the last question mark, from the full stop before it; all without a mark."""
    end = max((at for at, token in enumerate(tokens) if token == "?"), default=len(tokens))  # noqa: S105 - a mark
    return max((at for at, token in enumerate(tokens[:end]) if token in (".", "!", "?")), default=-1) + 1, end


def _said(phrases: Mapping[str, list[tuple[str, str]]], words: frozenset[str], text: str) -> list[str]:
    return [meaning for word in sorted(words & phrases.keys()) for phrase, meaning in phrases[word] if phrase in text]


def named(reading: Reading, stock: Sequence[Car], focus: int, talked: Sequence[int]) -> list[tuple[int, int]]:
    """(token, index in stock) of the cars a line names, in order; "it" and "this one" are left to the focus.

    A type alone ("the SUV") means the car under discussion if it is one, else one already talked about, else the only
    one in stock; otherwise it names none.
    """
    found = [(at, i) for at, brand in reading.brands for i, car in enumerate(stock) if car["brand"] == brand]
    for at, kind in reading.types:
        if any(abs(at - other) < 4 for other, _ in reading.brands):
            continue
        of_type = [i for i, car in enumerate(stock) if car["type"] == kind]
        known = [i for i in reversed(talked) if i in of_type]
        if focus in of_type:
            found.append((at, focus))
        elif known or len(of_type) == 1:
            found.append((at, (known or of_type)[0]))
    return sorted(found or _by_place(reading.line, stock))


def _by_place(line: Line, stock: Sequence[Car]) -> list[tuple[int, int]]:
    """ "The second one on the list", "number 3 on the list", "the cheapest", "your most expensive car"."""
    tokens = line.tokens
    if "list" in tokens:
        for amount in line.amounts:
            if amount.at and tokens[amount.at - 1] in ("number", "car", "item") and 0 < amount.value <= len(stock):
                return [(amount.at, int(amount.value) - 1)]
    if _PLACES.isdisjoint(tokens):
        return []
    for at, token in enumerate(tokens):  # the stock is in the order of its prices
        if token in _SUPERLATIVES:
            return [(at, _SUPERLATIVES[token] % len(stock))]
        if token == "expensive" and at and tokens[at - 1] in ("most", "least"):  # noqa: S105 - a word
            return [(at, len(stock) - 1 if tokens[at - 1] == "most" else 0)]
        if token in _ORDINALS and "list" in tokens and _ORDINALS[token] <= len(stock):
            return [(at, (_ORDINALS[token] - 1) % len(stock))]
    return []


def ambiguous_type(reading: Reading) -> str | None:
    """A type named without a brand ("the SUV")."""
    return reading.types[0][1] if reading.types and not reading.brands else None


def about(reading: Reading, cars: Sequence[tuple[int, int]], index: int) -> list[int] | None:
    """Which amounts of a line are about a car: those behind its name, up to the next one; None: all, as one car is talked of."""
    if len({i for _, i in cars}) == 1 and cars[0][1] == index:
        return None
    found = []
    for k, amount in enumerate(reading.line.amounts):
        before = [i for at, i in cars if at < amount.at]
        if (before[-1] if before else cars[0][1] if cars else index) == index:
            found.append(k)
    return found


def meaning(reading: Reading, cars: Sequence[tuple[int, int]], index: int, standing: Standing) -> Meaning:
    """What a line means for one car in stock."""
    return understand(reading.line, standing, NAMES, about(reading, cars, index) if cars else None)


def standing(state: Mapping[str, Any], index: int, car: Car, before: str, counter: str) -> Standing:
    """What stands between seller and buyer for a car."""
    other = state["counter"] if state["counter_car"] == index and state["counter"] > 0 else None
    return Standing(
        other, state["heard"].get(str(index)), car["msrp"], other is not None and counter in before, sells=True
    )
