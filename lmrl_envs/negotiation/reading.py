"""What an agent's turn means: formal acts to the letter, and talk through the reader of bargaining.

What is not understood is asked back, and changes nothing: a price is heard only where one was said, or follows from what was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from lmrl_envs.language.bargaining import Meaning, Standing, understand
from lmrl_envs.language.bargaining_line import Line, read
from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.numbers import SMALL, TENS
from lmrl_envs.language.phrases import Phrasebook
from lmrl_envs.language.prices import PAUSES, Amount, normalise
from lmrl_envs.negotiation.rules import LEAST_ASKED, MOST_ASKED, Act, Partner, State

_FORMAL = re.compile(
    r"offer\s*\$?\s*(?P<price>\d{1,3}(?:,\d{3})+|\d{1,9})(?P<cents>\.\d{1,2})?|(?P<word>accept|reject|quit)", re.ASCII
)
_TRIED = re.compile(r"offer\s*\S*")
"""A formal offer of something that is no price."""
_TOPICS = {title: frozenset(words(lines)) for title, lines in sections(__file__, "topics.txt").items() if title}
_LABELS = ("no price", "at list", "met", "claimed", "bundle", "sure", "farewell", "refuse", "vague", "told")
_SAYINGS = Phrasebook(
    sections(__file__, "sayings.txt"), _LABELS, (), PAUSES,
    before=PAUSES | {"and", "but", "so", "then", "okay", "well", "no"}, behind=PAUSES | {"and", "but", "so", "then"}, weights={},
)  # fmt: skip
_VAGUE, _PLAIN_WORDS = _TOPICS.pop("vague"), _TOPICS.pop("plain")


class Heard(NamedTuple):
    """A turn as it is heard."""

    act: Act
    topic: str = ""
    """What of the thing is asked about."""
    problem: str = ""
    """With an act ``unread``: what is asked back."""


def formal_act(text: str) -> Act | None:
    """The formal act that a text is, to the letter but for case, white space and a full stop; None for talk.

    An ``offer`` without a price is an attempt at one: of something that is no price.
    """
    line = text.strip().rstrip(".!").lower()
    if len(line) > 80:
        return None
    found = _FORMAL.fullmatch(line)
    if found is None:
        return Act("offer") if _TRIED.fullmatch(line) and line != "offer" else None
    if found["word"]:
        return Act(found["word"])
    return Act("offer", float(found["price"].replace(",", "") + (found["cents"] or "")))


def hear(text: str, state: State, partner: Partner, card: Mapping[str, Any]) -> Heard:
    """What talk means to a partner. Any string; never raises."""
    if _NO_TALK.search(text) or _written_by_others(text):
        return _unread("unread")
    text = _POINT.sub(r"0.\1", _TELEPHONE.sub(" ", text)) if _ODD_NUMBER.search(text) else text
    text = _in_digits(text, partner.listed)
    line = read(text)
    if _PORTION.search(text) and not line.has("mock"):
        line = read(_in_dollars(text, state, partner))
    if PAUSES.issuperset(line.tokens) or _has_formal_words(line):
        return _unread("unread")
    listed = partner.listed
    if any(amount.role in _OTHERWISE for amount in line.amounts):
        line = line._replace(amounts=tuple(_roles(line, state, partner, card["category"])))
    kept, problem = _prices(line, listed, _own_numbers(card["title"], card["spec"], card["age"]))
    said = (_said if len(line.tokens) <= 75 else _said.__wrapped__)(line.tokens)
    if problem or ("no price" in said and not (card["category"] == "housing" and "free" in line.tokens)):
        return _unread(problem or "which_price")
    if "bundle" in said:
        return Heard(Act("inform"))
    kept = _worst(line, kept, partner)
    if any(amount.bare for amount in line.amounts):
        line = line._replace(amounts=tuple(amount._replace(bare=False) for amount in line.amounts))
    standing = Standing(state.offer if state.offer is not None else state.mine, state.theirs, listed)
    if line.has("split") and "split" not in line.text and not _in_the_middle(line):
        line = line._replace(labels=line.labels - {"split"})
    names = _names(card["title"], card["category"])
    meaning = understand(line, standing, names, kept)
    if meaning.act == "discount" and partner.role == "seller":
        # Less than what the seller asks, not than what the buyer offered.
        meaning = understand(line, standing._replace(own=standing.other), names, kept)
    elif meaning.act == "offer" and partner.role == "seller" and any(line.amounts[i].role == "raise" for i in kept):
        # More than what the buyer offered, not than what the seller asks.
        more = understand(line, standing._replace(other=standing.own), names, kept)
        meaning = more if standing.own is not None else Meaning("unclear", almost=True)
    if meaning.act == "question":
        meaning = _priced_question(line, kept, standing) or meaning
    return _act(line, meaning, state, listed, said, standing)


@lru_cache(maxsize=4096)
def _said(tokens: tuple[str, ...]) -> frozenset[str]:
    return frozenset(phrase.label for phrase in _SAYINGS.find(tokens))


def _act(line: Line, meaning: Meaning, state: State, listed: float, said: frozenset[str], standing: Standing) -> Heard:
    """The act that a meaning is in this game."""
    price = meaning.price
    if price is None and meaning.act != "accept" and "met" in said and _meets(line, standing):
        price = standing.other
    if meaning.act == "accept":
        weak = {"yes", "deal", "agreed", "take", "sold", "done"}.isdisjoint(line.tokens)
        if said & {"claimed", "sure"} or (
            weak and any(a.role == "ask" and a.value < LEAST_ASKED * listed for a in line.amounts)
        ):
            return Heard(Act("inform"))
        return Heard(Act("agree"))
    if price is not None:
        if not LEAST_ASKED * listed <= price <= MOST_ASKED * listed:
            return _unread("odd_price")
        return Heard(Act("insist" if price == state.theirs else "propose", round(price, 2)), _topic(line))
    if "at list" in said and not line.amounts and not (line.denials and meaning.act == "refuse"):
        return Heard(Act("insist" if listed == state.theirs else "propose", listed))
    for name in ("farewell", "refuse", "vague"):
        if name in said and not any(amount.role == "ask" for amount in line.amounts if not amount.bare):
            return Heard(Act(name))
    if line.has("split") and meaning.act != "refuse":
        return _unread("which_price")
    if meaning.act == "unclear":
        if not meaning.almost and not line.amounts and not _PLAIN_WORDS.isdisjoint(line.tokens):
            return Heard(Act("inform"))  # a statement about something else: taken note of
        return _unread("which_price" if meaning.almost else "unread")
    if meaning.act in ("offer", "discount", "close"):
        return _unread("which_price")
    asked = line.question and (line.tokens[0] in _ASKING or not (line.has("no", "mock") or line.denials))
    if meaning.act == "question" or asked:
        topic = _topic(line)
        if not _VAGUE.isdisjoint(line.tokens) and topic in ("", "handover") and "pick" not in line.tokens:
            return Heard(Act("vague"))
        return Heard(Act("ask"), topic or "other")
    if meaning.act == "refuse" and _NOES.isdisjoint(line.tokens) and ("told" in said or _is_told(line, standing)):
        return Heard(Act("inform"))
    if meaning.act in ("refuse", "greet"):
        return Heard(Act(meaning.act))
    if not any(token.isalpha() for token in line.tokens):
        return _unread("unread")  # numbers alone, none of them a price
    return Heard(Act("inform"))


def _unread(problem: str) -> Heard:
    return Heard(Act("unread"), problem=problem)


def _meets(line: Line, standing: Standing) -> bool:
    """Whether the only price of a line is the other side's, and nobody says no to it."""
    values = {amount.value for amount in line.amounts}
    return values == {standing.other} and not line.denials and not line.has("no", "mock")


