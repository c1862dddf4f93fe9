
"""What the oracle knows: truth of yes/no predicates, and sentences for open questions. Nothing here names the city."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from lmrl_envs.guess_my_city.table import City, cities, countries, distance, places

Truth = Callable[[City, Any], bool]

_SUBREGIONS: dict[str, frozenset[str]] = {
    "southeast asia": frozenset({"Southeast Asia"}),
    "east asia": frozenset({"East Asia"}),
    "south asia": frozenset({"South Asia"}),
    "central asia": frozenset({"Central Asia"}),
    "caucasus": frozenset({"the Caucasus"}),
    "northern europe": frozenset({"Northern Europe"}),
    "central europe": frozenset({"Central Europe"}),
    "southern europe": frozenset({"Southern Europe"}),
    "north africa": frozenset({"North Africa"}),
    "west africa": frozenset({"West Africa"}),
    "east africa": frozenset({"East Africa"}),
    "central africa": frozenset({"Central Africa"}),
    "southern africa": frozenset({"Southern Africa"}),
    "sub-saharan": frozenset({"West Africa", "East Africa", "Central Africa", "Southern Africa"}),
    "caribbean": frozenset({"the Caribbean"}),
    "americas": frozenset({"North America", "South America", "Latin America", "the Caribbean"}),
    "latin america": frozenset({"South America", "Latin America", "the Caribbean"}),
}
_REGION_COUNTRIES: dict[str, str] = {
    "middle east": "Iran,Iraq,Syria,Lebanon,Saudi Arabia,United Arab Emirates,Turkey,Egypt",
    "gulf": "Saudi Arabia,United Arab Emirates",
    "western europe": "United Kingdom,France,Germany,Austria,Belgium,Ireland,Spain",
    "northern europe": "United Kingdom,Ireland,Sweden,Denmark",
    "eastern europe": "Poland,Czechia,Romania,Bulgaria,Serbia,Ukraine,Russia,Hungary",
    "central europe": "Germany,Austria,Hungary,Poland,Czechia",
    "southern europe": "Spain,Italy,Bulgaria,Serbia",
    "scandinavia": "Sweden,Denmark",
    "balkans": "Romania,Bulgaria,Serbia",
    "iberia": "Spain",
    "british isles": "United Kingdom,Ireland",
    "benelux": "Belgium",
    "andes region": "Chile,Peru,Colombia,Ecuador,Bolivia",
    "mediterranean region": "Spain,Italy,Turkey,Egypt,Algeria,Lebanon,Syria,Morocco,France",
    "polynesia": "New Zealand",
    "west": "United States,Canada,United Kingdom,France,Germany,Spain,Italy,Austria,Sweden,Denmark,Ireland,Belgium,Australia,New Zealand",
    "caucasus": "Azerbaijan,Georgia",
}
_FAMILIES = {
    "romance": "Spanish Portuguese French Italian Romanian",
    "germanic": "English German Dutch Swedish Danish Afrikaans",
    "slavic": "Russian Ukrainian Polish Czech Bulgarian Serbian",
    "semitic": "Arabic Amharic",
    "turkic": "Turkish Uzbek Azerbaijani",
    "tonal": "Mandarin Thai Vietnamese Burmese Yoruba Zulu Xhosa",
}
_SYNONYMS = {
    "farsi": "persian", "chinese": "mandarin", "tagalog": "filipino", "azeri": "azerbaijani", "castilian": "spanish",
    "gaelic": "irish", "flemish": "dutch", "twi": "twi", "hanzi": "mandarin",
}  # fmt: skip
_GAMES: dict[str, str] = {
    "cricket": "India,Pakistan,Bangladesh,United Kingdom,Australia,South Africa,New Zealand,Afghanistan",
    "rugby": "New Zealand,Australia,South Africa,United Kingdom,France,Ireland,Georgia,Argentina",
    "baseball": "Japan,South Korea,Taiwan,United States,Cuba,Venezuela,Canada",
    "ice hockey": "Canada,Russia,Sweden,Czechia,United States",
    "basketball": "United States,Philippines,Spain,Serbia,China,Canada,Turkey",
    "american football": "United States",
    "australian football": "Australia",
}
_NOT_FOOTBALL = (
    "India,Pakistan,Bangladesh,Philippines,United States,Canada,Cuba,Nepal,Taiwan,Australia,New Zealand,Afghanistan"
)
_AUTOCRATIC = (
    "Iran,Syria,Uzbekistan,Azerbaijan,Russia,Myanmar,Egypt,Algeria,Venezuela,Ethiopia,Angola,Thailand,DR Congo"
)
_RICH = "Japan,South Korea,Taiwan,United Arab Emirates,Saudi Arabia,United Kingdom,France,Germany,Spain,Italy,Austria,Sweden,Denmark,Ireland,Belgium,United States,Canada,Australia,New Zealand,Czechia,Poland,Hungary"  # fmt: skip
_POOR = "Afghanistan,Nepal,Bangladesh,Myanmar,Syria,Senegal,DR Congo,Ethiopia,Tanzania,Kenya,Nigeria,Ghana,Pakistan,Angola,Bolivia,India,Cuba,Venezuela,Philippines,Vietnam,Egypt,Uzbekistan,Lebanon"  # fmt: skip
_BOMBED = "Tokyo,Osaka,Berlin,Munich,Milan,London,Warsaw,Manila,Belgrade,Budapest,Vienna,Kyiv,Shanghai,Hong Kong,Saint Petersburg,Bucharest,Brussels,Taipei,Rome,Yangon"  # fmt: skip
_WARS = "Ho Chi Minh City,Hanoi,Seoul,Berlin,Warsaw,Tokyo,London,Kabul,Baghdad,Damascus,Beirut,Kyiv,Kinshasa,Luanda,Belgrade,Algiers,Tbilisi,Baku,Moscow,Saint Petersburg,Yangon"
_CUPS = "Rio de Janeiro,Montevideo,Rome,Paris,Santiago,London,Mexico City,Munich,Buenos Aires,Madrid,Barcelona,Los Angeles,Chicago,Berlin,Johannesburg,Cape Town,Moscow,Saint Petersburg,Seoul,Busan,Osaka,Milan,Sao Paulo,Brasilia,New York,Houston,Philadelphia,Toronto,Stockholm"  # fmt: skip
_WEST_COAST = "Los Angeles,Lima,Dakar,Lagos,Accra,Luanda,Casablanca,Mumbai,Karachi,Perth,Cape Town"
_EAST_COAST = "New York,Sydney,Brisbane,Busan,Shanghai,Rio de Janeiro,Buenos Aires,Dar es Salaam,Dublin,Stockholm,Barcelona,Philadelphia,Tokyo"  # fmt: skip
_NORTH_COAST = "Algiers,Alexandria,Jakarta,Havana,Accra,Dubai,Auckland"
_SOUTH_COAST = "Karachi,Melbourne,Lagos,Tokyo,Montevideo,Casablanca"
_HOLY = "Rome,Kyoto,Lahore,Baghdad,Kathmandu,Damascus"
_EXPENSIVE = "Tokyo,Hong Kong,London,Paris,New York,Los Angeles,Copenhagen,Dublin,Munich,Sydney,Stockholm,Dubai,Milan,Toronto,Auckland,Seoul,Luanda,Vienna,Shanghai,Melbourne"  # fmt: skip
_POLLUTED = "Delhi,Beijing,Dhaka,Lahore,Cairo,Tehran,Kathmandu,Mexico City,Karachi,Mumbai,Kolkata,Hanoi,Jakarta,Baghdad,Kabul,Santiago,Lagos,Chengdu"  # fmt: skip
_TECH = "Bengaluru,Tokyo,Seoul,Taipei,Beijing,Shanghai,Berlin,Stockholm,Dublin,London,Nairobi,New York,Los Angeles,Munich,Toronto,Kyiv,Chengdu"  # fmt: skip
_FILM = "Los Angeles,Mumbai,Lagos,Hong Kong,Tokyo,Seoul,London,New York,Rome,Paris"
_UNSAFE = "Caracas,Johannesburg,Cape Town,Kabul,Baghdad,Rio de Janeiro,Lagos,Karachi,Kinshasa,Bogota,Mexico City,Damascus,Chicago,Philadelphia,Nairobi,Lima,Quito,Dhaka"  # fmt: skip
_QUIET = "Kabul,Baghdad,Damascus,Luanda,Kinshasa,Dhaka,Lagos,Karachi"
_DENSE = "Dhaka,Manila,Mumbai,Kolkata,Cairo,Paris,Delhi,Seoul,Hong Kong,Karachi,Lagos,Jakarta,Tokyo,Kathmandu,Shanghai,Bangkok,Ho Chi Minh City,New York,Barcelona,Osaka,Mexico City"  # fmt: skip
_SECOND = "Osaka,Beijing,Busan,Hanoi,Delhi,Lahore,Ankara,Hamburg,Barcelona,Milan,Saint Petersburg,Alexandria,Cape Town,Los Angeles,Montreal,Rio de Janeiro,Medellin,Melbourne"  # fmt: skip
_STORMS = (
    "Houston,Havana,Manila,Hong Kong,Guangzhou,Taipei,Tokyo,Osaka,Kyoto,Shanghai,Busan,Hanoi,Dhaka,Kolkata,New York"
)
_PARTLY = {"Europe": "Turkey,Russia,Azerbaijan,Georgia", "Asia": "Turkey,Russia,Egypt", "Africa": "Spain"}
_THIRD = "Guangzhou,Munich,Durban,Chicago,Brisbane,Brasilia,Dakar,Bengaluru"
_JUNGLE = "Manila"
_SEAS = {
    "Black Sea": "Istanbul", "South China Sea": "Hong Kong,Guangzhou,Manila", "Caribbean": "Havana,Caracas",
    "Gulf of Mexico": "Houston,Havana", "Mediterranean": "Beirut,Alexandria,Algiers,Barcelona", "Aegean": "Istanbul",
    "Baltic": "Stockholm,Saint Petersburg,Copenhagen", "Bosphorus": "Istanbul", "North Sea": "Copenhagen",
}  # fmt: skip


def _among(names: str) -> Truth:
    members = frozenset(names.split(","))
    return lambda c, v: c.name in members


def _in_countries(names: str) -> Truth:
    members = frozenset(names.split(","))
    return lambda c, v: c.country.name in members


def _trait(name: str) -> Truth:
    return lambda c, v: name in c.traits


def speaks(c: City, language: str) -> bool:
    """Whether a language is one of the city's."""
    if (c.name, language) == ("Guangzhou", "cantonese"):  # its other name would give the city away
        return True
    language = _SYNONYMS.get(language, language)
    return any(language == own.lower().split(" ")[0] for own in c.country.languages)


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
    if c.country.subregion in _SUBREGIONS.get(region, ()):
        return True
    return c.country.name in _REGION_COUNTRIES.get(region, "").split(",")


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
        return distance((c.lat, c.lon), _point(kind, place)) < 500
    if kind == "country" and place:
        if place == c.country.name or place in c.country.neighbours:
            return True
        return any(distance((c.lat, c.lon), point) < 900 for point in _country_points(place))
    return _place_truth(c, (kind, place))


