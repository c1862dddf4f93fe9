"""What a buyer keeps in mind between turns, and what follows from it: how much it would pay, and now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.car_dealer import rules
from lmrl_envs.car_dealer.rules import PERSONALITIES
from lmrl_envs.car_dealer.stock import FEATURES, Car

ROUNDS = 5.0
"""Full concessions of the seller in which the buyer goes from its first counter-offer to the most it would pay."""
FULL_CONCESSION = 0.02
"""A concession of this share of the MSRP is a full one; less counts in proportion, more does not count more."""
NOTICED = 0.004
"""A smaller concession is none."""
ARGUMENT = 0.3
"""What a wanted feature that is pointed out moves the buyer, in rounds."""
CHARMS = {"polite": 0.05, "honest": 0.07, "small talk": 0.05, "flattery": 0.03, "pressure": -0.01}
"""What the first of its kind gains in trust; the second gains nothing, so that manners do not add up."""
GREATEST_COUNT = 10**7
"""Of anything that a buyer counts; prices are below."""


def opening_state(buyer: Mapping[str, Any]) -> dict[str, Any]:
    """A buyer's state when it walks in."""
    return {
        "turns": 0,
        "patience": float(buyer["patience"]),
        "trust": PERSONALITIES[buyer["personality"]].trust,
        "mood": 0.2,
        "clock": 0.0,
        "focus": -1,
        "talked": (),
        "heard": {},  # index of a car, as a string -> the price last asked for it
        "counter": 0,
        "counter_car": -1,
        "praised": (),
        "charms": (),  # kinds of courtesy and persuasion it has had
        "told": 0,
        "told_budget": False,
        "asked_budget": 0,
        "finals": 0,
        "manner": -1,
        "last": "",
    }


def check_state(state: Mapping[str, Any], buyer: Mapping[str, Any], cars: int) -> None:
    """Check a state that came from elsewhere; that of another partner than the scripted buyer is its own affair.

    Args:
        state: empty before the first turn.
        buyer: whose it is.
        cars: in stock.

    Raises:
        ValueError: the buyer is never in such a state.
    """
    fresh = opening_state(buyer)
    if "clock" not in state:
        return
    if set(state) != set(fresh):
        raise ValueError("the buyer's state has other fields")
    for name, value in fresh.items():
        kinds = (list, tuple) if isinstance(value, tuple) else (float, int) if type(value) is float else (type(value),)
        if type(state[name]) not in kinds:
            raise ValueError(f"the buyer's {name} is of another type")
        if (
            type(state[name]) in (int, float)
            and not -1 <= state[name] <= GREATEST_COUNT
            and name not in ("mood", "patience")
        ):
            raise ValueError(f"the buyer's {name} is out of range")
    if not all(-1 <= state[name] < cars for name in ("focus", "counter_car")):
        raise ValueError("the buyer thinks of a car that is not in stock")
    if not all(
        key.isdecimal() and int(key) < cars and type(price) is int and 0 < price < GREATEST_COUNT
        for key, price in state["heard"].items()
    ):
        raise ValueError("the buyer has heard of no such price")
    if not all(isinstance(word, str) and word in FEATURES for word in state["praised"]):
        raise ValueError("the buyer was told of no such feature")
    if not all(kind in CHARMS for kind in state["charms"]):
        raise ValueError("the buyer knows no such courtesy")
    if not all(type(car) is int and 0 <= car < cars for car in state["talked"]):
        raise ValueError("the buyer has talked of no such car")


def persuasion(buyer: Mapping[str, Any], state: Mapping[str, Any], car: Car) -> float:
    """What the seller's behaviour so far adds to the share the buyer would pay for the car."""
    traits = PERSONALITIES[buyer["personality"]]
    praised = sum(feature in car["features"] for feature in state["praised"])
    total = (
        traits.flattery * ("flattery" in state["charms"])
        + traits.pressure * ("pressure" in state["charms"])
        + traits.features * praised
        + rules.TRUST_SHARE * (state["trust"] - traits.trust)
    )
    return total


def most_paid(buyer: Mapping[str, Any], state: Mapping[str, Any], car: Car) -> int:
    """The reservation price after what the seller has done so far."""
    return rules.reservation(buyer, car, persuasion(buyer, state, car))


def aspiration(buyer: Mapping[str, Any], state: Mapping[str, Any], most: int) -> int:
    """The price the buyer would take now: the concession curve, below the reservation price ``most``."""
    opening = PERSONALITIES[buyer["personality"]].opening
    progress = min(1.0, state["clock"] / ROUNDS) ** buyer["concession"]
    return int(most * (opening + (1 - opening) * progress) // 50 * 50)
