"""Reading prices in what a seller says: ``27.5k``, ``$27,500``, ``27 500``, ``twenty-seven five``, ``10 % off``, ...

`read_prices` finds every amount of money and says what it is for: an offer, a list price, a discount, or something
that is no price of a car (a monthly rate, a budget, what somebody else pays). Mileage, model years and horsepower are
left out. It expects lower-case text (see `normalise`).
"""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.numbers import SCALES, SMALL, TENS, spoken_number
from lmrl_envs.language.text import QUOTES, plain

Kind = Literal["offer", "list", "off", "percent", "none"]


class Price(NamedTuple):
    """An amount of money in a text."""

    kind: Kind
    """offer: the price asked; list: MSRP or former price; off, percent: a discount; none: money, but not the car's."""
    amount: float
    """Dollars, or percent."""
    at: int
    """Where it stands in the text."""
    base: Literal["", "list", "counter"] = ""
    """For discounts: off the list price if "list", off the buyer's own offer if "counter" (negative: so much more than
    it), else off the last price said."""


def normalise(text: str) -> str:
    """Lower case, plain digits, quotes, dashes and spaces."""
    return plain(text, signs=_SIGNS)


_SIGNS = {**QUOTES, **str.maketrans({**dict.fromkeys("–—−‐", "-"), **dict.fromkeys("\u00a0\u202f\u2009", " ")})}

_UNITS = {"k": 1000, "grand": 1000, "thousand": 1000, "thou": 1000, "g": 1000, "hundred": 100, "m": 1e6, "million": 1e6}

# It begins with a plain digit, so that scanning is fast; sign and currency are looked up to its left.
_DIGITS = re.compile(
    r"(?P<number>\d{1,3}(?:[, ']\d{3})+(?:\.\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?(?:e\+?\d{1,3})?)"
    r"(?:[\s-]?(?P<unit>k|grand|thousand|thou|g|hundred|million|m)\b)?"
    r"(?P<dollars>\s?(?:dollars?|bucks|usd|\$|€|euros?)(?!\w))?"
    r"(?P<percent>\s?%|[\s-]?per\s?cent\b)?",
    re.ASCII,
)
_WORD = "|".join([*SMALL, *TENS, *SCALES])
_WORDS = re.compile(
    rf"\b(?:(?:an?|half an?) (?=hundred|thousand|grand|k\b))?(?:{_WORD})\b"
    rf"(?:(?:(?<=thousand),)?[\s-]+(?:and )?(?:a half(?= (?:grand|thousand|k\b))|(?:{_WORD})\b))*"
    r"(?P<dollars>\s?(?:dollars?|bucks)\b)?(?P<percent>\s?%|[\s-]?per\s?cent\b)?"
)
_HAS_WORD = frozenset([*SMALL, *TENS, "hundred", "thousand", "grand", "million", "percent"]) - {
    "zero",
    "one",
    "two",
    "three",
    "four",
}
_TOKEN = re.compile(r"[a-z0-9']+")

_GROUPED = re.compile(r"[, ']\d{3}")
_DOTTED = re.compile(r"\d{1,3}\.\d{3}")
_PATTERNS = {title: re.compile("".join(lines)) for title, lines in sections(__file__, "price_patterns.txt").items()}
_VOCABULARY = sections(__file__, "vocabulary.txt")
_CUES = [frozenset(listed(_VOCABULARY[title])) for title in ("cut", "least", "listed", "never")]


class _Cues(NamedTuple):
    """Which sorts of context can be there at all, judged by the words of the text (so that most patterns need not run)."""

    cut: bool
    least: bool
    listed: bool
    never: bool


def _cues(words: frozenset[str]) -> _Cues:
    return _Cues(*(not words.isdisjoint(cue) for cue in _CUES))


def read_prices(text: str, words: frozenset[str] | None = None) -> list[Price]:
    """All amounts of money in a normalised text, in order. Runs in linear time; never raises.

    ``words`` are the words of the text, if the caller has them.
    """
    if words is None:
        words = frozenset(_TOKEN.findall(text))
    found: list[Price] = []
    cues: _Cues | None = None
    for match in _DIGITS.finditer(text):
        cues = cues or _cues(words)
        price = _from_digits(text, match, cues)
        if price is not None:
            found.append(price)
    if not _HAS_WORD.isdisjoint(words):
        cues = cues or _cues(words)
        for match in _WORDS.finditer(text):
            if (
                text[max(0, match.start() - 1) : match.start()].isdigit()
                or text[max(0, match.start() - 2) : match.start() - 1].isdigit()
            ):
                continue  # "27 thousand" was read with its digits
            price = _from_words(text, match, cues)
            if price is not None:
                found.append(price)
        found.sort(key=lambda price: price.at)
    if "half" in text:
        found += [Price("percent", 50.0, m.start(), "list") for m in _PATTERNS["half"].finditer(text)]
    if "msrp" in text or "list" in text or "sticker" in text or "retail" in text:
        found += [Price("percent", 0.0, m.start(), "list") for m in _PATTERNS["at list"].finditer(text)]
    return found


