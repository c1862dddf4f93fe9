"""The least number of questions when every answer is yes, no or "it depends"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lmrl_envs.language.truth import Truth


@lru_cache(maxsize=512)
def least_questions(n: int, answers: int = 3) -> int:
    """A bound: the least total number of lost questions over ``n`` equally likely things, if any cut of them could be asked for.

    Either one is guessed (the others pay 1), or all pay 1 and the set is cut in as many parts as there are answers: F(1) = 0,
    F(n) = min(n - 1 + F(n - 1), n + min F(a) + F(b) + F(c)) over a + b + c = n. No strategy can do better: -F(n) / n bounds the mean
    return.
    """
    if n <= 1:
        return 0
    return min(n - 1 + least_questions(n - 1, answers), n + _least_parts(n, answers, n - 1, answers))


@lru_cache(maxsize=1 << 16)
def _least_parts(n: int, parts: int, largest: int, answers: int) -> int:
    """The least sum of F over so many parts of n things, none larger than `largest`."""
    if parts == 1:
        return least_questions(n, answers) if n <= largest else 1 << 30
    return min(
        least_questions(k, answers) + _least_parts(n - k, parts - 1, largest, answers)
        for k in range(min(n, largest) + 1)
    )


class QuestionTree:
    """The best tree found over a bank of questions: each time the one whose parts promise the least, by a search of some depth.

    Args:
        bank: the questions' meanings.
        width: how many of the most promising questions are searched.
    """

    def __init__(self, bank: Sequence[Truth], width: int = 6) -> None:
        self.bank, self.width = bank, width
        self._cost: dict[tuple[int, int], tuple[int, int]] = {}
        self._bytes = (max((truth.possible.bit_length() for truth in bank), default=0) + 7) // 8
        sets = [truth.yes for truth in bank] + [truth.possible for truth in bank]
        self._known = (1 << 8 * self._bytes) - 1
        # As numbers of one and nought: one product counts the parts of every question. Exact, as counts are small.
        self._sets = np.stack([self._bits(one) for one in sets]) if sets else np.zeros((0, 0), np.float32)

    def _bits(self, things: int) -> np.ndarray:
        whole = np.frombuffer(things.to_bytes(self._bytes, "little"), np.uint8)
        return np.unpackbits(whole, bitorder="little").astype(np.float32)

    def _promising(self, possible: int, count: int, width: int) -> list[int]:
        """The questions whose parts promise the least, the first of the bank before others as good."""
        inside = (self._sets @ self._bits(possible & self._known)).astype(np.intp)
        yes, maybe = inside[: len(self.bank)], inside[len(self.bank) :]
        estimates = _estimates(count)
        promised = estimates[yes] + estimates[count - maybe] + estimates[maybe - yes]
        chosen = []
        for _ in range(min(width, len(promised))):
            question = int(promised.argmin())
            if promised[question] >= _NEVER:
                break
            chosen.append(question)
            promised[question] = _NEVER
        return chosen

    def parts(self, question: int, possible: int) -> tuple[int, int, int]:
        """What is left of some things after "yes", "no" and "it depends"."""
        truth = self.bank[question]
        return possible & truth.yes, possible & ~truth.possible, possible & truth.possible & ~truth.yes

    def best(self, possible: int) -> int | None:
        """The question to ask; None: guess one of those left."""
        question = self._search(possible, self.width)[1]
        return None if question < 0 else question

    def cost(self, possible: int) -> int:
        """The lost questions of all the things left together, asking so."""
        return self._search(possible, self.width)[0]

    def _search(self, possible: int, width: int) -> tuple[int, int]:
        """Lost questions and the question (-1: a guess)."""
        count = possible.bit_count()
        if count <= 2:
            return count - 1 if count else 0, -1
        key = (possible, width)
        if (known := self._cost.get(key)) is not None:
            return known
        ranked = self._promising(possible, count, width)
        narrower = max(1, width // 2)
        guess = possible & -possible
        best, chosen = count - 1 + self._search(possible & ~guess, narrower)[0], -1
        for question in ranked if count > 3 else ranked[:1]:
            found = count + sum(self._search(part, narrower)[0] for part in self.parts(question, possible) if part)
            if found < best:
                best, chosen = found, question
        self._cost[key] = best, chosen
        return best, chosen


_NEVER = 1 << 40


@lru_cache(maxsize=512)
def _estimates(count: int) -> np.ndarray:
    """What is promised of as many things as the index says; what leaves all of them tells nothing."""
    return np.array([*(least_questions(n, 2) for n in range(count)), _NEVER], np.int64)
