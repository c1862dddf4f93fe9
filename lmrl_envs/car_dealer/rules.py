"""The game of selling a car: buyers, what a buyer would pay, rewards. Money is in whole dollars."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmrl_envs.car_dealer.stock import BRANDS, FEATURES, FEATURES_OF, LEAST_MSRP, TYPES, TYPES_OF, Car
from lmrl_envs.core import draw_index
from lmrl_envs.language.lists import sections, table

MAX_TURNS = 25
"""Seller turns; the buyer leaves after the last one (a rule of the game)."""
BUDGETS = (10_000, 30_000, 50_000, 70_000, 90_000)
LEAST_OFFER_SHARE = 0.25
"""A price under this share of the MSRP is no offer: the buyer smells a fraud."""

Buyer = Mapping[str, Any]
"""personality, brand, type, features (list), budget, patience, concession."""


@dataclass(frozen=True)
class Personality:
    """How a sort of buyer behaves."""

    share: float
    """What it would pay for a car that has all it wants, as a share of the MSRP or of its budget, whichever is less."""
    opening: float
    """Its first counter-offer, as a share of the most it would pay."""
    concession: float
    """Exponent of its concession curve: below 1 it gives in early, above 1 late."""
    patience: int
    """Ordinary seller turns it sits through."""
    trust: float
    """At the start, 0 to 1."""
    reveal: float
    """Trust it needs before it tells its budget."""
    honesty: float
    """The budget it states, as a share of the true one."""
    flattery: float
    """Change of the share when it is paid a compliment (the first counts)."""
    pressure: float
    """Change of the share when it is pressed (the first time counts)."""
    features: float
    """Change per wanted feature that the seller points out."""
    talk: float
    """How much it says of its wishes at once, 0 to 1."""


PERSONALITIES = {
    name: Personality(*map(json.loads, line.split()))
    for name, (line,) in table(sections(__file__, "buyers.txt")["personalities"]).items()
}
CONCESSION_FACTORS = (0.8, 1.0, 1.25)
PATIENCE_SHIFTS = (-3, -2, -1, 0, 1, 2, 3)


def draw_buyer(
    rng: np.random.Generator, stock: Sequence[Car], pinned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A buyer; ``pinned`` fields are taken as they are (the rest is drawn as if nothing were pinned).

    It wants a car that there is: of a type that stands here at about its budget and that its brand makes, with features such a
    type may have.

    Raises:
        ValueError: an unknown field or an impossible value.
    """
    names = tuple(PERSONALITIES)
    personality = names[draw_index(rng, len(names))]
    budget = BUDGETS[draw_index(rng, len(BUDGETS))]
    near = [car["type"] for car in stock if 0.75 * budget <= car["msrp"] <= 1.5 * budget] or TYPES
    kind = near[draw_index(rng, len(near))]
    makers = [brand for brand in BRANDS if kind in TYPES_OF[brand]]
    brand, may = makers[draw_index(rng, len(makers))], FEATURES_OF[kind]
    k = 1 + draw_index(rng, 4)
    features = sorted((may[i] for i in rng.permutation(len(may))[:k]), key=FEATURES.index)
    shift = PATIENCE_SHIFTS[draw_index(rng, len(PATIENCE_SHIFTS))]
    factor = CONCESSION_FACTORS[draw_index(rng, len(CONCESSION_FACTORS))]
    pinned = check_pinned(pinned or {})
    personality = pinned.get("personality", personality)
    traits = PERSONALITIES[personality]
    return {
        "personality": personality,
        "brand": brand,
        "type": kind,
        "features": features,
        "budget": budget,
        "patience": traits.patience + shift,
        "concession": round(traits.concession * factor, 4),
        **pinned,
    }


BUYER_FIELDS = frozenset({"personality", "brand", "type", "features", "budget", "patience", "concession"})


