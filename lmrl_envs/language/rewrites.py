"""Texts in the words that a reader takes: rules of a file, ``words ~ pattern => replacement``.

The rules are tried one after the other, each only where one of its words stands in the text (or one of its signs: "(", ":"; "@": where
the first word is one of them, "!": where it is none of them): most texts hold none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial

_WORD, _PLAIN_WORD = re.compile(r"[^\W\d_]+|\d+"), re.compile("[a-z]+|[0-9]+")

_BLANKS = re.compile("  +")
"""Where something was left out."""
_BEGINNING = re.compile(r"\(\?i\)\^(?:\((?:\?:)?([a-z' |]+)\)|([a-z]+))(?= |\\b)")
"""The words with which a pattern begins."""
_NO_GROUP, _GROUP = re.compile(r"\\.|\[\^?\]?[^\]]*\]"), re.compile(r"\([^()]*\)")
"""What in a pattern opens no group, however it looks; a group."""
_PART = re.compile(r"\\(\d)")


def _is_beginning(pattern: str) -> bool:
    """Whether a pattern can only stand at the beginning of a text."""
    outer = _NO_GROUP.sub("", pattern)
    while (less := _GROUP.sub("", outer)) != outer:
        outer = less
    return outer.startswith("^") and "|" not in outer


@cache
def _compiled(pattern: str) -> tuple[re.Pattern[str], Callable[[str], re.Match[str] | None]]:
    """A pattern, from when it is first needed, and what finds it: `re.Pattern.search` would look for one of the beginning at
    every letter."""
    found = re.compile(pattern)
    return found, found.match if _is_beginning(pattern) else found.search


class Rewrites:
    """The rules of some lines by the words that they concern."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._rewrites: list[tuple[str, str]] = []
        self._anywhere: dict[str, list[int]] = {}
        self._beginning: dict[str, dict[str, list[int]]] = {}
        """Word -> rules, of those that may stand anywhere, and of those of which the pattern names the first word, by it."""
        self._by_sign: list[tuple[str, int]] = []
        self._first: list[tuple[frozenset[str], bool, int]] = []
        for order, line in enumerate(lines):
            needs, _, rule = line.partition(" ~ ")
            pattern, _, replacement = rule.partition(" =>")
            self._rewrites.append((pattern, replacement.strip()))
            if needs[0] in "@!":
                self._first.append((frozenset(needs[1:].split("|")), needs[0] == "@", order))
                continue
            begins = _BEGINNING.match(pattern) if _is_beginning(pattern) else None
            first = {_PLAIN_WORD.findall(own)[0] for own in (begins[1] or begins[2]).split("|")} if begins else None
            for word in needs.split("|"):
                if not word[0].isalnum():
                    self._by_sign.append((word, order))
                    continue
                for own in (self._anywhere,) if first is None else [self._beginning.setdefault(w, {}) for w in first]:
                    own.setdefault(word, []).append(order)

    def __call__(self, text: str) -> str:
        words = _words(text)
        if not words:
            return text
        concerned = self._concerned(text, words, words[0])
        concerned += [order for own, wanted, order in self._first if (words[0] in own) == wanted]
        left = sorted(set(concerned), reverse=True)
        while left:
            order = left.pop()
            pattern, find = _compiled(self._rewrites[order][0])
            if find(text) is None:  # as most of those that are concerned
                if "  " in text:
                    text = _BLANKS.sub(" ", text)
                continue
            before, text = text, pattern.sub(partial(_filled, self._rewrites[order][1]), text)
            text = _BLANKS.sub(" ", text)
            if text != before and (now := _words(text)):  # words that a rule brought concern later rules
                words += now
                left = sorted(
                    {*left, *(o for o in self._concerned(text, set(words), now[0]) if o > order)}, reverse=True
                )
        return text

    def _concerned(self, text: str, words: Collection[str], first: str) -> list[int]:
        """The rules that some words, the first word and the signs of a text call for."""
        found = [order for sign, order in self._by_sign if sign in text]
        if not text.isascii():  # a pattern that leaves small and capital letters alone takes more for the same letter
            rules = (self._anywhere, *self._beginning.values())
            return found + [order for own in rules for word in words for order in own.get(word, ())]
        anywhere, beginning = self._anywhere, self._beginning.get(first, {})
        for word in words:
            if word in anywhere:
                found += anywhere[word]
            if word in beginning:
                found += beginning[word]
        return found


def _words(text: str) -> list[str]:
    return (_PLAIN_WORD if text.isascii() else _WORD).findall(text.lower())


def _filled(replacement: str, match: re.Match[str]) -> str:
    """What comes in the place of a match, apart from its neighbours where the match was."""
    whole = match[0]
    text = _PART.sub(lambda part: match[int(part[1])] or "", replacement) if "\\" in replacement else replacement
    before = " " if whole[:1].isspace() and not text[:1].isspace() else ""
    behind = " " if whole[-1:].isspace() and not (before + text)[-1:].isspace() else ""
    return before + text + behind
