# ruff: noqa: SIM905 - long word lists read better as text
"""From known phrases to the predicates of a question."""

from __future__ import annotations

import itertools
from typing import Any

from lmrl_envs.guess_my_city.lexicon import NEGATORS
from lmrl_envs.guess_my_city.phrases import AUXILIARIES, STOP, fact_words
from lmrl_envs.guess_my_city.query import Atom, Query
from lmrl_envs.guess_my_city.rules import stem

OPEN_ORDER = (
    "distance hemisphere_alt neighbours dst colony former_name script nickname flag drive phone religion language currency metro_population country_population "
    "lake river timezone coordinates founded olympics worldcup elevation sports airport university people festival food industry government sea "
    "landmark climate population hemisphere mountains metro tram regional_capital capital_of former_capital capital coast beach island "
    "letters subregion continent province location known country name"
).split()
"""Topics that have an open answer, the most telling first: a question is about the first one it mentions."""

_RANK = {topic: i for i, topic in enumerate(OPEN_ORDER)}

OPEN_ALIASES = {
    **dict.fromkeys(
        "hot very_hot hot_year warm_year cold snow rain dry humid temperate tropical tropics mediterranean seasons desert".split(),
        "climate",
    ),
    "big": "population", "small": "population", "megacity": "population", "largest": "population",
    "world_largest": "population", "bigger": "population", "smaller": "population", "population>": "population",
    "ancient": "founded", "modern": "founded", "medieval": "founded", "older": "founded", "high": "elevation",
    "below_sea": "elevation", "higher": "elevation", "equator": "coordinates", "inland": "coast", "port": "coast", "monarchy": "government",
    "republic": "government", "communist": "government", "democracy": "government", "hilly": "mountains", "volcano": "mountains",
    "flat": "mountains", "tourist": "landmark", "unesco": "landmark", "skyscrapers": "landmark", "tech": "industry",
    "finance": "industry", "film": "industry", "game": "sports", "lang": "language", "water": "sea",
    "border": "neighbours", "rich": "industry", "nightlife": "known", "fashion": "known", "tallest": "landmark",
    "holy": "religion", "two_continents": "continent", "landlocked_country": "coast", "planned": "founded",
    "utc": "timezone", "coast_side": "sea", "in_continent": "subregion", "in_region": "subregion", "english_speaking": "language", "group": "group", "starts": "letters",
}  # fmt: skip
"""The open topic that a yes/no topic belongs to ("how cold does it get?" asks for the climate)."""

_WEAK = frozenset(
    "country continent subregion location province name known landmark people festival food sports nickname climate "
    "population industry religion language currency script flag government colony founded timezone dst university "
    "elevation coordinates hemisphere hemisphere_alt metro_population drive phone airport letters sea neighbours "
    "tourist big former_name country_population".split()
)
"""Topics that only set the scene of a yes/no question when it has another predicate ("is the religion Islam?")."""

_SOFT = frozenset(
    "mountains river lake flat hilly port tram film game skyscrapers tech tallest canals ancient high beach nightlife "
    "traffic finance rich volcano hot cold dry modern desert metro island holy war".split()
)
"""Topics that give way to a proper name or rare word of the table ("a flat mountain")."""

_LOOKED_UP = frozenset("food known landmark sports people festival industry nickname".split())
"""With one of these topics, a word that is in no table means "No." and not "I do not understand"."""

_POLAR_FRAGMENTS = frozenset(
    "olympics worldcup capital capital_of former_capital regional_capital coast beach island metro tram".split()
)
_ALTERNATIVES = (
    {"hot", "cold", "temperate", "tropical", "dry", "rain", "humid", "very_hot", "desert", "mediterranean", "snow"},
    {"coast", "inland", "port"},
    {"big", "small"},
    {"hemisphere"},
    {"monarchy", "republic", "democracy", "communist", "dictatorship"},
    {"religion"},
    {"currency"},
    {"drive"},
    {"ancient", "modern", "medieval"},
)
_EXHAUSTIVE = tuple(family for family in _ALTERNATIVES if not family & {"religion", "currency"})


_OF_COUNTRY = {
    "coast": "country_coast", "inland": "landlocked_country", "water": "country_water", "two_continents": "country_two_continents",
    "ancient": "ancient", "largest_country": "largest_country", "mountains": "mountains", "rich": "rich",
}  # fmt: skip
"""What a topic becomes when a question is about the country."""


_PAST = frozenset("ever once formerly previously until past originally historically".split())
_MAIN = frozenset("main primary dominant principal majority".split())


Found = tuple[int, str, Any]
"""A predicate at a position: topic and value."""

_SIMPLE = {
    "city": "is_city", "continent": "in_continent", "region": "in_region", "century": "century", "fact": "fact",
}  # fmt: skip


def _atoms(items: list[Any], words: tuple[str, ...], used: set[int]) -> list[Found]:
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


_SOUTHERN_SUMMER = frozenset("december january february christmas".split())
_SOUTHERN_WINTER = frozenset("june july august".split())


_MONTHS = {
    **dict.fromkeys("december january february".split(), "january"),
    **dict.fromkeys("june july august".split(), "july"),
    **dict.fromkeys("march april may september october november".split(), "between"),
}
"""Month -> the month of the table it is like ("between": their mean)."""
_FEELS = {"hot": "hot", "very_hot": "hot", "cold": "cold", "snow": "snow"}


