"""What the five kinds of partner do, as acts and prices, and what a deal is worth.

The rule-based kind and its parameters are those of He, Chen, Balakrishnan and Liang (2018, arXiv 1808.09637), the five kinds and
their aims those of CHAI (Verma, Fu, Yang, Levine 2022, arXiv 2204.08426). Only acts are decided here: words are read in
`lmrl_envs.negotiation.reading` and found in `lmrl_envs.negotiation.wording`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Role = Literal["seller", "buyer"]
ROLES: tuple[Role, ...] = ("seller", "buyer")
KINDS = ("rule_based", "stingy", "utility", "fairness", "length")
MAX_TURNS = 10
TARGETS: Mapping[Role, tuple[float, ...]] = {"buyer": (0.5, 0.7, 0.9), "seller": (0.6, 0.75, 0.9)}
"""What a partner of a role aims at, in shares of the listed price, each as often."""
PATIENCES = (6, 8, 10)
JITTERS = (-1, 0, 1)
MOST_ASKED, LEAST_ASKED = 3.0, 0.1
"""Prices beyond these shares of the listed price are no prices."""
MOST_PAID = 1.02
"""No deal is above this share of the listed price: a buyer who offers more formally has mistyped."""
TOLERANCE = 0.01
"""A formal offer this much worse than the bottom line, in shares of the listed price, is taken all the same."""


@dataclass(frozen=True)
class Style:
    """The parameters of the rule-based kind: He et al.'s, and a stingier set."""

    overshoot: float
    """How far beyond its target it opens."""
    bottom: float
    """Where its bottom line is, from the other's price (0) to its target (1)."""
    compromise: float
    """The share of its own price that stays when it moves."""
    good: float
    """A price this far from the bottom line (0) to the target (1) is taken at once."""


STYLES = {"rule_based": Style(0.2, 0.5, 0.5, 0.7), "stingy": Style(0.3, 0.75, 0.75, 0.9)}


class Hidden(NamedTuple):
    """What an agent is not told of its partner. Two partners alike in it do the same."""

    kind: str
    target: float
    """Share of the listed price."""
    patience: int
    """Turns after which it leaves."""
    overshoot: int = 0
    """-1, 0 or 1 twentieths more overshoot than its kind has."""
    bottom: int = 0
    """-1, 0 or 1 tenths: its bottom line is so much nearer to its target; for ``length``, when it stops asking (4, 5 or 6)."""


def hidden_partners(role: Role, kind: str = "mixed") -> Iterator[Hidden]:
    """Every partner there is for an agent of a role, each as likely: 81 of a kind, 405 in all."""
    kinds = KINDS if kind == "mixed" else (kind,)
    targets = TARGETS["buyer" if role == "seller" else "seller"]
    yield from itertools.starmap(Hidden, itertools.product(kinds, targets, PATIENCES, JITTERS, JITTERS))


class Act(NamedTuple):
    """What somebody does in a turn. ``offer``, ``accept``, ``reject`` and ``quit`` are formal; only these bind."""

    name: str
    price: float | None = None
    """Money."""


class State(NamedTuple):
    """What a partner remembers."""

    turns: int = 0
    mine: float | None = None
    """The price it stands at, once it has named one."""
    theirs: float | None = None
    """The agent's last price."""
    first: float | None = None
    """The agent's first price."""
    offer: float | None = None
    """Its formal offer, which stands to the end."""
    final: bool = False
    """Whether it has made its final call."""
    agreed: bool = False
    """Whether it has agreed to ``mine``."""
    asked: int = 0
    """Questions it has asked."""


class Step(NamedTuple):
    """A partner's turn: what it does, what it remembers then, and the price of the deal, if there is one."""

    act: Act
    state: State
    deal: float | None = None
    ended: bool = False


def price_step(listed: float) -> int:
    """The smallest difference between prices that a partner names: about one percent of the listed price."""
    return next(step for step in (100, 50, 10, 5, 1) if step == 1 or listed >= 80 * step)


