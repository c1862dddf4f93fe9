"""Players of either role, who see no more than an agent."""

from __future__ import annotations

import math
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.language.lists import sections
from lmrl_envs.negotiation.rules import MAX_TURNS, Act, Partner, Role, State, hidden_partners
from lmrl_envs.negotiation.wording import act_of, amount, money

_SPEAKERS = {title: tuple(lines) for title, lines in sections(__file__, "speakers.txt").items() if title}
_LISTED = re.compile(r"^Listed at \$([\d,]+(?:\.\d\d)?)\.", re.M)


class Talk:
    """A conversation as a player sees it: listed price, prices of both sides, the partner's standing offer."""

    def __init__(self, transcript: Transcript) -> None:
        opening = transcript[0].text
        self.role: Role = "seller" if opening.startswith("You are selling") else "buyer"
        found = _LISTED.search(opening)
        if found is None:
            raise ValueError(f"no listing in {opening[:80]!r}")
        self.listed = amount(found[1])
        other: Role = "buyer" if self.role == "seller" else "seller"
        self.answers = [act_of(text, other) for text in transcript.observations[1:]]
        self.turn = len(self.answers)
        # Another agent may begin with a formal offer (docs/negotiation.md, agent against agent).
        begun = [act for act in (act_of(opening, other),) if act.name == "offer"]
        said = [*begun, *self.answers][::-1]
        self.theirs = next((act.price for act in said if act.price is not None), None)
        self.offer = next((act.price for act in said if act.name in ("offer", "wait")), None)

    @property
    def last(self) -> Act:
        return self.answers[-1] if self.answers else Act("talk")

    @property
    def side(self) -> int:
        """1 for a player who wants prices high."""
        return 1 if self.role == "seller" else -1

    def share(self, price: float) -> float:
        """A price as a share of the listed price."""
        return price / self.listed


class _Speaker(ScriptedPolicy):
    """A player who words acts; arguments of the task (``role``, ``partner``, ``strict``, ...) are read from the talk or not needed."""

    def __init__(self, seed: int = 0, **_: Any) -> None:
        super().__init__(seed)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    def word(self, act: str, talk: Talk, price: float | None = None) -> str:
        lines = _SPEAKERS.get(f"{act} {talk.role}") or _SPEAKERS[act]
        return self.pick(lines).format(price="" if price is None else money(price))

    def propose(self, talk: Talk, share: float, act: str = "propose") -> str:
        return self.word(act, talk, _whole(talk, share))

    def formal(self, talk: Talk, share: float) -> str:
        return f"offer {money(_whole(talk, share))}"


def _whole(talk: Talk, share: float) -> float:
    """A share of the listed price as money, in whole dollars, rounded towards the partner."""
    exact = share * talk.listed
    return float(math.floor(exact + 1e-6) if talk.role == "seller" else math.ceil(exact - 1e-6))


class RandomPolicy(_Speaker):
    """Any act at random: greets, asks, informs, proposes, offers formally (.4 to 1.2 of the listed price, a buyer .2 to 1), takes or turns
    down what stands."""

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)
        acts = ["greet", "ask", "inform", "propose", "offer"] + ["accept", "reject"] * (talk.offer is not None)
        act = self.pick(acts)
        if act in ("accept", "reject"):
            return act
        if act not in ("offer", "propose"):
            return self.word(act, talk)
        share = self.between(0.4, 1.2) if talk.role == "seller" else self.between(0.2, 1.0)
        return self.formal(talk, share) if act == "offer" else self.propose(talk, share)


class HoldPolicy(_Speaker):
    """Stays at the listed price (a buyer: at half of it) and takes whatever is formally offered."""

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)
        if talk.offer is not None:
            return "accept"
        share = 1.0 if talk.role == "seller" else 0.5
        return self.propose(talk, share, "insist" if talk.turn else "propose")


class FirmPolicy(_Speaker):
    """Stays at its first price until the partner's final call, and then offers that price formally."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.anchor = self.between(0.95, 1.05)

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)
        if talk.offer is not None:
            return "accept"
        if talk.last.name in ("final", "agree") and talk.last.price is not None:
            return f"offer {money(talk.last.price)}"
        share = self.anchor if talk.role == "seller" else 1.4 - self.anchor
        return self.propose(talk, share, "insist" if talk.turn else "propose")


class OfferNowPolicy(_Speaker):
    """One formal offer, at once: .4 to .9 of the listed price (a buyer: .5 to 1)."""

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)
        return self.formal(talk, self.between(0.4, 0.9) if talk.role == "seller" else self.between(0.5, 1.0))


class CasualPolicy(_Speaker):
    """A middling haggler: anchors, chats, comes towards the partner's price by a share of the gap, has a floor, may give up.

    For a seller: anchor .92 to 1.05, floor .45 to .9, concession .2 to .7, chat in up to 35 %, giving up in up to 6 % of turns; a buyer
    mirrored about .75.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.anchor, self.floor = self.between(0.92, 1.05), self.between(0.45, 0.9)
        self.concession, self.chat, self.quits = self.between(0.2, 0.7), self.between(0, 0.35), self.between(0, 0.06)
        self.own: float | None = None

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)

        def mirrored(share: float) -> float:
            return share if talk.role == "seller" else 1.5 - share

        def good(price: float) -> bool:
            return talk.side * (talk.share(price) - mirrored(self.floor)) >= 0

        if talk.turn == 0:
            self.own = None
        if talk.offer is not None:
            return "accept" if good(talk.offer) or talk.turn >= MAX_TURNS - 1 else "reject"
        if self.random.random() < self.quits:
            return "quit"
        if talk.last.name == "agree" and talk.last.price is not None:
            return f"offer {money(talk.last.price)}"
        if self.random.random() < self.chat:
            return self.word("greet" if talk.turn == 0 else self.pick(("ask", "inform")), talk)
        own = mirrored(self.anchor)
        if self.own is not None:
            own = self.own
            if talk.theirs is not None:
                own += self.concession * (talk.share(talk.theirs) - own)
            limit = mirrored(self.floor)
            own = max(own, limit) if talk.role == "seller" else min(own, limit)
        self.own = own
        if talk.theirs is not None and good(talk.theirs) and abs(talk.share(talk.theirs) - own) < 0.08:
            return self.word("agree", talk) if self.random.random() < 0.5 else f"offer {money(talk.theirs)}"
        if talk.turn >= MAX_TURNS - 2:
            return self.formal(talk, own)
        return self.propose(talk, own)


