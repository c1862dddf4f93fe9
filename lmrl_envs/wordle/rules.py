"""Wordle: word lists, feedback, and tables of feedback for whole lists. Letters a to z, words of five."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np

from lmrl_envs.files.arguments import named_file

WORD_LENGTH, MAX_GUESSES = 5, 6
ABSENT, ELSEWHERE, PLACED = 0, 1, 2
MOST_WORDS = 15_000
"""Of a list: the table of feedback has a byte for each pair."""
SOLVED = 3**WORD_LENGTH - 1
"""Feedback is one number: base-3 digits, first letter first; `SOLVED` is all in place."""

MARKS = "byg"
_DIGITS = tuple(
    tuple(code // 3 ** (WORD_LENGTH - 1 - i) % 3 for i in range(WORD_LENGTH)) for code in range(3**WORD_LENGTH)
)
PLAIN: tuple[str, ...] = tuple(" ".join(MARKS[digit] for digit in digits) for digits in _DIGITS)
"""``g y b b b`` for every code."""
INVALID = "invalid"

_BUNDLED = {"common": ("common", "common"), "full": ("answers", "guesses")}


def feedback(guess: str, secret: str) -> int:
    """Standard feedback: each letter of the secret pays for one mark, places first, then left to right."""
    marks = [ABSENT] * WORD_LENGTH
    left = list(secret)
    for i in range(WORD_LENGTH):
        if guess[i] == secret[i]:
            marks[i] = PLACED
            left[i] = ""
    for i in range(WORD_LENGTH):
        if marks[i] == ABSENT and guess[i] in left:
            marks[i] = ELSEWHERE
            left[left.index(guess[i])] = ""
    return encode(marks)


def independent_feedback(guess: str, secret: str) -> int:
    """LMRL-Gym's feedback: every letter is judged alone, so a repeated letter may be marked more often than it occurs."""
    return encode(
        [PLACED if a == b else ELSEWHERE if a in secret else ABSENT for a, b in zip(guess, secret, strict=True)]
    )


def encode(marks: Sequence[int]) -> int:
    """Five marks to one code."""
    code = 0
    for mark in marks:
        code = 3 * code + mark
    return code


FEEDBACK = {"standard": feedback, "independent": independent_feedback}


def paired_text(guess: str, code: int) -> str:
    """Letter, place and mark together: ``c1g r2y a3b n4b e5b``."""
    return " ".join(f"{guess[i]}{i + 1}{MARKS[digit]}" for i, digit in enumerate(_DIGITS[code]))


def parse_feedback(text: str) -> int | None:
    """The code of a feedback text in either form; None for anything else (``invalid``, the opening)."""
    marks = [piece[-1:] for piece in text.split(" ")]
    if len(marks) != WORD_LENGTH or not set(marks) <= set(MARKS):
        return None
    return encode([MARKS.index(mark) for mark in marks])


def clean_guess(action: str) -> str:
    """The guess meant by an action: case and white space do not matter."""
    return "".join(action.split()).lower()


