"""Sentences for open questions, in several wordings. None holds the city's name, nor (but when it may) the country's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from lmrl_envs.guess_my_city.answers import POLAR
from lmrl_envs.guess_my_city.rules import tokens
from lmrl_envs.guess_my_city.table import City, cities

YES = ("Yes.", "Yes.", "Yes, it's true.", "Yes, indeed.", "Yes, that's right.")
NO = ("No.", "No.", "No, I'm afraid not.", "No, not really.", "No, that's not the case.")
UNREAD = (
    "I don't know how to answer that.",
    "Sorry, I don't understand the question.",
    "I'm not sure what you mean. Could you ask it another way?",
    "Hmm, I can't answer that one.",
)
ONE_AT_A_TIME = ("One city at a time, please.", "I can only answer about one city at a time.")
SECRET = (
    "I can't tell you that. You have to guess it.",
    "That's for you to guess.",
    "Nice try, but I won't say the name.",
)
COUNTRY_REFUSED = (
    "I can't tell you the country.",
    "I'd rather not say which country it is.",
    "Sorry, the country stays a secret.",
)
COUNTRY_TOLD = ("It's in {x}.", "The country is {x}.", "You would find it in {x}.")
PROVINCE_REFUSED = ("I can't be as exact as that.", "I'd rather not say which state or province it is.")


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") + " million"


def _hours(value: float) -> str:
    sign = "+" if value >= 0 else "-"
    return f"UTC{sign}{int(abs(value))}" + (f":{round(abs(value) % 1 * 60):02d}" if value % 1 else "")


def _zone(c: City) -> str:
    text = _hours(c.utc)
    return text if c.utc == c.utc_summer else f"{_hours(min(c.utc, c.utc_summer))} ({_hours(max(c.utc, c.utc_summer))} in summer)"  # fmt: skip


_CLIMATES = {
    "tropical": "tropical: hot and humid all year, with a lot of rain in the wet season",
    "desert": "hot, sunny desert weather with hardly any rain",
    "arid": "dry, with little rain",
    "mediterranean": "Mediterranean: warm dry summers and mild wet winters",
    "oceanic": "mild and temperate, often grey and damp",
    "humid subtropical": "humid subtropical: hot, damp summers and milder winters",
    "continental": "continental: warm summers and cold winters with snow",
    "highland": "mild highland weather, cool at night because of the altitude",
}


def _climate(c: City) -> str:
    return f"{_CLIMATES[c.climate]}; about {c.january:.0f} degrees Celsius in January and {c.july:.0f} in July"


def _hemisphere(c: City) -> str:
    return f"{'northern' if c.lat >= 0 else 'southern'} and the {'eastern' if c.lon >= 0 else 'western'}"


def _coordinates(c: City) -> str:
    return (
        f"{abs(c.lat):.0f} degrees {'north' if c.lat >= 0 else 'south'} and "
        f"{abs(c.lon):.0f} degrees {'east' if c.lon >= 0 else 'west'}"
    )


_NEAREST_OCEAN = {
    "Asia": "Indian Ocean", "Africa": "Atlantic Ocean", "Europe": "Atlantic Ocean", "North America": "Atlantic Ocean",
    "South America": "Pacific Ocean", "Oceania": "Pacific Ocean",
}  # fmt: skip
_INLAND_OCEAN = {
    "Kyoto": "Pacific Ocean", "Beijing": "Pacific Ocean", "Chengdu": "Pacific Ocean", "Seoul": "Pacific Ocean",
    "Taipei": "Pacific Ocean", "Hanoi": "Pacific Ocean", "Johannesburg": "Indian Ocean", "Nairobi": "Indian Ocean",
    "Addis Ababa": "Indian Ocean", "Brasilia": "Atlantic Ocean", "Mexico City": "Pacific Ocean", "Medellin": "Pacific Ocean",
    "Caracas": "Atlantic Ocean", "Sao Paulo": "Atlantic Ocean", "Damascus": "Atlantic Ocean", "Ankara": "Atlantic Ocean",
    "Kuala Lumpur": "Indian Ocean", "Baku": "Atlantic Ocean", "Tbilisi": "Atlantic Ocean", "Chicago": "Atlantic Ocean",
    "Toronto": "Atlantic Ocean",
}  # fmt: skip


def nearest_ocean(c: City) -> str:
    """The nearest of the five oceans (a sea counts to its ocean)."""
    return c.ocean or _INLAND_OCEAN.get(c.name) or _NEAREST_OCEAN[c.country.continent]


def _coast(c: City) -> Sequence[str]:
    if c.coastal:
        return (f"It's on the coast, at {c.water}.", f"Yes, it lies at {c.water}.", f"It's by the water: {c.water}.")
    if c.water:
        return (f"It isn't on the open sea; it is {c.water}." if not c.lake else f"It lies on {c.water}.",)
    return ("It's inland, away from the sea.", "It isn't on the coast.", "It lies inland.")


def _sea(c: City) -> Sequence[str]:
    ocean = nearest_ocean(c)
    if c.coastal and c.water.endswith(ocean) and "and" not in c.water:
        return (f"The {ocean}.", f"It's on the {ocean}.")
    if c.coastal:
        return (f"It lies at {c.water}; the nearest ocean is the {ocean}.", f"It's on {c.water}. The nearest ocean is the {ocean}.")  # fmt: skip
    near = f"It lies on {c.water}. " if c.lake else "It's not on the sea. "
    flows = f" The {c.rivers[0].removeprefix('the ')} flows there." if c.rivers and not c.rivers[0].startswith(("no ", "a ", "one ")) else ""  # fmt: skip
    return (f"{near}The nearest ocean is the {ocean}.{flows}",)


def _river(c: City) -> Sequence[str]:
    if not c.rivers or c.rivers[0].startswith("no "):
        text = c.rivers[0] if c.rivers else "no river"
        return (f"There is {text}.", f"It has {text}.")
    names = [name if name.startswith(("a ", "one ")) else f"the {name}" for name in c.rivers]
    return (f"It lies on {listed(names)}.", f"There you find {listed(names)}.", f"You can walk along {listed(names)}.")


def _neighbours(c: City) -> Sequence[str]:
    own = {tokens(name) for name in (c.country.name, *c.country.aliases) if name != "Korea"}
    told = []
    for name in c.country.neighbours:
        words = tokens(name)
        if not any(words[i : i + len(x)] == x for x in own for i in range(len(words))):
            told.append(f"the {name}" if name in ("United States", "United Kingdom", "United Arab Emirates", "Netherlands") else name)  # fmt: skip
    if not told:
        return ("It has no land borders with other countries.", "None by land; it is surrounded by water.")
    return (f"It borders {listed(told)}.", f"Its neighbours are {listed(told)}.")


def _capital(c: City) -> Sequence[str]:
    if c.capital == "yes":
        return ("It's the capital of its country.", "It is the capital.")
    if c.name == "La Paz":
        return ("It's the seat of government, though not the official capital.",)
    if c.capital == "former":
        return ("It isn't the capital now, but it once was.",)
    return ("It's not the capital of its country.",)


def _olympics(c: City) -> Sequence[str]:
    if not c.olympics:
        return ("It has never hosted the Olympic Games.",)
    games = listed([f"the {kind} Games of {year}" for year, kind in (game.split() for game in c.olympics)])
    return (f"It hosted {games}.", f"It was host to {games}.")


_COLONISERS = {"Turkey": "the Ottoman Empire", "Russia": "the Russian empire or the Soviet Union", "Netherlands": "the Netherlands", "United Kingdom": "Britain"}  # fmt: skip


def _colony(c: City) -> Sequence[str]:
    if not c.country.coloniser:
        return ("Its country was never a colony.",)
    return (f"It was once ruled by {_COLONISERS.get(c.country.coloniser, c.country.coloniser)}.",)


def _letters(c: City) -> Sequence[str]:
    return ("I can't spell it out for you.", "I won't spell the name, but you may ask about single letters.")


def _province(c: City) -> Sequence[str]:
    words, own = tokens(c.province), {tokens(name) for name in (*c.names, c.country.name, *c.country.aliases)}
    if any(words[i : i + len(x)] == x for x in own for i in range(len(words))):
        return PROVINCE_REFUSED
    return (f"It lies in {c.province}.", f"The area is {c.province}.")


def _government(c: City) -> str:
    if c.country.government == "theocracy":
        return "a theocracy"
    return f"a {c.country.government}"


def _subregion(c: City) -> str:
    return c.country.subregion


def _or_none(items: Sequence[str], none: str) -> str:
    return listed(items) if items else none


Builder = Callable[[City], Sequence[str]]


def _say(value: Callable[[City], str], *templates: str) -> Builder:
    return lambda c: [template.format(x=value(c)) for template in templates]


OPEN: dict[str, Builder] = {
    "language": _say(lambda c: listed(c.country.languages), "People speak {x}.", "You would hear {x} there.", "They speak {x}."),
    "script": _say(lambda c: c.country.script, "They write with {x}.", "The writing is {x}."),
    "currency": _say(lambda c: c.country.currency, "People pay with the {x}.", "The currency is the {x}.", "You would need the {x} there."),
    "religion": _say(lambda c: c.country.religion, "Mainly {x}.", "The main religion is {x}.", "You would find mainly {x}."),
    "continent": _say(lambda c: "Europe and Asia" if c.name == "Istanbul" else c.country.continent, "It's in {x}.", "The continent is {x}.", "You would find it in {x}."),
    "subregion": _say(_subregion, "It's in {x}.", "It lies in {x}."),
    "location": _say(lambda c: f"{c.country.subregion}, in the {'northern' if c.lat >= 0 else 'southern'} hemisphere" if c.country.subregion != c.country.continent else f"{c.country.continent}", "It's in {x}.", "It lies in {x}."),
    "coordinates": _say(_coordinates, "It's at about {x}.", "Roughly {x}."),
    "timezone": _say(_zone, "The time zone is {x}.", "Clocks show {x}.", "It's on {x}."),
    "dst": lambda c: ("They change their clocks in summer.",) if c.utc != c.utc_summer else ("There is no summer time.",),
    "population": lambda c: (
        f"About {_number(c.population)} people live in the city, and about {_number(c.metro)} with the suburbs.",
        f"Roughly {_number(c.population)} people, or {_number(c.metro)} in the whole urban area.",
        f"It has around {_number(c.population)} inhabitants ({_number(c.metro)} with the surroundings).",
    ),
    "metro_population": _say(lambda c: _number(c.metro), "About {x} people live in the urban area."),
    "country_population": _say(lambda c: _number(c.country.population / 1e6), "About {x} people live in the country."),
    "founded": _say(lambda c: c.founded, "It was founded {x}.", "It began {x}.", "Its history began {x}."),
    "elevation": _say(lambda c: f"{c.elevation} metres above sea level" if c.elevation >= 0 else f"{-c.elevation} metres below sea level", "It lies about {x}.", "About {x}."),
    "river": _river,
    "lake": lambda c: (f"It lies on {c.water.split(',')[0]}.",) if c.lake else ("It isn't on a large lake.",),
    "mountains": lambda c: _mountains(c),
    "sea": _sea,
    "coast": _coast,
    "neighbours": _neighbours,
    "climate": _say(_climate, "The weather is {x}.", "It's {x}.", "Expect weather that is {x}."),
    "food": _say(lambda c: listed(c.foods), "People like {x}.", "You should try {x}.", "It is known for {x}."),
    "landmark": _say(lambda c: listed(c.landmarks), "You can see {x}.", "Visitors go to {x}.", "People come for {x}."),
    "known": _say(lambda c: listed(c.known), "It is known for {x}.", "People think of {x}.", "It's famous for {x}."),
    "nickname": _say(lambda c: listed(c.nicknames), "People call it {x}.", "It is called {x}."),
    "sports": _say(lambda c: listed(c.clubs), "The teams there include {x}.", "Fans cheer for {x}."),
    "olympics": _olympics,
    "worldcup": lambda c: ("It has been a host of a World Cup.",) if POLAR["worldcup"](c, None) else ("Not that I know of.",),
    "airport": _say(lambda c: _or_none(c.airports, "an international airport named like the city"), "You would fly to {x}.", "There is {x}."),
    "university": _say(lambda c: listed(c.universities), "You could study at {x}.", "There is {x}."),
    "people": _say(lambda c: listed(c.people), "People such as {x} are tied to it.", "Think of {x}."),
    "festival": _say(lambda c: c.festival, "There is {x}.", "People look forward to {x}."),
    "industry": _say(lambda c: listed(c.industries), "The economy lives on {x}.", "Mostly {x}."),
    "government": _say(_government, "The country is {x}.", "It's {x}."),
    "flag": _say(lambda c: listed(c.country.flag), "The flag has {x}.", "Its colours are {x}."),
    "drive": _say(lambda c: c.country.drive, "They drive on the {x}.", "Traffic keeps to the {x}."),
    "phone": _say(lambda c: c.country.phone.lstrip("+"), "The calling code is +{x}.", "You would dial +{x}."),
    "colony": _colony,
    "letters": _letters,
    "province": _province,
    "former_name": lambda c: ("It has had other names, but they would give it away.",) if c.aliases else ("None that I know of.",),
    "hemisphere": _say(_hemisphere, "It's in the {x} hemisphere.", "The {x} hemisphere."),
    "capital": _capital,
    "capital_of": _capital,
    "former_capital": _capital,
    "regional_capital": lambda c: ("It's the capital of its province or state.",) if c.regional_capital else ("It isn't a provincial capital.",),
    "metro": lambda c: ("It has an underground railway.",) if "metro" in c.traits else ("It has no underground railway.",),
    "tram": lambda c: ("It has trams.",) if "tram" in c.traits else ("It has no trams.",),
    "beach": lambda c: ("It has beaches.",) if "beach" in c.traits else ("It isn't a place for beaches.",),
    "island": lambda c: ("It's on an island.",) if {"island"} & {*c.traits, *c.country.groups} else ("It isn't on an island.",),
}  # fmt: skip


def _mountains(c: City) -> Sequence[str]:
    text = c.mountains or "only hills"
    if text.startswith("no "):
        return (f"There are {text}.",)
    return (f"Nearby: {text}.", f"The surroundings: {text}.")


OPEN["mountains"] = _mountains


@lru_cache(maxsize=16384)
def variants(name: str, topic: str) -> tuple[str, ...]:
    """All wordings of a city's answer to an open topic; () when there is none."""
    builder = OPEN.get(topic)
    return tuple(builder(cities()[name])) if builder else ()
