"""Texts in the words that a reader takes: rules of a file, ``words ~ pattern => replacement``.

The rules are tried one after the other, each only where one of its words stands in the text ("@": where the first word is one of
them, "!": where it is none of them): most texts hold none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial

_WORD, _PLAIN_WORD = re.compile(r"[^\W\d_]+|\d+"), re.compile("[a-z]+|[0-9]+")

_BLANKS = re.compile("  +")
"""Where something was left out."""


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, from when it is first needed."""
    return re.compile(pattern)


class Rewrites:
    """The rules of some lines by the words that they concern."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._rewrites: list[tuple[str, str]] = []
        self._by_word: dict[str, list[int]] = {}
        self._first: list[tuple[frozenset[str], bool, int]] = []
        for order, line in enumerate(lines):
            needs, _, rule = line.partition(" ~ ")
            pattern, _, replacement = rule.partition(" =>")
            self._rewrites.append((pattern, replacement.strip()))
            if needs[0] in "@!":
                self._first.append((frozenset(needs[1:].split("|")), needs[0] == "@", order))
                continue
            for word in needs.split("|"):
                self._by_word.setdefault(word, []).append(order)

    def __call__(self, text: str) -> str:
        words = (_PLAIN_WORD if text.isascii() else _WORD).findall(text.lower())
        if not words:
            return text
        concerned = [order for own, wanted, order in self._first if (words[0] in own) == wanted]
        by_word = self._by_word
        for word in words:
            if word in by_word:
                concerned += by_word[word]
        left = sorted(set(concerned), reverse=True)
        while left:
            order = left.pop()
            pattern, replacement = self._rewrites[order]
            before, text = text, _compiled(pattern).sub(partial(_filled, replacement), text)
            text = _BLANKS.sub(" ", text)
            if text != before:  # words that a rule brought concern later rules
                new = {word for word in _WORD.findall(text.lower()) if word in by_word}.difference(words)
                words += new
                left = sorted({*left, *(o for word in new for o in by_word[word] if o > order)}, reverse=True)
        return text


def _filled(replacement: str, match: re.Match[str]) -> str:
    """What comes in the place of a match, apart from its neighbours where the match was."""
    whole, text = match[0], match.expand(replacement)
    before = " " if whole[:1].isspace() and not text[:1].isspace() else ""
    behind = " " if whole[-1:].isspace() and not (before + text)[-1:].isspace() else ""
    return before + text + behind
