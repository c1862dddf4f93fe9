"""The best talk with a person who is not known: a plan over all beliefs, by backward induction over ten turns.

A belief is exact and small: topics are told apart only by what is known of them, tempers by which are still possible (each as likely:
what a person shows of it shows it whole), and everything else of a talk is seen. The plan does not count on the person leaving, which
could only cost it something; that it never comes to it is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lmrl_envs.chat import rules

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MINDS: tuple[tuple[str, ...], ...] = (rules.TEMPERS, ("curious", "private"), *((temper,) for temper in rules.TEMPERS))
"""Tempers that may be possible at a time."""
NONE, LIKED, NEUTRAL, DISLIKED = range(4)
"""What the person's last line was about."""
ACTIONS = (
    "open", "ask liked", "ask last", "ask new", "ask neutral", "tell liked", "tell last", "tell new", "tell neutral", "tell against",
    "joke", "praise", "comfort",
)  # fmt: skip
"""``last``: the topic of the last line; ``liked`` and ``neutral``: another one known as such; ``new``: one of which nothing is known."""
_ROWS, _JOKES, _NEUTRALS = 4, 4, 6


class Belief(NamedTuple):
    """Where a talk stands, for who does not see the person; arrays or numbers."""

    need: Ints
    row: Ints
    jokes: Ints
    praises: Ints
    mind: Ints
    """Index into `MINDS`."""
    liked: Ints
    neutral: Ints
    disliked: Ints
    """Topics known to be liked, neutral, disliked."""
    last: Ints


_SHAPE = (2, _ROWS, _JOKES, 2, len(MINDS), 3, _NEUTRALS, 2, 4)
_ROW, _ASK, _TELL = np.array(rules.ROW), rules.ASK, rules.TELL
_ASK_TEMPER = np.array([np.mean([rules.ASK_TEMPER[temper] for temper in mind]) for mind in MINDS])
_JOKE = np.array([[np.mean([rules.JOKE[temper][n] for temper in mind]) for n in range(4)] for mind in MINDS])
_JOKEY = np.array([0.0 if "jokey" not in mind else 1 / len(mind) for mind in MINDS])
_DULLER = np.array([1, 1, 2, 3, 4])
"""The mind when a first joke got no real laugh."""
_SINGLE = 2 + np.arange(3)


