# ruff: noqa: SIM905 - long word lists read better as text
"""Guess My City: how texts are taken apart, and what counts as a guess. 20 questions; a guess names one city."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache

from lmrl_envs.guess_my_city.table import City, cities, countries

MAX_QUESTIONS = 20
OPENING = "Questions:"
QUESTION_REWARD, WIN_REWARD = -1.0, 0.0
MAX_TOKENS = 60
"""A question of more words is not read."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_POSSESSIVE = re.compile(r"['’`´]s\b")
_FIXED = {"whats": "what", "wheres": "where", "hows": "how", "whos": "who", "wich": "which", "u": "you", "ur": "your"}


KEPT_LENGTH = 300
"""Characters of the longest text whose reading is kept: agents may send long ones, no two alike."""


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers: lower case, without accents, invisible characters and punctuation ("'s" is dropped)."""
    if not text.isascii():
        text = "".join(
            letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) not in ("Mn", "Cf")
        )
    text = text.lower()
    if "'" in text or "’" in text or "`" in text:
        text = _POSSESSIVE.sub(" ", text).replace("'", "").replace("’", "").replace("`", "")
    found: list[str] = _TOKEN.findall(text)
    return tuple([_FIXED.get(token, token) for token in found])


def stem(word: str) -> str:
    """A crude stem: plural and verb endings off."""
    for ending in ("ies", "ing", "es", "ed", "s", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


@lru_cache(maxsize=1)
def city_phrases() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """First word -> (words of a name or alias, city), longest first."""
    index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for city in cities().values():
        for phrase in {tokens(name) for name in city.names}:
            index.setdefault(phrase[0], []).append((phrase, city.name))
    for entries in index.values():
        entries.sort(key=lambda entry: (-len(entry[0]), entry))
    return index


_GUESS_WORDS = frozenset(
    """is it this that the a city town place capital of your you are my final guess answer guessing would could might
    should must be so ok okay well hmm um er i think believe say am going for with lets try let me maybe perhaps
    possibly probably right correct true yes then now by any chance thinking about mind have in from mean called named name
    do live at home how what if was were isnt arent wasnt its definitely surely certainly please sir hey hi oh ah
    ready gonna go want to make sure im id ill youre youd secret hidden target located there here chosen picked choose pick
    speaking talking we referring reckon suppose guessed bet finally actually just really perchance question hometown known as
    hello wait got know sounds like solution being metropolis people big famous""".split()
)
"""Words a guess may have beside the city. Everything else ("near", "bigger", "or", "not", a name) makes it a question."""

_LINKS = frozenset({"in", "of", "the", "capital", "city"})


def guessed_city(text: str) -> str | None:
    """The city that a text guesses: the only one it names, and nothing in it but the words of a guess.

    A country, continent, province or region may follow the name ("Paris, France"); if it is not the city's own, the
    text names another place and is no guess. Several cities, in any wording, are no guess.
    """
    words = tokens(text[:1000])
    if not words or len(words) > MAX_TOKENS or len(text) > 1000:
        return None
    index, found, i, n = city_phrases(), None, 0, len(words)
    # "It is not X", "what is it like?": the fillers must not ask for anything by themselves.
    while i < n:
        for phrase, name in index.get(words[i], ()):
            if words[i : i + len(phrase)] == phrase:
                if found not in (None, name):
                    return None
                found, i = name, i + len(phrase)
                i = _skip_qualifier(words, i, cities()[name])
                break
        else:
            if words[i] not in _GUESS_WORDS:
                return None
            i += 1
    if found is not None and "like" in words and "sounds" not in words:
        return None
    return found


def _skip_qualifier(words: tuple[str, ...], i: int, city: City) -> int:
    """The position after the place that follows a city's name, if it is the city's own."""
    start = i
    while i < len(words) and words[i] in _LINKS:
        i += 1
    for phrase in _qualifiers(city.name):
        if words[i : i + len(phrase)] == phrase:
            return i + len(phrase)
    return start


@cache
def _qualifiers(name: str) -> tuple[tuple[str, ...], ...]:
    city = cities()[name]
    country = countries()[city.country.name]
    texts = [country.name, *country.aliases, country.continent, country.subregion, city.province]
    phrases = {tuple(word for word in tokens(text) if word != "the") for text in texts if text}
    return tuple(sorted(phrases, key=lambda phrase: (-len(phrase), phrase)))