class WordList:
    """Answers and allowed guesses, with their feedback table filled row by row on first use."""

    def __init__(self, answers: Sequence[str], guesses: Sequence[str], duplicates: str) -> None:
        self.answers, self.guesses, self.duplicates = tuple(answers), tuple(guesses), duplicates
        self.index = {word: i for i, word in enumerate(self.guesses)}
        self.score = FEEDBACK[duplicates]
        self._letters = np.array([[ord(letter) for letter in word] for word in self.answers], np.int16)
        self._table = np.zeros((len(self.guesses), len(self.answers)), np.uint8)
        self._filled = np.zeros(len(self.guesses), bool)
        self.answer_index = {word: i for i, word in enumerate(self.answers)}
        self._rows: list[bytes | None] = [None] * len(self.guesses)

    def code(self, guess: int, answer: int) -> int:
        """Feedback code of one pair of indices: a look-up in a row of bytes, made at the first use of a guess."""
        row = self._rows[guess]
        if row is None:
            row = self._rows[guess] = self.row(guess).tobytes()
        return row[answer]

    def codes(self, guesses: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """Feedback codes (uint8) of pairs of indices into `guesses` and `answers`."""
        if not self._filled[guesses].all():
            for guess in np.unique(guesses[~self._filled[guesses]]).tolist():
                self.row(guess)
        return self._table[guesses, answers]

    def row(self, guess: int) -> np.ndarray:
        """Feedback of one guess against every answer: uint8 ``[answers]``."""
        if not self._filled[guess]:
            self._table[guess] = self._feedback_row(self.guesses[guess])
            self._filled[guess] = True
        return self._table[guess]

    def _feedback_row(self, guess: str) -> np.ndarray:
        letters = np.array([ord(letter) for letter in guess], np.int16)
        placed = self._letters == letters
        marks = np.where(placed, PLACED, ABSENT).astype(np.int16)
        if self.duplicates == "independent":
            for i in range(WORD_LENGTH):
                elsewhere = (self._letters == letters[i]).any(axis=1) & ~placed[:, i]
                marks[elsewhere, i] = ELSEWHERE
        else:
            free = ~placed  # letters of the answer that have not paid for a mark yet
            for i in range(WORD_LENGTH):
                candidates = free & (self._letters == letters[i])
                wanted = ~placed[:, i] & candidates.any(axis=1)
                marks[wanted, i] = ELSEWHERE
                rows = np.flatnonzero(wanted)
                free[rows, candidates[rows].argmax(axis=1)] = False
        weights = 3 ** np.arange(WORD_LENGTH - 1, -1, -1)
        return (marks @ weights).astype(np.uint8)


def _read_bundled(name: str) -> tuple[str, ...]:
    return tuple(resources.files("lmrl_envs.wordle").joinpath("words", f"{name}.txt").read_text("ascii").split())


def _check_words(words: Any, source: str) -> tuple[str, ...]:
    if isinstance(words, str) or not isinstance(words, Sequence) or not words:
        raise ValueError(f"vocabulary must be 'common', 'full', a path or a list of words, got {source}")
    if len(words) > MOST_WORDS:
        raise ValueError(f"{source}: {len(words)} words, at most {MOST_WORDS} can be played with")
    bad = [n for n, word in enumerate(words, 1) if not isinstance(word, str) or not re.fullmatch(r"[a-z]{5}", word)]
    if bad:  # its content is not quoted: it may be any file
        raise ValueError(f"{source}: words must be five letters a-z; word {bad[0]} of {len(words)} is not")
    if len(set(words)) != len(words):
        raise ValueError(f"{source}: a word occurs twice")
    return tuple(words)


@lru_cache(maxsize=8)
def _bundled_list(name: str, duplicates: str) -> WordList:
    answers, guesses = (_read_bundled(part) for part in _BUNDLED[name])
    return WordList(answers, guesses, duplicates)


def load_words(vocabulary: str | Sequence[str], duplicates: str = "standard") -> WordList:
    """A word list by name ("common", "full"), from a file of words, or from a list. Bundled lists are shared.

    Raises:
        ValueError: no such name or file, or words that are not five letters.
    """
    if isinstance(vocabulary, str) and vocabulary in _BUNDLED:
        return _bundled_list(vocabulary, duplicates)
    if isinstance(vocabulary, str):
        from lmrl_envs.files.untrusted import read_bytes  # only to read a file

        path = named_file("a file of words", vocabulary)
        try:
            words = read_bytes(path).decode("utf-8").split()
        except (OSError, ValueError) as problem:
            raise ValueError(
                f"vocabulary={vocabulary!r} is neither one of {', '.join(_BUNDLED)} nor a readable file of words: {problem}"
            ) from None
        words = _check_words(words, vocabulary)
    else:
        words = _check_words(vocabulary, "vocabulary")
    return WordList(words, words, duplicates)


@lru_cache(maxsize=2)
def load_tree(name: str) -> dict[str, Any]:
    """The bundled decision tree of a bundled list (see tools/wordle_trees.py): ``{"guess": word, "next": {code: subtree}}``."""
    return json.loads(resources.files("lmrl_envs.wordle").joinpath("words", f"tree_{name}.json").read_text("ascii"))
