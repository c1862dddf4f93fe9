"""The question in a text: the sentence that asks, without what leads up to it and without its tag. Works on cleaned text."""

from __future__ import annotations

import re
from typing import NamedTuple

from lmrl_envs.language.lists import sections

_PATTERNS = {title: re.compile("".join(lines)) for title, lines in sections(__file__, "sentence.txt").items() if lines}
_REWRITES = [
    (pattern, f" {replacement.strip()} ")
    for line in sections(__file__, "sentence.txt")["rewrite"]
    for raw, _, replacement in [line.partition("=>")]
    for pattern in [re.compile(raw.rstrip())]
]


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
    if split.search(text) is not None:
        sentences = [s.strip() for s in split.split(text) if s.strip()]
        kept = [s for s in sentences if not _PATTERNS["filler"].fullmatch(s.rstrip("?!. "))] or sentences[:1]
        asking = [s for s in kept if s.endswith("?") or _PATTERNS["asks"].match(s)]
        asked = len(asking)
        text = (asking or kept)[-1]
        before = " ".join(s for s in kept if s is not text)
    mark = text.rstrip(" \"')").endswith("?")
    for pattern, replacement in _REWRITES:
        if pattern.search(text) is not None:
            text = pattern.sub(replacement, text)
    lead = _PATTERNS["preamble"].match(text)
    if lead is not None and lead.end() < len(text):
        before, text = f"{before} {text[: lead.end()]}".strip(), text[lead.end() :]
    agree = ""
    tag = _PATTERNS["tag"].search(text)
    if tag is not None and re.search("[a-z]", text[: tag.start()]):
        negated = tag["not"] or tag["not2"] or tag["not3"]
        agree = "=" if tag["verb"] is None and tag["verb2"] is None else "-" if negated else "+"
        text = text[: tag.start()]
    return Sentence(text, asked, mark, agree, before, _PATTERNS["open"].match(text) is not None)
