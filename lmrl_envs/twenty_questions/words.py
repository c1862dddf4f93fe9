"""From a text to words: what counts as the same word when a question is read."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.text import INVISIBLE, QUOTES, SPACES, plain
from lmrl_envs.language.words import Slips, base_forms

LINES = sections(__file__, "words.txt")
LISTS = {title: listed(lines) for title, lines in LINES.items()}
STOP = frozenset(LISTS["stop"])
"""Words without a meaning of their own in a question: left out."""
SOFT = frozenset(LISTS["soft"])
"""Words that say little alone: left over, they do not make a question unread."""
KEEP = frozenset(LISTS["keep"])
"""Base forms that look like inflected ones."""
IDENTITY = frozenset(LISTS["identity"])
"""Words around a name in a question about identity."""
IRREGULAR = dict(pair.split("=") for pair in LISTS["irregular"])
"""Forms that no rule finds."""

_SIGNS = {**QUOTES, **str.maketrans({"–": "-", "—": ","})}
_WORD = re.compile(r"\$?\d+(?:[.,]\d+)*|[a-z]+(?:'[a-z]+)?|[,%$]")
_BARE_NEGATIONS = frozenset(
    f"{verb}nt" for verb in ("is", "are", "does", "do", "ca", "wo", "would", "could", "was", "did", "has")
)


def clean(text: str) -> str:
    """Lower case, one form of each character, no invisible ones."""
    return plain(text, signs=_SIGNS, dropped=INVISIBLE, blank=SPACES)


def words(text: str) -> list[str]:
    """Words of a cleaned text; ``n't`` is a word of its own, other endings after an apostrophe are dropped."""
    found = []
    for word in _WORD.findall(text):
        if word in _BARE_NEGATIONS:
            found.append("n't")
            continue
        if "'" in word:
            if word.endswith("n't"):
                found.append("n't")
                continue
            word = word.partition("'")[0]
        found.append(word)
    return found


class Lemmas:
    """Maps a word to the form the lexicon uses, mending a light slip of the pen."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.vocabulary = frozenset(vocabulary)
        self._cache: dict[str, str] = {}
        self._slips = Slips(word for word in self.vocabulary if len(word) >= 5)

    def __call__(self, word: str) -> str:
        lemma = self._cache.get(word)
        if lemma is None:
            lemma = self._find(word)
            if len(self._cache) < 50_000:
                self._cache[word] = lemma
        return lemma

    def _find(self, word: str) -> str:
        known = simple_lemma(word, self.vocabulary)
        if known in self.vocabulary or known in STOP or len(word) < 5 or not word.isalpha():
            return known
        if word.endswith("s") and (plural := self._slips.missing(word[:-1])) is not None:
            return plural  # "weels"
        for cut, meant in self._slips.near(word):
            # One letter more or less, or two letters swapped; another letter is another word, but for a vowel.
            if meant and (len(meant) != len(word) or sorted(meant) == sorted(word) or _is_vowel_slip(word, meant)):
                return meant
            if cut in self.vocabulary and len(cut) >= 5:
                return cut
        return known


def _is_vowel_slip(word: str, meant: str) -> bool:
    """Whether a long word has one wrong vowel ("vegatable")."""
    wrong = [(a, b) for a, b in zip(word, meant, strict=True) if a != b]
    return len(word) >= 6 and len(wrong) == 1 and all(letter in "aeiouy" for letter in wrong[0])


def simple_lemma(word: str, vocabulary: Container[str] = ()) -> str:
    """The base form of a word: irregular forms by table, regular ones by ending, if that gives a word of the vocabulary."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in KEEP or word in STOP:
        return word
    for candidate in base_forms(word):
        if candidate in vocabulary:
            return candidate
    return word
