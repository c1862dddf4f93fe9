"""The cities as a table in three values: everything that a yes/no question can ask, as sets of cities."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from lmrl_envs.guess_my_city.table import City, cities, countries
from lmrl_envs.language.knowledge import Knowledge, to_set
from lmrl_envs.language.lists import sections


def _numbers(c: City) -> dict[str, float]:
    """The measures of a city (millions of people, metres, degrees, hours, letters)."""
    return {
        "people": c.population, "metro": c.metro, "nation": c.country.population / 1e6, "elevation": c.elevation,
        "lat": c.lat, "lon": c.lon, "january": c.january, "july": c.july, "year": c.year, "utc": c.utc,
        "summer": c.utc_summer, "letters": len(c.name.replace(" ", "")), "neighbours": len(c.country.neighbours),
        "games": len(c.olympics),
    }  # fmt: skip


def _columns(everyone: tuple[City, ...]) -> dict[str, int]:
    """The sets that follow from the table's columns alone."""
    found: dict[str, int] = {"none": 0, "everything": (1 << len(everyone)) - 1}

    def add(name: str, indices: Iterable[int]) -> None:
        found[name] = found.get(name, 0) | to_set(indices)

    for i, c in enumerate(everyone):
        add(c.country.name, (i,))
        for language in c.country.languages:
            add(f"speaks {language.split(' (')[0]}", (i,))
        add(f"mainly speaks {c.country.languages[0].split(' (')[0]}", (i,))
        for neighbour in c.country.neighbours:
            add(f"borders {neighbour}", (i,))
        for group in c.country.groups:
            add(f"group {group}", (i,))
        for word in c.country.currency.split(" "):
            add(f"pays {word}", (i,))
        if c.country.coloniser:
            add(f"ruled by {c.country.coloniser}", (i,))
        for colour in c.country.flag:
            add(f"flag {colour}", (i,))
        add(f"climate {c.climate}", (i,))
    for continent in {country.continent for country in countries().values()}:
        add(continent, (i for i, c in enumerate(everyone) if c.country.continent == continent))
    return found


_BETWEEN_CONTINENTS = ("Istanbul", "Baku", "Tbilisi")
"""Cities that some count to Europe and some to Asia."""


@lru_cache(maxsize=1)
def load_knowledge() -> Knowledge:
    """The bundled table (read once per process).

    Raises:
        KeyError: attributes.txt names what is not defined.
    """
    everyone = tuple(cities().values())
    rows = [_numbers(c) for c in everyone]
    attributes = _columns(everyone)
    knowledge = Knowledge(
        names=tuple(cities()),
        aliases=tuple(c.names for c in everyone),
        categories=tuple(c.country.continent for c in everyone),
        measures={key: tuple(row[key] for row in rows) for key in rows[0]},
        attributes=attributes,
        disputed=dict.fromkeys(attributes, 0),
        questions={},
    )
    between = to_set(i for i, c in enumerate(everyone) if c.name in _BETWEEN_CONTINENTS)
    knowledge.disputed["Europe"] = knowledge.disputed["Asia"] = between
    attributes["Europe"], attributes["Asia"] = attributes["Europe"] | between, attributes["Asia"] | between
    knowledge.disputed["China"] = 1 << knowledge.index["Taipei"]
    for lines in sections(__file__, "data/attributes.txt").values():
        for line in lines:
            head, _, disputed_of = line.partition(" ? ")
            name, _, true_of = head.partition(" = ")
            true, possible, _ = knowledge.judge(true_of)
            if disputed_of:
                possible |= knowledge.judge(disputed_of)[1]
            attributes[name], knowledge.disputed[name] = true, possible & ~true
    return knowledge


def region_names() -> dict[str, str]:
    """Names of the parts of the world and of waters -> "region" or "water"."""
    found = sections(__file__, "data/attributes.txt")
    return {
        line.partition(" = ")[0]: kind
        for title, kind in (("regions", "region"), ("waters", "water"))
        for line in found[title]
    }