_ASKING, _NOES = {"how", "which", "where", "when", "does"}, {"no", "not", "never", "cannot"}
_NO_TALK = re.compile(r"[{}<>\[\]|\\]|--|\d\s*[eE]\+?\d")
"""Markup, and numbers as machines write them: no talk, whatever stands in it."""
_TAGS = re.compile(r"(?i)\b(?:buyer|seller|system|user|assistant|partner|agent|human|developer|tool)\s*:")
_TELEPHONE = re.compile(
    r"\b\d{3}[-.]\d{4}\b|\b\d{3} 0\d{3}\b|\b\d{3}[-. ]\d{3}[-. ]\d{4}\b|\b0\d{2,4}[-. /]?\d{4,}\b", re.ASCII
)
_ODD_NUMBER = re.compile(r"(?<!\w)\.\d|\d{2}[-. /]?\d{4}|\d{3}[-.]\d{3}", re.ASCII)
"""Something that one of these may be."""
_OTHERWISE = frozenset(("rate", "number", "past", "denied", "list", "if"))
"""Roles that may be others in this game; "if" stands for what never was."""
_POINT = re.compile(r"(?<![\w.])\.(\d)")


_PORTION = re.compile(r"(?i) (?:of|less than|below|under) ")
_SHARE = re.compile(
    r"(?i)\b(?:(?P<percent>\d{1,2})(?: ?%| per ?cent)|(?P<part>half|two thirds|three quarters|three fourths|a third|four fifths))"
    r"(?P<less> (?:less than|below|under))?(?: of)? (?:the |my |your |that\b|this\b|it\b|what you(?:'re| are)? ask(?:ing)?(?: for)?\b|(?:what )?(?:i|i'm|i am) ask(?:ing)?(?: for)?\b)"
    r"(?:(?:full |asking |listed |list |original )*price\b|$|(?=[ .,!?]))"
)
_LIST = re.compile(r"(?i)\b(?:full|listed|list|original) price")
_PARTS = {
    "half": 1 / 2,
    "two thirds": 2 / 3,
    "three quarters": 3 / 4,
    "three fourths": 3 / 4,
    "a third": 1 / 3,
    "four fifths": 4 / 5,
}


