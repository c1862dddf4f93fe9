"""Questions about the name itself: its letters, its length, its number of words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence

from lmrl_envs.language.lists import sections, words
from lmrl_envs.language.numbers import SMALL
from lmrl_envs.language.truth import Truth, surely

_LETTER = r"[\"']?([a-z])\b[\"']?"
_START = re.compile(
    rf"(?:\b(?:start|begin|starting|beginning|starts|begins)s?\b(?: \w+)? (?:with|in|by) |first letter (?:is |of it |be |in it )*)(?:(?:a|an|the|letter)\s+)*(?:letter )?{_LETTER}(?![a-z])"
)
_END = re.compile(
    rf"(?:\b(?:end|ending|finish|ends|finishes)\b(?: \w+)? (?:with|in|on|by) |last letter (?:is |be )?)(?:(?:a|an|the|letter)\s+)*(?:letter )?{_LETTER}(?![a-z])"
)
_HAS = re.compile(
    rf"\b(?:contain|contains|have|has|include|includes|is there|with|got|use|uses|any)\b (?:(?:a|an|the|any|double|letters?)\s+)*letters? {_LETTER}"
)
_HAS_QUOTED = re.compile(r"\b(?:contain|have|include|is there|got)\b (?:(?:a|an|the|any)\s+)*[\"']([a-z])[\"']")
_HINT = re.compile(r"letter|start|begin|\bend|words?\b|vowel|alphabet|finish|consonant")
_IN_NAME = re.compile(
    r"\b(?:contain|have|include|is there|has|got) (?:a|an|the letter) [\"']?([a-z])[\"']? in (?:it|its name|the (?:name|word))\b"
)
_LETTERS = re.compile(
    r"(more than|over|longer than|at least|fewer than|less than|shorter than|under|at most|exactly)?\s*(?:an? )?(\w+)[- ]letters?\b( long| or more| or less| or fewer)?"
)
_RANGE = re.compile(r"\b([a-z])\s*(?:-|–|to|through|and)\s*([a-z])\b(?![a-z'])")
_WORDS = re.compile(
    r"\b(?:(more than|just|only|exactly) )?(one|two|three|1|2|3|single|multiple|several|compound)[ -](words?)\b"
)
_BEFORE = re.compile(rf"\b(before|after)\b (?:the )?(?:letter )?{_LETTER}")


_PLAIN = re.compile("[a-z]+")
_KNOWN = frozenset(words(sections(__file__, "english.txt")["spelled"])) | SMALL.keys()
"""Words of questions about spelling."""
_HINTS = ("letter", "start", "begin", "end", "word", "vowel", "alphabet", "finish", "consonant", "name", "spell")


def read_spelling(names: Sequence[str], text: str) -> Truth | None:
    """What a question about spelling means (cleaned text, without "not"); None when it asks nothing of the kind, or more."""
    for hint in _HINTS:  # a loop: most questions end here, and any() costs twice as much
        if hint in text:
            break
    else:
        return None
    if not all(len(word) == 1 or word in _KNOWN for word in _PLAIN.findall(text)):
        return None
    if match := _IN_NAME.search(text):
        return surely(sum(1 << i for i, name in enumerate(names) if match[1] in name.lower()))
    if _HINT.search(text) is None:
        return None

    def where(test: Callable[[str], bool]) -> Truth:
        return surely(sum(1 << i for i, name in enumerate(names) if test(name.lower())))

    if "vowel" in text:
        if re.search(r"start|begin|first", text):
            return where(lambda n: n[0] in "aeiou")
        if re.search(r"\bend|last|finish", text):
            return where(lambda n: n[-1] in "aeiou")
    if "consonant" in text and re.search(r"start|begin|first", text):
        return where(lambda n: n[0] not in "aeiou")
    if "half of the alphabet" in text:
        return where(lambda n: (n[0] <= "m") == ("first half" in text))
    if re.search(r"start|begin|first letter|alphabet", text):
        if (match := _RANGE.search(text.replace("letter", " "))) and match[1] < match[2]:
            return where(lambda n: match[1] <= n[0] <= match[2])
        if match := _BEFORE.search(text):
            return where(lambda n: n[0] < match[2] if match[1] == "before" else n[0] > match[2])
    if match := _START.search(text):
        return where(lambda n: n[0] == match[1])
    if match := _END.search(text):
        return where(lambda n: n[-1] == match[1])
    if match := _HAS.search(text) or _HAS_QUOTED.search(text):
        if "double" in text:
            return where(lambda n: match[1] * 2 in n)
        return where(lambda n: match[1] in n)
    if "double letter" in text:
        return where(lambda n: any(a == b for a, b in itertools.pairwise(n)))
    if (match := _LETTERS.search(text)) and (count := _count(match[2])) is not None:
        return where(_length_test(match[1] or "", match[3] or "", count))
    if match := _WORDS.search(text):
        more = match[1] == "more than"
        count = {"single": 1, "multiple": 2, "several": 2, "compound": 2}.get(match[2]) or _count(match[2]) or 1
        return where(lambda n: len(re.split("[ -]", n)) > count if more else len(re.split("[ -]", n)) == count)
    return None


def _count(word: str) -> int | None:
    if word.isdigit() and len(word) < 4:
        return int(word)
    value = SMALL.get(word)
    return None if value is None or value > 12 else value


def _length_test(before: str, after: str, count: int) -> Callable[[str], bool]:
    def length(name: str) -> int:
        return sum(letter.isalpha() for letter in name)

    if before in ("more than", "over", "longer than"):
        return lambda n: length(n) > count
    if before == "at least" or after.strip() == "or more":
        return lambda n: length(n) >= count
    if before in ("fewer than", "less than", "under", "shorter than"):
        return lambda n: length(n) < count
    if before == "at most" or after.strip() in ("or less", "or fewer"):
        return lambda n: length(n) <= count
    return lambda n: length(n) == count