class ExpertPolicy(_Speaker):
    """The plan of `tools/negotiation_plans.py` for the role and what is known of the partner's kind, closed at the best price.

    The plan says what to say and when to close; at which price, the partners say who would have answered alike (`_alike`).
    """

    def __init__(self, seed: int = 0, partner: str = "mixed", strict: bool = False, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.kind, self.strict = partner, strict

    def act(self, transcript: Transcript) -> str:
        talk = Talk(transcript)
        if talk.offer is not None:
            return "accept"
        node: Plan | None = plans()[f"{talk.role} {self.kind}{' strict' if self.strict else ''}"]["plan"]
        said: list[tuple[Act, Act]] = []
        for answer in talk.answers:
            assert node is not None
            price = None if node[1] is None else _whole(talk, node[1] / 100)
            said.append((Act(node[0], price), answer))
            node = _branch(node, answer, talk)
            if node is None:
                break
        if node is None or node[0] in ("offer", "quit"):
            closing = _closing(talk.role, self.kind, self.strict, talk.listed, tuple(said))
            return "quit" if closing is None else f"offer {money(closing)}"
        name, percent = node[0], node[1]
        return self.word(name, talk) if percent is None else self.propose(talk, percent / 100)


Plan = list[Any]
"""``[act, percent or None, {answer: plan}]``."""


def _branch(node: Plan, answer: Act, talk: Talk) -> Plan | None:
    """Where an answer leads: prices are rounded in money, so the nearest of the plan's with that act counts."""
    branches = node[2] if len(node) > 2 else {}
    if answer.price is None:
        return next((branches[name] for name in _TALK if name in branches), None)
    prices = {label: int(label.split()[1]) for label in branches if label.startswith(answer.name + " ")}
    if not prices:
        return None
    percent = 100 * talk.share(answer.price)
    best = min(prices, key=lambda label: abs(prices[label] - percent))
    return branches[best] if abs(prices[best] - percent) <= 3 else None


_TALK = ("ask", "inform", "unread", "vague")


@lru_cache(maxsize=4096)
def _alike(
    role: Role, kind: str, strict: bool, listed: float, said: tuple[tuple[Act, Act], ...]
) -> tuple[tuple[Partner, State], ...]:  # fmt: skip
    """The partners who would have answered so, with what each remembers."""
    if not said:
        other: Role = "buyer" if role == "seller" else "seller"
        return tuple((Partner(hidden, listed, other, strict), State()) for hidden in hidden_partners(role, kind))
    own, seen = said[-1]
    found = []
    for partner, state in _alike(role, kind, strict, listed, said[:-1]):
        step = partner.answer(own, state)
        name = "talk" if step.act.name in _TALK else step.act.name
        if not step.ended and (name, step.act.price) == (seen.name, seen.price):
            found.append((partner, step.state))
    return tuple(found)


@lru_cache(maxsize=4096)
def _closing(role: Role, kind: str, strict: bool, listed: float, said: tuple[tuple[Act, Act], ...]) -> float | None:
    """The formal offer worth most on average; None where nobody is left who would take one."""
    limits = [partner.formal_limit(state) for partner, state in _alike(role, kind, strict, listed, said)]
    if role == "seller":
        prices = {math.floor(limit + 1e-6) for limit in limits}
        worth = {price: price * sum(price <= limit + 1e-6 for limit in limits) for price in prices}
    else:
        prices = {math.ceil(limit - 1e-6) for limit in limits}
        worth = {price: (listed - price) * sum(price >= limit - 1e-6 for limit in limits) for price in prices}
    return float(max(sorted(worth), key=lambda price: worth[price])) if worth else None


@cache
def plans() -> dict[str, Any]:
    """Plan of each game: ``value`` (mean worth over all partners, prices in whole percents) and the tree."""
    import json

    return json.loads((Path(__file__).parent / "plans.json").read_text("utf-8"))


class MixedPolicy(ScriptedPolicy):
    """One of the speakers: casual (.5), firm (.2), expert (.15), offer at once (.1), random (.05)."""

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed)
        number, own = self.random.random(), self.random.getrandbits(64)
        limits = (
            (0.5, CasualPolicy),
            (0.7, FirmPolicy),
            (0.85, ExpertPolicy),
            (0.95, OfferNowPolicy),
            (1.0, RandomPolicy),
        )
        self.speaker = next(make for limit, make in limits if number < limit)(own, **kwargs)

    def act(self, transcript: Transcript) -> str:
        return self.speaker.act(transcript)


POLICIES = {
    "random": RandomPolicy,
    "suboptimal": CasualPolicy,
    "expert": ExpertPolicy,
    "casual": CasualPolicy,
    "firm": FirmPolicy,
    "hold": HoldPolicy,
    "offer_now": OfferNowPolicy,
    "mixed": MixedPolicy,
}