def _from_digits(text: str, match: re.Match[str], cues: _Cues) -> Price | None:
    number, unit, dollars, percent = match.groups()
    start = match.start()
    before = text[max(0, start - 8) : start]
    left = before.rstrip()
    if before and (before[-1].isalnum() or before[-1] in ".,") and before[-3:] != "usd" and not left.endswith("$"):
        return None  # part of a word or of a longer number
    money = bool(dollars)
    if left and (left[-1] in "$€£" or left.endswith("usd")):
        width = 3 if left[-1] == "d" or left.endswith("us$") else 1
        start -= len(before) - len(left) + width
        left, money = left[:-width].rstrip(), True
    grouped = _GROUPED.search(number) is not None
    if grouped:
        value = float(number.replace(",", "").replace(" ", "").replace("'", ""))
    elif not unit and _DOTTED.fullmatch(number):
        value, grouped = float(number.replace(".", "")), True
    else:
        value = float(number.replace(",", "."))
    if not math.isfinite(value):
        return None
    if unit:
        value *= _UNITS[unit]
    elif 0 < value < 1 and not (money or percent) and _PATTERNS["of list"].match(text[match.end() : match.end() + 40]):
        return Price("percent", round(100 * (1 - value), 6), start, "list")  # "0.8 of MSRP"
    if percent:
        return _percent(text, start, match.end(), value, cues)
    if left.endswith("-") and (len(left) < 2 or not left[-2].isalnum()) and not left[:-1].rstrip()[-1:].isdigit():
        return Price("none", -value, start)
    clear = money or bool(unit) or grouped
    if not clear:
        if 1950 <= value <= 2039 and value == int(value) and len(number) == 4:
            off = _PATTERNS["less"].match(text[match.end() : match.end() + 20]) or _PATTERNS["cut"].search(
                _clause(text, start)
            )
            return Price("off", value, start) if off else None  # else a model year
        if value < 1000:
            return _bare(text, start, match.end(), value, cues)
    return _classify(text, start, match.end(), value, money, cues)


def _from_words(text: str, match: re.Match[str], cues: _Cues) -> Price | None:
    words = text[match.start() : match.end() - len(match["dollars"] or "") - len(match["percent"] or "")]
    read = spoken_number(words)
    if read is None:
        return None
    value, scaled = read
    if match["percent"]:
        return _percent(text, match.start(), match.end(), value, cues)
    if not scaled and not match["dollars"]:
        return _bare(text, match.start(), match.end(), value, cues) if value >= 5 else None
    return _classify(text, match.start(), match.end(), value, bool(match["dollars"]), cues)


def _percent(text: str, start: int, end: int, value: float, cues: _Cues) -> Price | None:
    left, right = _clause(text, start), text[end : end + 40]
    if _PATTERNS["of list"].match(right):
        return Price("percent", 100.0 - value, start, "list")
    if not (
        _PATTERNS["less"].match(right) or _PATTERNS["cut"].search(left) or re.search(r"discount(?: of)?\s*$", left)
    ):
        return None
    return Price("percent", value, start, "list" if _PATTERNS["off list"].search(right) else "")


def _bare(text: str, start: int, end: int, value: float, cues: _Cues) -> Price | None:
    """A number like 25 means 25,000 where a price is expected."""
    right = text[end : end + 24]
    if (
        100 <= value < 1000
        and _PATTERNS["cut"].search(_clause(text, start))
        and not _PATTERNS["not money"].match(right)
    ):
        return Price("off", value, start)
    if (
        not 5 <= value <= 200
        or _PATTERNS["not money"].match(right)
        or _PATTERNS["rate"].match(right)
        or not _PATTERNS["bare end"].match(right)
    ):
        return None
    left = _clause(text, start)
    if not _PATTERNS["ask"].search(left):
        return None
    return _classify(text, start, end, value * 1000, False, cues)


def _clause(text: str, start: int) -> str:
    """Up to 60 characters to the left, of the same sentence."""
    left = text[max(0, start - 60) : start]
    cut = max(left.rfind("!"), left.rfind("?"), left.rfind(";"), left.rfind(". "), left.rfind("\n"))
    return left[cut + 1 :]


def _classify(text: str, start: int, end: int, value: float, money: bool, cues: _Cues) -> Price | None:
    left, right = _clause(text, start), text[end : end + 40]
    if value >= 50 and _PATTERNS["above counter"].match(right):
        return Price("off", -value, start, "counter")
    if not money and _PATTERNS["not money"].match(right):
        return None
    if _PATTERNS["rate"].match(right):
        return Price("none", value, start)
    if _PATTERNS["less"].match(right):
        return Price("off", value, start, "list" if _PATTERNS["off list"].search(right) else "")
    if _PATTERNS["over"].match(right):
        return Price("off", -value, start, "list")
    if cues.cut and _PATTERNS["cut"].search(left):
        return Price("off", value, start, "list" if _PATTERNS["off list"].search(right) else "")
    if cues.least and _PATTERNS["at least"].search(left):
        return Price("offer", value, start)
    contexts: tuple[tuple[re.Pattern[str], Kind, bool], ...] = (
        (_PATTERNS["quote"], "none", True),
        (_PATTERNS["list"], "list", cues.listed),
        (_PATTERNS["never"], "none", cues.never),
    )
    for pattern, kind, possible in contexts:
        match = pattern.search(left) if possible else None
        reset = _PATTERNS["list reset"] if kind == "list" else _PATTERNS["reset"]
        if match and not reset.search(match["rest"]):
            return Price(kind, value, start)
    if _PATTERNS["too low"].match(right) and not _PATTERNS["would"].search(
        left
    ):  # "Would 80 work for you?" asks for it
        return Price("none", value, start)
    return Price("offer", value, start)
