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
_HALF = re.compile(r"\bhalf[ -](?:the )?(?:price|off)\b|\bhalf of (?:the )?(?:msrp|list|sticker|price)")
_AT_LIST = re.compile(
    r"\b(?:at|for|pay|asking|want) (?:the |its |just |exactly )*(?:full )?(?:msrp|sticker|list|retail)(?: price)?\b"
    r"(?!\s*(?:of|is|,|:|price of)?\s*\$?\d)"
)

_GROUPED = re.compile(r"[, ']\d{3}")
_DOTTED = re.compile(r"\d{1,3}\.\d{3}")
_NOT_MONEY = re.compile(
    r"[\s-]*(?:(?:mi|miles?|km|kms|kilomet\w+|hp|bhp|horse\w*|rpm|lbs?|pounds?|cc|mpg|mph|watts?|cars?|vehicles?|people"
    r"|customers?|reviews?|stars?|years?|yrs?|months?|days?|hours?|weeks?|minutes?|mins?|doors?|seats?|airbags?"
    r"|inch(?:es)?|kg|owners?|th|st|nd|rd|model|others?|more|times|options?|features?|speakers?|speed|rows?|of|seater"
    r"|passengers?|kids|questions?|things?|reasons?|points?|am|pm|o'clock|toyota|honda|ford|chevrolet|chevy|nissan"
    r"|subaru|hyundai|kia|volkswagen|vw|bmw|audi|mercedes|volvo)\b|:\d)"
)
_RATE = re.compile(
    r"\s*(?:dollars |bucks )?(?:(?:a|per|each|every|an?)[\s-]*(?:month|week|year|day|mo\b)|/\s?(?:mo|month|wk|week|yr|year|day)"
    r"|monthly|weekly|in monthly|down\b(?! to)|deposit|trade|in fees|(?:per|a) gallon|apr\b|financing|interest|budget"
    r"|limit|warranty|voucher|worth of|gift|down payment|cash ?back|payments?\b|installments?)"
)
_LESS = re.compile(
    r"\s*(?:dollars |bucks )?(?:off\b|less\b(?!\s+(?:\$|\d|an? |another |about |five|six|seven|eight|nine|ten|twelve|fifteen|twenty))|cheaper|discount|rebate|lower\b|reduction|below|under|price cut)"
)
_OFF_LIST = re.compile(
    r"(?:dollars |bucks |discount )?(?:off|below|under|from|on)?(?: of)?(?: the| its)? ?(?:full )?(?:msrp|list|sticker|retail)"
)
_OF_LIST = re.compile(r"\s*(?:of|times|x) (?:the |its )?(?:full )?(?:msrp|list|sticker|retail)")
_ABOVE_COUNTER = re.compile(
    r"\s*(?:dollars |bucks )?(?:(?:more|higher|above|over|extra)(?: than)?|on top(?: of)?|plus) "
    r"(?:that\b|your (?:offer|price|number|bid)|(?:what )?you(?:'ve| have)? (?:just )?(?:said|say|offer\w*))"
)
_OVER = re.compile(r"\s*(?:over|above) (?:the )?(?:msrp|list|sticker|retail)")
_TOO_LOW = re.compile(
    r"\s*(?:dollars |bucks )?(?:is|was|'s|would be|seems|sounds|won't|will not|isn't)?\s*(?:(?:just|way|far|much|still|a bit|simply|not|really) )*"
    r"(?:too low|too little|too cheap|not enough|impossible|work|enough|doable|going to|doesn't|can't|out of the question|below|less than)"
)
_WOULD = re.compile(r"\b(?:would|does|could|will|do) (?:\w+ ){0,2}\$?$")
_CUT = re.compile(
    r"\b(?:(?:knock|tak|took|cut|dropp?|shav|slash|lower|reduc|discount|sav|deduct|chop)(?:e|ed|ing|s)?|minus|(?:come|go) down|less|rebate)"
    r"(?: (?:you|it|off|another|an?|the|price|further|about|around|of|by|me|down|that|up|to save|extra|full|even))*\s*$"
)
_LIST = re.compile(
    r"\b(?:msrp|list(?:ed|s)?|sticker|retails?|normally|usually|originally|regular(?:ly)?|was|were|instead of|worth|valued?"
    r"|down from|from|rather than)\b(?P<rest>[^.!?;\d]{0,28})$"
)
_QUOTE = re.compile(
    r"\b(?:your (?:budget|offer|limit|max\w*|price|number)|you(?:'ve| have)? (?:said|say|offer\w*|mentioned|told|wanted?|asked|have)"
    r"|budget|i paid|we paid|costs? (?:us|me)|invoice|loan|owe|insurance|repair\w*|tax\w*|fees?|warranty|deposit"
    r"|down ?payment|trade[- ]?in|part[- ]exchange|(?:old|current|present) (?:car|one|ride)|resale|sold (?:one|another|it|a|the)|customers?|buyers?|someone|somebody|people|guy"
    r"|woman|couple|dealer\w*|competitor\w*|else|payments?|installments?|rate|odometer|mileage|voucher|worth)\b(?P<rest>[^.!?;\d]{0,40})$"
)
_NEVER = re.compile(
    r"(?<!why )\b(?:can'?t|cannot|can not|won'?t|will not|not|never|no way|couldn'?t|impossible|don'?t|unable)\b"
    r"(?P<rest>[^.!?;,\d]{0,35})$"
)
_AT_LEAST = re.compile(
    r"\b(?:below|under|(?:lower|less|more|cheaper|further|higher) than|beneath|beyond|over|past|higher|lower)\s*(?:the )?$"
)
_RESET = re.compile(
    r"\b(?:but|now|for you|i'?ll|i can|i could|offer you|so|how about|what about|only|just|yours|it'?s|at(?! most)|i'd|let'?s)\b|,|:|\bto\s+(?:only |just )?$"
)
_LIST_RESET = re.compile(
    r"\b(?:but|now|for you|i'?ll|i can|i could|offer you|so|how about|what about|yours|i'd|let'?s)\b|,\s*\w|\bto\s+(?:only |just )?$"
)
_ASK = re.compile(
    r"(?:\b(?:how about|what about|make it|call it|for|at|do|offer|go|take|pay|price is|price of|price|how does|does|would|settle|meet|say|it's"
    r"|it is|let's do|down to|to|asking|want|deal at|ask|be|and|is|but|ok|okay|alright|fine|then|well)\b|^|[:,])(?: (?:you|me|for|at|on|it|just|only|around|about|an?|even|flat|straight|clean"
    r"|say|maybe|exactly|roughly|in the middle at|round|down to|something like|my|is|with|to|the|cool|nice|price|drive)\b)*\s*$"
)
_BARE_END = re.compile(
    r"\s*(?:$|ok\b|okay\b|[.,!?;)]|even\b|flat\b|and (?!a half)|if\b|for (?:it|the|this|that|you|a)\b|but\b|today|then\b|total|out[- ]the|or\b|firm|max\b|cash"
    r"|plus\b|right\b|deal\b|as\b|now\b|all\b|instead|is\b|so\b|sound|work|with\b|on the|it\b|even)"
)


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
        found += [Price("percent", 50.0, m.start(), "list") for m in _HALF.finditer(text)]
    if "msrp" in text or "list" in text or "sticker" in text or "retail" in text:
        found += [Price("percent", 0.0, m.start(), "list") for m in _AT_LIST.finditer(text)]
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
    elif 0 < value < 1 and not (money or percent) and _OF_LIST.match(text[match.end() : match.end() + 40]):
        return Price("percent", round(100 * (1 - value), 6), start, "list")  # "0.8 of MSRP"
    if percent:
        return _percent(text, start, match.end(), value, cues)
    if left.endswith("-") and (len(left) < 2 or not left[-2].isalnum()) and not left[:-1].rstrip()[-1:].isdigit():
        return Price("none", -value, start)
    clear = money or bool(unit) or grouped
    if not clear:
        if 1950 <= value <= 2039 and value == int(value) and len(number) == 4:
            off = _LESS.match(text[match.end() : match.end() + 20]) or _CUT.search(_clause(text, start))
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
    if _OF_LIST.match(right):
        return Price("percent", 100.0 - value, start, "list")
    if not (_LESS.match(right) or _CUT.search(left) or re.search(r"discount(?: of)?\s*$", left)):
        return None
    return Price("percent", value, start, "list" if _OFF_LIST.search(right) else "")


