"""What the oracle says: the sentence for a query that was read, true by the table, in several wordings.

None holds the city's name, nor (but when it may) the country's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from lmrl_envs.guess_my_city.geography import near_place, point_of
from lmrl_envs.guess_my_city.query import Query, read
from lmrl_envs.guess_my_city.table import City, cities, distance, members
from lmrl_envs.guess_my_city.truth import POLAR, holds, is_true
from lmrl_envs.guess_my_city.words import KEPT_LENGTH, tokens
from lmrl_envs.language.lists import sections
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

_SAID = {title: tuple(lines) for title, lines in sections(__file__, "data/sentences.txt").items()}
YES, NO, UNREAD, ONE_AT_A_TIME, SECRET, COUNTRY_REFUSED, COUNTRY_TOLD = (
    _SAID[title] for title in ("yes", "no", "unread", "one at a time", "secret", "country refused", "country told")
)


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


_CLIMATES, _COLONISERS = (
    {name: sentence for name, _, sentence in (line.partition(": ") for line in _SAID[title])}
    for title in ("climates", "colonisers")
)


def _climate(c: City) -> str:
    return f"{_CLIMATES[c.climate]}; about {c.january:.0f} degrees Celsius in January and {c.july:.0f} in July"


def _hemisphere(c: City) -> str:
    return f"{'northern' if c.lat >= 0 else 'southern'} and the {'eastern' if c.lon >= 0 else 'western'}"


def _coordinates(c: City) -> str:
    return (
        f"{abs(c.lat):.0f} degrees {'north' if c.lat >= 0 else 'south'} and "
        f"{abs(c.lon):.0f} degrees {'east' if c.lon >= 0 else 'west'}"
    )


def nearest_ocean(c: City) -> str:
    """The nearest of the five oceans (a sea counts to its ocean)."""
    places = (("nearest ocean", c.name), ("ocean of a continent", c.country.continent))
    return c.ocean or next(ocean for kind, name in places for ocean, near in members(kind).items() if name in near)


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


def _colony(c: City) -> Sequence[str]:
    if not c.country.coloniser:
        return ("Its country was never a colony.",)
    return (f"It was once ruled by {_COLONISERS.get(c.country.coloniser, c.country.coloniser)}.",)


def _letters(c: City) -> Sequence[str]:
    return ("I can't spell it out for you.", "I won't spell the name, but you may ask about single letters.")


def _province(c: City) -> Sequence[str]:
    words, own = tokens(c.province), {tokens(name) for name in (*c.names, c.country.name, *c.country.aliases)}
    if any(words[i : i + len(x)] == x for x in own for i in range(len(words))):
        return _SAID["province refused"]
    return (f"It lies in {c.province}.", f"The area is {c.province}.")


def _government(c: City) -> str:
    if c.country.government == "theocracy":
        return "a theocracy"
    return f"a {c.country.government}"


def _or_none(items: Sequence[str], none: str) -> str:
    return listed(items) if items else none


def _mountains(c: City) -> Sequence[str]:
    text = c.mountains or "only hills"
    if text.startswith("no "):
        return (f"There are {text}.",)
    return (f"Nearby: {text}.", f"The surroundings: {text}.")


Builder = Callable[[City], Sequence[str]]


def _say(value: Callable[[City], str], *templates: str) -> Builder:
    return lambda c: [template.format(x=value(c)) for template in templates]


OPEN: dict[str, Builder] = {
    "language": _say(lambda c: listed(c.country.languages), "People speak {x}.", "You would hear {x} there.", "They speak {x}."),
    "script": _say(lambda c: c.country.script, "They write with {x}.", "The writing is {x}."),
    "currency": _say(lambda c: c.country.currency, "People pay with the {x}.", "The currency is the {x}.", "You would need the {x} there."),
    "religion": _say(lambda c: c.country.religion, "Mainly {x}.", "The main religion is {x}.", "You would find mainly {x}."),
    "continent": _say(lambda c: "Europe and Asia" if c.name == "Istanbul" else c.country.continent, "It's in {x}.", "The continent is {x}.", "You would find it in {x}."),
    "subregion": _say(lambda c: c.country.subregion, "It's in {x}.", "It lies in {x}."),
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
    "mountains": _mountains,
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


@lru_cache(maxsize=16384)
def variants(name: str, topic: str) -> tuple[str, ...]:
    """All wordings of a city's answer to an open topic; () when there is none."""
    builder = OPEN.get(topic)
    return tuple(builder(cities()[name])) if builder else ()


