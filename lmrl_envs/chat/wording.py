"""What the person says: cells worded from the catalogue (lines.txt, topics.txt), and the way back from words to cells."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from lmrl_envs.chat.rules import MORE_TOPICS
from lmrl_envs.language.lists import sections

Split = Literal["all", "train", "test"]
SPLITS: tuple[Split, ...] = ("all", "train", "test")
LINES = {title: tuple(lines) for title, lines in sections(__file__, "lines.txt").items() if title}
_TOPICS = sections(__file__, "topics.txt")
HELD_OUT = {"lines": 3, "facets": 3, "stories": 2, "back": 1}
"""How many of each are for persons of ``split="test"`` only."""


def _facets(topic: str) -> tuple[str, ...]:
    return tuple(facet.strip() for line in _TOPICS[f"{topic} facets"] for facet in line.split(";"))


FACETS = {topic: _facets(topic) for topic in MORE_TOPICS}
STORIES = {topic: tuple(_TOPICS[f"{topic} stories"]) for topic in MORE_TOPICS}
BACK = {topic: tuple(_TOPICS[f"{topic} back"]) for topic in MORE_TOPICS}
WORDS = {topic: tuple(" ".join(_TOPICS[f"{topic} words"]).split()) for topic in MORE_TOPICS}
WEAK = {topic: tuple(" ".join(_TOPICS[f"{topic} weak"]).split()) for topic in MORE_TOPICS}
_SPREAD = 0x9E3779B1


def of_split(items: tuple[str, ...], kind: str, split: Split) -> tuple[str, ...]:
    """Those of some wordings that persons of a split use."""
    held = HELD_OUT[kind]
    return items if split == "all" else items[:-held] if split == "train" else items[-held:]


def filled(line: str, topic: str = "", facet: str = "", story: str = "", back: str = "") -> str:
    """A line of the catalogue with its gaps filled."""
    if "{" not in line:
        return line
    values = {"topic": topic, "Topic": topic.capitalize(), "facet": facet, "Facet": facet[:1].upper() + facet[1:]}
    return line.format(**values, story=story, back=back)


def say(parts: Sequence[tuple[str, str]], seed: int, split: Split = "all") -> str:
    """Cells, each with its topic, in words that the seed chooses."""
    said = []
    for cell, topic in parts:
        lines = _lines_of(cell, split)
        line = lines[seed % len(lines)]
        seed = (seed * _SPREAD + 1 >> 5) & 0x7FFFFFFF
        if "{" in line:
            facets, stories, backs = _topic_of(topic, split)
            picks = facets[seed % len(facets)], stories[(seed >> 8) % len(stories)], backs[(seed >> 16) % len(backs)]
            line = filled(line, topic, *picks)
            seed = (seed * _SPREAD + 1 >> 5) & 0x7FFFFFFF
        said.append(line)
    return " ".join(said)


@cache
def _lines_of(cell: str, split: Split) -> tuple[str, ...]:
    return LINES[cell] if len(LINES[cell]) == 1 else of_split(LINES[cell], "lines", split)


@cache
def _topic_of(topic: str, split: Split) -> tuple[tuple[str, ...], ...]:
    kinds = ("facets", FACETS), ("stories", STORIES), ("back", BACK)
    return tuple(of_split(table[topic], kind, split) for kind, table in kinds)


# -- from words to cells


class _Table:
    """Every wording there is -> its cell and topic ("" where it does not tell)."""

    def __init__(self) -> None:
        self.whole: dict[str, tuple[str, str]] = {}
        for cell, lines in LINES.items():
            for line in lines:
                if "{" not in line:
                    self.whole[line] = (cell, "")
                    continue
                for topic in MORE_TOPICS:
                    for facet, story, back in itertools.product(
                        FACETS[topic] if "acet}" in line else ("",), STORIES[topic] if "{story}" in line else ("",),
                        BACK[topic] if "{back}" in line else ("",),
                    ):  # fmt: skip
                        self.whole[filled(line, topic, facet, story, back)] = (cell, topic)


_table = cache(_Table)
_END = re.compile(r"[.?!](?: |$)")


def cells_of(text: str) -> tuple[tuple[str, str], ...]:
    """The cells of a line as a scripted person says it; () where it is none of theirs."""
    ends = [found.start() + 1 for found in _END.finditer(text)]
    return _parts(text, 0, ends, _table().whole) or ()


def _parts(
    text: str, start: int, ends: Sequence[int], known: dict[str, tuple[str, str]]
) -> tuple[tuple[str, str], ...] | None:
    if start >= len(text):
        return ()
    for end in reversed([end for end in ends if end > start]):
        found = known.get(text[start:end])
        if found is not None:
            rest = _parts(text, end + 1, ends, known)
            if rest is not None:
                return (found, *rest)
    return None
