"""Phrases with gaps, found in the tokens of a line: a book of them is a text file, so that what people say is data.

One line of a section holds phrases with ";" between them. A phrase is words with spaces between them: ``a|b`` one of them, ``a?`` or
none, ``*`` up to two words of any kind, ``**`` up to six, ``<`` the beginning of a clause, ``>`` its end, ``@name`` a word of a class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from lmrl_envs.language.lists import table
from lmrl_envs.language.lists import words as listed


class Phrase(NamedTuple):
    """A phrase that was found."""

    label: str
    """The section it is from."""
    start: int
    end: int
    """Its tokens, the last one excluded."""
    open: tuple[int, ...]
    """Those of them that stood for a word of any kind."""


class _Pattern(NamedTuple):
    """A phrase as it stands in the file. A slot is the words of which one has its place; those in ``maybe`` may be missing; an
    empty one takes ``any[i]`` words of any kind; "<" and ">" are the edges of a clause and take none."""

    label: str
    slots: tuple[frozenset[str], ...]
    maybe: frozenset[int]
    any: Mapping[int, int]
    key: int
    """Which slot has the word by which the phrase is looked up."""
    weight: int
    """Words that it fixes: of overlapping phrases the weightier counts."""
    plain: bool
    """Every slot takes one word."""
    before: tuple[int, int]
    """How many tokens at least and at most stand before the key."""


class _Looked(NamedTuple):
    """The patterns that are looked up by a word: by the word that must follow it, by the one that must stand before, the others."""

    followed: dict[str, list[_Pattern]]
    preceded: dict[str, list[_Pattern]]
    loose: list[_Pattern]


class Phrasebook:
    """Finds the phrases of some sections. Reading the file is quick: a phrase is parsed when its rarest word is first said.

    Args:
        data: section -> lines, as `lmrl_envs.language.lists.sections` gives them; "classes" (``name: words``) and "common" (words
            by which nothing is looked up if it can be helped) are sections of their own.
        labels: the sections with phrases; of phrases that weigh the same the earlier counts.
        whole: sections whose phrases take in the words of any kind at their end.
        pauses: tokens that no gap goes across.
        before, behind: tokens beside which a clause may begin and end.
        weights: section -> what its phrases weigh more.
    """

    def __init__(
        self,
        data: Mapping[str, Sequence[str]],
        labels: Sequence[str],
        whole: Collection[str],
        pauses: Collection[str],
        before: Collection[str],
        behind: Collection[str],
        weights: Mapping[str, int],
    ) -> None:
        self._classes = {f"@{name}": words[0].split() for name, words in table(data["classes"]).items()}
        self._common = frozenset(listed(data["common"]))
        self._rank = {label: rank for rank, label in enumerate(labels)}
        self._whole, self._weights = whole, weights
        self._pauses, self._before, self._behind = pauses, before, behind
        self._phrases: dict[str, list[tuple[str, str]]] = {}
        for label in labels:
            for phrase in (part.strip() for line in data[label] for part in line.split(";")):
                for word in self._words(self._key(phrase)) if phrase else ():
                    self._phrases.setdefault(word, []).append((label, phrase))
        self._looked_up = lru_cache(maxsize=None)(self._of_word)

    def find(self, tokens: Sequence[str]) -> list[Phrase]:
        """The phrases in some tokens, in order: the weightiest where they overlap."""
        found: list[tuple[int, int, int, Phrase]] = []
        last = len(tokens) - 1
        for at, token in enumerate(tokens):
            if token not in self._phrases:
                continue
            followed, preceded, likely = self._looked_up(token)
            if at < last and tokens[at + 1] in followed:
                likely = likely + followed[tokens[at + 1]]
            if at and tokens[at - 1] in preceded:
                likely = likely + preceded[tokens[at - 1]]
            for pattern in likely:
                phrase = self._at(pattern, tokens, at)
                if phrase is not None:
                    found.append((-pattern.weight, self._rank[pattern.label], phrase.start, phrase))
        found.sort()
        taken: set[int] = set()
        phrases = []
        for _, _, start, phrase in found:
            within = range(start, phrase.end)
            if taken.isdisjoint(within):
                taken.update(within)
                phrases.append(phrase)
        return sorted(phrases, key=_start)

    # -- reading the book

    def _key(self, phrase: str) -> str:
        """The slot of a phrase that is rarest, as far as length can tell: of those that must be there, the one of the longest words."""
        fixed = [slot for slot in phrase.split() if slot[0] not in "*<>" and slot[-1] != "?"]
        return fixed[0] if len(fixed) == 1 else max(fixed, key=self._rarity)

    def _rarity(self, slot: str) -> int:
        lengths = [-9 if word[0] in "@$%#" else -6 if word in self._common else len(word) for word in slot.split("|")]
        return min(lengths) - len(lengths)

    def _words(self, slot: str) -> list[str]:
        words = slot.removesuffix("?").replace("$", "$|#").split("|")  # a bare number may be an amount, too
        return words if "@" not in slot else [part for word in words for part in self._classes.get(word, (word,))]

    def _of_word(self, word: str) -> _Looked:
        found = _Looked({}, {}, [])
        for pattern, step in (self._parsed(label, phrase) for label, phrase in self._phrases[word]):
            beside = found.followed if step > 0 else found.preceded
            for other in pattern.slots[pattern.key + step] if step else ():
                beside.setdefault(other, []).append(pattern)
            if not step:
                found.loose.append(pattern)
        return found

    def _parsed(self, label: str, phrase: str) -> tuple[_Pattern, int]:
        """A phrase, and where, from the key, a slot stands that takes one word; 0: there is none."""
        texts = phrase.split()
        key = texts.index(self._key(phrase))
        while label not in self._whole and texts[-1][0] == "*":
            texts.pop()
        slots = tuple(frozenset(() if text[0] == "*" else self._words(text)) for text in texts)
        maybe = frozenset(i for i, text in enumerate(texts) if text[-1] == "?" and text[0] != "*")
        gaps = {i: 6 if text == "**" else 2 for i, text in enumerate(texts) if text[0] == "*"}
        loose = {*maybe, *gaps, *(i for i, text in enumerate(texts) if text in "<>")}
        step = next((step for step in (1, -1) if 0 <= key + step < len(slots) and key + step not in loose), 0)
        weight = len(texts) - len(loose) + self._weights.get(label, 0)
        least = sum(i not in maybe and i not in gaps and "<" not in slots[i] for i in range(key))
        most = least + sum(gaps.get(i, i in maybe) for i in range(key))
        return _Pattern(label, slots, maybe, gaps, key, weight, not loose, (least, most)), step

    # -- finding a phrase

    def _at(self, pattern: _Pattern, tokens: Sequence[str], at: int) -> Phrase | None:
        """The phrase round the token by which it was looked up."""
        slots, key = pattern.slots, pattern.key
        if pattern.plain:
            start = at - key
            if start < 0 or start + len(slots) > len(tokens):
                return None
            for i, slot in enumerate(slots):
                if tokens[start + i] not in slot:
                    return None
            return Phrase(pattern.label, start, start + len(slots), ())
        least, most = pattern.before
        for start in range(max(at - most, 0), at - least + 1):
            free: list[int] = []
            if (end := self._end(pattern, 0, tokens, start, free)) > at:
                return Phrase(pattern.label, start, end, tuple(free))
        return None

    def _end(self, pattern: _Pattern, i: int, tokens: Sequence[str], at: int, free: list[int]) -> int:
        """Where the rest of a phrase ends, from its slot ``i`` at a token; -1: it is not there. ``free`` takes the words of any kind."""
        if i == len(pattern.slots):
            return at
        slot = pattern.slots[i]
        if i in pattern.any:
            last = at
            while last < min(at + pattern.any[i], len(tokens)) and tokens[last] not in self._pauses:
                last += 1
            for taken in range(last, at - 1, -1):
                later: list[int] = []
                if (end := self._end(pattern, i + 1, tokens, taken, later)) >= 0:
                    free += [*range(at, taken), *later]
                    return end
            return -1
        if "<" in slot:
            begins = at == 0 or tokens[at - 1] in self._before
            return self._end(pattern, i + 1, tokens, at, free) if begins else -1
        if ">" in slot:
            ends = at == len(tokens) or tokens[at] in self._behind
            return self._end(pattern, i + 1, tokens, at, free) if ends else -1
        if at < len(tokens) and tokens[at] in slot and (end := self._end(pattern, i + 1, tokens, at + 1, free)) >= 0:
            return end
        return self._end(pattern, i + 1, tokens, at, free) if i in pattern.maybe else -1


_start = attrgetter("start")
