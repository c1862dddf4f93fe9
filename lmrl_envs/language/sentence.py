"""The question in a text: the sentence that asks, without what leads up to it and without its tag. Works on cleaned text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from lmrl_envs.language.lists import sections, words

_SECTIONS = sections(__file__, "sentence.txt")
_PATTERNS = {
    title: re.compile("".join(_SECTIONS[title]))
    for title in ("sentence", "filler", "asks", "preamble", "statement", "tag", "open")
}
_OPENERS, _TAG_ENDS = frozenset(words(_SECTIONS["openers"])), frozenset(words(_SECTIONS["tag ends"]))
_LAST = re.compile(r"[^a-z]*([a-z/]+)")
"""The last word, in a text from its end."""
_LEADS = ("preamble", "preamble", "statement")
_LETTER = re.compile("[a-z]")
_TAKEN_BACK = re.compile(r"[.?!] +(?:i mean|no wait|wait,? no|no,? scratch that|scratch that|never ?mind|or rather)\b")
"""After a question: the next one counts."""


class _Rewrite(NamedTuple):
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    replacement: str


def _rewrite(line: str) -> _Rewrite:
    hints, _, rule = line.removeprefix("{").partition("} ")
    pattern, _, replacement = rule.rpartition("=>")
    return _Rewrite(tuple(hints.split(";")), re.compile(pattern.rstrip()), f" {replacement.strip()} ")


_REWRITES = [_rewrite(line) for line in _SECTIONS["rewrite"]]
_WORD = re.compile("[a-z]+")


def _by_word() -> tuple[dict[str, list[int]], list[int]]:
    """Word -> the rewritings of which a hint has it (its longest); those with a hint that is no whole word."""
    found: dict[str, list[int]] = {}
    always = []
    for number, rule in enumerate(_REWRITES):
        for hint in rule.hints:
            own = _WORD.findall(hint)
            if not own or hint.startswith("*"):
                always.append(number)
            else:
                found.setdefault(max(own, key=len), []).append(number)
    return found, always


_BY_WORD, _ALWAYS = _by_word()
_REWRITES = [rule._replace(hints=tuple(hint.lstrip("*") for hint in rule.hints)) for rule in _REWRITES]


def _hints_of(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple({hint: None for number in numbers for hint in _REWRITES[number].hints})


_ALWAYS_HINTS = _hints_of(_ALWAYS)
_WORD_HINTS = {word: _hints_of(numbers) for word, numbers in _BY_WORD.items()}
"""Word -> the hints of its rewritings, one of which must stand in a text for any of them."""


class Sentence(NamedTuple):
    """One question."""

    text: str
    asked: int
    """How many sentences of the text ask something."""
    mark: bool
    """Whether it ends in a question mark."""
    agree: str
    """The tag's kind: "" without one, "+" for "..., is it?", "-" for "..., isn't it?", "=" for "..., right?"."""
    before: str
    """What stands before it in the text and was left out."""
    is_open: bool
    """Whether yes or no does not answer it."""


def question_in(text: str) -> Sentence:
    """The sentence that asks, the last one if several do."""
    asked, before = 1, ""
    split = _PATTERNS["sentence"]
    body = text[:-2]
    if ("." in body or "?" in body or "!" in body or "\n" in body or "…" in text) and split.search(text) is not None:
        sentences = [s.strip() for s in split.split(text) if s.strip()]
        kept = [s for s in sentences if not _PATTERNS["filler"].fullmatch(s.rstrip("?!. "))] or sentences[:1]
        asking = [s for s in kept if s.endswith("?") or _PATTERNS["asks"].match(s)]
        asked = min(len(asking), 1) if _TAKEN_BACK.search(text) else len(asking)
        text = (asking or kept or [text])[-1]  # of dots alone there is no sentence
        before = " ".join(s for s in kept if s is not text)
    mark = text.rstrip(" \"')").endswith("?")
    text = _rewritten(text).strip()
    for title in _LEADS:
        if _first(text) not in _OPENERS:
            break
        lead = _PATTERNS[title].match(text)
        if lead is not None and lead.end() < len(text):
            before, text = f"{before} {text[: lead.end()]}".strip(), text[lead.end() :]
    agree = ""
    last = _LAST.match(text[::-1])
    tag = _PATTERNS["tag"].search(text) if last is not None and last[1][::-1] in _TAG_ENDS else None
    if tag is not None and _LETTER.search(text[: tag.start()]):
        negated = tag["not"] or tag["not2"] or tag["not3"]
        agree = "=" if tag["verb"] is None and tag["verb2"] is None else "-" if negated else "+"
        text = text[: tag.start()]
    return Sentence(text, asked, mark, agree, before, _PATTERNS["open"].match(text) is not None)


def _rewritten(text: str) -> str:
    """A text after the rewritings; most texts hold the hint of none."""
    words = _WORD.findall(text)
    if not _is_hinted(_ALWAYS_HINTS, text):
        for word in words:
            if word in _WORD_HINTS and _is_hinted(_WORD_HINTS[word], text):
                break
        else:
            return text
    concerned = [number for word in words if word in _BY_WORD for number in _BY_WORD[word]]
    for number in sorted({*concerned, *_ALWAYS}):
        hints, pattern, replacement = _REWRITES[number]
        if _is_hinted(hints, text) and pattern.search(text) is not None:  # looking costs less than a template does
            text = pattern.sub(replacement, text)
    return text


def _is_hinted(hints: tuple[str, ...], text: str) -> bool:
    for hint in hints:  # noqa: SIM110 - any() costs three times as much
        if hint in text:
            return True
    return False


def _first(text: str) -> str:
    """The first word of a text."""
    return text.partition(" ")[0].rstrip(",.:;!-?")
