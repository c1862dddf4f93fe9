# ruff: noqa: SIM905 - long word lists read better as text
"""The phrases that the lexicon knows, and a question cut into them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lmrl_envs.guess_my_city import lexicon, place_names
from lmrl_envs.guess_my_city.rules import stem, tokens
from lmrl_envs.guess_my_city.table import cities, countries, places, word_list

Entry = dict[str, Any]
Item = tuple[str, Entry | None, int]
"""A piece of a question: its text, its entry in the lexicon or None, its position."""

AUXILIARIES = frozenset(
    "is are was were do does did has have had can could would will should might may must am isnt arent wasnt werent "
    "doesnt dont didnt hasnt havent hadnt cant couldnt wouldnt wont shouldnt ain aint".split()
)

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
    beautiful nice pretty good best better bad terrible awful horrible fight fights fought cool amazing main-land consider considered rule ruled regarded thought
    across per directly exactly speaking lying stand stands standing set surrounded covered filled full dotted lined
    talking referring referred talk think able possible capitals towns countries states continents own belong belongs
    member members citizens citizen happen anywhere somewhere elsewhere right-hand during within basically typically tournament tournaments annual civilization-s role important rest times
    describe described name-d say said call consist consists include includes including offer offers enjoy enjoys
    practice practise practiced follow follows following majority minority percent per cent official officially
    considered overlooking overlook flock swim sail inhabited continuously cities town towns sign signs signed bed peacefully drives driven boost rely relies depend depends birthplace originate originated originates""".split()
)

_ADDITIONAL_COUNTRIES = {
    "Netherlands": "holland, the netherlands", "North Korea": "dprk", "Israel": "", "Switzerland": "", "Greece": "",
    "Ivory Coast": "cote d ivoire", "Eswatini": "swaziland",
}  # fmt: skip

_NOT_ADJECTIVES = frozenset({"new", "us"})


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split(",") if phrase.strip()]


class PhraseTable:
    """Phrases and their entries, which map kinds ("topic", "country", ...) to values; those of several words by the first two, the longest first."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, ...], Entry] = {}
        for topic, text in lexicon.TOPICS.items():
            for phrase in _phrases(text):
                self.add(phrase, "topic", topic)
        for kind, table in (
            ("region", place_names.REGIONS),
            ("continent", place_names.CONTINENTS),
            ("water", place_names.WATERS),
        ):
            for value, text in table.items():
                for phrase in _phrases(text):
                    self.add(phrase, kind, value)
        for relation, text in lexicon.RELATIONS.items():
            for phrase in _phrases(text):
                self.add(phrase, "relation", relation)
        for language in place_names.LANGUAGES:
            self.add(language, "language", language)
        self._add_places()
        self._add_facts()
        self.starts: dict[tuple[str, ...], list[tuple[tuple[str, ...], Entry]]] = {}
        for words, entry in sorted(self.entries.items(), key=lambda item: -len(item[0])):
            self.starts.setdefault(words[:2], []).append((words, entry))
        self.single = {words[0]: entry for words, entry in self.entries.items() if len(words) == 1}
        self._learn_typos()

    def _learn_typos(self) -> None:
        """Words with one letter left out -> the word, for words that a slip of the keyboard should not hide."""
        self.known = {word for words in self.entries for word in words} | STOP | AUXILIARIES | fact_words().keys()
        kinds = {"topic", "continent", "region", "water", "language", "relation"}
        targets = {
            word for words, entry in self.entries.items() if kinds & entry.keys() for word in words if len(word) > 5
        }
        self.shortened: dict[str, str] = {}
        for word in sorted(targets):
            for i in range(1, len(word)):
                self.shortened.setdefault(word[:i] + word[i + 1 :], word)

    def corrected(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The question with slips of one letter put right, in words of five letters and more that nothing else knows."""
        known = self.known
        if known.issuperset(words):
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
            if shorter in self.known and len(shorter) > 5:  # one too many
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
            if words not in self.entries and not (len(words) == 1 and words[0] in STOP):
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
def phrase_table() -> PhraseTable:
    """The table, made once per process (about 50 ms)."""
    return PhraseTable()


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


def scan(words: tuple[str, ...]) -> list[Item]:
    """The question as known phrases and other words: (text, entry or None, position)."""
    table, items, i, n = phrase_table(), [], 0, len(words)
    starts, single = table.starts, table.single
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
        for phrase, entry in starts.get(words[i : i + 2], ()):
            if words[i : i + len(phrase)] == phrase:
                items.append((" ".join(phrase), entry, i))
                i += len(phrase)
                break
        else:
            items.append((word, single.get(word), i))
            i += 1
    return items


@lru_cache(maxsize=1)
def fact_words() -> dict[str, frozenset[str]]:
    """Stem of a word of the table -> cities whose facts have it."""
    owners: dict[str, set[str]] = {}
    extra = word_list("keywords")
    for city in cities().values():
        texts = [
            *city.landmarks, *city.foods, *city.known, *city.nicknames, *city.clubs, *city.rivers, *city.airports,
            city.mountains, *city.industries, *city.universities, *city.people, city.festival, city.founded, city.water,
            city.climate, *city.traits, extra.get(city.name, ""), extra.get(city.country.name, ""),
        ]  # fmt: skip
        for word in tokens(" ".join(texts)):
            if word not in STOP and len(word) > 1:
                owners.setdefault(stem(word), set()).add(city.name)
    return {word: frozenset(names) for word, names in owners.items()}
