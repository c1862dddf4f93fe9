"""How a small model reads Car Dealer (`lmrl_envs.surface.View`): what was heard as facts, and what a seller can do as a choice of moves.

A model that chooses among whole sentences would have thousands: each names a car and a sum. Here a car is a place in an order, and a sum a
step down from the last one, so that some thirty moves are left, worded again for the buyer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lmrl_envs.car_dealer.policies import SAID, Beliefs
from lmrl_envs.car_dealer.reading import read
from lmrl_envs.car_dealer.stock import Car, money, parse_stock, short
from lmrl_envs.core import Transcript
from lmrl_envs.surface import View

DOWN = (1, 2, 3, 4, 6, 10, 20, 40)
"""By how many hundredths of the list price a seller comes down."""
_ASKS = {"ask_budget": "budget", "ask_features": "features", "ask_needs": "needs"}
_KINDS = ("welcome", "needs", "budget", "features", "kind", "chat", "flattery", "pressure", "close", "stop")
_WORDS = {line: kind for kind in _KINDS for line in SAID[kind]}
_MONEY = re.compile(r"\$(\d[\d,]{0,9})")
_MOVE = re.compile(r"(show|down)(\d{1,2})")
_DESCRIBED = 4
"""Of how many cars, the likeliest first, the facts are told."""
_PRICES = (0.5, 0.8, 1.05, 1.5, 2.2, 3.5)
"""Where a list price falls among these times the budget."""


class _Heard(NamedTuple):
    """What a conversation has come to when it is the seller's turn."""

    stock: Sequence[Car]
    beliefs: Beliefs
    turn: int = 0
    car: int = -1
    """The car that was last shown, by its place in the stock list."""
    asked: float = 0.0
    """The last price asked for it; 0: none."""
    still: int = 0
    """Times in a row that the buyer's offer for it has not risen."""
    offers: int = 0
    """How many offers the buyer has made for it."""
    done: frozenset[str] = frozenset()
    """Kinds of moves made so far."""
    move: str = ""
    """The move that led here."""
    order: Sequence[int] = ()
    """The cars by how many of the wishes heard they meet, then the nearest to the budget that was told."""


def _ordered(stock: Sequence[Car], beliefs: Beliefs) -> list[int]:
    budget, keys = beliefs.budget, []
    for i, car in enumerate(stock):
        met = (car["type"] in beliefs.types) + (car["brand"] in beliefs.brands)
        met += len(beliefs.features.intersection(car["features"]))
        keys.append((-met, abs(car["msrp"] - budget) if budget else 0, i))
    return [key[-1] for key in sorted(keys)]


@lru_cache(maxsize=16_384)  # each conversation is read again at each of its turns
def _heard(texts: tuple[str, ...]) -> _Heard:
    """What a conversation of these texts, the environment's first and last, has come to."""
    if len(texts) < 2:
        stock = parse_stock(texts[0]) if texts else []
        return _Heard(stock, Beliefs(), order=_ordered(stock, Beliefs()))
    before = _heard(texts[:-2])
    beliefs = before.beliefs.copy()
    beliefs.hear(texts[-2], texts[-1])
    move, car, asked = _move(texts[-2], before)
    same = car == before.car
    offer, last = beliefs.counters, before.beliefs.counters
    rose = len(offer) > len(last) and (not last or offer[-1] > last[-1] or not same)
    return _Heard(
        before.stock, beliefs, before.turn + 1, car, asked,
        0 if rose or not same or not asked else before.still + 1,
        (before.offers if same else 0) + (len(offer) > len(last)),
        before.done | {move.rstrip("0123456789")}, move, _ordered(before.stock, beliefs),
    )  # fmt: skip


def _move(line: str, heard: _Heard) -> tuple[str, int, float]:
    """The move that a line is, the car that is talked of then, and the price last asked for it."""
    kind = _WORDS.get(line)
    amounts = _MONEY.findall(line)
    if kind is None and (amounts or not line.endswith("?")):
        cars = [i for i, car in enumerate(heard.stock) if short(car).lower() in line.lower()]
        car = cars[-1] if cars else heard.car
        if amounts and car >= 0:
            listed, price = heard.stock[car]["msrp"], float(amounts[-1].replace(",", ""))
            base = heard.asked if car == heard.car and heard.asked else float(listed)
            share = 100 * (base - price) / listed
            if share < DOWN[0] / 2:
                return "list" if base == listed else "stay", car, price
            return f"down{min(DOWN, key=lambda step: abs(step - share))}", car, price
        if cars:
            return f"show{heard.order.index(car)}", car, heard.asked if car == heard.car else 0.0
    if kind is None:
        acts = read(line).acts
        kind = next((name for act, name in _ASKS.items() if act in acts), "chat")
    return kind, heard.car, heard.asked


