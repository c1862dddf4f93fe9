"""From a text to words: what counts as the same word when a question is read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable

from lmrl_envs.twenty_questions.rules import lines_of


def _read_lists() -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    section = ""
    for line in lines_of("words.txt"):
        if line.startswith("["):
            section = line.strip("[]")
        else:
            lists.setdefault(section, []).extend(line.split())
    return lists


_LISTS = _read_lists()
STOP = frozenset(_LISTS["stop"])
"""Words without a meaning of their own in a question: left out."""
SOFT = frozenset(_LISTS["soft"])
"""Words that say little alone: left over, they do not make a question unread."""
KEEP = frozenset(_LISTS["keep"])
"""Base forms that look like inflected ones."""
IDENTITY = frozenset(_LISTS["identity"])
"""Words around a name in a question about identity."""
IRREGULAR = dict(pair.split("=") for pair in _LISTS["irregular"])
"""Forms that no rule finds."""

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": "-", "—": ","})
_WORD = re.compile(r"\$?\d+(?:[.,]\d+)*|[a-z]+(?:'[a-z]+)?|[,%$]")
_NEGATED = (
    "isn't",
    "aren't",
    "doesn't",
    "don't",
    "can't",
    "won't",
    "wouldn't",
    "couldn't",
    "wasn't",
    "didn't",
    "hasn't",
)
_BARE_NEGATIONS = {word.replace("'", ""): "n't" for word in _NEGATED}


def clean(text: str) -> str:
    """Lower case, one form of each character, no invisible ones."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(
            " " if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") else c
            for c in text
            if unicodedata.category(c) not in ("Cf", "Mn")
        )
        text = text.translate(_APOSTROPHES)
    return text.lower()


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
        self._slips: dict[str, str] = {}
        for word in sorted(self.vocabulary):
            if len(word) >= 5:
                for cut in _cuts(word):
                    self._slips.setdefault(cut, word)

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
        if word.endswith("s") and (plural := self._slips.get(word[:-1])) is not None:
            return plural  # "weels"
        for cut in (word, *_cuts(word)):
            meant = self._slips.get(cut)
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


def _cuts(word: str) -> list[str]:
    """The word with one letter left out, its first letter kept."""
    return [word[:i] + word[i + 1 :] for i in range(1, len(word))]


def simple_lemma(word: str, vocabulary: Container[str] = ()) -> str:
    """The base form of a word: irregular forms by table, regular ones by ending, if that gives a word of the vocabulary."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word in KEEP or word in STOP:
        return word
    for candidate in _stems(word):
        if candidate in vocabulary:
            return candidate
    return word


def _stems(word: str) -> list[str]:
    stems = []
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        if word.endswith("ies"):
            stems.append(word[:-3] + "y")
        stems.append(word[:-1])
        if word.endswith("es"):
            stems.append(word[:-2])
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            stem = word[: -len(ending)]
            stems += [stem, stem + "e"]
            if len(stem) > 2 and stem[-1] == stem[-2]:
                stems.append(stem[:-1])
            if ending == "ed" and stem.endswith("i"):
                stems.append(stem[:-1] + "y")
    return stems
