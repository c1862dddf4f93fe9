"""From known phrases to predicates: what each says by itself or in company, and what relates the city to a place or number."""

from __future__ import annotations

import itertools
from typing import Any

from lmrl_envs.guess_my_city.words import WORDS, Entry
from lmrl_envs.language.lists import sections, table

_TOPICS = sections(__file__, "data/topics.txt")
_OF_COUNTRY = {topic: own for topic, (own,) in table(_TOPICS["of the country"]).items()}
"""What a topic becomes when a question is about the country."""
_PAST, _MAIN = WORDS["past"], WORDS["main"]


Found = tuple[int, str, Any]
"""A predicate at a position: topic and value."""

_SIMPLE = {
    "city": "is_city", "continent": "in_continent", "region": "in_region", "century": "century", "fact": "fact",
}  # fmt: skip


def atoms(items: list[Any], words: tuple[str, ...], used: set[int]) -> list[Found]:
    """Predicates of the phrases that no relation has used up, with their positions."""
    free = [(k, text, entry) for k, (text, entry, _) in enumerate(items) if entry and k not in used]
    topics = {entry["topic"] for _, _, entry in free if "topic" in entry}
    found = []
    for k, text, entry in free:
        after = items[k + 1][1] if k + 1 < len(items) else None
        predicate = _predicate(text, entry, after, topics, words)
        if predicate is not None:
            found.append((k, *predicate))
    return _letters(_refine(found, words, topics), words, topics, len(items))


def _predicate(
    text: str, entry: dict[str, Any], after: dict[str, Any] | None, topics: set[str], words: tuple[str, ...]
) -> tuple[str, Any] | None:
    """What one phrase says, in the light of the other topics of the question."""
    if len(entry) == 1:  # nearly all; the rest of this function only decides between kinds
        kind, value = next(iter(entry.items()))
        if kind == "topic" and value != "timezone":
            topic, _, value = value.partition("=")
            return topic, value or None
        if kind == "relation":
            return ("neighbours", None) if value == "border" else None
        if kind == "fact" or kind == "city":
            return _SIMPLE[kind], value
    place = {"adjective", "country", "continent"} & entry.keys()
    if "language" in entry:
        about_language = "language" in topics or any(topic.endswith("_speaking") for topic in topics)
        if about_language or len(words) == 1 or not {"adjective", "country", "city"} & entry.keys():
            if text == "latin" and "script" in topics:
                return "script", "latin"
            return ("main_lang" if _MAIN & set(words) else "lang"), entry["language"]
    if place and ("colony" in topics or ("empire" in words and "adjective" in entry)):
        return "colony", entry.get("country") or entry.get("adjective") or "any"
    if "city" not in entry and place - {"continent"}:
        if after and after.get("topic") == "currency=dollar" and text in ("the us", "us"):
            return None
        return "in_country", entry.get("country") or entry["adjective"]
    for kind, topic in _SIMPLE.items():
        if kind in entry:
            return topic, entry[kind]
    if "water" in entry:
        return ("not_water" if "far" in words else "water"), entry["water"]
    if "other" in entry:
        return "is_city", None
    if (
        entry.get("topic") == "timezone"
        and {"ahead", "behind"} & set(words)
        and {"gmt", "utc", "greenwich"} & set(words)
    ):
        return ("ahead", 1 if "ahead" in words else -1)
    if "topic" in entry:
        topic, _, value = entry["topic"].partition("=")
        return topic, value or None
    if entry.get("relation") == "border":
        return "neighbours", None
    number = entry.get("number", 0)
    if "olympics" in topics and 1890 < number < 2050:
        return "olympic_year", int(number)
    if "timezone" in topics and "number" in entry:
        return "utc", (-number if {"minus", "behind"} & set(words) else number)
    return None


_SOUTHERN_SUMMER = frozenset(["december", "january", "february", "christmas"])
_SOUTHERN_WINTER = frozenset(["june", "july", "august"])


_MONTHS = {month: like for like, months in table(_TOPICS["months"]).items() for month in months}
"""Month -> the month of the table it is like ("between": their mean)."""
_FEELS = {"hot": "hot", "very_hot": "hot", "cold": "cold", "snow": "snow"}


_COMPANY = (
    _PAST
    | _MONTHS.keys()
    | set(
        ["was", "were", "use", "used", "left", "right", "summer", "winter", "partly", "partially", "country", "nation"]
    )
)
"""Words that can change what other predicates of the question mean."""


def _renamed(found: list[Found], old: str, new: str) -> list[Found]:
    return [(k, new if topic == old else topic, value) for k, topic, value in found]