@dataclass(frozen=True)
class Partner:
    """One partner in one talk.

    Prices are compared from its own side: ``side`` is 1 for a buyer, who wants them low, and -1 for a seller. A seller does what a
    buyer of its kind does, mirrored: it opens at the listed price, and where a buyer looks at the listed price it looks at the
    agent's first price. It names no price below its target.
    """

    hidden: Hidden
    listed: float
    role: Role
    """The partner's."""
    strict: bool = False
    """Whether fairness and length judge formal offers as prices in talk. Otherwise, as in CHAI's table, they take any up to the listed
    price (a seller: any from half of it)."""

    @property
    def side(self) -> int:
        return 1 if self.role == "buyer" else -1

    @property
    def target(self) -> float:
        return self.hidden.target * self.listed

    def _worse(self, a: float, b: float) -> float:
        """The price that is worse for it."""
        return max(a, b) if self.side > 0 else min(a, b)

    def _better(self, a: float, b: float) -> float:
        return min(a, b) if self.side > 0 else max(a, b)

    def _takes(self, price: float, limit: float) -> bool:
        """Whether a price is at least as good for it as a limit (up to rounding of the limit itself)."""
        return self.side * (limit - price) >= -1e-9

    def _rounded(self, price: float) -> float:
        """A price as it says it: at most the listed price, and within what is a price at all."""
        step = price_step(self.listed)
        return min(self.listed, max(step, step * round(price / step)))

    def _anchor(self, state: State) -> float:
        """What the other side asks for at most: the listed price, or the agent's first price; half the listed price until it is known."""
        if self.role == "buyer":
            return self.listed
        return min(self.listed, state.first if state.first is not None else self.listed / 2)

    def opening(self) -> float:
        """Its first price."""
        if self.role == "seller":
            return self.listed
        overshoot = {"rule_based": 0.2, "stingy": 0.3, "utility": 0.2}.get(self.hidden.kind, 0.1)
        return self._rounded(self.target * (1 - overshoot - 0.05 * self.hidden.overshoot))

    def bottom(self, state: State) -> float:
        """The worst price of a rule-based partner; of the others, the worst that they take in talk."""
        kind = self.hidden.kind
        if kind in STYLES:
            share = STYLES[kind].bottom + 0.1 * self.hidden.bottom
            # A seller has no more to aim at than the listed price.
            aim = self.target if self.role == "buyer" else self.listed
            bottom = share * aim + (1 - share) * self._anchor(state)
            return bottom if self.role == "buyer" else max(bottom, self.target)
        if kind == "utility":
            return self.target
        if kind == "fairness":
            return (self._anchor(state) + (self.target if self.role == "buyer" else self.listed)) / 2
        return state.mine if state.mine is not None else self.opening()

    def answer(self, act: Act, state: State) -> Step:
        """Its turn after the agent's.

        The agent's ``offer`` holds a price, its ``accept``, ``reject`` and ``quit`` come only where they can (see `lmrl_envs.negotiation.env`).
        """
        state = state._replace(turns=state.turns + 1)
        if act.name == "offer" and act.price is not None:
            return self._judge(act.price, state)
        if act.name == "accept" and state.offer is not None:
            return Step(Act("closed", state.offer), state, deal=state.offer, ended=True)
        if act.name in ("reject", "quit", "farewell"):
            return Step(Act("leave"), state, ended=True)
        if act.name == "unread":
            return self._patient(Step(Act("unread"), state))
        if act.price is not None:
            first = act.price if state.first is None else state.first
            state = state._replace(theirs=act.price, first=first)
        step = self._talk(act, state)
        # Nobody walks away from "yes": who agrees in talk to a formal offer is waited for.
        return step if act.name == "agree" and step.act.name == "wait" else self._patient(step)

    def _patient(self, step: Step) -> Step:
        """The step, or that it leaves: it has had enough, unless it has just named a price to close at."""
        if step.ended or step.state.turns < self.hidden.patience or step.act.name in ("agree", "offer"):
            return step
        return Step(Act("leave"), step.state, ended=True)

    def _judge(self, price: float, state: State) -> Step:
        """A formal offer: a deal, or the end. While its own offer stands it waits for an answer to that."""
        if state.offer is not None:
            return self._patient(Step(Act("wait", state.offer), state))
        taken = self._takes(price, self.formal_limit(state))
        if taken:
            return Step(Act("closed", price), state, deal=price, ended=True)
        return Step(Act("refuse", price), state, ended=True)

    def formal_limit(self, state: State) -> float:
        """The worst price that it takes when it is formally offered."""
        if self.hidden.kind in ("fairness", "length") and not self.strict:
            limit = self.listed if self.role == "buyer" else self.listed / 2
        else:
            limit = self.bottom(state) + self.side * TOLERANCE * self.listed
        return limit if state.mine is None else self._worse(limit, state.mine)

    def _talk(self, act: Act, state: State) -> Step:
        if state.offer is not None:
            return Step(Act("wait", state.offer), state)
        if state.agreed and state.mine is not None:
            return self._offer(state.mine, state)
        if act.name == "agree" and state.mine is not None:
            return self._offer(state.mine, state)
        if act.price is not None and self._takes(act.price, self._good(state)):
            price = act.price if self.role == "seller" else min(act.price, self.listed)
            return Step(Act("agree", price), state._replace(mine=price, agreed=True))
        return _MOVES[self.hidden.kind](self, act, state)

    def _good(self, state: State) -> float:
        """The worst price that it agrees to at once."""
        kind, bottom = self.hidden.kind, self.bottom(state)
        if kind not in STYLES:
            return bottom
        aim = self.target if self.role == "buyer" else self.listed
        good = (1 - STYLES[kind].good) * bottom + STYLES[kind].good * aim
        return good if state.mine is None else self._worse(good, state.mine)

    def _offer(self, price: float, state: State) -> Step:
        """Its formal offer: never worse for it than what the agent asks now, which may have moved since a price was agreed to."""
        price = min(price if state.theirs is None else self._better(price, state.theirs), self.listed)
        return Step(Act("offer", price), state._replace(mine=price, offer=price))

    def _chat(self, act: Act, state: State, most: int) -> Step | None:
        """An answer to a question, or a question of its own while it has asked fewer than ``most``."""
        if act.name == "ask":
            return Step(Act("inform"), state)
        if act.price is None and act.name in ("greet", "inform", "agree") and state.asked < most:
            return Step(Act("ask"), state._replace(asked=state.asked + 1))
        return None

    def _name(self, price: float, state: State) -> Step:
        """It names a price; one that is no better for it than the agent's last is that one, agreed to."""
        price = self._rounded(price)
        if state.theirs is not None and self._takes(state.theirs, price):
            mine = min(self.listed, self._better(state.theirs, price))
            return Step(Act("agree", mine), state._replace(mine=mine, agreed=True))
        name = "propose" if state.mine is None else "insist" if price == state.mine else "counter"
        return Step(Act(name, price), state._replace(mine=price))

    def _rule_based(self, act: Act, state: State) -> Step:
        bottom = self._rounded(self.bottom(state))
        if state.final:
            return self._offer(bottom if state.theirs is None else self._better(bottom, state.theirs), state)
        chat = self._chat(act, state, 2)
        if chat:
            return chat
        if state.mine is None:
            return self._name(self.opening(), state)
        if self._takes(bottom, state.mine):
            return Step(Act("final", state.mine), state._replace(final=True))
        keep = STYLES[self.hidden.kind].compromise
        other = state.theirs if state.theirs is not None else bottom
        return self._name(self._better(bottom, keep * state.mine + (1 - keep) * other), state)

    def _utility(self, act: Act, state: State) -> Step:
        if state.turns >= 3:
            return self._offer(self._rounded(self.target), state)
        chat = self._chat(act, state, 1)
        if chat:
            return chat
        if state.mine is None:
            return self._name(self.opening(), state)
        return self._name(self._better(self.target, state.mine + self.side * 0.1 * self.target), state)

    def _fairness(self, act: Act, state: State) -> Step:
        mine = state.mine if state.mine is not None else self.opening()
        other = state.theirs if state.theirs is not None else self._anchor(state)
        middle = self._middle(mine, other)
        if state.turns >= 3:
            return self._offer(self._rounded(middle), state)
        chat = self._chat(act, state, 1)
        return chat or self._name(mine if state.mine is None else middle, state)

    def _middle(self, mine: float, other: float) -> float:
        """Half way to the agent: for a buyer up to the listed price, for a seller down to its target."""
        middle = (mine + other) / 2
        return min(self.listed, middle) if self.role == "buyer" else max(self.target, middle)

    def _length(self, act: Act, state: State) -> Step:
        if state.turns < 5 + self.hidden.bottom:
            if act.name == "ask":
                return Step(Act("inform"), state)
            return Step(Act("ask"), state._replace(asked=state.asked + 1))
        mine = state.mine if state.mine is not None else self.opening()
        other = state.theirs if state.theirs is not None else self._anchor(state)
        middle = self._rounded(self._middle(mine, other))
        return self._name(mine, state) if state.mine is None else self._offer(middle, state)


