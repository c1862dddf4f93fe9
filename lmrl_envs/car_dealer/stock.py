"""The stock list: thirteen cars with prices that fit brand, type and year, and features that fit the type (``stock.toml``)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmrl_envs.core import draw_index
from lmrl_envs.language.lists import toml

Car = Mapping[str, Any]
"""name, year, brand, type, features (list), msrp."""

_MADE = toml(__file__, "stock.toml")
BRANDS, TYPES = tuple(_MADE["brands"]), tuple(_MADE["types"])
FEATURES = tuple(_MADE["types"]["SUV"]["features"])
TYPES_OF = {brand: ("sedan", "SUV", *made["types"]) for brand, made in _MADE["brands"].items()}
"""What a brand makes."""
FEATURES_OF: dict[str, list[str]] = {kind: made["features"] for kind, made in _MADE["types"].items()}
"""What a type of car may have."""
_PREMIUM = tuple(brand for brand in BRANDS if _MADE["brands"][brand]["level"] > 1.5)
_SCARCE = ("truck", "minivan", "convertible", "hatchback")
"""Types that not every brand makes, the scarcest first; there are two of each."""
NEWEST = 2025
LEAST_MSRP, GREATEST_MSRP = 8_000, 115_000

OPENING_HEAD = "Cars for sale:"
OPENING_TAIL = "A customer walks in."
_CAR_LINE = re.compile(
    r"^- (?P<name>(?P<year>\d{4}) (?P<brand>\w+) (?P<type>\w+)), MSRP \$(?P<msrp>[\d,]+): (?P<features>.+)$"
)


def draw_stock(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Thirteen cars, one of every brand, at least two of every type, two to four features each; the cheapest first."""
    order = [BRANDS[i] for i in rng.permutation(len(BRANDS)).tolist()]
    types = _types(rng, order)
    targets = _targets(rng, order)
    draws = rng.random((len(BRANDS), 3)).tolist()
    shuffles = rng.random((len(BRANDS), len(FEATURES))).argsort(axis=1, kind="stable").tolist()
    stock = []
    for brand, (more, price, half), shuffle in zip(BRANDS, draws, shuffles, strict=True):
        kind, target = types[brand], targets[brand] * (0.93 + 0.14 * price)
        new = _MADE["brands"][brand]["level"] * _MADE["types"][kind]["price"]
        # Dearer than the plain model: the best trim of this year. Cheaper: an older one.
        age = max(0, round(math.log(target / new) / math.log(_MADE["depreciation"])))
        worth = min(target, 1.5 * new) if age == 0 else new * _MADE["depreciation"] ** age * (0.95 + 0.1 * price)
        year, msrp = (
            NEWEST - age - (age == 0 and half < 0.5),
            min(max(round(10 * worth) * 100, LEAST_MSRP), GREATEST_MSRP),
        )
        may = [FEATURES[i] for i in shuffle if FEATURES[i] in FEATURES_OF[kind]]
        features = sorted(may[: 2 + int(3 * more)], key=FEATURES.index)
        stock.append({"name": f"{year} {brand} {kind}", "year": year, "brand": brand, "type": kind, "features": features,
                      "msrp": msrp})  # fmt: skip
    return sorted(stock, key=lambda car: car["msrp"])


def _types(rng: np.random.Generator, order: Sequence[str]) -> dict[str, str]:
    """A type for each brand, given out in a random order of the brands."""
    types: dict[str, str] = {}
    for kind in _SCARCE:
        makers = [brand for brand in order if brand not in types and kind in TYPES_OF[brand]]
        types |= dict.fromkeys(makers[:2], kind)
    left = [brand for brand in order if brand not in types]
    types |= dict.fromkeys(left[:2], "sedan") | dict.fromkeys(left[2:4], "SUV")
    return types | {brand: TYPES_OF[brand][draw_index(rng, len(TYPES_OF[brand]))] for brand in left[4:]}


def _targets(rng: np.random.Generator, order: Sequence[str]) -> dict[str, float]:
    """About what each brand's car costs, in thousands: dear ones from those that make dear cars."""
    premium = [brand for brand in order if brand in _PREMIUM]
    dear = dict(zip(premium, _MADE["tiers"]["premium"], strict=False))
    left = [brand for brand in order if brand not in dear]
    tiers = _MADE["tiers"]["any"]
    return dear | {brand: tiers[i] for brand, i in zip(left, rng.permutation(len(tiers)).tolist(), strict=True)}


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
    for match in map(_CAR_LINE.match, opening.splitlines()):
        if match:
            car: dict[str, Any] = match.groupdict()
            year, msrp = int(car["year"]), int(car["msrp"].replace(",", ""))
            cars.append(car | {"year": year, "msrp": msrp, "features": car["features"].split(", ")})
    return cars


def named_cars(stock: Sequence[Car], name: str) -> list[Car]:
    """The cars of that name (one, or none)."""
    return [car for car in stock if car["name"] == name]