_ONES, _TEENS = (
    "|".join(word for word, value in SMALL.items() if low <= value < high) for low, high in ((1, 10), (10, 20))
)
_TENS, _ELSE = "|".join(TENS), "hundred|thousand|grand|percent|per cent|%"
_CLOCK = re.compile(
    rf"(?i)\b(?P<at>at|around|about|before|after|until|till|by|from|past) (?:half )?(?P<hour>\d{{1,2}}|{_ONES}|ten|eleven|twelve)"
    rf"(?:[ -](?:fifteen|thirty|forty[- ]five))?(?: o'?clock)?\b(?![.,:-]?[\w%$]| (?:{_ELSE}|dollars?|bucks|less|more|off|under|below|{_TENS}|{_TEENS}))"
)
"""An hour as people say it: "coming round at six"."""
_COMING = re.compile(
    r"(?i)\b(?:com(?:e|es|ing)|meet|pick|collect|tonight|today|tomorrow|morning|afternoon|evening|round|over|free|there|here)\b"
)
_ELIDED = re.compile(
    rf"(?i)(?<![\w-])(?<!ty )(?<!ty-)(?:{_ONES})[ -](?:(?:{_TENS})(?:[ -](?:{_ONES}))?|{_TEENS})\b(?! (?:{_ELSE}))"
)
"""Hundreds as people say prices: "three eighty", "four ninety-five"."""
_NOTES = re.compile(r"(?i)\b(?:an? )?(tenner|fiver)\b")
_CUES = frozenset(f"at around about before after until till by from past {_ONES} {_TEENS}".replace("|", " ").split())