def _point(kind: str, place: str) -> tuple[float, float]:
    if kind == "city":
        return cities()[place].lat, cities()[place].lon
    row = places()["cities"][place]
    return row[0], row[1]


def _place_truth(c: City, value: tuple[str, str | None]) -> bool:
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
    if c.name in _SEAS.get(water, "").split(","):
        return True
    return c.coastal and (water.lower() in c.water.lower() or water == c.ocean)


def _compare(measure: Callable[[City], float], other: Callable[[str, str], float | None], sign: int) -> Truth:
    def truth(c: City, value: Any) -> bool:
        kind, place = value if value else ("", "")
        reference = other(kind, place)
        return reference is not None and sign * (measure(c) - reference) > 0

    return truth


def _population_of(kind: str, place: str) -> float | None:
    if kind == "city":
        return cities()[place].population
    return places()["cities"][place][3] if kind == "other" else None


def _attribute(name: str) -> Callable[[str, str], float | None]:
    def value(kind: str, place: str) -> float | None:
        if kind == "city":
            return getattr(cities()[place], name)
        if kind == "other" and name == "mean_temperature":
            return 27 - abs(places()["cities"][place][0]) * 0.4
        return None

    return value


def _side(c: City, value: Any, axis: str, sign: int) -> bool:
    kind, place = value
    here = c.lat if axis == "lat" else c.lon
    if kind in ("city", "other"):
        there = _point(kind, place)[0 if axis == "lat" else 1]
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


