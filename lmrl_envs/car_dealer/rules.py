"""The game of selling a car: stock, buyers, what a buyer would pay, rewards. Money is in whole dollars."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmrl_envs.core import draw_index
from lmrl_envs.language.lists import sections, table

MAX_TURNS = 25
"""Seller turns; the buyer leaves after the last one (a rule of the game)."""

BRANDS = (
    "Toyota", "Honda", "Ford", "Chevrolet", "Nissan", "Subaru", "Hyundai", "Kia", "Volkswagen", "BMW", "Audi",
    "Mercedes", "Volvo",
)  # fmt: skip
TYPES = ("sedan", "SUV", "truck", "minivan", "convertible", "hatchback")
FEATURES = (
    "leather seats", "sunroof", "heated seats", "backup camera", "third row", "all-wheel drive", "hybrid engine",
    "premium sound",
)  # fmt: skip
BUDGETS = (10_000, 30_000, 50_000, 70_000, 90_000)
DECISIONS = ("accept", "reject")

STOCK_TIERS = (10, 10, 10, 30, 30, 30, 50, 50, 50, 70, 70, 90, 90)
"""One car per brand; thousands of dollars around which its MSRP is drawn."""
LEAST_MSRP, GREATEST_MSRP = 9_000, 117_000
LEAST_OFFER_SHARE = 0.4
"""A price under this share of the MSRP is no offer: the buyer smells a fraud."""

Car = Mapping[str, Any]
"""name, year, brand, type, features (list), msrp."""
Buyer = Mapping[str, Any]
"""personality, brand, type, features (list), budget, patience, concession."""


@dataclass(frozen=True)
class Personality:
    """How a sort of buyer behaves. Shares are of the MSRP unless said otherwise."""

    base: float
    """What it would pay at most for a car that has nothing it wants."""
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
    """Change of what it would pay per compliment (two count)."""
    pressure: float
    """Change of what it would pay per line of pressure (two count)."""
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

OPENING_HEAD = "Cars for sale:"
OPENING_TAIL = "A customer walks in."
_CAR_LINE = re.compile(
    r"^- (?P<name>(?P<year>\d{4}) (?P<brand>\w+) (?P<type>\w+)), MSRP \$(?P<msrp>[\d,]+): (?P<features>.+)$"
)


# -- drawing a game


def draw_stock(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Thirteen cars, one of every brand, at least two of every type, two to four features each; MSRPs are made up."""
    n = len(BRANDS)
    types = [*TYPES, *TYPES, TYPES[draw_index(rng, len(TYPES))]]
    types = [types[i] for i in rng.permutation(n).tolist()]
    tiers = [STOCK_TIERS[i] for i in rng.permutation(n).tolist()]
    orders = rng.random((n, len(FEATURES))).argsort(axis=1, kind="stable").tolist()
    draws = rng.random((n, 3)).tolist()
    stock = []
    for brand, kind, tier, order, (more, age, price) in zip(BRANDS, types, tiers, orders, draws, strict=True):
        features = [FEATURES[i] for i in sorted(order[: 2 + int(3 * more)])]
        year = 2025 - int(4 * age) - (8 if tier == 10 else 0)
        msrp = min(max(round(tier * (9.5 + 3.5 * price)) * 100, LEAST_MSRP), GREATEST_MSRP)
        stock.append(
            {
                "name": f"{year} {brand} {kind}",
                "year": year,
                "brand": brand,
                "type": kind,
                "features": features,
                "msrp": msrp,
            }
        )
    return sorted(stock, key=lambda car: car["msrp"])


