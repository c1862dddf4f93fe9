"""What an agent's turn means: formal acts to the letter, and talk through the reader of bargaining.

What is not understood is asked back, and changes nothing: a price is heard only where one was said, or follows from what was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from lmrl_envs.language.bargaining import Line, Standing, pieces, read, understand
from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.prices import normalise
from lmrl_envs.negotiation.rules import LEAST_ASKED, MOST_ASKED, Act, Partner, State

_FORMAL = re.compile(
    r"offer\s*\$?\s*(?P<price>\d{1,3}(?:,\d{3})+|\d{1,9})(?P<cents>\.\d{1,2})?|(?P<word>accept|reject|quit)", re.ASCII
)
_TRIED = re.compile(r"offer\s*\S*")
"""A formal offer of something that is no price."""
_TOPICS = {title: frozenset(words(lines)) for title, lines in sections(__file__, "topics.txt").items() if title}
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
    if not text.strip():
        return _unread("unread")
    line = read(text)
    if _has_formal_words(line):
        return _unread("unread")
    listed = partner.listed
    kept, problem = _prices(line, listed, _own_numbers(card["title"], card["spec"], card["age"]))
    if problem:
        return _unread(problem)
    kept = _worst(line, kept, partner)
    line = line._replace(amounts=tuple(amount._replace(bare=False) for amount in line.amounts))
    standing = Standing(state.offer if state.offer is not None else state.mine, state.theirs, listed)
    meaning = understand(line, standing, _names(card["title"], card["category"]), kept)
    price = meaning.price
    if meaning.act == "accept":
        return Heard(Act("agree"))
    if price is not None:
        if not LEAST_ASKED * listed <= price <= MOST_ASKED * listed:
            return _unread("odd_price")
        return Heard(Act("insist" if price == state.theirs else "propose", round(price, 2)), _topic(line))
    if meaning.act == "unclear":
        if not meaning.almost and not line.amounts and not _PLAIN_WORDS.isdisjoint(line.tokens):
            return Heard(Act("inform"))  # a statement about something else: taken note of
        return _unread("which_price" if meaning.almost or line.has("split") else "unread")
    if meaning.act in ("offer", "discount", "close") or line.has("split"):
        return _unread("which_price")
    if meaning.act == "question":
        topic = _topic(line)
        if not _VAGUE.isdisjoint(line.tokens) and topic in ("", "handover") and "pick" not in line.tokens:
            return Heard(Act("vague"))
        return Heard(Act("ask"), topic or "other")
    if meaning.act in ("refuse", "greet"):
        return Heard(Act(meaning.act))
    return Heard(Act("inform"))


def _unread(problem: str) -> Heard:
    return Heard(Act("unread"), problem=problem)


_ACT_WORDS = re.compile(r"\boffer\s*\W*\d|\b(?:accept|reject|quit)\b")


def _has_formal_words(line: Line) -> bool:
    """Whether two formal acts stand in a line: that does nothing."""
    found = _ACT_WORDS.findall(line.text)
    return len(found) > 1 and any(act.startswith("offer") for act in found)


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
        if amount.bare and (amount.value in numbers or not fits):
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


@cache
def _own_numbers(title: str, spec: str, age: int) -> frozenset[float]:
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", f"{title} {spec}")
    return frozenset([float(age), *(float(number.replace(",", "")) for number in found)])


@cache
def _names(title: str, category: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", normalise(f"{title} {category} thing item place")))


def _topic(line: Line) -> str:
    """What a question asks of the thing; a clause with an amount asks about the price."""
    asked = [set(line.tokens[start:end]) for start, end, asks in pieces(line.tokens) if asks]
    asked = [tokens for tokens in asked if tokens.isdisjoint("$%#")]
    if not asked and line.question and not line.amounts:
        asked = [set(line.tokens)]
    scores = {topic: max((len(known & tokens) for tokens in asked), default=0) for topic, known in _TOPICS.items()}
    best = max(scores, key=lambda topic: scores[topic])
    return best if scores[best] else ""
