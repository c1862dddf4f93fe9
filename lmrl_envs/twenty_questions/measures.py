"""Comparisons: bigger than a breadbox, under 2 kg, fits in a suitcase. Words come in as the reader has them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from lmrl_envs.language.lists import sections, table, words
from lmrl_envs.language.numbers import NUMBERS, digits
from lmrl_envs.twenty_questions.lexicon import Lexicon
from lmrl_envs.twenty_questions.rules import Knowledge

MORE, LESS = ">=", "<="
_LISTS = sections(__file__, "measures.txt")


def _pairs(section: str) -> dict[str, tuple[str, str]]:
    """Word -> the two words of its key."""
    found = {}
    for key, values in table(_LISTS[section]).items():
        first, second = key.split()
        found |= dict.fromkeys(values, (first, second))
    return found


COMPARATIVES, ADJECTIVES = _pairs("comparatives"), _pairs("adjectives")
_VERBS = {verb: measure for measure, verbs in table(_LISTS["verbs"]).items() for verb in verbs}
_UNITS = {unit: (measure, float(size)) for unit, (measure, size) in _pairs("units").items()}
_SKIP = frozenset(words(_LISTS["skip"]))
_NUMBERS = {
    word: value
    for word, value in NUMBERS.items()
    if (0 < value < 13 and value != 11)
    or word in ("fifteen", "twenty", "thirty", "forty", "fifty", "hundred", "thousand", "million")
} | {"a": 1, "an": 1, "couple": 2, "few": 3}
_SPEEDS = frozenset(("hour", "h", "faster", "slower", "fast", "speed", "quicker"))
_UPRIGHT = frozenset(("tall", "taller", "high", "height"))
_MORE_WORDS = frozenset(["more", "over", "above", "exceed", "beyond", "greater", "least"])
_LESS_WORDS = frozenset(["less", "under", "below", "beneath", "within", "fewer", "most", "up"])
TRIGGERS = (
    frozenset(COMPARATIVES) | frozenset(_UNITS) - {"m", "g"} | {"than", "as", "fit", "fits", "size", "fitted", "$"}
)
_MONEY = re.compile(r"\$?\d+(?:[.,]\d+)*")


def read_quantity(lexicon: Lexicon, plain: Sequence[str]) -> int | None:
    """The objects meant by a comparison anywhere in the words; None when there is none that can be read."""
    if TRIGGERS.isdisjoint(plain) and "$" not in "".join(plain):
        return None
    if plain.count("than") == 2:
        first = plain.index("than")
        middle = next((i for i in range(first, len(plain)) if plain[i] in ("but", "and", "or")), None)
        if middle is not None:
            one, other = read_quantity(lexicon, plain[:middle]), read_quantity(lexicon, plain[middle:])
            if one is not None and other is not None:
                return _Found(one | other if plain[middle] == "or" else one & other)
    return (
        _amount(lexicon, plain) or _against_thing(lexicon, plain) or _same_size(lexicon, plain) or _fits(lexicon, plain)
    )


def read_year(knowledge: Knowledge, text: str) -> int | None:
    """The objects meant by a year: "invented after 1950", "around in 1800"."""
    match = _YEAR.search(text)
    if match is None:
        return None
    year = int(match[1])
    younger = knowledge.select("!old" if year <= 1860 else "modern" if year <= 1940 else _SINCE_1940)
    if re.search(r"\b(?:after|since|later than|past)\b", text):
        return younger
    return knowledge.everything & ~younger


_YEAR = re.compile(
    r"\b(1[0-9]\d\d|20[0-2]\d)(?:s|'s)?\b(?! (?:pounds?|kg|kilos?|dollars?|lbs?|meters?|feet|bucks|people|g|grams?)\b)"
)
_SINCE_1940 = (
    "laptop|smartphone|tablet|digital camera|game console|microwave oven|printer|calculator|whiteboard|blender&none"
)


class _Found(int):
    """A set of objects that counts as true even when it is empty."""

    def __bool__(self) -> bool:
        return True


def _amount(lexicon: Lexicon, plain: Sequence[str]) -> _Found | None:
    """A number with a unit: "over 100 dollars", "taller than 6 feet"."""
    for i, word in enumerate(plain):
        value, used = _number(plain, i)
        if value is None:
            continue
        rest = plain[i + used : i + used + 2]
        if word.startswith("$"):
            unit: tuple[str, float] | None = ("usd", 1)
        else:
            unit = _UNITS.get(rest[0]) if rest else None
        if unit is None or (
            word in _NUMBERS and rest and rest[0] == "foot" and "than" not in plain and "over" not in plain
        ):
            continue
        if unit[1] >= 100_000 and not _SPEEDS.isdisjoint(plain):
            unit = ("speed", unit[1] / 100_000)  # kilometres or miles an hour
        if unit[0] == "len" and not _UPRIGHT.isdisjoint(plain):
            unit = ("tall", unit[1])
        if "between" in plain[:i] and "and" in plain[i + used :]:
            continue  # the second number of "between one and two feet" has the unit
        if "between" in plain[:i] and "and" in plain[:i]:
            first = _number(plain, plain.index("between") + 1)[0]
            if first is not None:
                compare = lexicon.knowledge.compare
                return _Found(compare(unit[0], MORE, first * unit[1]) & compare(unit[0], LESS, value * unit[1]))
        sign = _direction(plain[:i], plain[i + used :])
        if sign is None:
            continue
        return _Found(lexicon.knowledge.compare(unit[0], sign, value * unit[1]))
    return None


def _number(plain: Sequence[str], i: int) -> tuple[float | None, int]:
    word = plain[i]
    if _MONEY.fullmatch(word):
        value, used = digits(word), 1
    elif word in _NUMBERS and i + 1 < len(plain):
        value, used = float(_NUMBERS[word]), 1
        if word in ("a", "an") and plain[i + 1] in _NUMBERS:
            value, used = float(_NUMBERS[plain[i + 1]]), 2
            if plain[i + 1] == "half":
                value = 0.5
    else:
        return None, 0
    if i + used < len(plain) and plain[i + used] in ("hundred", "thousand", "million"):
        value, used = value * _NUMBERS[plain[i + used]], used + 1
    if i + used < len(plain) and plain[i + used] in ("a", "of"):
        used += 1
    return value, used


def _direction(before: Sequence[str], after: Sequence[str]) -> str | None:
    for word in reversed(before[-6:]):
        if word in _MORE_WORDS or COMPARATIVES.get(word, ("", ""))[1] == MORE:
            return MORE
        if word in _LESS_WORDS or COMPARATIVES.get(word, ("", ""))[1] == LESS:
            return LESS
    if after and any(
        a == "or" and b in ("more", "heavier", "bigger", "longer", "taller") for a, b in itertools.pairwise(after)
    ):
        return MORE
    return (
        LESS if any(a == "or" and b in ("less", "lighter", "smaller") for a, b in itertools.pairwise(after)) else None
    )


def _against_thing(lexicon: Lexicon, plain: Sequence[str]) -> _Found | None:
    """A thing after "than": "bigger than a breadbox", "weigh more than a person"."""
    if "than" not in plain:
        return None
    at = plain.index("than")
    reference = find_reference(lexicon, plain[at + 1 :])
    if reference is None:
        return None
    measure, sign = "", ""
    for i in range(at - 1, -1, -1):
        word = plain[i]
        if word in COMPARATIVES:
            measure, sign = COMPARATIVES[word]
        elif word in ("more", "less") and not sign:
            found = ADJECTIVES.get(plain[i + 1]) if i + 1 < at else None
            sign = MORE if word == "more" else LESS
            if found:
                measure = found[0]
                if found[1] == LESS:
                    sign = LESS if sign == MORE else MORE
        elif sign and not measure and lexicon.lemma(word) in _VERBS:
            measure = _VERBS[lexicon.lemma(word)]
        if measure:
            break
    if not measure:
        return None
    limit = reference.get(measure)
    if limit is None:
        return _Found(0)
    # Strictly more: the thing itself is not bigger than itself.
    limit = limit * (1.0001 if sign == MORE else 0.9999)
    return _Found(lexicon.knowledge.compare(measure, sign, limit))


def _same_size(lexicon: Lexicon, plain: Sequence[str]) -> _Found | None:
    """ "as big as a car", "the size of a car"."""
    compare = lexicon.knowledge.compare
    for i in range(len(plain) - 2):
        if plain[i] == "as" and plain[i + 1] in ADJECTIVES and plain[i + 2] == "as":
            measure, sign = ADJECTIVES[plain[i + 1]]
            reference = find_reference(lexicon, plain[i + 3 :])
            limit = reference.get(measure) if reference else None
            if limit is not None:
                return _Found(compare(measure, sign, limit * (0.8 if sign == MORE else 1.25)))
        if (lexicon.lemma(plain[i]) == "weigh" and "same" in plain[i : i + 4]) or plain[i : i + 3] == [
            "as",
            "much",
            "as",
        ]:
            at = plain.index("as", i) + 1 if "same" in plain[i : i + 4] and "as" in plain[i:] else i + 3
            reference = find_reference(lexicon, plain[at:]) if {"weigh", "weighs", "weight"} & set(plain) else None
            limit = reference.get("kg") if reference else None
            if limit is not None:
                return _Found(compare("kg", MORE, limit * 0.5) & compare("kg", LESS, limit * 2))
        if plain[i] == "size" and plain[i + 1] in ("of", "as", "to"):
            reference = find_reference(lexicon, plain[i + 2 :])
            limit = reference.get("bulk") if reference else None
            if limit is not None:
                return _Found(compare("bulk", MORE, limit * 0.65) & compare("bulk", LESS, limit * 1.45))
    return None


def _fits(lexicon: Lexicon, plain: Sequence[str]) -> _Found | None:
    """ "fits in a suitcase"; the usual containers are in the lexicon already."""
    for i, word in enumerate(plain):
        if (
            word in ("fit", "fits", "fitted")
            and i + 2 < len(plain)
            and plain[i + 1] in ("in", "inside", "into", "on", "through", "within")
        ):
            key = " ".join(("fit", "in", *(lexicon.lemma(w) for w in plain[i + 2 :] if w not in _SKIP)))
            if key in lexicon.lookup:
                return _Found(lexicon.lookup[key]["any"])
            reference = find_reference(lexicon, plain[i + 2 :])
            if reference and reference["bulk"] and reference["len"]:
                compare = lexicon.knowledge.compare
                return _Found(
                    compare("bulk", LESS, reference["bulk"] * 0.9) & compare("fit", LESS, reference["len"] * 1.1)
                )
    return None


def find_reference(lexicon: Lexicon, after: Sequence[str]) -> dict[str, float | None] | None:
    """The first known thing among the words that follow, looked for within a few words."""
    lemmas = [lexicon.lemma(word) for word in after if word not in _SKIP][:8]
    for start in range(min(len(lemmas), 3)):
        for end in range(min(len(lemmas), start + 3), start, -1):
            found = lexicon.references.get(" ".join(lemmas[start:end]))
            if found is not None:
                return found
    return None