def _in_digits(text: str, listed: float) -> str:
    """Hours taken out of a text, and prices that are said in another way than any number put into digits."""
    small = text.lower()
    if _CUES.isdisjoint(small.replace("-", " ").split()) and "tenner" not in small and "fiver" not in small:
        return text

    def hour(found: re.Match[str]) -> str:
        value = SMALL.get(found["hour"].lower()) or int(found["hour"])
        sure = _COMING.search(text) or (value < listed / 5 and found["at"].lower() not in ("by", "from", "about"))
        return f"{found['at']} {value} pm" if 1 <= value <= 12 and sure and value < listed / 2 else found[0]

    def price(found: re.Match[str]) -> str:
        words = [SMALL.get(word, TENS.get(word, 0)) for word in found[0].lower().replace("-", " ").split()]
        value = 100 * words[0] + sum(words[1:])
        return f"${value}" if LEAST_ASKED * listed <= value <= MOST_ASKED * listed else found[0]

    text = _NOTES.sub(lambda found: "$10" if found[1].lower() == "tenner" else "$5", text)
    return _ELIDED.sub(price, _CLOCK.sub(hour, text))


def _in_dollars(text: str, state: State, partner: Partner) -> str:
    """Shares of a price as amounts: of the listed price if that is named or nothing is said yet, else of what a seller asks."""
    asked = state.mine if partner.role == "seller" else None
    base = partner.listed if asked is None else asked

    def amount(found: re.Match[str]) -> str:
        share = float(found["percent"]) / 100 if found["percent"] else _PARTS[found["part"].lower()]
        whole = partner.listed if _LIST.search(found[0]) else base
        return f"${(1 - share if found['less'] else share) * whole:.0f}"

    return _SHARE.sub(amount, text)


def _written_by_others(text: str) -> bool:
    """Whether a line has words put into somebody's mouth: "Buyer: deal"."""
    return ":" in text and _TAGS.search(text) is not None


_ACT_WORDS = re.compile(r"\boffer\s*\W*\d|\b(?:accept|reject|quit)\b")


def _has_formal_words(line: Line) -> bool:
    """Whether two formal acts stand in a line: that does nothing."""
    found = _ACT_WORDS.findall(line.text)
    only = {"accept", "reject", "quit", "offer", "and", "or", "then", *PAUSES}.issuperset(line.tokens)
    return len(found) > 1 and (only or any(act.startswith("offer") for act in found))


def _in_the_middle(line: Line) -> bool:
    """Whether what was read as half way is said, and is not two numbers beside one another that are no halves."""
    split = [phrase for phrase in line.phrases if phrase.label == "split"]
    numbers = {amount.at: amount.value for amount in line.amounts}
    return any({50.0}.issuperset(numbers.get(at, 50.0) for at in range(p.start, p.end)) for p in split)


def _is_told(line: Line, standing: Standing) -> bool:
    """Whether a line tells of other prices and of nothing that was offered."""
    told = {"past", "others", "extra", "rate", "number", "if"}
    return bool(line.amounts) and all(a.role in told and a.value != standing.other for a in line.amounts)


def _priced_question(line: Line, kept: list[int], standing: Standing) -> Meaning | None:
    """ "Could you come up to 390?" is a price, "Is 300 your best?" is none."""
    asks = [line.amounts[i].value for i in kept if line.amounts[i].role == "ask"]
    asks = [value for value in asks if value != standing.other]
    if line.tokens[:1] == ("how",) and line.tokens[1:2] not in (("about",), ("does",), ("would",), ("is",)):
        return None  # "How many miles, 300?"
    if asks or standing.other is None:
        return Meaning("offer", asks[-1]) if asks else None
    by = [(line.amounts[i].role, line.amounts[i].value) for i in kept]
    changes = [-value if role == "off" else value for role, value in by if role in ("off", "raise")]
    return Meaning("offer", standing.other + changes[0]) if len(changes) == 1 else None  # "Can you come down 50?"