def _part(c: City, value: Any, axis: str, sign: int) -> bool:
    """Whether the city lies in the northern (...) part of a country or continent it is in."""
    if not _place_truth(c, value):
        return False
    if value[0] == "country":
        points = list(_country_points(value[1]))
    else:
        points = [(x.lat, x.lon) for x in cities().values() if in_continent(x, value[1])]
    numbers = [point[0 if axis == "lat" else 1] for point in points]
    middle = (min(numbers) + max(numbers)) / 2
    return sign * ((c.lat if axis == "lat" else c.lon) - middle) > 0


def _largest_in(c: City, kind: str, place: str, rank: int = 1) -> bool:
    """Whether it is the largest city of a country, continent or region, within its limits or with its suburbs."""
    if not _place_truth(c, (kind.removeprefix("in_"), place)):
        return False
    if kind == "in_country" and rank == 1:
        return c.largest_in_country
    rivals = [x for x in cities().values() if _place_truth(x, (kind.removeprefix("in_"), place))]
    rivals = [x for x in rivals if x.name != "Istanbul" or place != "Europe"]
    measures = (sorted(x.population for x in rivals)[-rank:][0], sorted(x.metro for x in rivals)[-rank:][0])
    return c.population >= measures[0] or c.metro >= measures[1]


def _same(c: City, value: Any) -> bool:
    phrase, (kind, place) = value
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


