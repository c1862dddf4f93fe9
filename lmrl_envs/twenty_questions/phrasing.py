"""Turns of phrase that carry no meaning of their own: preambles, tags, circumstances. Works on cleaned text."""

from __future__ import annotations

import re

from lmrl_envs.language.lists import sections

_PATTERNS = {title: re.compile("".join(lines)) for title, lines in sections(__file__, "phrasing.txt").items()}

_REWRITES: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    ((" it", " this", " them", " to ", "eating", "using", "when ", ", like ", " one"), _PATTERNS["circumstance"], " "),
    ((" of paper", " of wood", " of metal", " of f", " of cloth", " of plastic"), _PATTERNS["sheet"], ""),
    (("typing", "type "), _PATTERNS["typing"], "keyboard"),
    (("er then ",), _PATTERNS["then"], " than "),
    (("ther than", "part from", "except", "esides", "ything but"), _PATTERNS["other than"], " not "),
    (("er than",), _PATTERNS["degree"], r"\1"),
    (("more than", "more often than"), _PATTERNS["more than"], r"only \1\2"),
    ((" only",), _PATTERNS["last only"], r"only \1"),
    (("ly ", "just", "designed", "intended", "meant", "aimed"), _PATTERNS["only"], r"\1 only \2"),
)
"""Words that must be there for a rewriting to be tried, what is replaced, and by what."""


def last_question(text: str) -> tuple[str, int]:
    """The sentence that asks, the last one if several do, and how many do."""
    if _PATTERNS["sentence"].search(text) is None:
        return text, 1
    sentences = [s.strip() for s in _PATTERNS["sentence"].split(text) if s.strip()]
    sentences = [s for s in sentences if not _PATTERNS["filler"].fullmatch(s.rstrip("?!. "))] or sentences[:1]
    asked = [s for s in sentences if s.endswith("?") or _PATTERNS["asks"].match(s)]
    return (asked or sentences)[-1], len(asked)


def simplify(sentence: str) -> str | None:
    """The bare question; None if it is not one to be answered with yes or no."""
    if _PATTERNS["open"].match(sentence):
        return None
    text = _PATTERNS["clause"].sub(" it ", sentence) if "you" in sentence else sentence
    if "you" in text or "tell" in text or "wonder" in text:
        text = _PATTERNS["opinion"].sub(" ", text)
    shorter = _PATTERNS["tag"].sub("", text)
    if shorter != text and re.search("[a-z]", shorter):
        if _PATTERNS["positive tag"].search(text):  # "It isn't alive, is it?" - "No."
            shorter = _PATTERNS["denial"].sub(" ", shorter, count=1)
        text = shorter
    if "," in text or ":" in text:
        text = _PATTERNS["preamble"].sub("", text)
    for hints, pattern, replacement in _REWRITES:
        for hint in hints:
            if hint in text:
                text = pattern.sub(replacement, text)
                break
    return text
