"""Guess My City: the numbers of the game, and what counts as a guess. 20 questions; a guess names one city."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from lmrl_envs.guess_my_city.table import HEADS, City, cities, countries
from lmrl_envs.language.frames import without_frame
from lmrl_envs.language.guesses import guess_words
from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.text import INVISIBLE, plain
from lmrl_envs.language.words import Slips

MAX_QUESTIONS = 20
OPENING = "Questions:"
QUESTION_REWARD, WIN_REWARD = -1.0, 0.0
YES, NO, DEPENDS = "Yes.", "No.", "It depends."
UNREAD = "I don't understand the question; please put it another way."
UNCLEAR_GUESS = "If that is a guess, ask about the city by its name and nothing else."
NOT_YES_NO = "Please ask a question that can be answered with yes or no."
MAX_TOKENS = 60
"""A question of more words is no guess."""
KEPT_LENGTH = 300
"""Characters of the longest text whose reading is kept: agents may send long ones, no two alike."""
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,:]\d+)*")
_PLAIN_TOKEN = re.compile("[a-z]+|[0-9]+(?:[.,:][0-9]+)*")
_POSSESSIVE = re.compile(r"['’`´]s\b")
_OR_NOT = re.compile(r"(?i)\b(?:or not|yes or no|,? is it not)\W*$")
_FORMER = frozenset(("was", "formerly", "once", "used", "were", "did"))
_NAMING = frozenset(("called", "named", "known", "name"))
_LINKS = frozenset({"in", "of", "the", "capital", "city"})


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers: lower case, without accents, invisible characters and punctuation ("'s" is dropped)."""
    text = plain(text, "NFKD", {}, dropped=INVISIBLE)
    if "'" in text or "’" in text or "`" in text:
        text = _POSSESSIVE.sub(" ", text).replace("'", "").replace("’", "").replace("`", "")
    return tuple((_PLAIN_TOKEN if text.isascii() else _TOKEN).findall(text))


@cache
def _fillers() -> frozenset[str]:
    return guess_words() | frozenset(listed(sections(__file__, "data/guess.txt")["guess"]))


@lru_cache(maxsize=1)
def _city_phrases() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """First word -> (words of a name or alias, city), longest first."""
    index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for city in cities().values():
        for phrase in {tokens(name) for name in city.names}:
            index.setdefault(phrase[0], []).append((phrase, city.name))
    for entries in index.values():
        entries.sort(key=lambda entry: (-len(entry[0]), entry))
    return index


def named_cities(words: tuple[str, ...]) -> set[str]:
    """The cities that words name; the longest name that begins at a word counts."""
    index, found, end = _city_phrases(), set(), 0
    for i, word in enumerate(words):
        if word in index and i >= end:
            for phrase, name in index[word]:
                if words[i : i + len(phrase)] == phrase:
                    found.add(name)
                    end = i + len(phrase)
                    break
    return found


def guessed_city(text: str) -> str | None:
    """The city that a text guesses: it names that one alone, and says nothing else but what is true of it.

    A country, continent, province or region may follow the name ("Paris, France"); if it is not the city's own, the
    text names another place and is no guess. Several cities, in any wording, are no guess. What follows a comma ("Bucharest,
    the capital of Romania") must be true of the city, or say nothing that can be read.
    """
    text = text[:1000]
    words = tokens(text)
    if 0 < len(words) <= _MENDED_WORDS and not named_cities(words):
        words = tuple(map(_mended, words))
        text = " ".join(words)
    if not words or len(words) > MAX_TOKENS or len(named_cities(words)) != 1 or (len(words) > 3 and len({*words}) == 1):
        return None
    city = _plain_guess(_OR_NOT.sub("", text))
    if city is not None:
        return city
    for other in without_frame(text, HEADS):
        city = _plain_guess(other)
        if city is not None:
            return city
    from lmrl_envs.guess_my_city.reader import read  # at the first question: making the game stays fast

    names = tuple(cities())
    head, comma, rest = text.partition(",")
    city = _plain_guess(head) if comma else None
    if city is None or named_cities(tokens(rest)) or not _FOLLOWS.match(rest):
        return None
    truth = read(f"Is it {rest}?").truth
    return city if truth is None or truth.yes >> names.index(city) & 1 else None


_FOLLOWS = re.compile(r"\s*(?:the|a|an|you know|which|where|that|capital|home)\b", re.IGNORECASE)
"""How what is said of a city after its name begins."""


_MENDED_WORDS = 10
"""Words of the longest text in which a slip in the city's name is mended."""


@cache
def _slips() -> tuple[frozenset[str], Slips, frozenset[str]]:
    """The longer words of the cities' names, slips of them, and words of countries' names."""
    found = frozenset(word for name in cities() for word in tokens(name) if len(word) > 4)
    lands = (text for country in countries().values() for text in (country.name, *country.aliases))
    return found, Slips(found), frozenset(word for text in lands for word in tokens(text))


@lru_cache(maxsize=4096)
def _mended(word: str) -> str:
    """The word of a city's name that a mistyped one is meant for: two letters swapped, one missing, one too many or wrong."""
    if len(word) < 5 or word in _fillers() or not word.isascii():
        return word
    known, slips, lands = _slips()
    if word in lands:
        return word
    for cut, whole in slips.near(word):
        if cut == word:
            if whole or cut in known:
                return whole or cut
        elif cut in known:
            return cut
        elif whole and len(whole) == len(word) and (len(word) > 5 or sorted(whole) == sorted(word)):
            return whole
    return word


def _plain_guess(text: str) -> str | None:
    """The only city named, with nothing beside it but the words of a guess."""
    words, fillers = tokens(text), _fillers()
    index, found, i, n = _city_phrases(), None, 0, len(words)
    if not _FORMER.isdisjoint(words) and not _NAMING.isdisjoint(words):
        return None  # "Was it called Bombay?"
    while i < n:
        for phrase, name in index.get(words[i], ()):
            if words[i : i + len(phrase)] == phrase:
                if found not in (None, name):
                    return None
                found, i = name, i + len(phrase)
                i = _skip_qualifier(words, i, cities()[name])
                break
        else:
            if words[i] not in fillers:
                return None
            i += 1
    # "It is not X", "what is it like?": the fillers must not ask for anything by themselves.
    if found is not None and "like" in words and {"sounds", "looks", "guess"}.isdisjoint(words):
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