def check_pinned(pinned: Any) -> dict[str, Any]:
    """The fields of ``options={"buyer": ...}``, checked.

    Raises:
        ValueError: names the field, its value and what is allowed.
    """
    if not isinstance(pinned, Mapping):
        raise ValueError(f"buyer={pinned!r} must be a mapping of hidden fields, such as {{'budget': 30000}}")
    allowed: dict[str, Sequence[Any]] = {
        "personality": tuple(PERSONALITIES),
        "brand": BRANDS,
        "type": TYPES,
        "budget": BUDGETS,
    }
    ranges = {"patience": (1, 60), "concession": (0.1, 10.0)}
    checked: dict[str, Any] = {}
    for key, value in pinned.items():
        if key in allowed:
            if isinstance(value, bool) or value not in allowed[key]:
                raise ValueError(
                    f"buyer {key}={value!r} is not known; choose one of {', '.join(map(repr, allowed[key]))}"
                )
            checked[key] = int(value) if key == "budget" else value
        elif key == "features":
            chosen = list(value) if isinstance(value, list | tuple | set | frozenset) else [None]
            if (
                not 1 <= len(chosen) <= 4
                or len(set(map(str, chosen))) < len(chosen)
                or not set(chosen) <= set(FEATURES)
            ):
                raise ValueError(f"buyer features={value!r} must be 1 to 4 different ones of {', '.join(FEATURES)}")
            checked[key] = sorted(chosen, key=FEATURES.index)
        elif key in ranges:
            low, high = ranges[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise ValueError(f"buyer {key}={value!r} must be a number from {low} to {high}")
            checked[key] = int(value) if key == "patience" else float(value)
        else:
            known = ", ".join([*allowed, "features", *ranges])
            raise ValueError(f"unknown buyer field {key!r}; this task knows {known}")
    return checked


# -- what a buyer would pay

OTHER_TYPE, OTHER_BRAND, NO_FEATURES = 0.35, 0.9, 0.6
"""What is left of the price where the type, the brand, and all of the features (two or more) are not what the buyer wants."""
TRUST_SHARE = 0.10
"""What full trust (against none) adds to the share a buyer would pay."""
GREATEST_TRUST_GAIN = 0.36
"""No seller gains more trust than this (see `lmrl_envs.car_dealer.partner`)."""


def fit(buyer: Buyer, car: Car) -> float:
    """How well a car meets the wishes, 1 at best: unmet ones multiply, so that no price makes up for them."""
    missing = sum(feature not in car["features"] for feature in buyer["features"]) / max(len(buyer["features"]), 2)
    kind = 1.0 if car["type"] == buyer["type"] else OTHER_TYPE
    brand = 1.0 if car["brand"] == buyer["brand"] else OTHER_BRAND
    return kind * brand * (1 - (1 - NO_FEATURES) * missing)


def reservation(buyer: Buyer, car: Car, persuasion: float = 0.0) -> int:
    """The most the buyer would pay for the car: never above its budget, never above the MSRP.

    ``persuasion`` is what trust, compliments, pressure and good arguments have added to its share.
    """
    share = min(PERSONALITIES[buyer["personality"]].share + persuasion, 1.0)
    return max(0, int(min(buyer["budget"], car["msrp"]) * share * fit(buyer, car) // 50 * 50))


def greatest_persuasion(buyer: Buyer, car: Car) -> float:
    """No seller adds more than this to the buyer's share for a car."""
    traits = PERSONALITIES[buyer["personality"]]
    praised = sum(feature in car["features"] for feature in buyer["features"])
    trust = min(GREATEST_TRUST_GAIN, 1 - traits.trust)
    return max(traits.flattery, 0) + max(traits.pressure, 0) + traits.features * praised + TRUST_SHARE * trust


def most_ever(buyer: Buyer, car: Car) -> int:
    """The most this buyer would ever pay for the car, whoever sells it; 0 if that is no offer for such a car."""
    most = reservation(buyer, car, greatest_persuasion(buyer, car))
    return most if most >= least_offer(car) else 0


def least_offer(car: Car) -> float:
    """A price under this is taken for a joke or a fraud, not for an offer."""
    return LEAST_OFFER_SHARE * car["msrp"]


# -- rewards


def deal_reward(price: int, best: int) -> float:
    """Price over ``best``, the most this buyer would ever pay for the best car in stock; 0 without a sale. Within [0, 1]."""
    return min(price / best, 1.0) if best else float(price > 0)


def fancy_reward(decision: str, budget: int, msrp: int, price: int = 0) -> float:
    """Accept: price / ((budget + msrp) / 2). Reject: -(budget - msrp) / msrp, with the MSRP of the car talked about."""
    if decision == "accept":
        return price / ((budget + msrp) / 2)
    return -(budget - msrp) / msrp


def reward(kind: str, buyer: Buyer, stock: Sequence[Car], car: Car, price: int) -> float:
    """What a game pays that ended with a sale of ``car`` for ``price``, or without one (0) after talk about it ({}: about none)."""
    if kind == "revenue":
        return price / 1000
    if kind == "deal":
        return deal_reward(price, max(most_ever(buyer, other) for other in stock))
    msrp = (car or min(stock, key=lambda other: other["msrp"]))["msrp"]
    return fancy_reward("accept" if price else "reject", buyer["budget"], msrp, price)


RETURN_RANGES = {
    "deal": (0.0, 1.0),
    # A sale is at most min(budget, msrp), so at most 1; a lost buyer of 90,000 over the cheapest car costs most.
    "fancy": (fancy_reward("reject", BUDGETS[-1], LEAST_MSRP), 1.0),
    "revenue": (0.0, BUDGETS[-1] / 1000),
}
"""Kind of reward -> least and greatest return."""