def _bare(text: str, start: int, end: int, value: float, cues: _Cues) -> Price | None:
    """A number like 25 means 25,000 where a price is expected."""
    right = text[end : end + 24]
    if 100 <= value < 1000 and _CUT.search(_clause(text, start)) and not _NOT_MONEY.match(right):
        return Price("off", value, start)
    if not 5 <= value <= 200 or _NOT_MONEY.match(right) or _RATE.match(right) or not _BARE_END.match(right):
        return None
    left = _clause(text, start)
    if not _ASK.search(left):
        return None
    return _classify(text, start, end, value * 1000, False, cues)


def _clause(text: str, start: int) -> str:
    """Up to 60 characters to the left, of the same sentence."""
    left = text[max(0, start - 60) : start]
    cut = max(left.rfind("!"), left.rfind("?"), left.rfind(";"), left.rfind(". "), left.rfind("\n"))
    return left[cut + 1 :]


def _classify(text: str, start: int, end: int, value: float, money: bool, cues: _Cues) -> Price | None:
    left, right = _clause(text, start), text[end : end + 40]
    if value >= 50 and _ABOVE_COUNTER.match(right):
        return Price("off", -value, start, "counter")
    if not money and _NOT_MONEY.match(right):
        return None
    if _RATE.match(right):
        return Price("none", value, start)
    if _LESS.match(right):
        return Price("off", value, start, "list" if _OFF_LIST.search(right) else "")
    if _OVER.match(right):
        return Price("off", -value, start, "list")
    if cues.cut and _CUT.search(left):
        return Price("off", value, start, "list" if _OFF_LIST.search(right) else "")
    if cues.least and _AT_LEAST.search(left):
        return Price("offer", value, start)
    contexts: tuple[tuple[re.Pattern[str], Kind, bool], ...] = (
        (_QUOTE, "none", True),
        (_LIST, "list", cues.listed),
        (_NEVER, "none", cues.never),
    )
    for pattern, kind, possible in contexts:
        match = pattern.search(left) if possible else None
        reset = _LIST_RESET if kind == "list" else _RESET
        if match and not reset.search(match["rest"]):
            return Price(kind, value, start)
    if _TOO_LOW.match(right) and not _WOULD.search(left):  # "Would 80 work for you?" asks for it
        return Price("none", value, start)
    return Price("offer", value, start)