def _refine(found: list[Found], words: tuple[str, ...], topics: set[str]) -> list[Found]:
    """Predicates that change their meaning in company."""
    present, said = {topic for _, topic, _ in found}, set(words)
    if said.isdisjoint(_COMPANY) and present.isdisjoint(("neighbours", "largest", "war")):
        return found
    if {"neighbours", "in_country"} <= present:
        found = [(k, "border", ("country", v)) if topic == "in_country" else (k, topic, v) for k, topic, v in found]
    if (_PAST & said or words[:1] in (("was",), ("were",))) and "colony" not in topics:
        found = _renamed(found, "in_country", "was_in")
    if "capital" in present and (
        words[:1] in (("was",), ("were",)) or _PAST & said or {"used", "be"} <= said or {"use", "be"} <= said
    ):
        found = _renamed(found, "capital", "was_capital")
    if {"largest", "fact"} <= present:
        found = [atom for atom in found if atom[1] != "largest"]  # "the largest city in Texas": in our table they are
    elif {"largest", "continent"} <= present and words[0] not in (
        "which",
        "what",
    ):  # "the largest city on its continent"
        found = [
            (k, "largest_on_continent" if topic == "largest" else topic, v)
            for k, topic, v in found
            if topic != "continent"
        ]
    elif "largest" in present and "capital" not in present:
        places = [atom for atom in found if atom[1] in ("in_continent", "in_country", "in_region")]
        if places:
            found = [atom for atom in found if atom not in places and atom[1] != "largest"]
            among = "among_largest" if {"one", "among"} & said else "largest_in"
            found.append((places[0][0], among, (places[0][1], places[0][2])))
    if {"left", "right"} & said:
        side = "left" if "left" in said else "right"
        found = [(k, topic, value or side if topic == "drive" else value) for k, topic, value in found]
    months = [word for word in words if word in _MONTHS]
    if months and _FEELS.keys() & present:
        found = [
            (k, "month", (_MONTHS[months[0]], _FEELS[topic])) if topic in _FEELS else (k, topic, value)
            for k, topic, value in found
            if topic not in ("fact", "facts")
        ]
    for season, southern in (("summer", _SOUTHERN_SUMMER), ("winter", _SOUTHERN_WINTER)):
        if season in said and (_SOUTHERN_SUMMER | _SOUTHERN_WINTER) & said and "climate" in present:
            found = [
                (k, "hemisphere", "S" if southern & said else "N") if topic == "climate" else (k, topic, v)
                for k, topic, v in found
            ][:1]
    if "war" in present:
        found = [atom for atom in found if atom[1] != "in_country"]
    if {"partly", "partially"} & said:
        found = _renamed(found, "in_continent", "partly_in")
    if {"country", "nation"} & said:
        found = [(k, _OF_COUNTRY.get(topic, topic), v) for k, topic, v in found]
    return found


def _letters(found: list[Found], words: tuple[str, ...], topics: set[str], end: int) -> list[Found]:
    """Add what is asked about a letter of the name."""
    if "letters" not in topics:
        return found
    said = set(words)
    letter = next((kind for kind in ("vowel", "consonant") if kind in said), None)
    if letter is None:
        letter = next(
            (word for word in reversed(words) if len(word) == 1 and word.isalpha() and word not in ("s", "a")), None
        )
    if letter is None and (words[-1] == "a" or ("letter", "a") in itertools.pairwise(words)):
        letter = "a"
    if letter is None:
        return found
    place = "starts"
    if {"end", "ends"} & said:
        place = "ends"
    elif {"contain", "contains", "have", "include"} & said:
        place = "has"
    if {"country", "nation"} & said:
        place = f"country_{place}"
    return [atom for atom in found if atom[1] != "letters"] + [(end, place, letter)]


# -- relations

_PLACES = ("city", "other", "country", "continent", "region", "water", "adjective")


def place_of(entry: Entry | None) -> tuple[str, str] | None:
    """The place an entry names: its kind and name."""
    if entry is not None:
        for kind in _PLACES:
            if kind in entry:
                return ("country" if kind == "adjective" else kind), entry[kind]
    return None


_COMPARE = {"bigger", "smaller", "older", "younger", "hotter", "colder", "higher", "lower", "closer_equator"}
_DIRECTIONS = {"north", "south", "east", "west"}


def _ahead(items: list[Any], i: int, used: set[int], kinds: tuple[str, ...], reach: int = 8) -> int | None:
    for k in range(i + 1, min(len(items), i + 1 + reach)):
        entry = items[k][1]
        if k not in used and entry is not None and any(kind in entry for kind in kinds):
            return k
    return None


