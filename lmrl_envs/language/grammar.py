"""What can stand where in a question: contexts, the senses of phrases in each, and the parts that a reading is put together from."""

from __future__ import annotations

import re
from typing import NamedTuple

from lmrl_envs.language.comparisons import Measures
from lmrl_envs.language.lexicon import NAME, NOT, SKIP, Lexicon
from lmrl_envs.language.lists import words
from lmrl_envs.language.scales import Values
from lmrl_envs.language.tokens import LINES, Token
from lmrl_envs.language.truth import Truth, contrary, surely

CONTEXTS = (
    "start",
    "asked",
    "be",
    "noun",
    "aux",
    "does",
    "do",
    "to",
    "have",
    "made",
    "place",
    "by",
    "for",
    "relate",
    "reach",
)
_NEXT = {
    # context, part of a clear word -> the context after it
    **{(context, "b"): "be" for context in CONTEXTS},
    **{(context, "a"): "aux" for context in CONTEXTS if context not in ("do", "does", "to")},
    **{(context, "e"): "have" for context in ("be", "aux")},
    ("start", "t"): "does", ("asked", "t"): "does", ("asked", "h"): "noun", ("asked", "p"): "do", ("aux", "t"): "does", ("noun", "t"): "does",
    **{(context, "p"): "do" for context in ("start", "asked", "aux", "noun", "does", "be")},
    ("start", "h"): "noun", ("be", "h"): "noun", ("aux", "h"): "does",
    **{(context, "y"): "able" for context in CONTEXTS},
    **{(context, "T"): "to" for context in CONTEXTS if context not in ("made", "relate", "asked", "able")},
}  # fmt: skip
NEXT = {
    context: {part: after for (own, part), after in _NEXT.items() if own == context} for context in (*CONTEXTS, "able")
}
"""Context -> part of a clear word -> the context after it."""
ORDER: dict[str, tuple[str, ...]] = {
    # context -> the senses in which a phrase can stand there, the likeliest first
    "start": (
        NAME,
        "phrase",
        "kind",
        "quality",
        "material",
        "part",
        "place",
        "body",
        "who",
        "for",
        "done",
        "does",
        SKIP,
        NOT,
    ),
    "be": (NAME, "phrase", "kind", "quality", "material", "done", SKIP, NOT),
    "noun": (NAME, "phrase", "kind", "quality", "material", "done", "does", "who", SKIP, NOT),
    "aux": ("phrase", "who", "does", SKIP, NOT),
    "does": ("phrase", "does", SKIP, NOT),
    "do": ("phrase", "done", "for", "who", SKIP, NOT),
    "to": ("phrase", "for", "done", "does", SKIP, NOT),
    "have": ("phrase", "part", "material", SKIP, NOT),
    "made": ("phrase", "material", SKIP, NOT),
    "place": ("phrase", "place", "body", SKIP, NOT),
    "by": ("phrase", "who", "for", SKIP),
    "for": ("phrase", "for", "who", "place", "body", SKIP),
    "relate": ("phrase", "relate"),
    "able": ("phrase", "does", "done", "for", SKIP, NOT),
    "reach": ("phrase", "reach", "done", "does", "for"),
}
ORDER["asked"] = ORDER["start"]
RELATING = frozenset(words(LINES["relating"]))
PAST, PASTS = frozenset(words(LINES["past"])), frozenset(("was", "were", "did"))
OPPOSITES = {frozenset(pair.split("/")) for pair in words(LINES["opposites"])}
UNABLE = frozenset(("unable", "incapable"))
HAVING = frozenset(("without", "lack", "lacking", "minus", "devoid"))
MEANT = {"H": ("have", "part"), "P": ("place", "place"), "B": ("by", "who")}
"""Part of the first word of a phrase -> context after it, and the sense that it has."""
AFTER_PLACE = frozenset(("c", "o", ",", "P", "B", "F", "m", "w"))
TRIES = 4
NEGATED = re.compile(r"\b(?:not|no|without|never)\b|n't\b")
ALL = frozenset(("phrase", "quantity"))
"""Senses that stand for any other."""


DOING = frozenset(("does", "done", "for", "who", "part", "body", "phrase"))
"""Senses of what may be meant otherwise than alone, beside something else."""


class Word(NamedTuple):
    """A token that can be part of a phrase, with the parts of the clear words before it."""

    token: Token
    index: int
    clear: str


class Memory(NamedTuple):
    """What stays of a question for the next."""

    text: str
    reference: Values | None
    noun: str


class Language(NamedTuple):
    """What is known of a task's questions."""

    lexicon: Lexicon
    measures: Measures
    subjects: frozenset[str]
    """Words that stand for the thing where they are the subject."""
    everything: int
    """The set of all things."""
    leans: bool
    """Whether the table knows what more people say of what is disputed."""


class Unread(Exception):
    """Something is not accounted for."""


class Item(NamedTuple):
    """A part of what is said."""

    sense: str
    truth: Truth
    start: int
    """Place of its first word in the list."""
    end: int
    """Place after its last."""


class Clause:
    """What is said in one breath: all of the items, from each negation on the contrary of what follows."""

    def __init__(self, alternative: bool = False) -> None:
        self.alternative = alternative
        self.items: list[Item] = []
        self.turns: list[int] = []

    def truth(self, everything: int) -> Truth:
        if len(self.items) == 1 and not self.turns:
            return self.items[0].truth
        turns = [0, *self.turns, len(self.items)]
        found = surely(everything)
        for k in range(len(turns) - 2, -1, -1):
            for item in self.items[turns[k] : turns[k + 1]]:
                found &= item.truth
            if k:
                found = contrary(found, everything)
        if self.turns or found.yes or len(self.items) < 2 or not any(item.sense in DOING for item in self.items):
            return found
        if found.possible and any(item.sense == "quantity" for item in self.items):
            return found  # what is disputed of all that are there, or of that size
        if all(item.truth.yes for item in self.items) or (
            not found.possible and all(item.truth.possible for item in self.items)
        ):
            raise Unread  # parts that nothing has together: one of them means something else
        return found
