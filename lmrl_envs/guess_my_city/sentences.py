"""What the oracle says: the sentence for a query that was read, true by the table, in several wordings.

None holds the city's name, nor (but when it may) the country's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter

from lmrl_envs.guess_my_city.knowledge import load_knowledge
from lmrl_envs.guess_my_city.open_questions import topic_of
from lmrl_envs.guess_my_city.reader import MAX_FOLLOW_UP, read, read_after
from lmrl_envs.guess_my_city.rules import (
    DEPENDS,
    KEPT_LENGTH,
    NO,
    NOT_YES_NO,
    UNCLEAR_GUESS,
    UNREAD,
    YES,
    named_cities,
    tokens,
)
from lmrl_envs.guess_my_city.table import City, cities, members
from lmrl_envs.language.lists import sections, table
from lmrl_envs.partners.base import PartnerReply, PartnerRequest

_SAID = {title: tuple(lines) for title, lines in sections(__file__, "data/sentences.txt").items()}
ONE_AT_A_TIME, SECRET, COUNTRY_REFUSED, COUNTRY_TOLD = (
    _SAID[title] for title in ("one at a time", "secret", "country refused", "country told")
)


def listed(items: Sequence[str]) -> str:
    """ "a, b and c"; "a; b and c; and d" where one holds an "and" itself."""
    if any(" and " in item for item in items[:-1]):
        return "; ".join(items[:-1]) + "; and " + items[-1]
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
    if c.coastal and "Caspian" in c.water:
        return (f"It lies on {c.water}, far from any ocean.",)
    if c.coastal:
        return (f"It lies on {c.water}; the nearest ocean is the {ocean}.", f"It's on {c.water}. The nearest ocean is the {ocean}.")  # fmt: skip
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
            told.append(f"the {name}" if name.startswith("United ") else name.replace("The ", "the "))
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
    def value(c: City) -> Sequence[str]:
        true, possible, _ = load_knowledge().judge(_ATTRIBUTES.get(topic, topic))
        index = load_knowledge().index[c.name]
        return (yes,) if true >> index & 1 else (f"That depends. {yes}",) if possible >> index & 1 else (no,)

    return value


_ATTRIBUTES = {"dst": "summer time", "worldcup": "football world cup", "regional_capital": "regional capital"}


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
OPEN |= {
    topic: _which_holds(topic, *own) for topic, own in table(_SAID["holds or not"]).items() if topic != "former_name"
}
OPEN["former_name"] = lambda c: (
    ("It has had other names, but they would give it away.",) if c.aliases else ("None that I know of.",)
)
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
    """The reply: true by the table; an open answer is worded by the request's seed."""
    find = _answers if len(request.action) <= KEPT_LENGTH else _answers.__wrapped__
    hidden = request.hidden
    texts = request.texts if len(request.action) <= MAX_FOLLOW_UP else ()
    replies = _followed(request.action, texts, hidden["city"]) if len(texts) >= 3 else None
    if replies is None:
        replies = find(
            request.action, hidden["city"], hidden.get("answers") == "open", bool(hidden.get("reveal_country"))
        )
    return replies[request.seed % len(replies)]


_UNREAD, _NOT_YES_NO = (PartnerReply(UNREAD, understood=False),), (PartnerReply(NOT_YES_NO, understood=False),)
_SHORT = {True: (PartnerReply(YES),), False: (PartnerReply(NO),), None: (PartnerReply(DEPENDS),), "unread": _UNREAD}
_UNCLEAR_GUESS = (PartnerReply(UNCLEAR_GUESS, understood=False),)
_ONE_AT_A_TIME = tuple(PartnerReply(text, understood=False) for text in ONE_AT_A_TIME)


def _followed(question: str, texts: Sequence[str], secret: str) -> tuple[PartnerReply, ...] | None:
    """The answer to a question that goes on from the one before."""
    reading = read_after(question, texts)
    if reading.truth is None or reading.truth == read(question).truth:
        return None
    return _SHORT[reading.answer(load_knowledge().index[secret])]


@lru_cache(maxsize=16384)
def _answers(question: str, secret: str, is_open: bool, reveal_country: bool) -> tuple[PartnerReply, ...]:
    """The same answer in every wording."""
    if len(named_cities(tokens(question[:1000]))) > 1 and _LISTING.search(question) and not _RELATES.search(question):
        return _ONE_AT_A_TIME
    if is_open and _TELL.match(question) is not None and (told := _open(question, secret, reveal_country)):
        return told
    reading = read(question)
    if reading.guess is not None:
        return _UNCLEAR_GUESS  # the rules take every plain guess before it comes here
    if reading.truth is not None:
        return _SHORT[reading.answer(load_knowledge().index[secret])]
    if not is_open:
        asks_which = reading.is_open or (_CHOICE.search(question) is not None and topic_of(question) is not None)
        return _NOT_YES_NO if asks_which else _UNREAD
    if _ASKS_YES_NO.match(question) is not None and not _CHOICE.search(question):
        return _UNREAD
    return _open(question, secret, reveal_country) or _UNREAD


_ASKS_YES_NO = re.compile(
    r"(?i)\W*(?:so |and |ok(?:ay)?,? )?(?:is|are|does|do|did|was|were|has|have|had|isn't|doesn't|don't)\b"
)
_TELL = re.compile(
    r"(?i)\W*(?:and |so |please |can you |could you |do )*(?:tell|name|describe|give|list|mention|what|which|where|when|who|how)\b"
)
_CHOICE = re.compile(r"(?i)\b(?:or|which|what|who|when|where|how)\b")
_LISTING = re.compile(r",|/|\bor\b|\band\b|\?.*\?|\n")
_RELATES = re.compile(r"(?i)\b(?:than|of|near|from|to|between|as|border\w*)\b")


def _open(question: str, secret: str, reveal_country: bool) -> tuple[PartnerReply, ...]:
    """The answer to an open question in every wording; empty where it is about nothing that is told."""
    topic = topic_of(question)
    if topic is None:
        return ()
    if topic == "name":
        return said(*SECRET)
    if topic == "country":
        country = _with_article(cities()[secret].country.name)
        return said(*(text.format(x=country) for text in COUNTRY_TOLD)) if reveal_country else said(*COUNTRY_REFUSED)
    return said(*variants(secret, topic))


@lru_cache(maxsize=4096)
def said(*texts: str) -> tuple[PartnerReply, ...]:
    """A reply in every wording; most questions are answered by the same few."""
    return tuple(PartnerReply(text) for text in texts)


def _with_article(country: str) -> str:
    return f"the {country}" if country.startswith(("United", "DR ", "Philippines")) else country