def relations(items: list[Any], words: tuple[str, ...], used: set[int]) -> list[tuple[int, str, Any]]:
    """Predicates of a relation and its object ("near Japan", "more than 5 million"), whose items are marked as used."""
    found: list[tuple[int, str, Any]] = []
    related = [(i, entry["relation"]) for i, (_, entry, _) in enumerate(items) if entry and "relation" in entry]
    if not related:
        return found
    numbers = [k for k, item in enumerate(items) if item[1] is not None and "number" in item[1]]
    for i, relation in related:
        if i in used:
            continue
        if relation == "between" and len(numbers) < 2:
            ends = [k for k in range(i + 1, len(items)) if k not in used and place_of(items[k][1])][:2]
            found += [(k, "between", place_of(items[k][1])) for k in ends]
            used.update(ends)
        elif relation == "between":
            low, high = (items[k][1]["number"] for k in numbers[:2])
            if high >= 1e6 > low:
                low *= 1e6
            found.append((i, f"{_dimension(words)}_between", (low, high)))
            used.update((i, *numbers[:2]))
        elif relation == "same":
            k = _ahead(items, i, used, ("city", "other", "country"))
            if k is not None:
                found.append((i, "same", (items[i][0], place_of(items[k][1]))))
                used.update((i, k))
        elif relation in ("more", "less") and (away := _away(items, i, used, words)) is not None:
            found.append((i, f"away{'>' if relation == 'more' else '<'}", away))
            used.update(range(i, len(items)))
        elif relation in _COMPARE or relation in ("more", "less", "before", "after"):
            k = _ahead(items, i, used, ("city", "other", "number"))
            if k is None:
                continue
            other = items[k][1]
            if "number" in other:
                topic = _COMPARED_NUMBER.get(relation)
                dimension = topic[0] if topic and topic[0] else _dimension(words)
                sign = topic[1] if topic else ">"
                found.append((i, f"{dimension}{sign}", other["number"]))
            elif relation in _COMPARE:
                found.append((i, relation, place_of(other)))
            elif relation == "more" and {"people", "inhabitants", "residents", "population"} & set(words):
                found.append((i, "bigger", place_of(other)))
            else:
                continue
            used.update((i, k))
        elif relation.startswith("part_"):
            k = _ahead(items, i, used, ("country", "adjective", "continent"), 2)
            if k is None and any(text == "country" for text, _, _ in items[i + 1 : i + 4]):
                found.append((i, relation, ("own country", "")))
                used.add(i)
            elif k is not None:
                found.append((i, relation, place_of(items[k][1])))
                used.update((i, k))
        elif relation in _DIRECTIONS or relation in ("near", "far", "border"):
            k = _ahead(items, i, used, _PLACES, 5)
            if k is None and relation == "north" and (n := _ahead(items, i, used, ("number",), 2)) is not None:
                found.append((i, f"{_dimension(words)}>", items[n][1]["number"]))  # "north of ten million"
                used.update((i, n))
                continue
            if k is None and relation in ("near", "border"):  # "Is Russia a neighbour of its country?"
                k = next((j for j in range(i - 1, -1, -1) if j not in used and place_of(items[j][1])), None)
                if k is not None and place_of(items[k][1])[0] == "country" and {"country", "nation"} & set(words):  # type: ignore[index]
                    relation = "border"
            if k is None or (relation == "border" and not {"country", "adjective"} & items[k][1].keys()):
                continue
            found.append((i, relation, place_of(items[k][1])))
            used.update((i, k))
    return found


_KILOMETRES = {unit: float(size) for size, units in table(_TOPICS["kilometres"]).items() for unit in units}


def _away(items: list[Any], i: int, used: set[int], words: tuple[str, ...]) -> tuple[float, tuple[str, str]] | None:
    """Kilometres and the place they are counted from: "less than 1000 km from Paris"."""
    unit = next((word for word in words if word in _KILOMETRES), None)
    number, place = _ahead(items, i, used, ("number",), 3), _ahead(items, i, used, ("city", "other"))
    if unit is None or number is None or place is None or not {"from", "of", "to", "away"} & set(words):
        return None
    end = place_of(items[place][1])
    return None if end is None else (items[number][1]["number"] * _KILOMETRES[unit], end)


_COMPARED_NUMBER = {
    relation: (of, sign)
    for sign, own in table(_TOPICS["compared numbers"]).items()
    for relation, _, of in (one.partition(" ") for one in own)
}


_DIMENSIONS = table(_TOPICS["dimensions"])
_UNLESS = {"olympics": {"people", "population"}, "country_population": {"city"}}


def _dimension(words: tuple[str, ...]) -> str:
    """What a bare number counts."""
    said = set(words)
    for dimension, own in _DIMENSIONS.items():
        if not said.isdisjoint(own) and said.isdisjoint(_UNLESS.get(dimension, ())):
            return dimension
    return "population"
