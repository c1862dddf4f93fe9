"""Guess My City: the numbers of the game, and what counts as a guess. 20 questions; a guess names one city."""

from __future__ import annotations

from functools import cache, lru_cache

from lmrl_envs.guess_my_city.table import City, cities, countries
from lmrl_envs.guess_my_city.words import WORDS, tokens

MAX_QUESTIONS = 20
OPENING = "Questions:"
QUESTION_REWARD, WIN_REWARD = -1.0, 0.0
MAX_TOKENS = 60
"""A question of more words is not read."""


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
            if words[i] not in WORDS["guess"]:
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
