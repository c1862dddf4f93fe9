"""What is true of a city: every yes/no predicate, and questions made of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lmrl_envs.guess_my_city.geography import (
    in_continent,
    in_region,
    in_the_part,
    is_largest_in,
    near_place,
    on_water,
    point_of,
    to_the,
)  # fmt: skip
from lmrl_envs.guess_my_city.query import OPEN_ALIASES, Query
from lmrl_envs.guess_my_city.table import City, cities, countries, distance, members, places
from lmrl_envs.guess_my_city.words import fact_words
from lmrl_envs.language.lists import sections, table
from lmrl_envs.language.lists import words as listed

Truth = Callable[[City, Any], bool]


def _usual(language: str) -> str:
    """The table's name of a language."""
    return next(iter(members("synonyms").get(language, (language,))))


def speaks(c: City, language: str) -> bool:
    """Whether a language is one of the city's."""
    if (c.name, language) == ("Guangzhou", "cantonese"):  # its other name would give the city away
        return True
    language = _usual(language)
    return any(language == own.lower().split(" ")[0] for own in c.country.languages)


def _reference(measure: str, kind: str, place: str) -> float | None:
    """What a city is compared with: a measure of another city, guessed where that one is not of the table; None if unknown."""
    if kind == "city":
        return getattr(cities()[place], measure)
    if kind != "other":
        return None
    latitude, _, _, population = places()["cities"][place][:4]
    return {"population": population, "mean_temperature": 27 - abs(latitude) * 0.4}.get(measure)


def _compared(measure: str, sign: int) -> Truth:
    def truth(c: City, value: Any) -> bool:
        reference = _reference(measure, *value) if value else None
        return reference is not None and sign * (getattr(c, measure) - reference) > 0

    return truth


def _continent_of(country: str) -> str:
    return countries()[country].continent if country in countries() else places()["countries"][country][2]


def _same(c: City, value: Any) -> bool:
    phrase, (kind, place) = value
    if kind == "country":
        if "continent" in phrase:
            return in_continent(c, _continent_of(place))
        return phrase.startswith(("same country", "same nation")) and c.country.name == place
    if kind != "city":
        country = places()["cities"][place][2]
        return phrase.startswith(("same country", "same nation")) and c.country.iso == country
    other = cities()[place]
    if "country" in phrase or "nation" in phrase:
        return c.country.name == other.country.name
    if "continent" in phrase:
        return c.country.continent == other.country.continent
    if "time" in phrase:
        return c.utc == other.utc
    if "language" in phrase:
        return c.country.languages[0] == other.country.languages[0]
    if "currency" in phrase:
        return c.country.currency == other.country.currency
    return c.country.subregion == other.country.subregion


def _letters(c: City) -> str:
    return "".join(letter for letter in c.name.lower() if letter.isalpha())


def _starts(c: City, value: str) -> bool:
    name = _letters(c)
    if value in ("vowel", "consonant"):
        return (name[0] in "aeiou") == (value == "vowel")
    return name.startswith(value)


def _facts(c: City, stems: tuple[str, ...]) -> bool:
    owners = [fact_words().get(word, frozenset()) for word in stems]
    weights = [math.log(101 / max(1, len(own))) for own in owners]
    held = sum(weight for own, weight in zip(owners, weights, strict=True) if c.name in own)
    return held > 0.55 * sum(weights)


def _colony(c: City, value: Any) -> bool:
    if value in (None, "any"):
        return bool(c.country.coloniser) or c.name in ("Hong Kong",)
    return value in (c.country.coloniser, {"Hong Kong": "United Kingdom"}.get(c.name))


def _religion(c: City, value: str | None) -> bool:
    text = c.country.religion.lower()
    if value is None:
        return not text.startswith("no religion")
    if value == "islam":
        return text.startswith(("islam", "christianity and islam"))
    return value in text


def _has_no_river(c: City) -> bool:
    return not c.rivers or c.rivers[0].startswith("no ")


