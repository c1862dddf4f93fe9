"""Understanding a seller's line: which cars, features and prices it names, and what it does (asks, presses, praises)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.car_dealer.prices import Price, normalise, read_prices
from lmrl_envs.car_dealer.rules import BRANDS, TYPES, Car
from lmrl_envs.language.lists import sections, table

READ_LENGTH = 2000
"""Characters of a line that a buyer takes in."""
REMEMBERED_LENGTH = 300
"""A reading of a longer line is not kept: few are said twice, and memory is bounded by it."""

_WORD = re.compile(r"[a-z0-9']+")
_VOCABULARY = sections(__file__, "vocabulary.txt")


def _meanings(names: Sequence[str], section: str) -> dict[str, str]:
    """A word of a line -> the brand or type it means."""
    others = table(_VOCABULARY[section])
    return {name.lower(): name for name in names} | {word: name for name, words in others.items() for word in words}


def _feature_words() -> dict[str, tuple[tuple[str, ...], str]]:
    """A word of a line -> the phrases of which one must be there, and the feature."""
    found = {}
    for feature, values in table(_VOCABULARY["features"]).items():
        for word, _, phrases in (value.partition(" = ") for value in values):
            found[word] = (tuple(phrases.split(" | ")) if phrases else (word,), feature)
    return found


_BRAND_WORDS, _TYPE_WORDS = _meanings(BRANDS, "brands"), _meanings(TYPES, "types")
_FEATURE_WORDS = _feature_words()
_CHAT = {word: " ".join(meant) for word, meant in table(_VOCABULARY["chat"]).items()}
"""How people type, and what it is short for."""
_CHAT_WORD = re.compile(rf"(?<![\w'])(?:{'|'.join(_CHAT)})(?![\w'])")
_NAMES = frozenset([*_BRAND_WORDS, *_TYPE_WORDS, *_FEATURE_WORDS])


def _triggers() -> dict[str, list[tuple[str, str]]]:
    """The longest word of each phrase -> (phrase, act): only phrases whose word is there are looked for."""
    triggers: dict[str, list[tuple[str, str]]] = {}
    for act, phrases in table(_VOCABULARY["acts"]).items():
        for phrase in phrases:
            triggers.setdefault(max(_WORD.findall(phrase), key=len), []).append((phrase, act))
    return triggers


_QUESTION_WORDS = frozenset({"what", "which", "how", "who", "whom", "what's", "whats", "how's", "who's"})
_QUESTION_PHRASES = ("tell me", "may i ask", "could you", "can you", "do you", "are you", "would you")
_ABOUT_YOU = ("you want", "you need", "you looking", "you like", "you prefer", "you interested", "you after", "you care",
              "you into", "important to you", "matter to you", "you love", "for you", "you be happy", "you fancy")  # fmt: skip
_TRIGGERS = _triggers()
_A_TYPE = re.compile(rf"\b(?:an?|any|some)\s+(?:{'|'.join(_TYPE_WORDS)})\b[^.!?]{{0,20}}\?")
_NO_DEAL = re.compile(r"\b(?:no|not a|isn't a|great|good|best|better|big|real|what a|amazing|fair) deal\b")
_DEAL = re.compile(r"^\W*(?:ok\w*\W+|alright\W+|fine\W+|great\W+|perfect\W+|yes\W+)*(?:deal|done)\b")


_DEAL_LAST = re.compile(r"(?<=[.!;,])\s*(?:(?:ok\w*|then|so|it's a|it is a)\s+)?deal\s*[.!]*$")
_ASSENT = re.compile(
    r"\W*(?:(?:oh|well|hm+|all right|alright|ok|okay|fine|great)\W+)*(?:yes|yeah|yep|yup|sure|ok|okay|all right|alright|fine|absolutely|certainly|of course"
    r"|gladly|with pleasure|you bet|you got it)(?:\W+(?:sir|madam|ma'am|then|we do|we have(?: a deal)?|please|sure|thank you|thanks))*\W*"
)
_DEAL_ASKED = re.compile(
    r"\W*(?:ok\w*|so|then|well)?\W*(?:is it |it's |do we have |have we got |we have |got )?(?:a )?deal\W*\?\W*"
)


def is_assent(text: str) -> bool:
    """Whether a normalised line does nothing but say yes ("Yes.", "Sure, sir")."""
    return len(text) < 60 and "?" not in text and _ASSENT.fullmatch(text) is not None


def asks_for_deal(text: str) -> bool:
    """Whether a normalised line does nothing but ask for a deal ("Deal?")."""
    return len(text) < 60 and _DEAL_ASKED.fullmatch(text) is not None


class Reading(NamedTuple):
    """What a buyer takes in of a line."""

    text: str
    """Normalised and cut."""
    words: frozenset[str]
    prices: tuple[Price, ...]
    brands: tuple[tuple[int, str], ...]
    """Where each brand is named."""
    types: tuple[tuple[int, str], ...]
    features: tuple[str, ...]
    acts: frozenset[str]

    @property
    def empty(self) -> bool:
        """Nothing in it that could be a word."""
        return not self.words


def read(line: str) -> Reading:
    """Read any string; never raises."""
    return _read(line) if len(line) <= REMEMBERED_LENGTH else _read.__wrapped__(line[:READ_LENGTH])


@lru_cache(maxsize=4096)
def _read(line: str) -> Reading:
    text = normalise(line)
    words = frozenset(_WORD.findall(text))
    if not _CHAT.keys().isdisjoint(words):
        text = _CHAT_WORD.sub(lambda found: _CHAT[found[0]], text)
        words = frozenset(_WORD.findall(text))
    brands: list[tuple[int, str]] = []
    types: list[tuple[int, str]] = []
    features: list[str] = []
    named_words = words & _NAMES
    if "'s" in text:
        named_words |= {word for word in words if word.endswith("'s") and word[:-2] in _NAMES}
    for word in sorted(named_words):
        base = word.removesuffix("'s")
        if base in _BRAND_WORDS:
            brands.append((text.find(word), _BRAND_WORDS[base]))
        elif base in _TYPE_WORDS:
            types.append((text.find(word), _TYPE_WORDS[base]))
        else:
            phrases, feature = _FEATURE_WORDS[base]
            if feature not in features and any(phrase in text for phrase in phrases):
                features.append(feature)
    brands.sort()
    types.sort()
    prices = tuple(read_prices(text, words))
    return Reading(text, words, prices, tuple(brands), tuple(types), tuple(features), _acts(text, words))


def _acts(text: str, words: frozenset[str]) -> frozenset[str]:
    acts = {act for word in words & _TRIGGERS.keys() for phrase, act in _TRIGGERS[word] if phrase in text}
    if "<|" in text or "###" in text or "</" in text:
        acts.add("marker")
    asks = "?" in text or not words.isdisjoint(_QUESTION_WORDS) or any(phrase in text for phrase in _QUESTION_PHRASES)
    if not asks:
        acts -= {"ask_budget", "ask_needs", "ask_features", "ask_opinion"}
        if "ask_offer" in acts and not words & {"name", "make"}:
            acts.discard("ask_offer")
    elif (
        ("or" in words and words & _NAMES and len(words) < 8)
        or (words & _TYPE_WORDS.keys() and _A_TYPE.search(text))
        or any(phrase in text for phrase in _ABOUT_YOU)
    ):
        acts.add("about_you")
    if asks and not words.isdisjoint(("features", "feature")) and not words.isdisjoint(("any", "what", "which")):
        acts.add("ask_features")
    if "ask_features" in acts:
        acts.discard("ask_needs")
    if asks:
        acts.add("question")
    if ("deal" in words or "done" in words) and _DEAL.match(text):
        acts.add("agree")
    if "deal" in words and _DEAL_LAST.search(text):
        acts.add("agree")
    if "agree" in acts and (
        _NO_DEAL.search(text) or "marker" in acts or "if you" in text or ("?" in text and "shake" not in words)
    ):
        acts.discard("agree")
    if "no pressure" in text:
        acts.discard("pressure")
    if "bye" in words:
        acts.add("farewell")
    return frozenset(acts)


def named(reading: Reading, stock: Sequence[Car], focus: int, talked: Sequence[int]) -> list[tuple[int, int]]:
    """(position, index in stock) of the cars a line names, in order; "it" and "this one" are left to the focus.

    A type alone ("the SUV") means the car under discussion if it is one, else one already talked about, else the only
    one in stock; otherwise it names none.
    """
    found: list[tuple[int, int]] = []
    for at, brand in reading.brands:
        found += [(at, i) for i, car in enumerate(stock) if car["brand"] == brand]
    for at, kind in reading.types:
        if any(abs(at - other) < 30 for other, _ in reading.brands):
            continue
        of_type = [i for i, car in enumerate(stock) if car["type"] == kind]
        known = [i for i in reversed(talked) if i in of_type]
        if focus in of_type:
            found.append((at, focus))
        elif known:
            found.append((at, known[0]))
        elif len(of_type) == 1:
            found.append((at, of_type[0]))
    if (
        not found
        and ("list" in reading.words or "number" in reading.words)
        and (place := _ON_LIST.search(reading.text))
    ):
        spot = next(value for value in place.groups() if value)
        index = _ORDINALS[spot] if spot in _ORDINALS else int(spot) - 1
        if index < len(stock):
            found.append((place.start(), index % len(stock)))
    if not found and not _SUPERLATIVES.keys().isdisjoint(reading.words):
        word = next(word for word in sorted(_SUPERLATIVES) if word in reading.words)
        if "expensive" not in _SUPERLATIVES[word] or "most expensive" in reading.text:
            last = _SUPERLATIVES[word] != "cheap"
            ranked = sorted(range(len(stock)), key=lambda i: stock[i]["msrp"])
            found.append((reading.text.find(word), ranked[-1 if last else 0]))
    found.sort()
    return found


_ORDINALS = {
    **{word: i for i, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"))},
    **{word: i for i, word in enumerate(("1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th", "11th", "12th", "13th"))},
    "last": -1,
}  # fmt: skip
_ON_LIST = re.compile(
    rf"\b({'|'.join(_ORDINALS)}) (?:one|car|vehicle|item|entry)?\s?(?:on|of|in|from) (?:the|my|our|this|your) list\b"
    r"|\b(?:car|vehicle|number|no\.?|item) (?:number |no\.? )?([1-9]|1[0-3])\b(?: (?:on|of|in|from) (?:the|my|our|this|your) list\b)"
)
"""The place of a car in the stock list: "the second one on the list", "number 3 on the list"."""

_SUPERLATIVES = {"cheapest": "cheap", "expensive": "expensive", "priciest": "dear", "dearest": "dear"}


def ambiguous_type(reading: Reading) -> str | None:
    """A type named without a brand ("the SUV")."""
    return reading.types[0][1] if reading.types and not reading.brands else None
