"""The cities and what is known about them: frozen tables, read once (see SOURCE.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from lmrl_envs.language.lists import sections, table

HEADS = "entity|subject|locality|locale|settlement|municipality|destination|(?:urban|metropolitan|metro) area|conurbation|location|place|city|town|metropolis"
"""Nouns that stand for what is hidden."""


@dataclass(frozen=True)
class Country:
    """A country of the table."""

    name: str
    iso: str
    aliases: tuple[str, ...]
    adjectives: tuple[str, ...]
    continent: str
    subregion: str
    languages: tuple[str, ...]
    currency: str
    religion: str
    script: str
    government: str
    drive: str
    groups: tuple[str, ...]
    coloniser: str
    flag: tuple[str, ...]
    neighbours: tuple[str, ...]
    landlocked: bool
    population: int
    phone: str
    independence: tuple[int, ...]
    """The first and the last year that people would name; () where it never gained it from anybody."""


@dataclass(frozen=True, eq=False)
class City:
    """A city of the table. Populations in millions, temperatures in degrees Celsius, elevation in metres, UTC in hours."""

    name: str
    aliases: tuple[str, ...]
    country: Country
    province: str
    population: float
    metro: float
    geoname: int
    geonames_population: int
    lat: float
    lon: float
    timezone: str
    utc: float
    utc_summer: float
    capital: str
    regional_capital: bool
    coastal: bool
    water: str
    ocean: str
    lake: bool
    rivers: tuple[str, ...]
    climate: str
    january: float
    july: float
    snow: str
    elevation: int
    founded: str
    foods: tuple[str, ...]
    landmarks: tuple[str, ...]
    known: tuple[str, ...]
    nicknames: tuple[str, ...]
    clubs: tuple[str, ...]
    olympics: tuple[str, ...]
    airports: tuple[str, ...]
    mountains: str
    traits: tuple[str, ...]
    industries: tuple[str, ...]
    universities: tuple[str, ...]
    people: tuple[str, ...]
    festival: str
    local: dict[str, Any]
    """What differs from the country: its own languages, or in Hong Kong its currency and history."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name and all aliases."""
        return (self.name, *self.aliases)

    @property
    def mean_temperature(self) -> float:
        """The mean of January and July."""
        return (self.january + self.july) / 2

    @cached_property
    def year(self) -> int:
        """About when it was founded; negative before our era."""
        return _year(self.founded)


def _year(text: str) -> int:
    import re

    if found := re.search(r"over ([\d,]+) years ago|about ([\d,]+) years ago", text):
        return 2000 - int((found[1] or found[2]).replace(",", ""))
    if "millennium" in text:
        return -2500
    if found := re.search(r"(\d+)(?:st|nd|rd|th) century BC", text):
        return -100 * int(found[1]) + 50
    if found := re.search(r"(\d+) BC", text):
        return -int(found[1])
    if found := re.search(r"(\d+)(?:st|nd|rd|th)(?: or \d+\w+| to \d+\w+)? centur", text):
        return 100 * int(found[1]) - 50
    if found := re.search(r"\d{2,4}", text):
        return int(found[0])
    return 0


def _read(name: str) -> Any:
    return json.loads(Path(__file__).with_name("data").joinpath(name).read_text("utf-8"))


def _freeze(row: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


@lru_cache(maxsize=1)
def countries() -> dict[str, Country]:
    """Countries by name."""
    return {name: Country(name=name, **_freeze(row)) for name, row in _read("countries.json").items()}


@lru_cache(maxsize=1)
def cities() -> dict[str, City]:
    """Cities by name."""
    known = countries()
    return {
        name: City(**{**_freeze(row), "name": name, "country": replace(known[row["country"]], **_freeze(row["local"]))})
        for name, row in _read("cities.json").items()
    }


@lru_cache(maxsize=1)
def places() -> dict[str, Any]:
    """Other cities and all countries of the world, to compare with: see SOURCE.md for the columns."""
    return _read("places.json")


@cache
def members(section: str) -> dict[str, frozenset[str]]:
    """What no column of the table holds: a property of cities, countries, ... -> the names of those that have it."""
    return {name: frozenset(own) for name, own in table(sections(__file__, "data/members.txt")[section]).items()}


@lru_cache(maxsize=3)
def split_names(split: str) -> tuple[str, ...]:
    """Names of the cities of a split: "all", "train" or "test"."""
    if split == "all":
        return tuple(cities())
    return tuple(name for name in cities() if (name in members("cities")["held out"]) == (split == "test"))
