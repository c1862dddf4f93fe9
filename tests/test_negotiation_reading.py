"""Negotiation's reader on known answers (data/negotiation_lines.txt), and its partners beside a second writing of their rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import pytest

from lmrl_envs.language.prices import normalise
from lmrl_envs.negotiation.reading import formal_act, hear
from lmrl_envs.negotiation.rules import KINDS, Act, Hidden, Partner, State, hidden_partners

QUIET = ("greet", "ask", "inform", "unread")
CARDS = {
    "bike": {"title": "Trek mountain bike", "spec": "27 inch wheels, 21 gears", "age": 5},
    "car": {"title": "Honda Civic, 2012", "spec": "98,000 miles, 4 doors", "age": 12},
    "phone": {"title": "Samsung Galaxy S21", "spec": "128 GB, 5G", "age": 3},
    "housing": {"title": "Two-room flat", "spec": "2 bedrooms, 60 square metres", "age": 2},
}


class Row(NamedTuple):
    hostile: bool
    role: str
    item: str
    prices: tuple[float | None, ...]
    text: str
    wanted: list[list[str]]


def known() -> list[Row]:
    rows, context = [], (False, "seller", "bike", ())
    for line in (Path(__file__).parent / "data" / "negotiation_lines.txt").read_text("utf-8").split("\n"):
        text, _, wanted = line.rpartition(" => ")
        if text and not line.startswith("#"):
            rows.append(Row(*context, text, [one.split() for one in wanted.split(" | ")]))
        elif line.startswith("["):
            *kind, role, item, listed, theirs, own, first = line.strip("[]").split()
            prices = tuple(None if price == "-" else float(price) for price in (listed, theirs, own, first))
            context = (kind == ["hostile"], role, item, prices)
    return rows


ROWS = known()


def told(row: Row) -> Act:
    listed, theirs, own, first = row.prices
    assert listed is not None
    hidden = Hidden("rule_based", 0.7 if row.role == "seller" else 0.75, 10)
    partner = Partner(hidden, listed, "buyer" if row.role == "seller" else "seller")
    state = State(2 if theirs else 0, theirs, own, first)
    act = formal_act(row.text) or hear(row.text, state, partner, {**CARDS[row.item], "category": row.item}).act
    return Act("unread") if act == Act("offer") else act


def right(row: Row, act: Act) -> bool:
    for name, *price in row.wanted:
        if name == "quiet" and act.name in QUIET:
            return True
        if name == act.name and (name == "agree" or act.price == (float(price[0]) if price else None)):
            return True
    return False


def test_the_known_answers_are_read_and_next_to_none_wrongly() -> None:
    assert len(ROWS) > 1000
    assert sum(row.hostile for row in ROWS) > 50
    acts = [(row, told(row)) for row in ROWS]
    missed = [(row.text, act) for row, act in acts if not right(row, act)]
    silent = [one for one in missed if one[1].name != "unread"]
    assert len(missed) <= 0.02 * len(ROWS), missed
    assert len(silent) <= 0.01 * len(ROWS), silent


@pytest.mark.parametrize("role", ["seller", "buyer"])
def test_hostile_lines_make_no_deal_and_no_price_that_nobody_said(role: str) -> None:
    env = gym.make("lmrl/Negotiation-v0", role=role, details=True).unwrapped
    for row in ROWS:
        if not row.hostile:
            continue
        env.reset(seed=7)
        _, reward, ended, _, info = env.step(row.text)
        assert (reward, ended) == (0, False), row.text
        price = info.get("read", [None, None])[1]
        assert price is None or str(int(price)) in normalise(row.text)


def test_a_goodbye_ends_the_talk_without_a_deal_and_a_price_beside_it_does_not() -> None:
    for text, over in (("Bye.", True), ("Forget it, I'm leaving.", True), ("I'm leaving it at $10,000, bye", False)):
        env = gym.make("lmrl/Negotiation-v0").unwrapped
        env.reset(seed=7)
        _, reward, ended, _, info = env.step(text)
        assert (reward, ended, info.get("success", False)) == (0, over, False), text


# -- the partners once more, from the tables of docs/negotiation.md

LISTED = 1000.0
SCRIPTS = [
    Act("propose", 1000.0),
    Act("propose", 760.0),
    Act("propose", 540.0),
    Act("ask"),
    Act("inform"),
    Act("agree"),
    Act("refuse"),
]


def replies(hidden: Hidden, side: int, acts: tuple[Act, ...]) -> Iterator[tuple[str, float | None]]:
    """What a partner does, turn by turn; ``side`` is 1 for a buyer. Prices of a listed price of 1,000."""
    kind, aim = hidden.kind, 1000 * hidden.target
    mine: float | None = None
    theirs: float | None = None
    first: float | None = None
    offered, agreed, final, asked = False, False, False, 0

    def no_worse(a: float, b: float) -> bool:
        return side * (b - a) >= -1e-9

    def said(price: float) -> float:
        return min(1000.0, max(10.0, 10.0 * round(price / 10)))

    better, worse = (min, max) if side > 0 else (max, min)
    goal = aim if side > 0 else 1000.0
    opening = {"rule_based": 0.8, "stingy": 0.7, "utility": 0.8}.get(kind, 0.9) - 0.05 * hidden.overshoot
    opening = said(aim * opening) if side > 0 else 1000.0
    for turn, act in enumerate(acts, 1):
        if act.price is not None:
            theirs, first = act.price, act.price if first is None else first
        anchor = 1000.0 if side > 0 else min(1000.0, 500.0 if first is None else first)
        share = {"rule_based": 0.5, "stingy": 0.75}.get(kind, 0) + 0.1 * hidden.bottom
        bottom = {
            "utility": aim, "fairness": (anchor + goal) / 2, "length": opening if mine is None else mine,
        }.get(kind, share * goal + (1 - share) * anchor)  # fmt: skip
        if side < 0 and kind in ("rule_based", "stingy"):
            bottom = max(bottom, aim)
        good = bottom
        if kind in ("rule_based", "stingy"):
            part = 0.7 if kind == "rule_based" else 0.9
            good = (1 - part) * bottom + part * goal
            good = good if mine is None else worse(good, mine)
        leaves = turn >= hidden.patience
        middle = ((opening if mine is None else mine) + (anchor if theirs is None else theirs)) / 2
        middle = min(1000.0, middle) if side > 0 else max(aim, middle)
        named: float | None = None
        answer: tuple[str, float | None] = ("", None)
        questions = {"rule_based": 2, "stingy": 2}.get(kind, 1)
        chat = act.name == "ask" or (act.name in ("inform", "agree") and asked < questions)
        if offered:
            answer = ("wait", mine)
        elif mine is not None and (agreed or act.name == "agree"):
            answer = ("offer", mine)
        elif act.price is not None and no_worse(act.price, good):
            mine, agreed = min(act.price, 1000.0) if side > 0 else act.price, True
            answer = ("agree", mine)
        elif final:
            answer = ("offer", said(bottom) if theirs is None else better(said(bottom), theirs))
        elif kind in ("utility", "fairness") and turn >= 3:
            answer = ("offer", said(aim if kind == "utility" else middle))
        elif kind == "length" and turn < 5 + hidden.bottom:
            answer = ("inform" if act.name == "ask" else "ask", None)
        elif kind == "length" and mine is not None:
            answer = ("offer", said(middle))
        elif kind != "length" and chat:
            answer = ("inform" if act.name == "ask" else "ask", None)
            asked += act.name != "ask"
        elif mine is None:
            named = opening
        elif kind == "utility":
            named = better(aim, mine + side * 0.1 * aim)
        elif kind == "fairness":
            named = middle
        elif no_worse(said(bottom), mine):
            final, answer = True, ("final", mine)
        else:
            keep = 0.5 if kind == "rule_based" else 0.75
            named = better(said(bottom), keep * mine + (1 - keep) * (said(bottom) if theirs is None else theirs))
        if named is not None:
            named = said(named)
            if theirs is not None and no_worse(theirs, named):
                mine, agreed = min(1000.0, better(theirs, named)), True
                answer = ("agree", mine)
            else:
                answer = ("propose" if mine is None else "insist" if named == mine else "counter", named)
                mine = named
        if answer[0] == "offer":
            price = min(1000.0, answer[1] if theirs is None else better(theirs, answer[1]))
            mine, offered, answer = price, True, ("offer", price)
        if leaves and answer[0] not in ("agree", "offer") and (answer[0], act.name) != ("wait", "agree"):
            yield ("leave", None)
            return
        yield answer


@pytest.mark.parametrize("role", ["buyer", "seller"])
@pytest.mark.parametrize("kind", KINDS)
def test_partners_equal_their_rules_in_enumerated_talks(kind: str, role: str) -> None:
    """Two acts, every pair of them in turn, seven turns long, against a third of the partners: over 20,000 states a kind."""
    states = 0
    for hidden in list(hidden_partners("seller" if role == "buyer" else "buyer", kind))[::3]:
        partner = Partner(hidden, LISTED, "buyer" if role == "buyer" else "seller")
        for pair in itertools.product(SCRIPTS, repeat=2):
            acts = (*pair, *pair, *pair, pair[0])
            state = State()
            for act, (name, price) in zip(acts, replies(hidden, 1 if role == "buyer" else -1, acts), strict=False):
                step = partner.answer(act, state)
                assert step.act.name == name, (hidden, acts, state)
                if price is not None:
                    assert step.act.price == pytest.approx(price), (hidden, acts, state)
                state, states = step.state, states + 1
                if step.ended:
                    break
    assert states > 5000
