"""A line of a bargain, read by its words alone: amounts, phrases of ``bargaining.txt``, clauses, denials.

line = read("I could let you have it for $13,600.")
line.amounts[0].value, line.has("grant")      # 13600.0, True
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed
from lmrl_envs.language.phrases import Phrase, Phrasebook
from lmrl_envs.language.prices import BREAKS, PAUSES, Amount, find_amounts, normalise
from lmrl_envs.language.words import Slips

READ_LENGTH = 2000
"""Characters of a line that are read."""
REMEMBERED_LENGTH = 300
"""A reading of a longer line is not kept: few are said twice, and memory is bounded by it."""


class Line(NamedTuple):
    """A line, read by its words alone."""

    text: str
    """Normalised and cut."""
    tokens: tuple[str, ...]
    """Words, pauses, and "$", "%", "#" for amounts; contractions written out, adverbs left out."""
    amounts: tuple[Amount, ...]
    phrases: tuple[Phrase, ...]
    """In order; they do not overlap."""
    labels: frozenset[str]
    """Of the phrases."""
    pieces: tuple[tuple[int, int, bool], ...]
    """The clauses: first token, last one excluded, and whether a question mark ends it."""
    denials: tuple[int, ...]
    """Where a "not" or "never" stands that no phrase accounts for."""
    question: bool
    """It ends by asking."""

    def has(self, *labels: str) -> bool:
        """Whether a phrase of one of these sorts is in it."""
        return not self.labels.isdisjoint(labels)

    def has_within(self, label: str, start: int, end: int) -> bool:
        """Whether a phrase of a sort begins at one of these tokens, the last one excluded."""
        return any(phrase.label == label and start <= phrase.start < end for phrase in self.phrases)


def read(line: str) -> Line:
    """Read any string; never raises. Linear time in its first `READ_LENGTH` characters."""
    return _read(line) if len(line) <= REMEMBERED_LENGTH else _read.__wrapped__(line[:READ_LENGTH])


@lru_cache(maxsize=4096)
def _read(line: str) -> Line:
    text = normalise(line)
    tokens, amounts = find_amounts(text)
    mended = [token if token in _KNOWN or len(token) < 4 else _mended(token) for token in tokens]
    structure = _structure if len(mended) <= REMEMBERED_LENGTH // 4 else _structure.__wrapped__
    return Line(text, tuple(mended), tuple(amounts), *structure(tuple(mended)))


@lru_cache(maxsize=4096)
def _structure(tokens: tuple[str, ...]) -> tuple[Any, ...]:
    """What follows from the words of a line, whatever its amounts: the other fields of `Line`."""
    phrases = tuple(_BOOK.find(tokens))
    labels = frozenset(phrase.label for phrase in phrases)
    clauses = tuple(pieces(tokens))
    denials: tuple[int, ...] = ()
    if not NEGATIONS.isdisjoint(tokens):
        covered = {at for phrase in phrases for at in range(phrase.start, phrase.end)}
        denials = tuple(at for at, token in enumerate(tokens) if token in NEGATIONS and at not in covered)
    return phrases, labels, clauses, denials, _asks(tokens, clauses)


def pieces(tokens: Sequence[str]) -> Iterator[tuple[int, int, bool]]:
    """The clauses of a line: first token, last one excluded, and whether it ends with a question mark."""
    start = 0
    for at, token in enumerate(tokens):
        if token in BREAKS:
            if token not in PAUSES and tokens[at + 1 : at + 2] == ("?",):
                continue  # "$24,500 then?" asks
            if at > start:
                yield start, at, token == "?"  # noqa: S105 - a mark
            start = at + 1
    if start < len(tokens):
        yield start, len(tokens), False


def _asks(tokens: tuple[str, ...], clauses: Sequence[tuple[int, int, bool]]) -> bool:
    """Whether a line ends by asking: a question mark last, or the form of a question."""
    if tokens and tokens[-1] == "?":
        return True
    for start, end, _ in clauses:
        head = tokens[start : start + 2]
        tells = (
            start > 2 and tokens[start - 1] == "," and head[0] in _RELATIVE
        )  # "my father, who founded this place, ..."
        asks = end - start > 2 and not tells and (head[0] in ASKING or head in _INVERTED)
        if asks and head[1] != "a":  # "What a car!"
            return True
    return False


@lru_cache(maxsize=4096)
def _mended(word: str) -> str:
    """What a mistyped word is meant for: two letters swapped, one missing or one too many; in long words a wrong one."""
    if stretched := _STRETCHED.search(word):  # nooo, goood
        for letters in (stretched[1], stretched[1] * 2):
            if (short := word.replace(stretched[0], letters)) in _KNOWN:
                return short
    for cut, whole in _SLIPS.near(word):
        if cut == word:
            if whole:
                return whole
        elif len(word) >= 5 and cut in _MENDED:
            return cut
        elif whole and len(whole) == len(word) and (len(word) >= 6 or sorted(whole) == sorted(word)):
            return whole
    return word


DATA = sections(__file__, "bargaining.txt")
_LABELS = ("negated", "mock", "laugh", "no", "query", "insult", "close", "grant", "commit", "yes", "condition", "gift", "aside", "split", "atlist",
           "bye", "greet", "urge", "praise", "noted", "stall", "weak")  # fmt: skip
"""Of phrases of one length the first of these wins."""
WITH_ASSENT = frozenset({"yes", "weak", "aside", "condition", "gift", "noted", "praise", "greet", "urge", "negated", "split", "insult", "close",
                         "grant"})  # fmt: skip
HARMLESS = frozenset(listed(DATA["harmless"])) | BREAKS
TOPICS = frozenset(listed(DATA["topics"]))
NEGATIONS = frozenset({"not", "never", "nobody", "neither", "nor", "without", "none", "nothing"})
ASKING = frozenset({"what", "which", "who", "whom", "how", "when", "where", "why", "whose"})
_RELATIVE = frozenset({"who", "which", "whose", "when", "where"})
_INVERTED = frozenset(tuple(pair.split()) for pair in DATA["inverted"])
_BOOK = Phrasebook(
    DATA, _LABELS, WITH_ASSENT - {"yes", "weak", "close"}, PAUSES,
    before=PAUSES | {"and", "but", "so", "okay", "well", "then", "yes", "hmm", "hm", "um", "uh", "oh", "lol", "haha", "omg", "ugh", "meh", "man", "bro"},
    behind=PAUSES | {"and", "but", "so", "then"},
    weights={"close": 3},
)  # fmt: skip
_MENDED = frozenset(listed(DATA["mended"]))
_STRETCHED = re.compile(r"(.)\1{2,}")
_SLIPS = Slips(_MENDED)
_KNOWN = _MENDED | HARMLESS | TOPICS | {
    word for label in _LABELS for line in DATA[label] for word in re.findall("[a-z]+", line)
} | frozenset(listed(DATA["no slips"]))  # fmt: skip