_MOVES: dict[str, Callable[[Partner, Act, State], Step]] = {
    "rule_based": Partner._rule_based,
    "stingy": Partner._rule_based,
    "utility": Partner._utility,
    "fairness": Partner._fairness,
    "length": Partner._length,
}


# -- what a deal is worth


REWARDS: Mapping[Role, tuple[str, ...]] = {
    "seller": ("revenue", "chai", "margin", "fairness_he", "length", "agreement"),
    "buyer": ("saving", "margin", "fairness_he", "length", "agreement"),
}
"""What ``reward=`` may be for an agent of a role, its default first."""


NO_DEAL = -0.5
"""The margin of a talk without a deal, for either side."""


def margin(role: Role, price: float, listed: float, target: float) -> float:
    """He et al.'s margin: 1 for a seller at the listed price, 0 in the middle of the listed price and the buyer's target; a buyer has
    the negative."""
    middle = (listed + target) / 2
    share = (price - middle) / (listed - middle)
    return share if role == "seller" else -share


def reward_of(reward: str, role: Role, price: float | None, listed: float, target: float, events: int) -> float:
    """What the end of a talk pays the agent.

    Args:
        reward: one of `REWARDS`.
        role: the agent's.
        price: of the deal; None without one.
        listed: the listed price.
        target: the buyer's, in money.
        events: turns of both sides.
    """
    if reward == "length":
        return events / 10
    if reward == "agreement":
        return -1.0 if price is None else 1.0
    if reward == "chai":
        return -20.0 if price is None or not 0.5 <= price / listed <= 1.5 else 10 * (price / listed - 1)
    if reward in ("margin", "fairness_he"):
        if price is None:
            return NO_DEAL
        share = margin(role, price, listed, target)
        return share if reward == "margin" else 2 - abs(share)
    if price is None:
        return 0.0
    return price / listed if reward == "revenue" else (listed - price) / listed


RANGES = {
    "revenue": (0.0, 1.02), "saving": (0.0, 1.0), "chai": (-20.0, 0.2), "margin": (-20.0, 20.0), "fairness_he": (-20.0, 2.0),
    "length": (0.1, 2.0), "agreement": (-1.0, 1.0),
}  # fmt: skip
"""Least and greatest return under each."""
