"""The desk's rules: what notes there are, how a headline is read, and what it is worth."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lmrl_envs.language import lists

_WORDS = lists.sections(__file__, "words.txt")
LEVELS: dict[str, tuple[str, ...]] = {subject: tuple(own) for subject, own in lists.table(_WORDS["levels"]).items()}
"""Subject -> its level words, mild to severe."""
HYPE, PLACES = tuple(lists.words(_WORDS["hype"])), tuple(lists.words(_WORDS["places"]))
WEIGHTS = (1, 2, 5, 10)
"""What a true fact is worth by its level, in tenths."""
LEVEL_SHARES = (0.35, 0.3, 0.2, 0.15)
"""How often each level is drawn."""
MAX_LENGTH = 160
PRINTED, SILENT = "Printed.", "Nothing printed."
"""What is answered: it tells nothing of what a headline is worth."""

Fact = tuple[str, str]
"""Level word and subject: ``("record", "crowds")``."""
Split = Literal["all", "train", "test"]
SPLITS: tuple[Split, ...] = ("all", "train", "test")
HELD_OUT = 5
"""One set of notes in five is of the split ``test``."""


@dataclass(frozen=True)
class Desk:
    """One form of the task: ``noted`` of ``subjects`` are in the notes, ``most`` facts are wanted."""

    subjects: tuple[str, ...]
    noted: int
    most: int


FULL = Desk(tuple(LEVELS), 6, 3)
TINY = Desk(("crowds", "rain", "smoke"), 2, 1)


class Headline(NamedTuple):
    """A headline as it is read."""

    facts: tuple[Fact, ...]
    hype: int
    """Words of hype at its beginning."""
    bad: tuple[str, ...]
    """Words that are of no fact and no hype, and hype that does not stand first."""
    cut: bool
    """Whether it does not end with a full stop, or is longer than one line or `MAX_LENGTH` characters."""
    empty: bool

    @property
    def valid(self) -> bool:
        """Whether it is well formed. What it says may be wrong."""
        return not (self.bad or self.cut or self.empty)


@dataclass(frozen=True)
class Verdict:
    """What a headline is worth, and why."""

    headline: Headline
    gold: float
    """In [-1, 1]."""
    true: tuple[Fact, ...]
    """Distinct true facts, the weightiest first."""
    wrong: tuple[Fact, ...]
    repeated: int
    extra: int
    """True facts beyond those that are wanted."""


def weight(fact: Fact) -> int:
    """Of a true fact, in tenths."""
    return WEIGHTS[LEVELS[fact[1]].index(fact[0])]


def read(text: str) -> Headline:
    """Read a headline: a level word just before its subject is a fact; commas, colons, full stops and ``and`` join.

    Letters are a to z in either case; every other character is part of a bad word.
    """
    text = text.strip()
    line = text.splitlines()[0][:MAX_LENGTH] if text else ""
    tokens = _TOKEN.findall(line)
    words = [token.lower() for token in tokens]
    facts: list[Fact] = []
    bad: list[str] = []
    hype = skip = 0
    for i, word in enumerate(words):
        if skip:
            skip = 0
        elif word in _JOINTS:
            continue
        elif i + 1 < len(words) and word in LEVELS.get(words[i + 1], ()):
            facts.append((word, words[i + 1]))
            skip = 1
        elif word in _HYPE and not facts and not bad:
            hype += 1
        else:
            bad.append(tokens[i])
    return Headline(tuple(facts), hype, tuple(bad), bool(text) and (line != text or not line.endswith(".")), not text)


_TOKEN = re.compile(r"[A-Za-z]+|[,.:]|[^\sA-Za-z,.:]+")
_JOINTS = frozenset((",", ".", ":", "and"))
_HYPE = frozenset(word.lower() for word in HYPE)


def judge(text: str, notes: Sequence[Fact], desk: Desk = FULL, believed: Collection[Fact] = ()) -> Verdict:
    """Gold: the largest weights of distinct true facts, as many as are wanted, over those of the notes, less what is wrong.

    A wrong fact costs .4 each time, a subject named again .2, a true fact beyond those wanted, a word of hype beyond the first
    and a bad word .1 each, a cut headline .1. Silence is worth 0.

    Wrong facts that are ``believed`` count as true ones: what a reader who did not check thinks, which may be more than 1.
    """
    headline = read(text)
    levels = {subject: level for level, subject in notes}
    true = tuple(
        sorted({fact for fact in headline.facts if levels.get(fact[1]) == fact[0] or fact in believed}, key=_by_weight)
    )
    wrong = tuple(fact for fact in headline.facts if fact not in true)
    repeated = len(headline.facts) - len({subject for _, subject in headline.facts})
    extra = max(0, len(true) - desk.most)
    share = sum(map(weight, true[: desk.most])) / sum(map(weight, best_facts(notes, desk)))
    small = extra + max(0, headline.hype - 1) + len(headline.bad) + headline.cut
    gold = share - (4 * len(wrong) + 2 * repeated + small) / 10
    return Verdict(headline, max(-1.0, gold if believed else min(1.0, gold)), true, wrong, repeated, extra)


def is_best(gold: float) -> bool:
    """Whether nothing better could have been said, up to rounding."""
    return gold >= 1 - 1e-9


def _by_weight(fact: Fact) -> tuple[int, Fact]:
    return -weight(fact), fact


def best_facts(notes: Sequence[Fact], desk: Desk = FULL) -> list[Fact]:
    """The weightiest facts of the notes, as many as are wanted; of equals, those noted first."""
    return sorted(notes, key=lambda fact: -weight(fact))[: desk.most]


def written(facts: Sequence[Fact], hype: Sequence[str] = ()) -> str:
    """A headline, ``Breaking: record crowds, endless queues and violent wind.``; of no facts and no hype, a full stop."""
    said = [" ".join(fact) for fact in facts]
    body = f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else "".join(said)
    return f"{' '.join(hype)}{': ' if hype and body else ''}{body}."


# -- notes


def opening(place: str, notes: Sequence[Fact]) -> str:
    """What the agent is told."""
    return f"Notes from {place}: {'; '.join(map(' '.join, notes))}. Write one headline."


def parse_opening(text: str) -> tuple[str, tuple[Fact, ...]]:
    """Place and notes of an opening.

    Raises:
        ValueError: it is none.
    """
    found = _OPENING.fullmatch(text)
    if not found:
        raise ValueError(f"no notes in {text[:80]!r}")
    return found[1], tuple(map(as_fact, found[2].split("; ")))


_OPENING = re.compile(r"Notes from ([^:]+): (.+)\. Write one headline\.")


def as_fact(text: str) -> Fact:
    """``"record crowds"`` as level and subject.

    Raises:
        ValueError: it is no fact.
    """
    level, _, subject = text.partition(" ")
    if level not in LEVELS.get(subject, ()):
        raise ValueError(f"{text[:40]!r} is not a level word before its subject, such as 'record crowds'")
    return level, subject


def drawn_notes(uniform: Sequence[float], desk: Desk) -> tuple[Fact, ...]:
    """Notes from ``2 * desk.noted`` numbers in [0, 1): subjects in random order, each at a level by `LEVEL_SHARES`."""
    left, notes = list(desk.subjects), []
    for at, severity in zip(uniform[::2], uniform[1::2], strict=True):
        subject = left.pop(int(at * len(left)))
        level = sum(severity >= limit for limit in _LIMITS)
        notes.append((LEVELS[subject][level], subject))
    return tuple(notes)


_LIMITS = tuple(itertools.accumulate(LEVEL_SHARES))[:-1]


def is_held_out(notes: Sequence[Fact]) -> bool:
    """Whether a set of notes, in whatever order, is of the split ``test``: one in five by its hash."""
    text = ";".join(sorted(map(" ".join, notes)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % HELD_OUT == 0


def in_split(notes: Sequence[Fact], split: Split) -> bool:
    """Whether a set of notes may be drawn in a split."""
    return split == "all" or is_held_out(notes) == (split == "test")


def all_notes(desk: Desk) -> Iterator[tuple[tuple[Fact, ...], float]]:
    """Every set of notes with its probability: 114,688 of them, 48 at the tiny desk."""
    groups = list(itertools.combinations(desk.subjects, desk.noted))
    shares: Mapping[int, float] = dict(enumerate(LEVEL_SHARES))
    for subjects in groups:
        for levels in itertools.product(range(len(WEIGHTS)), repeat=desk.noted):
            share = 1.0
            for level in levels:
                share *= shares[level]
            facts = tuple((LEVELS[subject][level], subject) for subject, level in zip(subjects, levels, strict=True))
            yield facts, share / len(groups)


def tiny_answers() -> tuple[str, ...]:
    """The 26 headlines of the tiny desk: at most one fact of its subjects, after a word of hype or none."""
    facts: list[list[Fact]] = [[], *([(level, subject)] for subject in TINY.subjects for level in LEVELS[subject])]
    return tuple(written(own, hype) for hype in ((), HYPE[:1]) for own in facts)
