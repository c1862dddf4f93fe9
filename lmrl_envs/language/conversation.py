"""Rewards read off a conversation's words, one number for each thing that the agent said: what the field optimises in place of what
people enjoyed (Jaques et al. 2019, arXiv 1907.00456; Saleh et al. 2020, arXiv 1909.07547). They know of no task.

Sentiment is VADER's (Hutto and Gilbert 2014), harm the word list of better-profanity: both of the extra ``chat``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module, resources
from itertools import pairwise
from typing import Any

from lmrl_envs.files.missing import near, needs
from lmrl_envs.language.lists import sections
from lmrl_envs.language.lists import words as listed

_DATA = sections(__file__, "conversation.txt")
_ASKING, _STOPS = (frozenset(listed(_DATA[title])) for title in ("question words", "stop words"))
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_LAUGH = re.compile(r"\b(?:(?:ha|he|ah)*(?:haha|hehe)+h?a?|heh+|lol+|lmao|rofl)\b", re.IGNORECASE)
LAUGHS, ELICITED, SAID = 4, 30, 60
"""Most laughs that count, and most words of either side."""

Texts = Sequence[str]
"""A conversation from its opening, environment and agent in turn; the last text may be an action without an answer."""


@lru_cache(maxsize=65536)
def sentiment(text: str) -> float:
    """VADER's compound sentiment of a text, in [-1, 1].

    Raises:
        gymnasium.error.DependencyNotInstalled: vaderSentiment is missing.
    """
    return float(_vader().polarity_scores(text[:2000])["compound"])


@cache
def _vader() -> Any:
    needs("a reward of sentiment", "vaderSentiment.vaderSentiment")
    return import_module("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()


@cache
def _listed_as_harm() -> frozenset[str]:
    needs("the reward 'toxicity'", "better_profanity")
    text = (resources.files("better_profanity") / "profanity_wordlist.txt").read_text("utf-8")
    return frozenset(line.strip().lower() for line in text.splitlines() if line.strip())


def laughs(text: str) -> int:
    """Laughs in a text: the family of "haha", "heh" and "lol" as whole words."""
    return len(_LAUGH.findall(text))


@lru_cache(maxsize=65536)
def _words(text: str) -> tuple[str, ...]:
    return tuple(word.lower().replace("\u2019", "'") for word in _WORD.findall(text[:8192]))


@lru_cache(maxsize=65536)
def _distinct(text: str) -> frozenset[str]:
    return frozenset(_words(text))


@lru_cache(maxsize=65536)
def _content(text: str) -> frozenset[str]:
    return _distinct(text) - _STOPS


def _harm(text: str) -> float:
    words = _words(text)
    known = _listed_as_harm()
    pairs = (f"{one} {other}" for one, other in pairwise(words))
    return -float(any(word in known for word in words) or any(pair in known for pair in pairs))


def _after(texts: Texts, i: int) -> str:
    """The answer to action i; "" where there is none yet."""
    return texts[2 * i + 2] if 2 * i + 2 < len(texts) else ""


def _elicited(texts: Texts, i: int) -> float:
    return min(len(_words(_after(texts, i))), ELICITED) / ELICITED


def _question(texts: Texts, i: int) -> float:
    action = texts[2 * i + 1]
    return 0.5 * ("?" in action) + 0.5 * (not _ASKING.isdisjoint(_words(action)))


def _repetition(texts: Texts, i: int) -> float:
    own, most = _distinct(texts[2 * i + 1]), 0.0
    for j in range(i):
        other = _distinct(texts[2 * j + 1])
        if shared := len(own & other):
            most = max(most, shared / (len(own) + len(other) - shared))
    return -most


def _similarity(texts: Texts, i: int) -> float:
    own, other = _content(texts[2 * i + 1]), _content(texts[2 * i])
    return len(own & other) / len(own) if own else 0.0


_REWARDS: Mapping[str, Callable[[Texts, int], float]] = {
    "sentiment": lambda texts, i: sentiment(_after(texts, i)),
    "transition": lambda texts, i: sentiment(_after(texts, i)) - sentiment(texts[2 * i]),
    "laughter": lambda texts, i: float(min(laughs(_after(texts, i)), LAUGHS)),
    "words_elicited": _elicited,
    "question": _question,
    "repetition": _repetition,
    "similarity": _similarity,
    "agent_sentiment": lambda texts, i: sentiment(texts[2 * i + 1]),
    "length": lambda texts, i: min(len(_words(texts[2 * i + 1])), SAID) / SAID,
    "toxicity": lambda texts, i: _harm(texts[2 * i + 1]),
}
"""Of the other side's answer: its sentiment, the change of it, its laughs and words. Of what the agent says: a question (half for the
mark, half for a word that asks), likeness to what it said before (at most 0), words shared with the other's last line, sentiment, words,
and harm (-1 for a line with a word of the list)."""

NAMES = tuple(_REWARDS)
EXTRA = {"sentiment", "transition", "agent_sentiment", "toxicity"}
"""Those that need the extra ``chat``."""


def text_reward(name: str, texts: Texts, ended: bool) -> list[float]:
    """One reward of every action.

    Args:
        name: one of `NAMES`.
        texts: see `Texts`.
        ended: whether the conversation is over: the last answer says goodbye then, whatever was said, and counts for no words elicited.

    Raises:
        ValueError: there is no such reward.
        gymnasium.error.DependencyNotInstalled: it needs an extra.
    """
    if name not in _REWARDS:
        raise ValueError(f"no reward of words is called {name!r}: {near(name, NAMES)}")
    values = [_REWARDS[name](texts, i) for i in range(len(texts) // 2)]
    if ended and values and name == "words_elicited":
        values[-1] = 0.0
    return values


def available(name: str) -> bool:
    """Whether what a reward needs is installed."""
    if name not in EXTRA:
        return True
    from gymnasium.error import DependencyNotInstalled

    try:
        _listed_as_harm() if name == "toxicity" else _vader()
    except DependencyNotInstalled:
        return False
    return True