def draw_buyer(rng: np.random.Generator, pinned: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A buyer; ``pinned`` fields are taken as they are (the rest is drawn as if nothing were pinned).

    Raises:
        ValueError: an unknown field or an impossible value.
    """
    names = tuple(PERSONALITIES)
    personality = names[draw_index(rng, len(names))]
    brand, kind = BRANDS[draw_index(rng, len(BRANDS))], TYPES[draw_index(rng, len(TYPES))]
    k = 1 + draw_index(rng, 4)
    features = sorted((FEATURES[i] for i in rng.permutation(len(FEATURES))[:k]), key=FEATURES.index)
    budget = BUDGETS[draw_index(rng, len(BUDGETS))]
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


def check_stock(stock: Any) -> None:
    """Check that cars are such as `draw_stock` gives.

    Raises:
        ValueError: they are not.
    """
    fields = {"name", "year", "brand", "type", "features", "msrp"}
    if not isinstance(stock, list) or not 1 <= len(stock) <= len(BRANDS):
        raise ValueError(f"a stock is a list of 1 to {len(BRANDS)} cars")
    for car in stock:
        if (
            not isinstance(car, Mapping)
            or set(car) != fields
            or type(car["year"]) is not int
            or type(car["msrp"]) is not int
            or not LEAST_MSRP <= car["msrp"] <= GREATEST_MSRP
            or car["brand"] not in BRANDS
            or car["type"] not in TYPES
            or car["name"] != f"{car['year']} {car['brand']} {car['type']}"
            or not isinstance(car["features"], list)
            or not all(isinstance(feature, str) and feature in FEATURES for feature in car["features"])
        ):
            raise ValueError("a car in stock is none that could be drawn")


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


# -- the opening text


def money(amount: float) -> str:
    """``$27,500``."""
    return f"${amount:,.0f}"


def short(car: Car) -> str:
    """``Toyota SUV``."""
    return f"{car['brand']} {car['type']}"


def opening_text(stock: Sequence[Car]) -> str:
    """The stock list, as the agent sees it."""
    lines = [f"- {car['name']}, MSRP {money(car['msrp'])}: {', '.join(car['features'])}" for car in stock]
    return "\n".join([OPENING_HEAD, *lines, OPENING_TAIL])


def parse_stock(opening: str) -> list[dict[str, Any]]:
    """The cars of an opening text (for players, who see no more than that)."""
    cars = []
    for line in opening.splitlines():
        match = _CAR_LINE.match(line)
        if match:
            car: dict[str, Any] = match.groupdict()
            car.update(
                year=int(car["year"]), msrp=int(car["msrp"].replace(",", "")), features=car["features"].split(", ")
            )
            cars.append(car)
    return cars


# -- what a buyer would pay

_TYPE_SHARE, _BRAND_SHARE, _FEATURE_SHARE = 0.09, 0.05, 0.06
"""What a full match of type, brand and features adds to the share of the MSRP a buyer would pay."""


def match_share(buyer: Buyer, car: Car) -> float:
    """Share of the MSRP that the car's fit adds."""
    wanted = buyer["features"]
    found = sum(feature in car["features"] for feature in wanted)
    return (
        _TYPE_SHARE * (car["type"] == buyer["type"])
        + _BRAND_SHARE * (car["brand"] == buyer["brand"])
        + _FEATURE_SHARE * found / len(wanted)
    )


def reservation(buyer: Buyer, car: Car, persuasion: float = 0.0) -> int:
    """The most the buyer would pay for the car: never above its budget, never above the MSRP.

    ``persuasion`` is what trust, compliments, pressure and good arguments have added to its share of the MSRP.
    """
    share = PERSONALITIES[buyer["personality"]].base + match_share(buyer, car) + persuasion
    most = min(buyer["budget"], car["msrp"] * min(share, 1.0))
    return max(0, int(most // 50 * 50))


def least_offer(car: Car) -> float:
    """A price under this is taken for a joke or a fraud, not for an offer."""
    return LEAST_OFFER_SHARE * car["msrp"]


# -- rewards


def fancy_reward(decision: str, budget: int, msrp: int, price: int = 0) -> float:
    """Accept: price / ((budget + msrp) / 2). Reject: -(budget - msrp) / msrp, with the MSRP of the car talked about."""
    if decision == "accept":
        return price / ((budget + msrp) / 2)
    return -(budget - msrp) / msrp


def revenue_reward(decision: str, budget: int, msrp: int, price: int = 0) -> float:
    """Accept: price / 1000. Reject: 0."""
    return price / 1000 if decision == "accept" else 0.0


REWARDS = {"fancy": fancy_reward, "revenue": revenue_reward}
RETURN_RANGE = {
    # A sale is at most min(budget, msrp), so at most 1; a lost buyer of 90,000 over the cheapest car costs most.
    "fancy": (fancy_reward("reject", BUDGETS[-1], LEAST_MSRP), 1.0),
    "revenue": (0.0, BUDGETS[-1] / 1000),
}


def named_cars(stock: Sequence[Car], name: str) -> list[Car]:
    """The cars of that name (one, or none)."""
    return [car for car in stock if car["name"] == name]
