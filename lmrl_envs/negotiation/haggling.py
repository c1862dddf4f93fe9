"""A talk as value methods and small models see it: prices as shares of the listed price, acts, texts with their price blanked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.negotiation.policies import Talk
from lmrl_envs.negotiation.reading import formal_act, hear
from lmrl_envs.negotiation.rules import Act, Hidden, Partner, Role, State
from lmrl_envs.negotiation.wording import act_of, amount, money
from lmrl_envs.surface import BLANK, Bargaining, Position, View

_LISTED = "Listed at $"
_MONEY = re.compile(r"\$\s?(\d{1,3}(?:,\d{3})+|\d+)(\.\d\d?)?(?![\d%])")
_NUMBER = re.compile(r"\$?\s?(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(\.\d\d?)?(?![\w%]|[.,]\d)")
_FORMAL = re.compile(r"^(\s*offer) (?=\d)", re.IGNORECASE)
_TITLE = re.compile(r"You are (?:selling|buying): (?P<title>[^\n]*?) \((?P<category>[a-z]+)")


def in_money(share: float, listed: float, role: str) -> float:
    """A share of the listed price in whole dollars, rounded towards the partner of an agent of this role."""
    exact = share * listed
    return float(math.floor(exact + 1e-6) if role == "seller" else math.ceil(exact - 1e-6))


class Haggling(Bargaining):
    """See `lmrl_envs.surface.Bargaining`."""

    acts = ("offer", "accept", "reject", "quit", "propose", "insist", "agree", "refuse", "vague", "farewell", "ask", "inform", "greet", "unread")  # fmt: skip
    answers = ("talk", "propose", "counter", "insist", "final", "offer", "agree", "wait", "refuse", "closed")

    def positions(self, transcript: Transcript) -> list[Position]:
        """One for each text of the environment."""
        talk = Talk(Transcript(transcript[:1]))
        other: Role = "buyer" if talk.role == "seller" else "seller"
        found: list[Position] = []
        named: tuple[float, ...] = ()
        own: float | None = None
        standing: float | None = None
        for k, said in enumerate(transcript.observations):
            heard, answer = 0, act_of(said, other)
            if k or answer.name == "offer":  # with which another agent may begin
                heard = self.answers.index(answer.name)
                share = None if answer.price is None else answer.price / talk.listed
                standing = share if answer.name in ("offer", "wait") else standing
                named = named if share is None else (*named, share)
            words = _blanked(said if k else said.rpartition("\n")[2])
            theirs = named[-1] if named else None
            position = Position(
                talk.role, talk.listed, k, own, theirs, standing, words, transcript[0].text, named, heard
            )
            found.append(position)
            if k < len(transcript.actions):
                price = self.read(transcript.actions[k], position)[1]
                own = own if price is None else price
        return found

    def read(self, action: str, position: Position) -> tuple[str, float | None, str]:
        """Act, price and blanked text."""
        act = formal_act(action) or _heard(action, position)
        if act.name == "offer" and act.price is None:
            act = Act("unread")
        if act.price is None:
            return act.name, None, action
        at = [m for m in _NUMBER.finditer(action) if amount(m[1] + (m[2] or "")) == act.price]
        text = f"{action[: at[-1].start()]}{BLANK}{action[at[-1].end() :]}" if at else action
        return act.name, act.price / position.listed, text

    def open_acts(self, position: Position) -> tuple[str, ...]:
        """A formal offer is taken or turned down."""
        return () if position.standing is None else ("accept", "reject")

    def fill(self, text: str, share: float, position: Position) -> str:
        """The text with a price in money."""
        return text.replace(BLANK, money(in_money(share, position.listed, position.role)))


@lru_cache(maxsize=64)
def _card(opening: str) -> Mapping[str, Any]:
    """What the first text of a talk tells of the thing, as a partner knows it."""
    found = _TITLE.search(opening)
    card = {"title": "", "category": "thing", "spec": opening.partition("\nListed")[0], "age": 0}
    return MappingProxyType(card | (found.groupdict() if found else {}))


def _heard(action: str, position: Position) -> Act:
    def dollars(share: float | None) -> float | None:
        return None if share is None else share * position.listed

    state = State(mine=dollars(position.theirs), theirs=dollars(position.own), offer=dollars(position.standing))
    other: Role = "buyer" if position.role == "seller" else "seller"
    return hear(action, state, Partner(Hidden("utility", 0.7, 10), position.listed, other), _card(position.opening)).act


def _blanked(text: str) -> str:
    return _MONEY.sub(BLANK, text)


# -- the view of small models: the thing is listed at $100, and nothing else is said of it


def _scaled(text: str, factor: float) -> str:
    return _MONEY.sub(lambda found: money(round(amount(found[1] + (found[2] or "")) * factor)), text)


def _texts(transcript: Transcript) -> list[str]:
    if not transcript:
        return []
    opening = transcript[0].text
    talk = Talk(Transcript(transcript[:1]))
    shown = f"You are {'selling' if talk.role == 'seller' else 'buying'}.\n{opening[opening.index(_LISTED) :]}"
    return [_scaled(text, 100 / talk.listed) for text in (shown, *(turn.text for turn in transcript[1:]))]


def _action(text: str, transcript: Transcript) -> str:
    talk = Talk(Transcript(transcript[:1]))

    def back(found: re.Match[str]) -> str:
        return money(in_money(amount(found[1]) / 100, talk.listed, talk.role))

    return _MONEY.sub(back, _FORMAL.sub(r"\1 $", text))


SHORT = View(_texts, _action)
"""Every amount with a dollar sign as a percentage of the listed price, which is $100, and no description: a small model need not learn
to divide, and reads half as much."""
