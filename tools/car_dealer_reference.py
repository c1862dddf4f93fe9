"""The best that can be got from a buyer who is known: the reference of Car Dealer.

What a buyer pays at most is its reservation price, raised by persuasion; it pays exactly that when its patience or the
time is about to run out. So the best plan is: raise it all one can, let time pass politely, ask for exactly that price at
the end. `bound` says what no seller can exceed, `best_play` plays such plans against the scripted buyer; the two
agree within a few tenths of a percent. ``python tools/car_dealer_reference.py 4000`` gives the figures in the table of SOURCE.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.buyer_state import GREATEST_PERSUASION, TRUST_SHARE, most_paid
from lmrl_envs.car_dealer.env import CarDealerEnv
from lmrl_envs.car_dealer.partner import ScriptedBuyer
from lmrl_envs.car_dealer.rules import MAX_TURNS, PERSONALITIES, REWARDS, Car, short
from lmrl_envs.partners.base import PartnerRequest

_HONEST = (
    "Every car comes with a full service history.",
    "We have no hidden fees here.",
    "There is a warranty on each of them.",
    "You can have it inspected by anybody.",
)
_FLATTERY = ("You have excellent taste.", "It really suits you.", "I see you know your cars.")
_PRESSURE = ("It is the last one.", "It won't last.")
_WAIT = ("Let me look for the keys.", "I will get the papers.", "The papers are on their way.")


def bound(buyer: Mapping[str, Any], stock: Sequence[Car], reward: str = "fancy") -> float:
    """No play against the scripted buyer earns more than this."""
    traits, budget = PERSONALITIES[buyer["personality"]], buyer["budget"]
    liked = sum(rules.match_share(buyer, car) >= 0.12 for car in stock)
    best = max(REWARDS[reward]("reject", budget, car["msrp"]) for car in stock)
    for car in stock:
        trust = traits.trust + 0.26 + 0.03 * len(buyer["features"]) + 0.03 * liked + 0.09 * (traits.flattery > 0)
        praised = sum(feature in car["features"] for feature in buyer["features"])
        gain = 2 * max(traits.flattery, 0) + 2 * max(traits.pressure, 0) + traits.features * praised
        gain += TRUST_SHARE * (min(trust, 1.0) - traits.trust)
        price = rules.reservation(buyer, car, min(gain, GREATEST_PERSUASION))
        best = max(best, REWARDS[reward]("accept", budget, car["msrp"], price))
    return best


def best_play(buyer: Mapping[str, Any], stock: Sequence[Car], reward: str = "fancy") -> tuple[float, list[str]]:
    """The best plan found: its reward, attained in play, and the lines of the seller."""
    pay, budget = REWARDS[reward], buyer["budget"]
    dearest = stock[max(range(len(stock)), key=lambda i: stock[i]["msrp"])]
    best = pay("reject", budget, dearest["msrp"]), [f"Look at the {short(dearest)}.", "Goodbye."]

    def hoped(car: Car) -> float:
        return pay("accept", budget, car["msrp"], rules.reservation(buyer, car, 0.08))

    for car in sorted(stock, key=hoped, reverse=True)[:3]:
        price, lines = sell(buyer, stock, car)
        value = pay("accept", budget, car["msrp"], price)
        if price and value > best[0]:
            best = value, lines
    return best


def sell(buyer: Mapping[str, Any], stock: Sequence[Car], car: Car) -> tuple[int, list[str]]:
    """Sell this car for as much as it gives; the price (0: no sale) and the lines."""
    traits = PERSONALITIES[buyer["personality"]]
    wanted = [feature for feature in buyer["features"] if feature in car["features"]]
    lines = ["Welcome.", *_HONEST]
    liked = [other for other in stock if other is not car and rules.match_share(buyer, other) >= 0.12]
    lines += [f"Look at the {short(other)}." for other in liked[:2]]
    lines.append(f"Look at the {short(car)}{', it has ' + ' and '.join(wanted) if wanted else ''}.")
    if traits.flattery > 0:
        lines += _FLATTERY
    if traits.pressure > 0:
        lines += _PRESSURE
    partner, state = ScriptedBuyer(), {}
    said: list[str] = []
    for turn in range(1, MAX_TURNS + 1):
        wait = turn <= len(lines)
        line = lines[turn - 1] if wait else _WAIT[turn % 3]
        if (not wait and (state["patience"] - 1.0 <= 1.5 or turn == MAX_TURNS)) or (
            wait and turn > 2 and state["patience"] <= 2.4
        ):
            most = most_paid(buyer, state, car)
            line = f"The {short(car)} is ${most:,}."
        said.append(line)
        reply = partner.reply([PartnerRequest({"buyer": buyer, "stock": stock}, (), line, 0, state)])[0]
        state = dict(reply.state)
        if reply.outcome:
            return int(reply.outcome.get("price", 0)), said
    return 0, said


def drawn_game(seed: int) -> tuple[Mapping[str, Any], Sequence[Car]]:
    """Buyer and stock of the environment's game with this seed."""
    env = CarDealerEnv()
    env.reset(seed=seed)
    return env._hidden["buyer"], env._hidden["stock"]


def main(episodes: int = 4000) -> None:
    """Print the mean reward of the best plans, and of the bound, over the games of seeds 0, 1, 2, ..."""
    games = [drawn_game(seed) for seed in range(episodes)]
    played = sum(best_play(buyer, stock)[0] for buyer, stock in games) / episodes
    print(f"best play {played:.4f}, bound {sum(bound(buyer, stock) for buyer, stock in games) / episodes:.4f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
