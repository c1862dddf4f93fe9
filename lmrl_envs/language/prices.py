"""Amounts of money in what people say while they bargain, and what each is for: `find_amounts`; the words themselves: `tokens_of`.

``27.5k``, ``$27,500``, ``27 500``, ``twenty-seven five``, ``10 % off``, ``a thousand more`` become tokens of one letter in the line
("$" money, "%" percent, "#" another number), so that phrases are written without numbers, and each amount has a role by what
stands around it (the data is in ``prices.txt``). What a whole line means is for `lmrl_envs.language.bargaining` to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from lmrl_envs.language.lists import sections, table
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.numbers import SCALES, SMALL, TENS, spoken_number
from lmrl_envs.language.text import QUOTES, plain

Role = Literal[
    "ask", "off", "percent", "raise", "list", "quoted", "past", "others", "if", "denied", "rate", "extra", "number"
]


Base = Literal["", "list", "other"]


class Amount(NamedTuple):
    """An amount in a line."""

    role: Role
    """ask: a price the speaker asks or offers. off, percent: so much less; raise: so much more than the other's price. list: the
    list price. quoted: the other's words. past, others, if: what was once asked, what third parties pay, what is only supposed.
    denied: refused. rate: by the month. extra: fees, trade-ins, gifts. number: no money at all, or thousands left out (`bare`)."""
    value: float
    """Dollars, or percent."""
    at: int
    """Index of its token."""
    base: Base = ""
    """For off and percent: off the list price if "list"; else off the last price of the speaker."""
    bare: bool = False
    """A number without a sign or a scale ("25"), which means thousands where that is near what is talked about."""


_DATA = sections(__file__, "prices.txt")
_SIGNS = {**QUOTES, **str.maketrans({**dict.fromkeys("–—−‐", "-"), **dict.fromkeys("\u00a0\u202f\u2009", " ")})}
_UNITS = {"k": 1e3, "grand": 1e3, "thousand": 1e3, "thou": 1e3, "g": 1e3, "hundred": 1e2, "m": 1e6, "million": 1e6,
          "big ones": 1e3, "large": 1e3}  # fmt: skip
_NUMBER = re.compile(
    r"(?=[-$€£u\d])(?P<minus>(?<!\S)-\s?)?(?P<sign>(?:\bus)?[$€£]\s?-?|\busd\s?)?"
    r"(?:(?<=[$€£-])|(?<=[$€£]\s)|(?<=usd)|(?<=usd\s)|(?<![\w.,]))(?P<number>\d{1,3}(?:[, ']\d{3})+(?:\.\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?(?:e\+?\d{1,3})?)"
    r"(?:[\s-]?(?P<unit>k|grand|thousand|thou|g|hundred|million|m|big ones|large)\b)?"
    r"(?P<dollars>\s?(?:dollars?|bucks|usd|\$|€|euros?)(?!\w))?(?P<percent>\s?%|[\s-]?per\s?cent\b)?(?P<rest>\w*)",
    re.ASCII,
)
_AS_WORDS = re.compile(
    r"(?<=[a-z] )(?:4(?= (?:me|u|us|you|that|it)\b)|2(?= (?:low|much|little|high|cheap)\b))|^2(?= (?:low|much|little|cheap)\b)"
)
"""works 4 me, 2 low."""
_HALVES = re.compile(r"(?<![\d.,])(\d{1,3}) (?:and|an|n|&) (?:a )?half\b")
"""28 and a half (thousand)."""
_MISTYPED = {typed: meant[0] for typed, meant in table(_DATA["number words"]).items()}
_WRITTEN = re.compile(rf"\b(?:{'|'.join(_MISTYPED)})\b|\b(?:{'|'.join(TENS)})(?=(?:{'|'.join(list(SMALL)[1:10])})\b)")
"""fourty, fortyfour."""
_AND_REST = re.compile(
    r"(?<![\d.,])(\d{1,3})[ -](?:thousand|grand),? (?:and )?(\d{3})(?=(?: dollars| bucks)?\s*(?:[.,!?;]|$))"
)
"""31 thousand, 250."""
_LETTERS, _DIGIT = re.compile("[a-z]+"), re.compile(r"\d")
_PLUS = re.compile(r"(?<!e)\+")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_A_FEW = re.compile(r"\b(?:a )?(?:(few|several)|couple(?: of)?)(?: more)? (?=(?:hundred|thousand|grand)\b)(?(1)\w+)")
"""A few hundred: no amount; a couple of thousand: two."""
_VERY_WELL = re.compile(r"(?<![a-z])(?<![a-z] )very well(?= ?[.,!;]|$)")
_EVEN = re.compile(r"\b(?:50[ -/]{1,3}50|fifty[ -/]{1,3}fifty)\b")
_MIXED = re.compile(rf"(?<![\d.,])(\d{{1,3}})[ -](?:thousand|grand|k) (?:and )?({'|'.join(SMALL)}|[1-9]) hundred\b")
"""26 thousand five hundred, 26 thousand 5 hundred."""
_RANGE = re.compile(
    r"(?<![\d.,])(\d{1,3}(?:\.\d)?)(?=(?: ?- ?| to | or | and )[$€£]?\d{1,3}(?:\.\d)? ?(?:k|grand|thousand)\b)"
)
"""26-27k: both are thousands."""
_ASIDE = re.compile(r"\(([^()]*)\)")
"""What is told in brackets is a clause of its own."""
_STAGED = re.compile(r"(?<!\S)\*([a-z][^*]*)\*(?!\*)")
"""*shakes your hand*: so is what is done."""
_WORD = "|".join([*SMALL, *TENS, *SCALES])
_WORDS = re.compile(
    rf"\b(?:(?:an?|half an?) (?=hundred|thousand|grand|k\b))?(?:{_WORD})\b"
    rf"(?:(?:(?<=thousand),)?[\s-]+(?:and )?(?:a half(?= (?:grand|thousand|k\b))|(?:{_WORD})\b))*"
    r"(?P<dollars>\s?(?:dollars?|bucks)\b)?(?P<percent>\s?%|[\s-]?per\s?cent\b)?(?P<big> big ones)?(?P<half> and a half(?! (?:grand|thousand|k\b)))?"
)
_NUMBER_WORDS = frozenset([*SMALL, *TENS, "hundred", "thousand", "grand", "million"]) - {"one", "zero"}
_FRACTION = re.compile(r"\bhalf[ -](?:the )?(?:price|off)\b|\bhalf (?:of )?(?:the )?(?:msrp|list|sticker|price)\b")
_SHORT = re.compile(r"\d\d[.,]\d")
"""$26.5: thousands, as without the sign."""
_GROUPED, _DOTTED = re.compile(r"[, ']\d{3}"), re.compile(r"\d{1,3}\.\d{3}")
_MEANT: dict[str, Sequence[str]] = {
    **dict.fromkeys(listed(_DATA["adverbs"]), ()),
    **{typed: meant[0].split() for typed, meant in table(_DATA["short"]).items()},
}
"""Words that stand for others, or for nothing."""
_JOINED = {joined: word for joined, (word,) in table(_DATA["joined"]).items()}
_MARKED = re.compile(r"[$%#][dw]|[^\W\d_]+(?:'[^\W\d_]+)*|[.,!?;:]")
_ENDINGS = (("n't", ("not",)), ("'ll", ("will",)), ("'d", ("would",)), ("'re", ("are",)), ("'ve", ("have",)), ("'m", ("am",)),
            ("'s", ("is",)))  # fmt: skip
PAUSES = frozenset(".,!?;:")


_MARK, _AS_MARKED = frozenset("$%#"), re.compile(r"[$%#](?=[dw])")
"""Signs that stand for amounts once these are found; what already looks so is taken out of what is said."""


class Found(NamedTuple):
    """What `find_amounts` reads in a text."""

    tokens: list[str]
    amounts: list[Amount]
    """In order; their roles are those of `role_of`."""


def normalise(text: str) -> str:
    """Lower case, plain digits, quotes, dashes and spaces."""
    return plain(text, signs=_SIGNS)


def find_amounts(text: str) -> Found:
    """Tokens and amounts of a normalised text, contractions written out. Linear time; never raises."""
    if not _MARK.isdisjoint(text):
        text = _AS_MARKED.sub(" ", text)
    if "50" in text or "fifty" in text:
        text = _EVEN.sub("halfway", text)
    if "ty" in text or not _MISTYPED.keys().isdisjoint(_LETTERS.findall(text)):  # "ty": all of `TENS` end so
        text = _WRITTEN.sub(lambda found: _MISTYPED.get(found[0], f"{found[0]}-"), text)
    if "(" in text:
        text = _ASIDE.sub(r", \1 ,", text)
    if "*" in text:
        text = _STAGED.sub(r", \1 ,", text)
    if "very well" in text:
        text = _VERY_WELL.sub("certainly", text)
    if "few" in text or "several" in text or "couple" in text:
        text = _A_FEW.sub(lambda found: "some" if found[1] else "two ", text)
    if "+" in text:
        text = _PLUS.sub(" plus ", text)
    values: list[tuple[str, float, bool]] = []
    if _DIGIT.search(text) is not None:
        text = _AS_WORDS.sub(lambda found: "for" if found[0] == "4" else "too", text)
        text = _AND_REST.sub(r"\1,\2", _HALVES.sub(r"\1.5", text))
        if "hundred" in text:
            text = _MIXED.sub(
                lambda found: str(int(found[1]) * 1000 + (SMALL.get(found[2]) or int(found[2])) * 100), text
            )
        if "-" in text or " to " in text or " or " in text or " and " in text:
            text = _RANGE.sub(r"\1k", text)
        text = _NUMBER.sub(lambda found: _digits(found, values), text)
    if not _NUMBER_WORDS.isdisjoint(_LETTERS.findall(text)):
        # Numbers in words stand between those in digits: each token takes the next value of its own list.
        spoken: list[tuple[str, float, bool]] = []
        text = _WORDS.sub(lambda found: _spoken(found, spoken), text)
    else:
        spoken = []
    if "half" in text:
        text = _FRACTION.sub(lambda found: _marked(spoken, "%", 50.0, False, "w") + " off list", text)
    tokens: list[str] = []
    found: list[tuple[str, float, bool, int]] = []
    marks = iter(values), iter(spoken)
    for token in _MARKED.findall(text):
        if token[0] in "$%#":
            kind, value, bare = next(marks[token[1] == "w"])
            found.append((kind, value, bare, len(tokens)))
            tokens.append(kind)
        else:
            tokens += _written_out(token)
    return Found(tokens, [role_of(kind, value, bare, at, tokens) for kind, value, bare, at in found])


def _marked(values: list[tuple[str, float, bool]], kind: str, value: float, bare: bool, source: str) -> str:
    values.append((kind, value, bare))
    return f" {kind}{source} "


def _digits(found: re.Match[str], values: list[tuple[str, float, bool]]) -> str:
    number, unit = found["number"], found["unit"]
    if found["rest"] or (number[0] == "0" and len(number) > 1 and number.isdigit()):
        return f" {_JOINED.get(found[0].strip(), ';')} "  # part of a word ("5th", "i3"), of a telephone number ("0134")
    short = found["sign"] and not unit and _SHORT.fullmatch(number)
    money = bool((found["sign"] and not short) or found["dollars"])
    grouped = _GROUPED.search(number) is not None
    if grouped:
        value = float(re.sub("[, ']", "", number))
    elif not unit and _DOTTED.fullmatch(number):
        value, grouped = float(number.replace(".", "")), True
    else:
        value = float(number.replace(",", "."))
    if not math.isfinite(value):
        return " ; "
    if unit:
        value *= _UNITS[unit]
    if found["percent"]:
        return _marked(values, "%", value, False, "d")
    if found["minus"] or (found["sign"] or "").endswith("-"):
        return " ; "  # nobody pays less than nothing
    clear = money or bool(unit) or grouped
    year = 1950 <= value <= 2039 and value == int(value) and len(number) == 4
    if clear or (value >= 1000 and not year):
        return _marked(values, "$", value, False, "d")
    return _marked(values, "#", value, True, "d")


def _spoken(found: re.Match[str], values: list[tuple[str, float, bool]]) -> str:
    tail = sum(len(found[name] or "") for name in ("dollars", "percent", "big", "half"))
    words = found[0][: len(found[0]) - tail]
    read = spoken_number(words) or _two_digits(words)
    if read is None:
        return " ; "
    value, scaled = read
    if found["percent"]:
        return _marked(values, "%", value, False, "w")
    if found["half"] and not scaled:
        value += 0.5
    if found["big"]:
        value, scaled = value * 1000, True
    if not scaled and not found["dollars"]:
        return _marked(values, "#", value, True, "w") if value >= 5 else found[0]
    return _marked(values, "$", value, False, "w")


def _two_digits(words: str) -> tuple[float, bool] | None:
    """ "nine two": 9,200."""
    parts = words.replace("-", " ").split()
    if len(parts) == 2 and all(part in SMALL and 0 < SMALL[part] < 10 for part in parts):
        return SMALL[parts[0]] + SMALL[parts[1]] / 10, False
    return None


@lru_cache(maxsize=1 << 14)
def _written_out(token: str) -> Sequence[str]:
    """The words that a token stands for: contractions and what is short for others are written out."""
    meant = _MEANT.get(token)
    if meant is None and (typed := _STRETCHED.search(token)):
        meant = _MEANT.get(token.replace(typed[0], typed[1]))  # okkk
    if meant is not None:
        return meant
    if "'" not in token:
        return (token,)
    for ending, written in _ENDINGS:
        if token.endswith(ending):
            head = token[: -len(ending)]
            if head == "let" and ending == "'s":
                return ("let", "us")
            if ending == "n't":
                head = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}.get(head, head)
            return (head, *written)
    return (token.replace("'", ""),)


# -- what an amount is for

BREAKS = PAUSES | frozenset(listed(_DATA["breaks"]))
_PATTERN = {
    title: re.compile("".join(lines)) for title, lines in sections(__file__, "price_roles.txt").items() if title
}


_CONTEXTS: tuple[tuple[Role, tuple[str, str]], ...] = (
    ("extra", ("extra right", "")),
    ("ask", ("", "at least")),
    ("list", ("list right", "list")),
    ("denied", ("denied right", "denied")),
    ("quoted", ("", "quoted")),
    ("others", ("others right", "others")),
    ("if", ("", "if")),
    ("past", ("past right", "past")),
    ("extra", ("", "extra")),
)
"""Role -> the patterns to the right and to the left of an amount that give it; the first that is found counts."""
_TOLD: tuple[tuple[Role, str], ...] = (("past", "told"), ("past", "moved"), ("quoted", "quoted"), ("past", "past"))
"""Role -> the pattern to the left of a discount that is only told of: given before, or wished for by the other side."""
_BIT = {title: 1 << i for i, title in enumerate(_PATTERN)}
_LIKELY: dict[str, int] = {}
"""The first letters of a word -> the patterns (bits) in which a word begins so; the others need not be tried. What must not stand
beside a word (a negative look-around) is no word of a pattern."""
_MUST_NOT = re.compile(r"\\[a-z]|\(\?<?!(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
for _title, _pattern in _PATTERN.items():
    for _word in re.findall("[a-z]+|[$%]", _MUST_NOT.sub(" ", _pattern.pattern)):
        _LIKELY[_word[:3]] = _LIKELY.get(_word[:3], 0) | _BIT[_title]


def role_of(kind: str, value: float, bare: bool, at: int, tokens: Sequence[str]) -> Amount:
    """An amount with its role, by what stands beside it up to the next pause."""
    start = end = at
    while start and tokens[start - 1] not in BREAKS:
        start -= 1
    while end + 1 < len(tokens) and tokens[end + 1] not in BREAKS:
        end += 1
    if start and tokens[start - 1] not in PAUSES:
        start -= 1  # the word that breaks belongs to what it begins
    left, right = tuple(tokens[max(start, at - 25) : at]), tuple(tokens[at + 1 : min(end + 1, at + 12)])
    role, base, turned = _role(kind if kind != "#" or not 0 < value < 2 else "0.", left, right)
    if turned == "rest":  # "80 % of the list price", "0.8 of MSRP": so much is off
        return Amount(role, round(100.0 - (value if kind == "%" else 100 * value), 6), at, base, False)
    return Amount(role, -value if turned else value, at, base, bare and kind == "#")


def _tried(words: Sequence[str], anchored: bool) -> Callable[[str], bool | int]:
    """Whether a pattern is found at the beginning of some words, or up to their end."""
    likely = 0
    for word in words:
        likely |= _LIKELY.get(word[:3], 0)
    if not likely:
        return _never
    text = " ".join(words) + " "
    if anchored:
        return lambda title: likely & _BIT[title] and _PATTERN[title].match(text) is not None
    return lambda title: likely & _BIT[title] and _PATTERN[title].search(text) is not None


def _never(title: str) -> bool:
    return False


@lru_cache(maxsize=4096)
def _role(kind: str, left: tuple[str, ...], right: tuple[str, ...]) -> tuple[Role, Base, str]:
    """Role, what a discount is off, and whether the value is turned: "rest" into what is left of 100 %, "over" into its negative."""
    begins, ends = _tried(right, True), _tried(left, False)
    base: Base = "list" if ends("off list") or begins("of list") or begins("off the list") else ""
    denied = ends("denied") and not ends("at most")
    if kind in ("%", "0.") and not begins("rate"):
        if begins("of list"):
            return "percent", "list", "rest"
        if kind == "%" and (begins("less") or begins("discount") or ends("cut")):
            told: Role | None = next((role for role, behind in _TOLD if ends(behind)), None)
            if told is not None:
                return told, "", ""
            return "denied" if denied else "percent", base, ""
    if kind == "%":
        return "rate" if begins("rate") else "number", "", ""
    if (begins("unit") and (kind != "$" or not begins("money unit"))) or (kind == "#" and ends("numbered")):
        return "number", "", ""
    if begins("rate"):
        return "rate", "", ""
    if ends("base"):  # "15 % off the $40,000"
        return "list", "", ""
    if begins("over list"):
        return "off", "list", "over"
    if not base and begins("less") and ends("apart"):
        return "raise", "other", ""  # "You're $1,000 off."
    if begins("less") or ends("cut"):
        told = next((role for role, behind in _TOLD if ends(behind)), None)
        if told is not None:  # "I have already come down $1,500"
            return told, "", ""
        return ("denied", "", "") if denied else ("off", base, "")
    if (begins("more") and not ends("extra")) or (ends("add") and not begins("extra right")):
        return ("past", "", "") if ends("moved") else ("raise", "other", "")
    for role, (before, behind) in _CONTEXTS:
        if (before and begins(before)) or (behind and ends(behind)):
            return role, "", ""
    return "ask", "", ""