def _level(share: float, limits: Sequence[float]) -> int:
    return sum(share > limit for limit in limits)


def _car(car: Car, beliefs: Beliefs) -> str:
    """A car beside what was heard: type, brand, how many of the features wished for it lacks, list price beside the budget."""
    kind = "?" if not beliefs.types else "ty"[car["type"] in beliefs.types]
    brand = "?" if not beliefs.brands else "by"[car["brand"] in beliefs.brands]
    lacks = "?" if not beliefs.features else str(len(beliefs.features.difference(car["features"])))
    price = "?" if not beliefs.budget else str(_level(car["msrp"] / beliefs.budget, _PRICES))
    return kind + brand + lacks + price


@lru_cache(maxsize=16_384)
def _facts(texts: tuple[str, ...]) -> str:
    """The facts of a conversation, in single pieces of text."""
    heard = _heard(texts)
    beliefs, order = heard.beliefs, heard.order
    facts = [f"turn{heard.turn}", f"hurry{beliefs.hurry}", f"far{int(beliefs.far)}", f"after:{heard.move}"]
    facts += [
        f"did:{kind}" for kind in ("budget", "features", "needs", "kind", "flattery", "pressure") if kind in heard.done
    ]
    facts += [f"{rank}:{_car(heard.stock[i], beliefs)}" for rank, i in enumerate(order[:_DESCRIBED])]
    if heard.car >= 0:
        car = heard.stock[heard.car]
        rank, counter = order.index(heard.car), min(beliefs.counters[-1], 10**6) if heard.offers else 0
        hoped = min(car["msrp"], beliefs.budget or car["msrp"])
        facts += [f"on:{_car(car, beliefs)}", f"place{rank}"]
        facts += [f"asked{round(25 * heard.asked / car['msrp'])}", f"of{min(40, round(20 * heard.asked / hoped))}"]
        if counter:
            facts += [
                f"offer{round(20 * counter / hoped)}",
                f"still{min(heard.still, 4)}",
                f"gap{min(20, round(20 * (heard.asked / counter - 1)))}",
            ]
    return " ".join(facts)


def _texts(transcript: Transcript) -> list[str]:
    said = tuple(turn.text for turn in transcript)
    told = [_facts(said[: k + 1]) if k % 2 == 0 else _heard(said[: k + 2]).move for k in range(len(said) - 1)]
    # What an action was is known with its answer; the last text may have none.
    last = len(said) - 1
    return told + [_move(said[last], _heard(said[:last]))[0] if last % 2 else _facts(said)] if said else []


def _action(text: str, transcript: Transcript) -> str:
    heard = _heard(tuple(turn.text for turn in transcript))
    found = _MOVE.fullmatch(text)
    move, number = (found[1], found[2]) if found else (text, "")
    order = heard.order
    if move == "show" and int(number) < len(order):
        car = heard.stock[order[int(number)]]
        wished = [feature for feature in car["features"] if feature in heard.beliefs.features]
        return _worded("pitch", heard, car=short(car), extras=f"; it has {' and '.join(wished or car['features'][:2])}")
    if move in ("list", "stay", "down") and order:
        place = heard.car if heard.car >= 0 else order[0]
        car, offers = heard.stock[place], heard.beliefs.counters if heard.offers else ()
        asked = heard.asked or car["msrp"]
        price = car["msrp"] if move == "list" else asked if move == "stay" else asked - int(number) * car["msrp"] / 100
        price = max([round(price, -1), *offers[-1:]])  # nobody asks less than was offered
        return _worded("lower" if move == "down" else "ask", heard, car=short(car), price=money(price))
    return _worded(move, heard) if move in _KINDS else text


def _worded(kind: str, heard: _Heard, **values: str) -> str:
    """One wording after the other, so that nothing is said twice in the same words."""
    return SAID[kind][heard.turn % len(SAID[kind])].format(**values)


MOVES = View(_texts, _action)
"""Facts and moves: ``turn3 hurry0 far0 after:budget 0:ty01 ...`` and ``show0``, ``down2``, ``close``."""
