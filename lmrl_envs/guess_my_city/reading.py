# ruff: noqa: SIM905 - long word lists read better as text
"""From a question's text to what it asks: its form (yes/no or open) and its predicates. The same for every city."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lmrl_envs.guess_my_city import lexicon
from lmrl_envs.guess_my_city.rules import MAX_TOKENS, stem, tokens
from lmrl_envs.guess_my_city.table import cities, countries, places, word_list

Entry = dict[str, Any]


@dataclass(frozen=True)
class Atom:
    """One predicate: a topic, its value, whether it is turned round."""

    topic: str
    value: Any = None
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """A question that was read. ``form``: "open", "polar" (yes/no), "list" (several cities), or "name"."""

    form: str
    atoms: tuple[Atom, ...]
    either: bool = False
    """Yes/no predicates of one kind are joined by "or"."""


AUXILIARIES = frozenset(
    "is are was were do does did has have had can could would will should might may must am isnt arent wasnt werent "
    "doesnt dont didnt hasnt havent hadnt cant couldnt wouldnt wont shouldnt ain aint".split()
)
_WH = frozenset("what which who whom whose where when how why whereabouts".split())
_IMPERATIVES = frozenset("name tell give describe list mention say show identify specify state share reveal".split())
_LEADS = frozenset(
    "so ok okay hey hi hello please hmm well and but now alright right then um uh oh also just actually yo ah say "
    "by way btw next question first second third let me ask see think guess maybe perhaps i am i'm im wondering wonder if whether "
    "curious interesting great thanks cool got it good nice do".split()
)
_PREPOSITIONS = frozenset("in on at to of for with from by near through under into about which".split())

STOP = frozenset(
    """a an the is are was were be been being do does did has have had having can could would will should might may must am of in on at to for
    from by with and or it its this that there here you your yours my i me we they them their his her city town place people any some
    one ones if so what which who where when how why s t about as into like than then very really quite also too
    just even get gets got go goes going see seen seeing find found home located lie lies lying situated sit sits sat come comes
    came located part big thing things deal thought think thinking mind talking not no yes please tell name say give
    locals local live lives lived make made makes most many much lot lots mostly main mainly primary predominant common commonly widely
    used use uses using often ever still once always usually more less well known famous popular important major world country
    nation around nearby near close inside within over up down out off through between along across built
    called isnt arent wasnt doesnt dont didnt hasnt havent cant wont ok okay hey right correct sort kind type
    would could take took visit visited held host hosts hosted hosting happen happens happened over hear because every whole
    someone something anything everyone nothing want need look looking first time times year years day new days ago
    particular especially mainly rather pretty such own other another else only all each both lot bit
    linked link associated connection connected related play plays played playing player big-name loved love loves true
    area areas region state spot feature features featured stuff guys folks man men woman women person
    have-in-mind specific special recently currently today nowadays during after before since until am
    thanks sir oh ah well hmm um let lets ask question questions boast boasts possess contain contains
    actually definitely probably maybe perhaps possibly generally typically locally globally worldwide international
    internationally national nationally largest biggest great above administration against air almost among
    ball balls base begin behind below birthday branch building buildings busiest but camp center centre centuries century
    civil clear cut cuts deep district divided east edge ended family far farther final fine former full further
    greatest hand hardly head high hot hour house huge king land large late law long low making meet middle mix mouth named
    night north ocean old older open opposite oval permanent plain plan point power public range raw real rest ridge rise
    run runs running sea season seat services shaped short show side sides site small soft south start stations sticky stops
    straight street sum summer tall three third two under uniting ups vast view views walls water way weather week west
    western eastern northern southern wide winter without mount culture cultural history nature natural animals animal
    beautiful nice pretty good best better bad cool amazing main-land consider considered rule ruled regarded thought
    across per directly exactly speaking lying stand stands standing set surrounded covered filled full dotted lined
    talking referring referred talk think able possible capitals towns countries states continents own belong belongs
    member members citizens citizen happen anywhere somewhere elsewhere right-hand during within basically typically tournament tournaments annual civilization-s role important rest times
    describe described name-d say said call consist consists include includes including offer offers enjoy enjoys
    practice practise practiced follow follows following majority minority percent per cent official officially
    considered overlooking overlook flock swim sail inhabited continuously cities town towns sign signs signed bed peacefully drives driven boost rely relies depend depends""".split()
)

_ADDITIONAL_COUNTRIES = {
    "Netherlands": "holland, the netherlands", "North Korea": "dprk", "Israel": "", "Switzerland": "", "Greece": "",
    "Ivory Coast": "cote d ivoire", "Eswatini": "swaziland",
}  # fmt: skip

_NOT_ADJECTIVES = frozenset({"new", "us"})


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split(",") if phrase.strip()]


class _Lexicon:
    """Phrases and their entries, which map kinds ("topic", "country", ...) to values; the lengths of phrases by first word."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, ...], Entry] = {}
        for topic, text in lexicon.TOPICS.items():
            for phrase in _phrases(text):
                self.add(phrase, "topic", topic)
        for kind, table in (("region", lexicon.REGIONS), ("continent", lexicon.CONTINENTS), ("water", lexicon.WATERS)):
            for value, text in table.items():
                for phrase in _phrases(text):
                    self.add(phrase, kind, value)
        for relation, text in lexicon.RELATIONS.items():
            for phrase in _phrases(text):
                self.add(phrase, "relation", relation)
        for language in lexicon.LANGUAGES:
            self.add(language, "language", language)
        self._add_places()
        self._add_facts()
        lengths: dict[str, set[int]] = {}
        for words in self.entries:
            lengths.setdefault(words[0], set()).add(len(words))
        self.lengths = {word: tuple(sorted(found, reverse=True)) for word, found in lengths.items()}

        self._learn_typos()

    def _learn_typos(self) -> None:
        """Words with one letter left out -> the word, for words that a slip of the keyboard should not hide."""
        from lmrl_envs.guess_my_city.predicates import fact_words

        self.known = {word for words in self.entries for word in words} | STOP | AUXILIARIES | fact_words().keys()
        kinds = {"topic", "continent", "region", "water", "language", "relation"}
        targets = {
            word for words, entry in self.entries.items() if kinds & entry.keys() for word in words if len(word) > 4
        }
        self.shortened: dict[str, str] = {}
        for word in sorted(targets):
            for i in range(1, len(word)):
                self.shortened.setdefault(word[:i] + word[i + 1 :], word)

    def corrected(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The question with slips of one letter put right, in words of five letters and more that nothing else knows."""
        known = self.known
        if all(word in known or len(word) < 5 for word in words):
            return words
        return tuple(
            [word if word in known or len(word) < 5 or word[0].isdigit() else self._correct(word) for word in words]
        )

    def _correct(self, word: str) -> str:
        if stem(word) in self.known:
            return word
        if word in self.shortened:  # a letter is missing
            return self.shortened[word]
        for i in range(1, len(word)):
            shorter = word[:i] + word[i + 1 :]
            if shorter in self.known and len(shorter) > 4:  # one too many
                return shorter
            if (
                shorter in self.shortened and abs(len(self.shortened[shorter]) - len(word)) == 0
            ):  # a wrong one, or two swapped
                return self.shortened[shorter]
        return word

    def add(self, phrase: str, kind: str, value: Any) -> None:
        words = tokens(phrase)
        if words:
            self.entries.setdefault(words, {}).setdefault(kind, value)

    def _add_places(self) -> None:
        for city in cities().values():
            for name in city.names:
                self.add(name, "city", city.name)
        for country in countries().values():
            for name in (country.name, *country.aliases):
                if name not in ("US", "us"):
                    self.add(name, "country", country.name)
            for adjective in country.adjectives:
                self.add(adjective, "adjective", country.name)
        for phrase in ("in us", "us city", "us cities", "of us", "us citizens"):
            self.add(phrase, "country", "United States")
        for name, (_, demonym, *_rest) in places()["countries"].items():
            if name not in countries():
                self.add(name, "country", name)
                for phrase in _phrases(_ADDITIONAL_COUNTRIES.get(name, "")):
                    self.add(phrase, "country", name)
                if demonym and demonym.lower() not in _NOT_ADJECTIVES:
                    self.add(demonym, "adjective", name)
        for name in places()["cities"]:
            words = tokens(name)
            if words not in self.entries and (len(words) > 1 or words[0] not in STOP):
                self.add(name, "other", name)

    def _add_facts(self) -> None:
        """Proper names of sights, clubs, rivers, people: yes/no questions about them are looked up."""
        owners: dict[tuple[str, ...], set[str]] = {}
        for phrase, names in word_list("phrases").items():
            owners[tokens(phrase)] = set(_phrases(names))
            if self.entries.get(tokens(phrase), {}).keys() == {"other"}:
                del self.entries[tokens(phrase)]
        for city in cities().values():
            for field in (city.landmarks, city.nicknames, city.clubs, city.rivers, city.universities, city.people,
                          city.airports, city.foods):  # fmt: skip
                for text in field:
                    words = tuple(word for word in tokens(text))
                    words = words[1:] if words[:1] == ("the",) else words
                    if 1 < len(words) <= 5:
                        owners.setdefault(words, set()).add(city.name)
        for words, names in owners.items():
            if words not in self.entries or "alias" in self.entries[words]:
                self.entries[words] = {"fact": frozenset(names)}


@lru_cache(maxsize=1)
def _lexicon() -> _Lexicon:
    return _Lexicon()


_UNITS = {"million": 1e6, "millions": 1e6, "m": 1e6, "mil": 1e6, "mio": 1e6, "mln": 1e6, "billion": 1e9, "thousand": 1e3, "k": 1e3, "hundred": 1e2}  # fmt: skip
_NUMERALS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "half": 0.5, "twelve": 12}


_NUMERIC = frozenset(_NUMERALS) | {"a", "million", "billion"}


def _number(words: tuple[str, ...], i: int) -> tuple[float, int] | None:
    """A number at position ``i`` and the position after it."""
    word = words[i]
    if word[0].isdigit():
        # "5,000,000" and "1,200": commas between thousands
        if i + 1 < len(words) and words[i + 1] == "m" and len(word) > 2:
            return float(re.sub(r"\D", "", word)), i + 2  # metres
        value = float(re.sub(r"[^\d.]", "", word.replace(",", "")).rstrip(".") or 0) if word.count(".") < 2 else 0.0
    elif word in _NUMERALS and i + 1 < len(words) and (words[i + 1] in _UNITS or word in ("ten", "twenty", "fifty")):
        value = float(_NUMERALS[word])
    elif word == "a" and i + 1 < len(words) and words[i + 1] in ("million", "billion", "thousand"):
        value = 1.0
    elif word in ("million", "billion"):
        value, i = 1.0, i - 1
    else:
        return None
    i += 1
    while i < len(words) and words[i] in _UNITS and word != words[i]:
        value *= _UNITS[words[i]]
        i += 1
    if word in ("million", "billion"):
        return _UNITS[word], i + 1
    return value, i


Item = tuple[str, Any, int]


def _scan(words: tuple[str, ...]) -> list[tuple[str, Entry | None, int]]:
    """The question as known phrases and other words: (text, entry or None, position)."""
    table, items, i, n = _lexicon(), [], 0, len(words)
    lengths, entries = table.lengths, table.entries
    while i < n:
        word = words[i]
        number = _number(words, i) if word in _NUMERIC or word[0] <= "9" else None
        if number is not None:
            value, after = number[0], number[1]
            if words[after : after + 1] in (("th",), ("st",), ("nd",), ("rd",)) and words[after + 1 : after + 2] in (("century",), ("centuries",)):  # fmt: skip
                items.append((words[i], {"century": int(value)}, i))
                i = after + 2
                continue
            if words[after : after + 1] == ("s",) and 1000 <= value <= 2000 and value % 100 == 0:
                items.append((words[i], {"century": int(value // 100) + 1}, i))
                i = after + 1
                continue
            items.append((words[i], {"number": number[0]}, i))
            i = max(number[1], i + 1)
            continue
        for length in lengths.get(word, ()):
            entry = entries.get(words[i : i + length])
            if entry is not None and i + length <= n:
                items.append((word if length == 1 else " ".join(words[i : i + length]), entry, i))
                i += length
                break
        else:
            items.append((word, None, i))
            i += 1
    return items


def _form(words: tuple[str, ...]) -> str:
    """ "open", "polar" or "" (a fragment or statement)."""
    i, n = 0, len(words)
    while i < n and words[i] in _LEADS and not (words[i] == "do" and i + 1 < n and words[i + 1] not in ("tell", "say")):
        i += 1
    rest = words[i:] or words
    head = rest[0]
    if head in AUXILIARIES:
        start = rest[1:7]
        if head in ("can", "could", "would", "will", "may", "might", "do", "are") and set(start[:3]) & (
            _IMPERATIVES | {"know", "able", "mind"}
        ):
            tail = rest[2:]
            return "polar" if {"whether", "if"} & set(tail) else "open"
        return "open" if _asks_which(rest) else "polar"
    if head in _WH or head in _IMPERATIVES:
        return "polar" if "whether" in rest or rest[:3] in (("tell", "me", "if"), ("how", "about", "in")) else "open"
    if head in _PREPOSITIONS and len(rest) > 1 and rest[1] in _WH:
        return "open"
    wh = [k for k, word in enumerate(rest) if word in _WH]
    if wh and not any(word in AUXILIARIES for word in rest[: wh[0]]):
        return "open"
    if rest[-1] in ("right", "correct", "yes", "no", "true", "huh", "it", "there", "from") and len(rest) > 2:
        return "polar"
    auxiliary = next((k for k, word in enumerate(rest) if word in AUXILIARIES), None)
    if auxiliary is not None and wh and auxiliary > 0:
        return "open"
    if auxiliary is not None and len(rest) > 3:
        return "polar"
    return ""


def _asks_which(words: tuple[str, ...]) -> bool:
    """ "Is there a river? Which one?", "Does it have a river, and what is it called?" """
    if words[-1] in ("which", "what", "when", "who", "where") or words[-2:] == ("which", "one"):
        return True
    return any(
        a in ("and", "so", "river", "yes") and b in ("what", "which") for a, b in zip(words, words[1:], strict=False)
    )


_PLACES = ("city", "other", "country", "continent", "region", "water", "adjective")


def _place(entry: Entry | None) -> tuple[str, str] | None:
    if entry is not None:
        for kind in _PLACES:
            if kind in entry:
                return ("country" if kind == "adjective" else kind), entry[kind]
    return None


_COMPARE = {"bigger", "smaller", "older", "younger", "hotter", "colder", "higher", "lower"}
_DIRECTIONS = {"north", "south", "east", "west"}
_LANGUAGE_TOPICS = {"language"}


def _ahead(items: list[Any], i: int, used: set[int], kinds: tuple[str, ...], reach: int = 8) -> int | None:
    for k in range(i + 1, min(len(items), i + 1 + reach)):
        entry = items[k][1]
        if k not in used and entry is not None and any(kind in entry for kind in kinds):
            return k
    return None


def _relations(items: list[Any], words: tuple[str, ...], used: set[int]) -> list[tuple[int, str, Any]]:
    """Predicates of a relation and its object ("near Japan", "more than 5 million"), whose items are marked as used."""
    found: list[tuple[int, str, Any]] = []
    numbers = [k for k, item in enumerate(items) if item[1] is not None and "number" in item[1]]
    for i, (_, entry, _) in enumerate(items):
        relation = entry.get("relation") if entry else None
        if relation is None or i in used:
            continue
        if relation == "between" and len(numbers) < 2:
            ends = [k for k in range(i + 1, len(items)) if k not in used and _place(items[k][1])][:2]
            found += [(k, "between", _place(items[k][1])) for k in ends]
            used.update(ends)
        elif relation == "between":
            low, high = (items[k][1]["number"] for k in numbers[:2])
            if high >= 1e6 > low:
                low *= 1e6
            found.append((i, f"{_dimension(words)}_between", (low, high)))
            used.update((i, *numbers[:2]))
        elif relation == "same":
            k = _ahead(items, i, used, ("city", "other"))
            if k is not None:
                found.append((i, "same", (items[i][0], _place(items[k][1]))))
                used.update((i, k))
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
                found.append((i, relation, _place(other)))
            elif relation == "more" and {"people", "inhabitants", "residents", "population"} & set(words):
                found.append((i, "bigger", _place(other)))
            else:
                continue
            used.update((i, k))
        elif relation.startswith("part_"):
            k = _ahead(items, i, used, ("country", "adjective", "continent"), 2)
            if k is not None:
                found.append((i, relation, _place(items[k][1])))
                used.update((i, k))
        elif relation in _DIRECTIONS or relation in ("near", "far", "border"):
            k = _ahead(items, i, used, _PLACES, 5)
            if k is None and relation == "north" and (n := _ahead(items, i, used, ("number",), 2)) is not None:
                found.append((i, f"{_dimension(words)}>", items[n][1]["number"]))  # "north of ten million"
                used.update((i, n))
                continue
            if k is None or (relation == "border" and not {"country", "adjective"} & items[k][1].keys()):
                continue
            found.append((i, relation, _place(items[k][1])))
            used.update((i, k))
    return found


_SIDES = frozenset("north south east west northern southern eastern western central".split())
_OPPOSITES = (
    ("bigger", "smaller"), ("older", "younger"), ("hotter", "colder"), ("higher", "lower"), ("north", "south"), ("east", "west"),
    ("part_north", "south"), ("part_east", "west"), ("part_south", "north"), ("part_west", "east"),
)  # fmt: skip


def _said(items: list[Any]) -> set[str]:
    return {entry["relation"] for _, entry, _ in items if entry and "relation" in entry}


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
    if present & {"degrees", "celsius", "temperature", "temperatures"}:
        return "temperature"
    if present & {"letters"}:
        return "letters"
    if present & {"olympics", "olympic", "games", "times"} and not present & {"people", "population"}:
        return "olympics"
    if present & {"metro", "metropolitan", "greater", "suburbs", "urban", "agglomeration", "surroundings"}:
        return "metro_population"
    return "population"


@lru_cache(maxsize=65536)
def read(text: str) -> Query | None:
    """What a question asks; None when it cannot be read."""
    if len(text) > 1000:
        return None
    words = tokens(text)
    if not words or len(words) > MAX_TOKENS:
        return None
    return _assemble(words)


@lru_cache(maxsize=65536)
def _assemble(words: tuple[str, ...]) -> Query | None:
    from lmrl_envs.guess_my_city.predicates import build

    words = _lexicon().corrected(words)
    items = _scan(words)
    mentioned = {entry["city"] for _, entry, _ in items if entry and "city" in entry}
    others = {entry["other"] for _, entry, _ in items if entry and "other" in entry}
    form = _form(words)
    used: set[int] = set()
    relations = _relations(items, words, used)
    free = {
        entry.get("city") or entry.get("other") for k, (_, entry, _) in enumerate(items) if entry and k not in used
    } - {None}
    if free and {"or", "and"} & set(words) and (free & mentioned):
        return Query("list", ())
    if "or" in words[1:-1] and "either" not in words:
        k = words.index("or", 1)
        if (
            words[k - 1] in _SIDES
            and words[k - 2] not in ("middle", "far", "near")
            and words[k + 1] in _SIDES
            and len(words) > k + 2
        ):
            if words[k + 2] in ("america", "americas"):
                return Query("open", (Atom("continent"),))
            if words[k + 2] in ("part", "half", "side", "asia", "africa", "europe", "end"):
                return Query("open", (Atom("subregion"),))
    pair = next((pair for pair in _OPPOSITES if "or" in words and set(pair) <= _said(items)), None)
    if pair is not None:
        place = next((_place(entry) for _, entry, _ in items if entry and {"city", "other"} & entry.keys()), None)
        if place is not None:
            return Query("open", (Atom("compare", (*pair, place)),))
    if len(free & (mentioned | others)) > 1:
        return Query("list", ())
    return build(words, items, form, relations, used)
