"""What the scripted oracle says to a request."""

from __future__ import annotations

from functools import lru_cache

from lmrl_envs.guess_my_city.answers import POLAR
from lmrl_envs.guess_my_city.geography import near_place, point_of
from lmrl_envs.guess_my_city.predicates import OPEN_ALIASES
from lmrl_envs.guess_my_city.query import Query
from lmrl_envs.guess_my_city.reading import read
from lmrl_envs.guess_my_city.rules import KEPT_LENGTH
from lmrl_envs.guess_my_city.sentences import (
    COUNTRY_REFUSED,
    COUNTRY_TOLD,
    NO,
    ONE_AT_A_TIME,
    SECRET,
    UNREAD,
    YES,
    variants,
)  # fmt: skip
from lmrl_envs.guess_my_city.table import City, cities, distance
from lmrl_envs.partners.base import PartnerReply, PartnerRequest


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
        relation = first if _truth(first.removeprefix("part_"), place, city) else second
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
    true = [atom for atom in query.atoms if _truth(atom.topic, atom.value, city) != atom.negated]
    return " and ".join(str(atom.value).capitalize() if atom.topic == "lang" else str(atom.value) for atom in true)


def _with_article(country: str) -> str:
    return f"the {country}" if country.startswith(("United", "DR ", "Philippines")) else country


def holds(query: Query, city: City) -> bool:
    """The truth of a yes/no question. "or" joins predicates of one kind; different kinds must all hold."""
    if len(query.atoms) == 1:
        atom = query.atoms[0]
        return _truth(atom.topic, atom.value, city) != atom.negated
    results: dict[str, list[bool]] = {}
    for atom in query.atoms:
        kind = "place" if atom.topic.startswith(("in_", "water")) else OPEN_ALIASES.get(atom.topic, atom.topic)
        results.setdefault(kind, []).append(_truth(atom.topic, atom.value, city) != atom.negated)
    if query.either:
        if all(len(values) == 1 for values in results.values()):
            return any(values[0] for values in results.values())
        return all(any(values) for values in results.values())
    return all(all(values) for values in results.values())


def _truth(topic: str, value: object, city: City) -> bool:
    predicate = POLAR.get(topic)
    return predicate is None or bool(predicate(city, value))
