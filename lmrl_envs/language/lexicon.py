"""The phrases of a task and what they mean.

A lexicon file has a section for each sense, and lines ``expression: phrase; phrase``; what an expression means, the task's table says.
Senses go by what a phrase is in a sentence, so that it is only read where it can stand:

=========  ==========================================================
kind       what a thing is: (is it) an animal
quality    what it is like: (is it) red
material   what it is made of: (made of, is it) metal
part       what it has, needs or goes with: (does it have, with) wheels
place      where it is: (found, used, in, at) the kitchen
body       where on the body: (worn) on the head
who        who has to do with it: (used) by children, (do) children ...
does       what it does itself: (does it, can it) swim
done       what is done to it: (do you, can it be) eaten
for        what it is for: (used to, for, helps you) write; with "with"
reach      what its size and weight allow: (too big to, small enough to) be carried
relate     what it has to do with: (related to) music
phrase     whatever else, word for word, anywhere
=========  ==========================================================

``name`` (the things themselves), ``skip`` (says nothing), ``not`` come from elsewhere. ``=`` before an expression: these phrases mean this
alone; ``+``: this as well; else several lines with one phrase add up, or the narrower of two goes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

from lmrl_envs.language.lists import table
from lmrl_envs.language.tokens import CLEAR, LINES, PARTS, Token, Tokenizer, clean
from lmrl_envs.language.truth import Truth

SENSES = (
    "kind",
    "quality",
    "material",
    "part",
    "place",
    "body",
    "who",
    "does",
    "done",
    "for",
    "reach",
    "relate",
    "phrase",
)
LIGHT = {verb: frozenset(own[0].split()) for verbs, own in table(LINES["light"]).items() for verb in verbs.split()}
"""Verbs that say little by themselves -> the senses of which one must be in the question."""
GENERIC = frozenset(verb for line in LINES["light"][:2] for verb in line.partition(":")[0].split())
"""Those of them that no phrase may consist of, with a preposition or without."""
SKIP, NOT, NAME = "skip", "not", "name"


_ASKED = {"do": ("done",), "does": ("does",), "can": ("does",)}
"""First word of a question -> the sense in which it asks."""


class Lexicon:
    """Phrases by their key: base forms without the words that say nothing.

    Args:
        files: sections of the task's lexicon files.
        select: an expression to its meaning.
        names: the names of each thing, in the table's order.
        more: phrases that mean a set of their own (the table's own questions).
        extra: texts whose words the reader has to know too (names of references, units).
    """

    def __init__(
        self,
        files: Mapping[str, Sequence[str]],
        select: Callable[[str], Truth],
        names: Sequence[Sequence[str]],
        more: Mapping[str, Truth],
        extra: Iterable[str] = (),
    ) -> None:
        select = cache(select)  # many lines are about the same things
        lines = [
            (
                sense,
                expression.lstrip("=+"),
                expression[:1],
                [own for p in phrases.split(";") if (own := p.strip())],
            )
            for sense in SENSES
            for expression, _, phrases in (line.partition(": ") for line in files.get(sense, ()))
        ]
        skipped = [
            own for line in [*LINES["skip"], *files.get(SKIP, ())] for p in line.split(";") if (own := p.strip())
        ]
        denied = [own for line in LINES["not phrases"] for p in line.split(";") if (own := p.strip())]
        texts = [phrase for *_, phrases in lines for phrase in phrases] + skipped + denied + list(more)
        texts += [name for own in names for name in own] + list(extra)
        self._meant = {
            word: meant
            for meant, words in table([*LINES["synonyms"], *files.get("synonyms", ())]).items()
            for own in words
            for word in own.split()
        }
        texts += [*self._meant, *self._meant.values()]
        texts += [
            word
            for title in ("light", "past", "opposites", "relating")
            for line in LINES[title]
            for word in line.replace("/", " ").replace(":", " ").split()
        ]
        self.tokenizer = Tokenizer(
            word for text in texts for word in clean(text).replace("-", " ").replace("'s", "").split()
        )
        self.phrases: dict[str, dict[str, Truth]] = {}
        for sense, own in ((SKIP, skipped), (NOT, denied)):
            for phrase in own:
                if key := self._own_key(phrase):
                    self.phrases.setdefault(key, {})[sense] = Truth(0, 0)
        for sense, expression, sign, phrases in lines:
            truth = select(expression)
            for phrase in phrases:
                key = self._own_key(phrase, sense)
                if not key:
                    continue
                self._add(sense, key, truth, sign)
                if sense == "for":
                    self._add("for", f"{key} with", truth, sign)
        for text, truth in more.items():
            key = self.key(text)
            if " " in key:
                self.phrases[key] = {"phrase": truth}
                first, _, rest = key.partition(" ")
                if PARTS.get(first) == "H" and " " not in rest:  # "Does it have wheels?"
                    self.phrases.setdefault(rest, {})["part"] = truth
            elif key in self.phrases:
                asked = _ASKED.get(text.partition(" ")[0].lower(), ("kind", "quality", "done"))
                for sense in asked:
                    if sense in self.phrases[key]:
                        self.phrases[key][sense] = truth
                        break
        self.names: dict[str, int] = {}
        """Key of each name -> index of the thing."""
        for index, own in enumerate(names):
            for name in own:
                self.names.setdefault(self.key(name), index)
        self.own_names = frozenset(self.key(own[0]) for own in names)
        """Keys of the first name of each thing."""
        for key, index in self.names.items():
            self.phrases.setdefault(key, {})[NAME] = Truth(1 << index, 1 << index)
        self.prefixes = _beginnings(self.phrases)
        """The beginnings of all phrases, word by word."""

    def loosened(self) -> Lexicon:
        """The same phrases with one word for all that mean the same; where that makes two phrases of different meaning one, it has neither."""
        loose = copy.copy(self)
        loose.phrases, clashes = {}, set()
        for key, senses in self.phrases.items():
            own = " ".join(self._meant.get(word, word) for word in key.split(" "))
            found = loose.phrases.setdefault(own, {})
            for sense, truth in senses.items():
                if own == key or sense not in found:
                    found[sense] = truth
                elif found[sense] != truth and own not in self.phrases:
                    clashes.add((own, sense))
        for own, sense in clashes:
            del loose.phrases[own][sense]
        loose.prefixes = _beginnings(loose.phrases)
        return loose

    def loosely(self, tokens: Sequence[Token]) -> list[Token]:
        """Tokens in the words of `loosened`."""
        return [
            token if token.part or token.base not in self._meant else Token(token.word, self._meant[token.base], "")
            for token in tokens
        ]

    def key(self, text: str) -> str:
        """A phrase as the reader looks it up."""
        return _key(self.tokenizer(clean(text).replace("-", " ")))

    def _own_key(self, phrase: str, sense: str = "") -> str:
        """The key of a phrase that says something by itself; "" where only words are left that any sentence may have."""
        tokens = self.tokenizer(clean(phrase).replace("-", " "))
        key, tokens = _key(tokens), [token for token in tokens if token.part != "x"]
        if " " not in key:
            if len(tokens) > 1:
                return ""  # too little of it is left
            is_own = sense == "phrase" or (sense == "done" and PARTS.get(key) == "M")
            if sense == "phrase" and " " in phrase:
                return ""
            return "" if (PARTS.get(key) and not is_own) or (key in GENERIC and sense not in ("for", "kind")) else key
        if any(token.part == "h" for token in tokens):
            return key  # "store things in"
        return "" if all(PARTS.get(word) or word in GENERIC for word in key.split(" ")) and key.count(" ") < 2 else key

    def _add(self, sense: str, key: str, truth: Truth, sign: str) -> None:
        senses = self.phrases.setdefault(key, {})
        before = senses.get(sense)
        if before is None or sign == "=" or not before.possible:
            senses[sense] = truth
        elif sign == "+":
            senses[sense] = before | truth
        elif truth.possible:
            # A later line refines an earlier one, or adds another meaning to it.
            narrower = truth.possible & ~before.possible == 0
            senses[sense] = truth if narrower else before | truth


def _key(tokens: Sequence[Token]) -> str:
    return " ".join(token.base for token in tokens if token.part not in CLEAR and token.part != ",") or " ".join(
        token.base for token in tokens
    )


def _beginnings(phrases: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for key in phrases:
        words = key.split(" ")
        found.update(" ".join(words[:size]) for size in range(1, len(words) + 1))
    return found