# -- the reply


def answer(request: PartnerRequest) -> PartnerReply:
    """The reply: true by the table, worded by the request's seed."""
    find = _answers if len(request.action) <= KEPT_LENGTH else _answers.__wrapped__
    replies = find(request.action, request.hidden["city"], bool(request.hidden.get("reveal_country")))
    return replies[request.seed % len(replies)]


@lru_cache(maxsize=4096)
def said(*texts: str, understood: bool = True) -> tuple[PartnerReply, ...]:
    """A reply in every wording; most questions are answered by the same few."""
    return tuple(PartnerReply(text, understood) for text in texts)


_YES, _NO = said(*YES), said(*NO)


@lru_cache(maxsize=16384)
def _answers(question: str, secret: str, reveal_country: bool) -> tuple[PartnerReply, ...]:
    """The same answer in every wording."""
    city = cities()[secret]
    query = read(question)
    if query is None:
        return said(*UNREAD, understood=False)
    if query.form == "list":
        return said(*ONE_AT_A_TIME, understood=False)
    if query.form == "name":
        return said(*SECRET)
    if query.form == "polar":
        true = holds(query, city)
        which = _which(query, city) if true and query.either else ""
        return said(f"Yes, {which}.") if which else _YES if true else _NO
    topic = query.atoms[0].topic
    if topic == "compare":
        first, second, place = query.atoms[0].value
        relation = first if is_true(first.removeprefix("part_"), place, city) else second
        return said(f"It's {_COMPARED.get(relation.removeprefix('part_'), relation)}.")
    if topic == "country":
        if reveal_country:
            return said(*(text.format(x=_with_article(city.country.name)) for text in COUNTRY_TOLD))
        return said(*COUNTRY_REFUSED)
    if topic == "closer":
        here, ends = (city.lat, city.lon), query.atoms[0].value
        nearest = min(ends, key=lambda end: distance(here, point_of(*end)))
        return said("It's closer to the first one." if nearest == ends[0] else "It's closer to the second one.")
    if topic == "distance":
        return said(_distance(city, *query.atoms[0].value))
    wordings = variants(city.name, topic)
    return said(*wordings) if wordings else said(*UNREAD, understood=False)


_COMPARED = {
    "hotter": "warmer", "north": "farther north", "south": "farther south", "east": "farther east", "west": "farther west",
}  # fmt: skip
_NAMED_CHOICES = frozenset({"lang", "in_continent", "currency", "religion"})


def _distance(city: City, kind: str, place: str) -> str:
    if kind == "is_city":
        other = cities()[place]
        far = distance((city.lat, city.lon), (other.lat, other.lon))
        return f"About {round(far, -2):.0f} kilometres." if far > 100 else "Not far at all."
    if place == city.country.name:
        return "It's in that country."
    return "Not very far." if near_place(city.name, "country", place) else "It's far from there."


def _which(query: Query, city: City) -> str:
    """Which of the alternatives of an "or" question holds, where that may be said."""
    if len(query.atoms) < 2 or {atom.topic for atom in query.atoms} - _NAMED_CHOICES:
        return ""
    true = [atom for atom in query.atoms if is_true(atom.topic, atom.value, city) != atom.negated]
    return " and ".join(str(atom.value).capitalize() if atom.topic == "lang" else str(atom.value) for atom in true)


def _with_article(country: str) -> str:
    return f"the {country}" if country.startswith(("United", "DR ", "Philippines")) else country