def _roles(line: Line, state: State, partner: Partner, category: str) -> list[Amount]:
    """The amounts with their roles in this game."""
    amounts, tokens = list(line.amounts), line.tokens
    unreal = "if" in tokens and "had" in tokens
    for i, amount in enumerate(amounts):
        before = tokens[max(0, amount.at - 4) : amount.at]
        role = amount.role
        if (
            category == "housing"
            and _EARNING.isdisjoint(before)
            and (role == "rate" or tokens[amount.at + 1 : amount.at + 2] == ("month",))
        ):
            role = "ask"  # the rent of a month is the price
        elif role == "past" and amount.value == state.theirs and "said" in before:
            role = "ask"
        elif role == "denied" and partner.role == "seller" and _at_most(tokens, amount.at):
            role = "ask"  # "I can't pay more than 330."
        elif role == "list" and before[-1:] == ("from",) and i + 1 < len(amounts):
            # "From 420 down to 400" goes to the second, "from 380 to 410" is a range.
            ranged = {"to", "up", "down"}.issuperset(tokens[amount.at + 1 : amounts[i + 1].at])
            if ranged:
                amounts[i + 1] = amounts[i + 1]._replace(role="ask")
                role = "past" if amount.value in (state.theirs, partner.listed) else "ask"
        elif unreal and role == "if":
            role = "past"
        amounts[i] = amount._replace(role=role)
    return amounts


_EARNING = frozenset({"earn", "earns", "make", "makes", "income", "salary"})


def _at_most(tokens: tuple[str, ...], at: int) -> bool:
    near = tokens[max(0, at - 6) : at]
    return "not" in near and (near[-2:] in (("more", "than"), ("higher", "than")) or near[-1:] in (("above",), ("over",), ("beyond",)))  # fmt: skip


def _prices(line: Line, listed: float, numbers: frozenset[float]) -> tuple[list[int], str]:
    """Indices of the amounts that are prices; what is asked back where one cannot be."""
    kept = []
    for i, amount in enumerate(line.amounts):
        if amount.role == "number":
            continue
        if amount.role in ("percent", "off", "raise"):
            kept.append(i)
            continue
        fits = LEAST_ASKED * listed <= amount.value <= MOST_ASKED * listed
        if amount.bare and (
            amount.value in numbers or not fits or (_is_year(amount.value) and any(map(_is_year, numbers)))
        ):
            continue
        if amount.role == "ask" and not fits:
            return [], "odd_price"
        kept.append(i)
    return kept, ""


def _worst(line: Line, kept: list[int], partner: Partner) -> list[int]:
    """Of a range ("between 300 and 350", "300 or 350") the end that is worse for who says it."""
    asks = [i for i in kept if line.amounts[i].role == "ask"]
    if len(asks) < 2:
        return kept
    a, b = asks[-2:]
    between = set(line.tokens[line.amounts[a].at + 1 : line.amounts[b].at])
    if not between <= {"and", "or", "to"}:
        return kept
    worse = min if partner.role == "buyer" else max
    drop = b if worse(line.amounts[a].value, line.amounts[b].value) == line.amounts[a].value else a
    return [i for i in kept if i != drop]


def _is_year(value: float) -> bool:
    return 1980 <= value <= 2030 and value % 50 != 0


@cache
def _own_numbers(title: str, spec: str, age: int) -> frozenset[float]:
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", f"{title} {spec}")
    return frozenset([float(age), *(float(number.replace(",", "")) for number in found)])


@cache
def _names(title: str, category: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", normalise(f"{title} {category} thing item place")))


def _topic(line: Line) -> str:
    """What a question asks of the thing; a clause with an amount asks about the price."""
    asked = [set(line.tokens[start:end]) for start, end, asks in line.pieces if asks]
    asked = [tokens for tokens in asked if tokens.isdisjoint("$%#")]
    if not asked and line.question and not line.amounts:
        asked = [set(line.tokens)]
    if not asked:
        return ""
    scores = {topic: max(len(known & tokens) for tokens in asked) for topic, known in _TOPICS.items()}
    best = max(scores, key=lambda topic: scores[topic])
    return best if scores[best] else ""
