"""Predicates of a relation and what it relates to: "near Japan", "more than 5 million", "older than Rome"."""

from __future__ import annotations

from typing import Any

from lmrl_envs.guess_my_city.phrases import Entry

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


_KILOMETRES = {
    **dict.fromkeys(("km", "kms", "kilometers", "kilometres", "kilometer", "kilometre"), 1.0),
    **dict.fromkeys(("mile", "miles"), 1.609),
}


def _away(items: list[Any], i: int, used: set[int], words: tuple[str, ...]) -> tuple[float, tuple[str, str]] | None:
    """Kilometres and the place they are counted from: "less than 1000 km from Paris"."""
    unit = next((word for word in words if word in _KILOMETRES), None)
    number, place = _ahead(items, i, used, ("number",), 3), _ahead(items, i, used, ("city", "other"))
    if unit is None or number is None or place is None or not {"from", "of", "to", "away"} & set(words):
        return None
    end = place_of(items[place][1])
    return None if end is None else (items[number][1]["number"] * _KILOMETRES[unit], end)


_COMPARED_NUMBER = {
    "bigger": ("population", ">"), "smaller": ("population", "<"), "more": ("", ">"), "less": ("", "<"),
    "older": ("age", ">"), "younger": ("age", "<"), "before": ("year", "<"), "after": ("year", ">"),
    "hotter": ("temperature", ">"), "colder": ("temperature", "<"), "higher": ("elevation", ">"), "lower": ("elevation", "<"),
}  # fmt: skip


def _dimension(words: tuple[str, ...]) -> str:
    """What a bare number counts."""
    present = set(words)
    if present & {"old", "age", "years", "year"}:
        return "age"
    if present & {"meters", "metres", "feet", "altitude", "elevation", "metre", "meter", "elevated", "sea"}:
        return "elevation"
    if present & {"latitude", "parallel", "latitudes"}:
        return "latitude"
    if present & {"degrees", "celsius", "temperature", "temperatures"}:
        return "temperature"
    if present & {"letters"}:
        return "letters"
    if present & {"olympics", "olympic", "games", "times"} and not present & {"people", "population"}:
        return "olympics"
    if present & {"metro", "metropolitan", "greater", "suburbs", "urban", "agglomeration", "surroundings"}:
        return "metro_population"
    if present & {"country", "nation"} and "city" not in present:
        return "country_population"
    return "population"