_COMPANY = (
    _PAST | _MONTHS.keys() | set("was were use used left right summer winter partly partially country nation".split())
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


_EMPTY = STOP | NEGATORS | AUXILIARIES


def _content(items: list[Any], used: set[int]) -> list[tuple[int, str]]:
    """Words that no lexicon knows."""
    return [
        (k, text) for k, (text, entry, _) in enumerate(items) if entry is None and text not in _EMPTY and len(text) > 1
    ]


def build(words: tuple[str, ...], items: list[Any], form: str, relations: list[Found], used: set[int]) -> Query | None:
    """The query of a scanned question, or None."""
    found = [*relations, *_atoms(items, words, used)]
    if len(found) > 1:
        found.sort(key=lambda atom: atom[0])
    topics = [topic for _, topic, _ in found]
    if relations and any(topic.startswith(("age", "year")) for topic in topics):  # "young, less than 200 years old"
        found = [atom for atom in found if atom[1] not in ("ancient", "modern")]
        topics = [topic for _, topic, _ in found]
    if "or" in words or "hemisphere_alt" in topics:
        for family in _ALTERNATIVES if form != "polar" else _EXHAUSTIVE:
            values = {(topic, value) for _, topic, value in found if topic in family and (value or len(family) > 1)}
            if len(values) > 1 or "hemisphere_alt" in topics:
                topic = "hemisphere" if "hemisphere_alt" in topics else next(iter(sorted(family & set(topics))))
                return Query("open", (Atom(OPEN_ALIASES.get(topic, topic)),))
    strong = [atom for atom in found if atom[1] not in _WEAK or atom[2] is not None]
    if form == "" and len(words) <= 2 and words[:1] in (("ocean",), ("sea",)):
        form = "open"
    if form == "":
        plain = [topic for topic in topics if topic in OPEN_ORDER and topic not in _POLAR_FRAGMENTS]
        decided = [atom for atom in strong if atom[1] not in OPEN_ORDER or atom[1] in _POLAR_FRAGMENTS or atom[2]]
        form = "open" if plain and not decided else "polar"
    if form == "open":
        return _open(found, words)
    return _polar(words, items, found, strong, used)


def _open(found: list[Found], words: tuple[str, ...]) -> Query | None:
    present: dict[str, Any] = {}
    if {"ocean", "sea", "oceans", "seas", "water"} & set(words) and {"coast", "sea", "country_coast"} & {
        atom[1] for atom in found
    }:
        return Query("open", (Atom("sea"),))
    for _, topic, value in found:
        present.setdefault(OPEN_ALIASES.get(topic, topic), value)
    direct = {atom[1] for atom in found} - {"country", "name", "location", "continent", "province"}
    known = [topic for topic in present if topic in _RANK]
    if not known:
        return None
    topic = min(known, key=lambda topic: (topic not in direct, _RANK[topic]))
    if topic == "name":
        return Query("name", ())
    if topic == "country" and "colony" in present:
        topic = "colony"
    value = _place_of(found) if topic == "distance" else present[topic]
    return None if topic == "distance" and value is None else Query("open", (Atom(topic, value),))


def _place_of(found: list[Found]) -> tuple[str, str] | None:
    return next(
        (
            (topic.removeprefix("in_"), value)
            for _, topic, value in found
            if topic in ("in_country", "is_city") and value
        ),
        None,
    )


def _polar(
    words: tuple[str, ...], items: list[Any], found: list[Found],
    strong: list[Found], used: set[int],
) -> Query | None:  # fmt: skip
    content = _content(items, used)
    vocabulary = fact_words()
    known = [(k, word) for k, word in content if stem(word) in vocabulary]
    firm = [atom for atom in strong if atom[1] not in _SOFT]
    weak = {topic for _, topic, _ in found} & _LOOKED_UP
    if known and not firm:
        unknown = len(content) - len(known)
        if unknown <= 1 + len(known) // 2 or weak:
            stems = tuple(sorted({stem(word) for _, word in known}))
            return Query("polar", (Atom("facts", stems, _negated(items, known[0][0], -1)),))
    if not strong:
        if weak & {"food", "known", "landmark"} and content:
            return Query("polar", (Atom("facts", ("?",), _negated(items, content[0][0], -1)),))
        strong = [atom for atom in found if atom[1] in ("river", "lake", "mountains")] or found
        if not found and not content and {"city", "town", "place", "metropolis"} & set(words):
            return Query("polar", (Atom("a_city"),))
        if not strong or (len(content) > 3):
            return None
        if all(topic in _WEAK for _, topic, _ in strong):
            strong = [min(strong, key=lambda atom: _RANK.get(atom[1], 99))]
    if len(content) > 6:
        return None
    atoms, previous = [], -1
    for k, topic, value in strong:
        atoms.append(Atom(topic, value, _negated(items, k, previous)))
        previous = k
    return Query("polar", tuple(atoms), either="or" in words)


def _negated(items: list[Any], k: int, previous: int) -> bool:
    between = [text for text, entry, _ in items[max(previous + 1, 1) : k] if entry is None]
    return sum(text in NEGATORS for text in between) % 2 == 1
