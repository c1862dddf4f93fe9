"""Where a city lies: regions, seas, neighbours, distances and directions."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from lmrl_envs.guess_my_city.table import City, cities, countries, distance, members, places


def in_region(c: City, region: str) -> bool:
    """Whether the city is in a part of the world."""
    if region == "eurasia":
        return c.country.continent in ("Asia", "Europe")
    if region == "andes region" and c.name in ("Lima", "Buenos Aires"):
        return False
    if region == "pacific rim":
        return c.ocean == "Pacific Ocean"
    if region == "balkans" and c.name == "Istanbul":
        return True
    if c.country.subregion in members("subregions").get(region, ()):
        return True
    return c.country.name in members("regions").get(region, ())


def in_continent(c: City, continent: str) -> bool:
    """Whether the city is on a continent (Istanbul is on two; the Caucasus counts as both)."""
    if c.name == "Istanbul" or c.country.subregion == "the Caucasus":
        return continent in ("Asia", "Europe")
    return c.country.continent == continent


@cache
def _country_points(name: str) -> tuple[tuple[float, float], ...]:
    own = [(city.lat, city.lon) for city in cities().values() if city.country.name == name]
    row = places()["countries"].get(name)
    iso = row[0] if row else countries()[name].iso
    own += [(other[0], other[1]) for other in places()["cities"].values() if other[2] == iso]
    return tuple(own + ([(row[3], row[4])] if row else []))


@lru_cache(maxsize=65536)
def near_place(name: str, kind: str, place: str | None) -> bool:
    """Whether a city is near a place: 500 km of a city, 900 km of a country or its neighbour."""
    c = cities()[name]
    if kind in ("city", "other") and place:
        return distance((c.lat, c.lon), point_of(kind, place)) < 500
    if kind == "country" and place:
        if place == c.country.name or place in c.country.neighbours:
            return True
        return any(distance((c.lat, c.lon), point) < 900 for point in _country_points(place))
    return is_in(c, (kind, place))


def point_of(kind: str, place: str) -> tuple[float, float]:
    """Latitude and longitude of a city of the table ("city") or another one ("other")."""
    if kind == "city":
        return cities()[place].lat, cities()[place].lon
    row = places()["cities"][place]
    return row[0], row[1]


def is_in(c: City, value: tuple[str, str | None]) -> bool:
    """Whether the city lies in (is, is on) a place: its kind and name."""
    kind, place = value
    if kind == "city":
        return c.name == place
    if kind == "country":
        return c.country.name == place
    if kind == "continent":
        return in_continent(c, place or "")
    if kind == "region":
        return in_region(c, place or "")
    if kind == "water":
        return on_water(c, place or "")
    return False


def on_water(c: City, water: str) -> bool:
    """Whether the city lies on a sea or ocean (an ocean counts for its seas)."""
    if c.name in members("seas").get(water, ()):
        return True
    return c.coastal and (water.lower() in c.water.lower() or water == c.ocean)


def to_the(c: City, value: Any, axis: str, sign: int) -> bool:
    """Whether the city lies north (axis "lat", sign 1), south, east or west of a place."""
    kind, place = value
    here = c.lat if axis == "lat" else c.lon
    if kind in ("city", "other"):
        there = point_of(kind, place)[0 if axis == "lat" else 1]
    elif kind == "country":
        if place == c.country.name:
            return False
        points = _country_points(place)
        there = sum(point[0 if axis == "lat" else 1] for point in points) / len(points)
    elif kind == "continent":
        if in_continent(c, place):
            return False
        own = [x for x in cities().values() if x.country.continent == place]
        there = sum(x.lat if axis == "lat" else x.lon for x in own) / max(1, len(own))
    else:
        return False
    return sign * (here - there) > 0


def in_the_part(c: City, value: Any, axis: str, sign: int) -> bool:
    """Whether the city lies in the northern (...) part of a country or continent it is in."""
    if value[0] == "own country":
        value = ("country", c.country.name)
    if not is_in(c, value):
        return False
    if value[0] == "country":
        points = list(_country_points(value[1]))
    else:
        points = [(x.lat, x.lon) for x in cities().values() if in_continent(x, value[1])]
    numbers = [point[0 if axis == "lat" else 1] for point in points]
    middle = (min(numbers) + max(numbers)) / 2
    return sign * ((c.lat if axis == "lat" else c.lon) - middle) > 0


def is_largest_in(c: City, kind: str, place: str, rank: int = 1) -> bool:
    """Whether it is the largest city of a country, continent or region, within its limits or with its suburbs."""
    if not is_in(c, (kind.removeprefix("in_"), place)):
        return False
    if kind == "in_country" and rank == 1:
        return c.largest_in_country
    rivals = [x for x in cities().values() if is_in(x, (kind.removeprefix("in_"), place))]
    rivals = [x for x in rivals if x.name != "Istanbul" or place != "Europe"]
    measures = (sorted(x.population for x in rivals)[-rank:][0], sorted(x.metro for x in rivals)[-rank:][0])
    return c.population >= measures[0] or c.metro >= measures[1]