def _in_month(c: City, value: Any) -> bool:
    """How it feels in a month, by the mean temperature of the day."""
    month, feels = value
    degrees = {"january": c.january, "july": c.july}.get(month, (c.january + c.july) / 2)
    return degrees >= 19 if feels == "hot" else degrees <= (8 if feels == "cold" else 2)


POLAR: dict[str, Truth] = {
    "facts": _facts,
    "fact": lambda c, v: c.name in v,
    "is_city": lambda c, v: c.name == v,
    "in_country": lambda c, v: c.country.name == v or (v == "Hong Kong" and c.name == v),
    "in_continent": in_continent,
    "in_region": in_region,
    "water": on_water,
    "near": lambda c, v: near_place(c.name, *v),
    "border": lambda c, v: v[1] in c.country.neighbours,
    "lang": speaks,
    "capital": lambda c, v: c.capital == "yes",
    "capital_of": lambda c, v: c.capital == "yes",
    "former_capital": lambda c, v: c.capital == "former",
    "regional_capital": lambda c, v: c.regional_capital,
    "coast": lambda c, v: c.coastal,
    "country_coast": lambda c, v: not c.country.landlocked,
    "country_water": lambda c, v: (
        any(on_water(x, v) for x in cities().values() if x.country.name == c.country.name)
        or (c.country.name, v) == ("Chile", "Pacific Ocean")
    ),
    "not_water": lambda c, v: not on_water(c, v),
    "capitalist": lambda c, v: "communist" not in c.country.groups,
    "palms": lambda c, v: min(c.january, c.july) >= 9,
    "between": lambda c, v: POLAR["country_water"](c, v[1]) if v[0] == "water" else near_place(c.name, *v),
    "partly_in": lambda c, v: in_continent(c, v) or c.country.name in members("countries").get(f"partly in {v}", ()),
    "among_largest": lambda c, v: is_largest_in(c, v[0], v[1], 5),
    "n_cancer": lambda c, v: c.lat > 23.44,
    "s_capricorn": lambda c, v: c.lat < -23.44,
    "closer_equator": lambda c, v: v is not None and abs(c.lat) < abs(point_of(*v)[0]),
    "country": lambda c, v: False,
    "country_starts": lambda c, v: c.country.name.lower().startswith(v),
    "country_ends": lambda c, v: c.country.name.lower().endswith(v),
    "country_has": lambda c, v: v in c.country.name.lower(),
    "low": lambda c, v: c.elevation < 100,
    "was_capital": lambda c, v: c.capital != "no",
    "far": lambda c, v: not near_place(c.name, *v),
    "was_in": lambda c, v: c.country.name == v or _colony(c, v),
    "century": lambda c, v: 100 * (v - 1) < c.year <= 100 * v,
    "largest_on_continent": lambda c, v: is_largest_in(c, "in_continent", c.country.continent),
    "largest_in": lambda c, v: is_largest_in(c, *v),
    "mainland": lambda c, v: "island" not in c.country.groups or c.country.name == "Australia",
    "inland": lambda c, v: not c.coastal,
    "landlocked_country": lambda c, v: c.country.landlocked,
    "island": lambda c, v: "island" in c.traits or "island" in c.country.groups,
    "peninsula": lambda c, v: "peninsula" in c.country.groups,
    "flat": lambda c, v: "flat" in c.mountains,
    "river": lambda c, v: not _has_no_river(c),
    "lake": lambda c, v: c.lake,
    "mountains": lambda c, v: not c.mountains.startswith(("no ", "hills", "low hills", "only a small")),
    "hot": lambda c, v: c.mean_temperature >= 19 or max(c.january, c.july) >= 28,
    "very_hot": lambda c, v: max(c.january, c.july) >= 24,
    "hot_year": lambda c, v: min(c.january, c.july) >= 19,
    "warm_year": lambda c, v: min(c.january, c.july) >= 13,
    "main_lang": lambda c, v: _usual(v) == c.country.languages[0].lower().split(" ")[0],
    "cold": lambda c, v: min(c.january, c.july) <= 3,
    "month": _in_month,
    "snow": lambda c, v: c.snow == "yes",
    "tropics": lambda c, v: abs(c.lat) < 23.44,
    "hemisphere": lambda c, v: {"N": c.lat > 0, "S": c.lat < 0, "E": c.lon > 0, "W": c.lon < 0}.get(v or "N", True),
    "equator": lambda c, v: abs(c.lat) < 10,
    "arctic": lambda c, v: False,
    "big": lambda c, v: c.population >= 2 or c.metro >= 4,
    "megacity": lambda c, v: c.metro >= 10,
    "small": lambda c, v: c.population < 2 and c.metro < 4,
    "largest": lambda c, v: c.largest_in_country,
    "world_largest": lambda c, v: c.name == "Tokyo",
    "ancient": lambda c, v: c.year < 1000 or c.name == "Mexico City",
    "modern": lambda c, v: c.year >= 1800,
    "medieval": lambda c, v: 500 <= c.year < 1500,
    "high": lambda c, v: c.elevation >= 1000,
    "below_sea": lambda c, v: c.elevation < 0,
    "tourist": lambda c, v: c.name not in members("cities")["quiet"],
    "safe": lambda c, v: c.name not in members("cities")["unsafe"],
    "traffic": lambda c, v: c.metro >= 5,
    "monarchy": lambda c, v: c.country.government == "monarchy",
    "republic": lambda c, v: "republic" in c.country.government,
    "communist": lambda c, v: "communist" in c.country.groups,
    "democracy": lambda c, v: not POLAR["dictatorship"](c, v),
    "dictatorship": lambda c, v: (
        "communist" in c.country.groups or c.country.name in members("countries")["autocratic"]
    ),
    "largest_country": lambda c, v: c.country.name == "Russia",
    "most_populous_country": lambda c, v: c.country.population > 9e8,
    "arabic_speaking": lambda c, v: "arab" in c.country.groups,
    "euro_football": lambda c, v: c.country.continent == "Europe",
    "family": lambda c, v: any(own in members("families")[v] for own in c.country.languages[:1]),
    "script": lambda c, v: v is None or v in c.country.script.lower(),
    "currency": lambda c, v: v is None or v in c.country.currency.lower(),
    "religion": _religion,
    "group": lambda c, v: v in c.country.groups,
    "drive": lambda c, v: v is None or c.country.drive == v,
    "game": lambda c, v: (
        c.country.name not in members("countries")["not football"]
        if v == "football"
        else c.country.name in members("games")[v]
    ),
    "coast_side": lambda c, v: c.name in members("cities")[f"{v} coast"],
    "colony": _colony,
    "olympics": lambda c, v: bool(c.olympics),
    "olympic_year": lambda c, v: any(games.startswith(str(v)) for games in c.olympics),
    "former_name": lambda c, v: len(c.aliases) > 0,
    "former_name_polar": lambda c, v: len(c.aliases) > 0,
    "neighbours": lambda c, v: bool(c.country.neighbours),
    "nickname": lambda c, v: bool(c.nicknames),
    "dst": lambda c, v: c.utc != c.utc_summer,
    "starts": _starts,
    "ends": lambda c, v: _letters(c).endswith(v),
    "has": lambda c, v: v in _letters(c),
    "one_word": lambda c, v: " " not in c.name,
    "mild_year": lambda c, v: min(c.january, c.july) >= 9 and max(c.january, c.july) <= 25,
    "monsoon": lambda c, v: (
        (c.country.continent == "Asia" and c.climate in ("tropical", "humid subtropical"))
        or c.name in members("cities")["monsoon"]
    ),
    "letters": lambda c, v: " " in c.name,
    "letters>": lambda c, v: len(_letters(c)) > v,
    "letters<": lambda c, v: len(_letters(c)) < v,
    "ahead": lambda c, v: c.utc * v > 0,
    "utc": lambda c, v: v in (c.utc, c.utc_summer),
    "same": _same,
    "away<": lambda c, v: distance((c.lat, c.lon), point_of(*v[1])) < v[0],
    "away>": lambda c, v: distance((c.lat, c.lon), point_of(*v[1])) > v[0],
}
"""Topic of a yes/no predicate -> its truth for a city and a value. A topic that is not here holds of every city."""
_TOPICS = sections(__file__, "data/topics.txt")
POLAR |= {topic: lambda c, v, t=topic: t in c.traits for topic in listed(_TOPICS["traits"])}
POLAR |= {topic: lambda c, v, t=topic: c.name in members("cities")[t] for topic in listed(_TOPICS["of cities"])}
POLAR |= {
    topic: lambda c, v, t=topic: c.country.name in members("countries")[t] for topic in listed(_TOPICS["of countries"])
}
POLAR |= {topic: lambda c, v, own=own: c.climate in own for topic, own in table(_TOPICS["climates"]).items()}
POLAR |= {
    f"{name}_speaking": lambda c, v, n=name: speaks(c, n) for name in ("english", "french", "spanish", "portuguese")
}
for _measure, _more, _less in (
    ("population", "bigger", "smaller"), ("year", "younger", "older"), ("mean_temperature", "hotter", "colder"),
    ("elevation", "higher", "lower"),
):  # fmt: skip
    POLAR |= {_more: _compared(_measure, 1), _less: _compared(_measure, -1)}
