"""What the oracle says: the sentence for a query that was read, true by the table, in several wordings.

None holds the city's name, nor (but when it may) the country's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter

from lmrl_envs.guess_my_city.geography import near_place, point_of
from lmrl_envs.guess_my_city.query import Query, read
from lmrl_envs.guess_my_city.table import City, cities, distance, members
from lmrl_envs.guess_my_city.truth import holds, is_true
from lmrl_envs.guess_my_city.words import KEPT_LENGTH, tokens
from lmrl_envs.language.lists import sections, table
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


def _location(c: City) -> str:
    subregion, continent = c.country.subregion, c.country.continent
    where = f"{subregion}, in the {'northern' if c.lat >= 0 else 'southern'} hemisphere"
    return continent if subregion == continent else where


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


def _population(c: City) -> Sequence[str]:
    own, whole = _number(c.population), _number(c.metro)
    return [wording.format(own=own, whole=whole) for wording in _SAID["population"]]


def _lake(c: City) -> Sequence[str]:
    return (f"It lies on {c.water.split(',')[0]}.",) if c.lake else ("It isn't on a large lake.",)


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


def _province(c: City) -> Sequence[str]:
    words, own = tokens(c.province), {tokens(name) for name in (*c.names, c.country.name, *c.country.aliases)}
    if any(words[i : i + len(x)] == x for x in own for i in range(len(words))):
        return _SAID["province refused"]
    return (f"It lies in {c.province}.", f"The area is {c.province}.")


def _mountains(c: City) -> Sequence[str]:
    text = c.mountains or "only hills"
    if text.startswith("no "):
        return (f"There are {text}.",)
    return (f"Nearby: {text}.", f"The surroundings: {text}.")


def _column(path: str) -> Callable[[City], str]:
    def value(c: City) -> str:
        found = attrgetter(path)(c)
        return listed(found) if isinstance(found, tuple) else found

    return value


def _say(value: Callable[[City], str], wordings: Sequence[str]) -> Builder:
    return lambda c: [wording.format(x=value(c)) for wording in wordings]


def _which_holds(topic: str, yes: str, no: str) -> Builder:
    return lambda c: (yes,) if is_true(topic, None, c) else (no,)


Builder = Callable[[City], Sequence[str]]

_VALUES: dict[str, Callable[[City], str]] = {
    "continent": lambda c: "Europe and Asia" if c.name == "Istanbul" else c.country.continent,
    "location": _location,
    "coordinates": _coordinates,
    "timezone": _zone,
    "metro_population": lambda c: _number(c.metro),
    "country_population": lambda c: _number(c.country.population / 1e6),
    "elevation": lambda c: f"{abs(c.elevation)} metres {'above' if c.elevation >= 0 else 'below'} sea level",
    "climate": _climate,
    "airport": lambda c: listed(c.airports or ["an international airport named like the city"]),
    "government": lambda c: f"a {c.country.government}",
    "phone": lambda c: c.country.phone.lstrip("+"),
    "hemisphere": _hemisphere,
}
"""What is told of a topic of the section "told" that is no column of the table."""

OPEN: dict[str, Builder] = {
    topic: _say(_column(column) if column else _VALUES[topic], wordings)
    for (topic, _, column), wordings in ((key.partition(" = "), own) for key, own in table(_SAID["told"]).items())
}
OPEN |= {topic: _which_holds(topic, *said) for topic, said in table(_SAID["holds or not"]).items()}
OPEN |= {
    "population": _population, "river": _river, "lake": _lake, "mountains": _mountains, "sea": _sea, "coast": _coast,
    "neighbours": _neighbours, "olympics": _olympics, "colony": _colony, "letters": lambda c: _SAID["letters"],
    "province": _province, "capital": _capital, "capital_of": _capital, "former_capital": _capital,
}  # fmt: skip
"""Topic -> all wordings of the answer about a city."""


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
