"""The best that can be got from a buyer who is known: the reference of Car Dealer.

What a buyer pays at most is its reservation price, raised by persuasion; it comes there by the seller's concessions. So the
best plan is: raise it all one can, come down from the list price in full steps, and ask for exactly what the buyer would pay when
it has come all the way. No play can exceed 1, by the definition of the reward; `best_play` plays such plans against the scripted
buyer. ``python tools/car_dealer_reference.py 4000`` gives the figures in the table of SOURCE.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import FULL_CONCESSION, ROUNDS, aspiration, most_paid
from lmrl_envs.car_dealer.env import CarDealerEnv
from lmrl_envs.car_dealer.partner import ScriptedBuyer
from lmrl_envs.car_dealer.rules import MAX_TURNS, PERSONALITIES
from lmrl_envs.car_dealer.stock import Car, short
from lmrl_envs.partners.base import PartnerRequest

_COURTESIES = (
    "Welcome, and please take your time.",
    "Every car comes with a full service history.",
    "How are you today?",
)
_FLATTERY, _PRESSURE = "You have excellent taste.", "It is the last one."
_CARS = 3
"""Cars that are tried, those first for which this buyer would pay most."""


def best_play(buyer: Mapping[str, Any], stock: Sequence[Car], reward: str = "deal") -> tuple[float, list[str]]:
    """The best plan found: its reward, attained in play, and the lines of the seller."""
    best: tuple[float, list[str]] = (rules.reward(reward, buyer, stock, {}, 0), ["Goodbye."])
    for car in sorted(stock, key=lambda car: rules.most_ever(buyer, car), reverse=True)[:_CARS]:
        for courtesies in ((), *(_COURTESIES[:n] for n in (1, 2, 3))):
            price, lines = sell(buyer, stock, car, courtesies)
            value = rules.reward(reward, buyer, stock, car, price)
            if price and value > best[0]:
                best = value, lines
    return best


def sell(buyer: Mapping[str, Any], stock: Sequence[Car], car: Car, courtesies: Sequence[str]) -> tuple[int, list[str]]:
    """Sell this car for as much as it gives; the price (0: no sale) and the lines."""
    partner, said = ScriptedBuyer(), []
    state: dict[str, Any] = {}
    plan = _plan(buyer, car, courtesies)
    for turn in range(1, MAX_TURNS + 1):
        line = next(plan, "")
        over = state and (state["patience"] <= 2.2 or turn == MAX_TURNS or state["clock"] >= ROUNDS)
        wish = aspiration(buyer, state, most_paid(buyer, state, car)) if state else 0
        asked = state.get("heard", {}).get(str(stock.index(car)))
        if asked and (over or asked - FULL_CONCESSION * car["msrp"] <= wish):
            line = f"The {short(car)} is ${wish:,}."
        elif not line:
            line = f"I can do ${round(asked - FULL_CONCESSION * car['msrp']):,} for the {short(car)}."
        said.append(line)
        reply = partner.reply([PartnerRequest({"buyer": buyer, "stock": stock}, (), line, 0, state)])[0]
        state = dict(reply.state)
        if reply.outcome:
            return int(reply.outcome.get("price", 0)), said
    return 0, said


def _plan(buyer: Mapping[str, Any], car: Car, courtesies: Sequence[str]) -> Iterator[str]:
    """What is said before the concessions."""
    traits = PERSONALITIES[buyer["personality"]]
    yield from courtesies
    wanted = [feature for feature in buyer["features"] if feature in car["features"]]
    yield f"Look at the {short(car)}{', it has ' + ' and '.join(wanted) if wanted else ''}."
    if traits.flattery > 0:
        yield _FLATTERY
    if traits.pressure > 0:
        yield _PRESSURE
    yield f"The {short(car)} is ${car['msrp']:,}."


def drawn_game(seed: int) -> tuple[Mapping[str, Any], Sequence[Car]]:
    """Buyer and stock of the environment's game with this seed."""
    env = CarDealerEnv()
    env.reset(seed=seed)
    return env._hidden["buyer"], env._hidden["stock"]


def main(episodes: int = 4000) -> None:
    """Print the mean reward of the best plans over the games of seeds 0, 1, 2, ..."""
    values = [best_play(*drawn_game(seed))[0] for seed in range(episodes)]
    print(f"best play {sum(values) / episodes:.4f}, least {min(values):.4f}; no play exceeds 1")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