def _letter(c: City, value: str) -> str:
    return "".join(letter for letter in c.name.lower() if letter.isalpha())


def _starts(c: City, value: str) -> bool:
    name = _letter(c, value)
    if value in ("vowel", "consonant"):
        return (name[0] in "aeiou") == (value == "vowel")
    return name.startswith(value)


def _facts(c: City, stems: tuple[str, ...]) -> bool:
    from lmrl_envs.guess_my_city.predicates import fact_words

    table = fact_words()
    weights = [math.log(101 / max(1, len(table.get(word, ())))) for word in stems]
    held = sum(weight for word, weight in zip(stems, weights, strict=True) if c.name in table.get(word, ()))
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
    "country_two_continents": _in_countries("Turkey,Russia,Egypt,Georgia,Azerbaijan"),
    "not_water": lambda c, v: not on_water(c, v),
    "hurricanes": _among(_STORMS),
    "capitalist": lambda c, v: "communist" not in c.country.groups,
    "palms": lambda c, v: min(c.january, c.july) >= 9,
    "between": lambda c, v: POLAR["country_water"](c, v[1]) if v[0] == "water" else near_place(c.name, *v),
    "partly_in": lambda c, v: in_continent(c, v) or c.country.name in _PARTLY.get(v, "").split(","),
    "among_largest": lambda c, v: _largest_in(c, *v, 5),
    "far": lambda c, v: not near_place(c.name, *v),
    "was_in": lambda c, v: c.country.name == v or _colony(c, v),
    "century": lambda c, v: 100 * (v - 1) < c.year <= 100 * v,
    "largest_in": lambda c, v: _largest_in(c, *v),
    "second_largest": _among(_SECOND),
    "third_largest": _among(_THIRD),
    "mainland": lambda c, v: "island" not in c.country.groups or c.country.name == "Australia",
    "part_north": lambda c, v: _part(c, v, "lat", 1),
    "part_south": lambda c, v: _part(c, v, "lat", -1),
    "part_east": lambda c, v: _part(c, v, "lon", 1),
    "part_west": lambda c, v: _part(c, v, "lon", -1),
    "inland": lambda c, v: not c.coastal,
    "landlocked_country": lambda c, v: c.country.landlocked,
    "port": lambda c, v: "port" in c.traits,
    "beach": _trait("beach"),
    "island": lambda c, v: "island" in c.traits or "island" in c.country.groups,
    "peninsula": lambda c, v: "peninsula" in c.country.groups,
    "desert": lambda c, v: c.climate in ("desert", "arid"),
    "jungle": _among(_JUNGLE),
    "volcano": _trait("volcano"),
    "earthquakes": _trait("earthquakes"),
    "hilly": _trait("hilly"),
    "flat": lambda c, v: "flat" in c.mountains,
    "river": lambda c, v: not _has_no_river(c),
    "lake": lambda c, v: c.lake,
    "mountains": lambda c, v: not c.mountains.startswith(("no ", "hills", "low hills", "only a small")),
    "hot": lambda c, v: c.mean_temperature >= 19 or max(c.january, c.july) >= 28,
    "very_hot": lambda c, v: max(c.january, c.july) >= 25,
    "hot_year": lambda c, v: min(c.january, c.july) >= 19,
    "warm_year": lambda c, v: min(c.january, c.july) >= 13,
    "dense": _among(_DENSE),
    "main_lang": lambda c, v: _SYNONYMS.get(v, v) == c.country.languages[0].lower().split(" ")[0],
    "cold": lambda c, v: min(c.january, c.july) <= 3,
    "snow": lambda c, v: c.snow == "yes",
    "rain": lambda c, v: c.climate in ("tropical", "oceanic", "humid subtropical"),
    "dry": lambda c, v: c.climate in ("desert", "arid"),
    "humid": lambda c, v: c.climate in ("tropical", "humid subtropical"),
    "temperate": lambda c, v: c.climate in ("oceanic", "mediterranean", "humid subtropical", "continental", "highland"),
    "tropical": lambda c, v: c.climate == "tropical",
    "tropics": lambda c, v: abs(c.lat) < 23.44,
    "mediterranean": lambda c, v: c.climate == "mediterranean",
    "climate": lambda c, v: True,
    "seasons": lambda c, v: c.climate in ("oceanic", "mediterranean", "humid subtropical", "continental"),
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
    "planned": _among("Brasilia,Ankara"),
    "high": lambda c, v: c.elevation >= 1000,
    "below_sea": lambda c, v: c.elevation < 0,
    "metro": _trait("metro"),
    "tram": _trait("tram"),
    "skyscrapers": _trait("skyscrapers"),
    "tallest": _among("Dubai"),
    "unesco": _trait("unesco"),
    "nightlife": _trait("nightlife"),
    "fashion": _trait("fashion"),
    "finance": _trait("finance"),
    "canals": _trait("canals"),
    "expo": _trait("expo"),
    "tourist": lambda c, v: c.name not in _QUIET.split(","),
    "rich": _in_countries(_RICH),
    "poor": _in_countries(_POOR),
    "expensive": _among(_EXPENSIVE),
    "safe": lambda c, v: c.name not in _UNSAFE.split(","),
    "pollution": _among(_POLLUTED),
    "traffic": lambda c, v: c.metro >= 5,
    "tech": _among(_TECH),
    "film": _among(_FILM),
    "monarchy": lambda c, v: c.country.government == "monarchy",
    "republic": lambda c, v: "republic" in c.country.government,
    "communist": lambda c, v: "communist" in c.country.groups,
    "democracy": lambda c, v: not POLAR["dictatorship"](c, v),
    "dictatorship": lambda c, v: (
        "communist" in c.country.groups
        or c.country.name in ("Afghanistan", "Saudi Arabia", "United Arab Emirates", *_AUTOCRATIC.split(","))
    ),
    "largest_country": lambda c, v: c.country.name == "Russia",
    "most_populous_country": lambda c, v: c.country.population > 9e8,
    "war": _among(_WARS),
    "ww2": _among(_BOMBED),
    "two_continents": _among("Istanbul"),
    "holy": _among(_HOLY),
    "english_speaking": lambda c, v: speaks(c, "english"),
    "french_speaking": lambda c, v: speaks(c, "french"),
    "spanish_speaking": lambda c, v: speaks(c, "spanish"),
    "portuguese_speaking": lambda c, v: speaks(c, "portuguese"),
    "arabic_speaking": lambda c, v: "arab" in c.country.groups,
    "euro_football": lambda c, v: c.country.continent == "Europe",
    "family": lambda c, v: any(own in _FAMILIES[v].split() for own in c.country.languages[:1]),
    "script": lambda c, v: v is None or v in c.country.script.lower(),
    "currency": lambda c, v: v is None or v in c.country.currency.lower(),
    "religion": _religion,
    "group": lambda c, v: v in c.country.groups,
    "bloc": _in_countries("Hungary,Poland,Czechia,Romania,Bulgaria,Ukraine,Russia,Georgia,Azerbaijan,Uzbekistan"),
    "drive": lambda c, v: v is None or c.country.drive == v,
    "game": lambda c, v: (
        c.country.name not in _NOT_FOOTBALL.split(",") if v == "football" else c.country.name in _GAMES[v].split(",")
    ),
    "sports": lambda c, v: True,
    "coast_side": lambda c, v: (
        c.name in {"west": _WEST_COAST, "east": _EAST_COAST, "north": _NORTH_COAST, "south": _SOUTH_COAST}[v].split(",")
    ),  # fmt: skip
    "colony": _colony,
    "olympics": lambda c, v: bool(c.olympics),
    "olympic_year": lambda c, v: any(games.startswith(str(v)) for games in c.olympics),
    "worldcup": _among(_CUPS),
    "former_name": lambda c, v: len(c.aliases) > 0,
    "former_name_polar": lambda c, v: len(c.aliases) > 0,
    "neighbours": lambda c, v: bool(c.country.neighbours),
    "nickname": lambda c, v: bool(c.nicknames),
    "dst": lambda c, v: c.utc != c.utc_summer,
    "starts": _starts,
    "ends": lambda c, v: _letter(c, v).endswith(v),
    "has": lambda c, v: v in _letter(c, v),
    "letters": lambda c, v: " " in c.name,
    "letters>": lambda c, v: len(_letter(c, "")) > v,
    "letters<": lambda c, v: len(_letter(c, "")) < v,
    "utc": lambda c, v: v in (c.utc, c.utc_summer),
    "bigger": _compare(lambda c: c.population, _population_of, 1),
    "smaller": _compare(lambda c: c.population, _population_of, -1),
    "older": _compare(lambda c: c.year, _attribute("year"), -1),
    "younger": _compare(lambda c: c.year, _attribute("year"), 1),
    "hotter": _compare(lambda c: c.mean_temperature, _attribute("mean_temperature"), 1),
    "colder": _compare(lambda c: c.mean_temperature, _attribute("mean_temperature"), -1),
    "higher": _compare(lambda c: c.elevation, _attribute("elevation"), 1),
    "lower": _compare(lambda c: c.elevation, _attribute("elevation"), -1),
    "north": lambda c, v: _side(c, v, "lat", 1),
    "south": lambda c, v: _side(c, v, "lat", -1),
    "east": lambda c, v: _side(c, v, "lon", 1),
    "west": lambda c, v: _side(c, v, "lon", -1),
    "same": _same,
}
"""Topic of a yes/no predicate -> its truth for a city and a value. A topic that is not here holds of every city."""


def _millions(v: float) -> float:
    return v / 1e6 if v >= 1e4 else v


def _define_numbers() -> None:
    """Comparisons with a number: population in people (or millions), age in years, elevation in metres."""
    measures: dict[str, tuple[Callable[[City], float], Callable[[float], float]]] = {
        "population": (lambda c: c.population, _millions),
        "metro_population": (lambda c: c.metro, _millions),
        "age": (lambda c: 2025 - c.year, lambda v: v if v < 1000 or v > 2030 else v),
        "year": (lambda c: c.year, lambda v: v),
        "elevation": (lambda c: c.elevation, lambda v: v),
        "temperature": (lambda c: max(c.january, c.july), lambda v: v),
        "olympics": (lambda c: len(c.olympics), lambda v: v),
    }
    for name, (measure, scale) in measures.items():
        POLAR[f"{name}>"] = lambda c, v, m=measure, s=scale: m(c) > s(v)  # type: ignore[misc]
        POLAR[f"{name}<"] = lambda c, v, m=measure, s=scale: m(c) < s(v)  # type: ignore[misc]
        POLAR[f"{name}_between"] = lambda c, v, m=measure, s=scale: s(v[0]) <= m(c) <= s(v[1])  # type: ignore[misc]


_define_numbers()