for _way, _axis, _sign in (("north", "lat", 1), ("south", "lat", -1), ("east", "lon", 1), ("west", "lon", -1)):
    POLAR[_way] = lambda c, v, axis=_axis, sign=_sign: to_the(c, v, axis, sign)
    POLAR[f"part_{_way}"] = lambda c, v, axis=_axis, sign=_sign: in_the_part(c, v, axis, sign)


def _millions(v: float) -> float:
    return v / 1e6 if v >= 1e4 else v


# Comparisons with a number: population in people (or millions), age in years, elevation in metres.
for _name, _measure_of, _scale in (
    ("population", lambda c: c.population, _millions),
    ("country_population", lambda c: c.country.population / 1e6, _millions),
    ("metro_population", lambda c: c.metro, _millions),
    ("age", lambda c: 2025 - c.year, float),
    ("year", lambda c: c.year, float),
    ("elevation", lambda c: c.elevation, float),
    ("latitude", lambda c: abs(c.lat), float),
    ("temperature", lambda c: max(c.january, c.july), float),
    ("olympics", lambda c: len(c.olympics), float),
):
    POLAR[f"{_name}>"] = lambda c, v, m=_measure_of, s=_scale: m(c) > s(v)
    POLAR[f"{_name}<"] = lambda c, v, m=_measure_of, s=_scale: m(c) < s(v)
    POLAR[f"{_name}_between"] = lambda c, v, m=_measure_of, s=_scale: s(v[0]) <= m(c) <= s(v[1])


def holds(query: Query, city: City) -> bool:
    """The truth of a yes/no question. "or" joins predicates of one kind; different kinds must all hold."""
    if len(query.atoms) == 1:
        atom = query.atoms[0]
        return is_true(atom.topic, atom.value, city) != atom.negated
    results: dict[str, list[bool]] = {}
    for atom in query.atoms:
        kind = "place" if atom.topic.startswith(("in_", "water")) else OPEN_ALIASES.get(atom.topic, atom.topic)
        results.setdefault(kind, []).append(is_true(atom.topic, atom.value, city) != atom.negated)
    if query.either:
        if all(len(values) == 1 for values in results.values()):
            return any(values[0] for values in results.values())
        return all(any(values) for values in results.values())
    return all(all(values) for values in results.values())


def is_true(topic: str, value: object, city: City) -> bool:
    """Whether one predicate holds."""
    predicate = POLAR.get(topic)
    return predicate is None or bool(predicate(city, value))
