"""From text to words, and from words to phrases that are known: topics, places, relations, numbers, names of the table."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from lmrl_envs.guess_my_city.table import cities, countries, places, word_list
from lmrl_envs.language.lists import sections, table
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.numbers import NUMBERS, digits
from lmrl_envs.language.text import INVISIBLE, plain
from lmrl_envs.language.words import Slips, stem

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_POSSESSIVE = re.compile(r"['’`´]s\b")
_FIXED = {"whats": "what", "wheres": "where", "hows": "how", "whos": "who", "wich": "which", "u": "you", "ur": "your"}


KEPT_LENGTH = 300
"""Characters of the longest text whose reading is kept: agents may send long ones, no two alike."""


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers: lower case, without accents, invisible characters and punctuation ("'s" is dropped)."""
    text = plain(text, "NFKD", {}, dropped=INVISIBLE)
    if "'" in text or "’" in text or "`" in text:
        text = _POSSESSIVE.sub(" ", text).replace("'", "").replace("’", "").replace("`", "")
    found: list[str] = _TOKEN.findall(text)
    return tuple([_FIXED.get(token, token) for token in found])


WORDS = {title: frozenset(listed(lines)) for title, lines in sections(__file__, "data/words.txt").items()}
"""Words by what they do in a question."""
AUXILIARIES, STOP, NEGATORS = WORDS["auxiliaries"], WORDS["stop"], WORDS["negators"]

Entry = dict[str, Any]
Item = tuple[str, Entry | None, int]
"""A piece of a question: its text, its entry in the lexicon or None, its position."""

_NOT_ADJECTIVES = frozenset({"new", "us"})


def _phrases(text: str) -> list[str]:
    return [phrase.strip() for phrase in text.split(",") if phrase.strip()]


class PhraseTable:
    """Phrases and their entries, which map kinds ("topic", "country", ...) to values; those of several words by the first two, the longest first."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, ...], Entry] = {}
        lexicon = sections(__file__, "data/lexicon.txt")
        for kind in ("topic", "region", "continent", "water", "country", "relation"):
            for value, phrases in table(lexicon[kind]).items():
                for phrase in phrases:
                    self.add(phrase, kind, value)
        for language in listed(lexicon["language"]):
            self.add(language, "language", language)
        self._add_places()
        self._add_facts()
        self.starts: dict[tuple[str, ...], list[tuple[tuple[str, ...], Entry]]] = {}
        for words, entry in sorted(self.entries.items(), key=lambda item: -len(item[0])):
            self.starts.setdefault(words[:2], []).append((words, entry))
        self.single = {words[0]: entry for words, entry in self.entries.items() if len(words) == 1}
        self._learn_typos()

    def _learn_typos(self) -> None:
        """The words that a slip of the keyboard should not hide."""
        self.known = {word for words in self.entries for word in words} | STOP | AUXILIARIES | fact_words().keys()
        kinds = {"topic", "continent", "region", "water", "language", "relation"}
        targets = {
            word for words, entry in self.entries.items() if kinds & entry.keys() for word in words if len(word) > 5
        }
        self.slips = Slips(targets)

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
        for cut, meant in self.slips.near(word):
            if cut in self.known and len(cut) > 5:
                return cut
            if meant is not None:
                return meant
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
        for name, (_, demonym, *_rest) in places()["countries"].items():
            if name not in countries():
                self.add(name, "country", name)
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
    word: value for word, value in NUMBERS.items() if value <= 20 or word in ("thirty", "forty", "fifty", "hundred")
}


_NUMERIC = frozenset(_NUMERALS) | {"a", "million", "billion"}


def _number(words: tuple[str, ...], i: int) -> tuple[float, int] | None:
    """A number at position ``i`` and the position after it."""
    word = words[i]
    if word[0].isdigit():
        # "5,000,000" and "1,200": commas between thousands
        if i + 1 < len(words) and words[i + 1] == "m" and len(word) > 2:
            return digits(word.replace(".", "")), i + 2  # metres
        value = digits(word)
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