class Plan:
    """The value of every belief with some turns left.

    Args:
        topics: how many there are.
    """

    def __init__(self, topics: int = len(rules.TOPICS)) -> None:
        self.topics = topics
        grid = [axis.ravel() for axis in np.indices(_SHAPE)]
        self._all = Belief(*grid)
        self._values: list[Floats] = [np.zeros(_SHAPE)]

    def values(self, left: int) -> Floats:
        """The value of each belief with ``left`` turns to go, by `Belief` in order."""
        while len(self._values) <= left:
            worths = np.stack([self._worth(action, self._all, len(self._values)) for action in ACTIONS])
            self._values.append(worths.max(axis=0).reshape(_SHAPE))
        return self._values[left]

    def worths(self, belief: Belief, left: int) -> dict[str, float]:
        """What every possible action is worth, with ``left`` turns to go, the action's own counted."""
        self.values(left - 1)
        own = Belief(*(np.asarray([value]) for value in belief))
        found = {action: float(self._worth(action, own, left)[0]) for action in ACTIONS}
        return {action: value for action, value in found.items() if value > -np.inf}

    def optimum(self) -> float:
        """The best mean return."""
        zero = [0] * len(_SHAPE)
        start = self.values(rules.TURNS)[tuple(zero)]
        in_need = self.values(rules.TURNS)[tuple([1, *zero[1:]])]
        return float((1 - rules.IN_NEED) * start + rules.IN_NEED * in_need)

    # -- one action

    def _worth(self, action: str, b: Belief, left: int) -> Floats:
        name, _, which = action.partition(" ")
        need = np.where(b.need == 1, rules.IGNORED, 0.0)
        if name in ("open", "ask"):
            return need + _ROW[b.row] + self._question(name, which, b, left)
        told = b._replace(row=np.zeros_like(b.row))
        if name == "tell":
            return need + self._told(which, told, left)
        told = told._replace(last=np.zeros_like(b.last))
        if name == "comfort":
            return np.where(b.need == 1, rules.COMFORT, rules.NEEDLESS) + self._next(
                told._replace(need=told.need * 0), left
            )
        if name == "praise":
            after = told._replace(praises=np.ones_like(b.praises))
            return need + np.where(b.praises == 0, rules.PRAISE[0] + self._next(after, left), -np.inf)
        after = told._replace(jokes=np.minimum(b.jokes + 1, _JOKES - 1))
        laughed = self._next(after._replace(mind=np.full_like(b.mind, _SINGLE[0])), left)
        dull = self._next(after._replace(mind=np.where(b.jokes < 2, _DULLER[b.mind], b.mind)), left)
        jokey = np.where(b.jokes < 2, _JOKEY[b.mind], 0.0)
        value = _JOKE[b.mind, b.jokes] + jokey * laughed + (1 - jokey) * dull
        return need + np.where(b.jokes < _JOKES - 1, value, -np.inf)

    def _question(self, name: str, which: str, b: Belief, left: int) -> Floats:
        short = b.row + 1 >= 2
        after = b._replace(row=np.minimum(b.row + 1, _ROWS - 1))
        if name == "open":
            found = after._replace(liked=np.minimum(b.liked + 1, 2), last=np.full_like(b.last, LIKED))
            return rules.OPEN + self._answered(found, left, short)
        temper = _ASK_TEMPER[b.mind]
        views = {
            LIKED: _ASK["liked"] + temper, NEUTRAL: _ASK["neutral"] + temper, DISLIKED: _ASK["disliked"] + temper,
        }  # fmt: skip
        if which == "last":
            return self._same(views, rules.ASK_SAME, after, lambda one: self._answered(one, left, short))
        if which == "new":
            liked, neutral, disliked = self._unknown(b)
            value = liked * (views[LIKED] + self._answered(_found(after, LIKED), left, short))
            value += neutral * (views[NEUTRAL] + self._answered(_found(after, NEUTRAL), left, short))
            value += disliked * (views[DISLIKED] + self._next(_found(after, DISLIKED), left))
            return np.where(liked + neutral + disliked > 0, value, -np.inf)
        kind = LIKED if which == "liked" else NEUTRAL
        value = views[kind] + self._answered(after._replace(last=np.full_like(b.last, kind)), left, short)
        return np.where(_has_other(b, kind), value, -np.inf)

    def _told(self, which: str, b: Belief, left: int) -> Floats:
        views = {LIKED: _TELL["liked"], NEUTRAL: _TELL["neutral"], DISLIKED: -_TELL["disliked"]}
        if which == "last":
            return self._same(views, rules.TELL_SAME, b, lambda one: self._next(one, left))
        if which == "new":
            liked, neutral, disliked = self._unknown(b)
            value = liked * (_TELL["liked"] + self._next(_found(b, LIKED), left))
            value += neutral * (_TELL["neutral"] + self._next(_found(b, NEUTRAL), left))
            value += disliked * (_TELL["disliked"] + self._next(_found(b, DISLIKED), left))
            return np.where(liked + neutral + disliked > 0, value, -np.inf)
        kind = {"liked": LIKED, "neutral": NEUTRAL, "against": DISLIKED}[which]
        value = views[kind] + self._next(b._replace(last=np.full_like(b.last, kind)), left)
        return np.where(_has_other(b, kind), value, -np.inf)

    def _same(self, views: Mapping[int, Any], bonus: float, b: Belief, after: Callable[[Belief], Floats]) -> Floats:
        """About the topic of the last line."""
        value = np.select([b.last == kind for kind in views], [views[kind] + bonus for kind in views], -np.inf)
        return value + after(b)

    def _answered(self, b: Belief, left: int, short: NDArray[np.bool_]) -> Floats:
        """The value after an answer, which may show the temper."""
        plain = self._next(b, left)
        single = [self._next(b._replace(mind=np.full_like(b.mind, one)), left) for one in _SINGLE]
        sizes = np.array([[float(temper in mind) / len(mind) for mind in MINDS] for temper in rules.TEMPERS])
        shown = sum(share[b.mind] * value for share, value in zip(sizes, single, strict=True))
        return np.where(short, plain, (1 - rules.SHOWN) * plain + rules.SHOWN * shown)

    def _unknown(self, b: Belief) -> tuple[Floats, Floats, Floats]:
        """How likely a topic of which nothing is known is liked, neutral, disliked; 0 where there is none."""
        left = np.maximum(self.topics - b.liked - b.neutral - b.disliked, 0)
        share = 1 / np.maximum(left, 1)
        liked, disliked = (2 - b.liked) * share, (1 - b.disliked) * share
        possible = ((left > 0) & (b.neutral < _NEUTRALS - 1)).astype(np.float64)
        return possible * liked, possible * np.maximum(1 - liked - disliked, 0.0), possible * disliked

    def _next(self, b: Belief, left: int) -> Floats:
        return self._values[left - 1][tuple(b)]


def _found(b: Belief, kind: int) -> Belief:
    if kind == LIKED:
        return b._replace(liked=np.minimum(b.liked + 1, 2), last=np.full_like(b.last, LIKED))
    if kind == NEUTRAL:
        return b._replace(neutral=np.minimum(b.neutral + 1, _NEUTRALS - 1), last=np.full_like(b.last, NEUTRAL))
    return b._replace(disliked=np.ones_like(b.disliked), last=np.full_like(b.last, NONE))


def _has_other(b: Belief, kind: int) -> NDArray[np.bool_]:
    known = {LIKED: b.liked, NEUTRAL: b.neutral, DISLIKED: b.disliked}[kind]
    return known - (b.last == kind) > 0


@cache
def plan(topics: int = len(rules.TOPICS)) -> Plan:
    """The plan for a number of topics."""
    return Plan(topics)
