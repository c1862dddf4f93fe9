"""What buyers say: every intent has several wordings (lines.txt), and the personalities add some of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from lmrl_envs.language.lists import sections, table

LINES = {title: tuple(lines) for title, lines in sections(__file__, "lines.txt").items()}
"""Intent, or personality and tone ("vain warm") -> wordings."""
THE = {feature: named for feature, (named,) in table(sections(__file__, "vocabulary.txt")["in a sentence"]).items()}
"""Features as they stand in a sentence."""
_VALUE = re.compile(r"\{\w+\}")


@cache
def _fixed(line: str) -> tuple[str, ...]:
    """What stands in a wording whatever is filled in."""
    return tuple(part for part in _VALUE.split(line) if len(part) > 1)


def _fresh(lines: Sequence[str], seed: int, said: str) -> str:
    """One of the lines, chosen by the seed; none of those in ``said``, if that can be."""
    at = seed % len(lines)
    turned = (*lines[at:], *lines[:at])
    return next((line for line in turned if not all(part in said for part in _fixed(line))), turned[0])


def say(intent: str, seed: int, said: str = "", **values: Any) -> str:
    """A wording of an intent, chosen by the seed from those that were not ``said`` just now."""
    return _fresh(LINES[intent], seed, said).format(**values)


def last_words(intent: str, personality: str, seed: int, **values: Any) -> str:
    """Leaving or buying, in a general or in the personality's own words."""
    lines = LINES[intent] + LINES[f"{personality} {intent}"] * 3
    return lines[seed % len(lines)].format(**values)


def tone(personality: str, mood: float, seed: int, last: int) -> tuple[int, str]:
    """A turn of phrase to begin with, most often none, never the ``last`` one again; (which, phrase)."""
    if seed % 10 >= 6:
        return last, ""
    lines = LINES[f"{personality} {'warm' if mood >= 0 else 'cold'}"]
    chosen = seed // 10 % len(lines)
    if chosen == last:
        chosen = (chosen + 1) % len(lines)
    return chosen, lines[chosen] + " "


def aside(personality: str, seed: int, said: str) -> str:
    """What the sorts of buyer that have such lines add to anything, with a space before; "" from the others."""
    lines = LINES.get(f"{personality} aside", ())
    return f" {_fresh(lines, seed, said)}" if lines else ""


def listed(items: list[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def article(noun: str) -> str:
    """``an SUV``, ``a Toyota``."""
    an = noun[0] in "AEIO" or noun.startswith("SUV")
    return f"{'an' if an else 'a'} {noun}"
