"""Players of Wordle. They read either form of feedback, and know the word list, as every player does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.wordle.rules import SOLVED, WordList, clean_guess, load_tree, load_words, parse_feedback

History = tuple[tuple[str, int], ...]


def history(transcript: Transcript, words: WordList) -> History:
    """The valid guesses so far with their feedback codes."""
    known = []
    for i in range(1, len(transcript) - 1, 2):
        guess, code = clean_guess(transcript[i].text), parse_feedback(transcript[i + 1].text)
        if code is not None and guess in words.index:
            known.append((guess, code))
    return tuple(known)


class _WordlePolicy(ScriptedPolicy):
    def __init__(
        self, seed: int = 0, vocabulary: str | Sequence[str] = "common", duplicates: str = "standard", **_: Any
    ) -> None:
        super().__init__(seed)
        self.vocabulary = vocabulary if isinstance(vocabulary, str) else None
        self.words = load_words(vocabulary, duplicates)
        self._consistent = lru_cache(maxsize=4096)(self._find_consistent)

    def _find_consistent(self, known: History) -> np.ndarray:
        """Indices of the answers that fit all feedback."""
        if not known:
            return np.arange(len(self.words.answers))
        guess, code = known[-1]
        before = self._consistent(known[:-1])
        return before[self.words.row(self.words.index[guess])[before] == code]


class RandomPolicy(_WordlePolicy):
    """A uniform word of the guess list."""

    def act(self, transcript: Transcript) -> str:
        return self.pick(self.words.guesses)


class SuboptimalPolicy(_WordlePolicy):
    """With probability .34 a uniform word among those still possible, else a uniform word of the list.

    This is the behaviour policy of LMRL-Gym's dataset (arXiv 2311.18232, appendix C.3, with the proportion that
    reproduces its Table 1).
    """

    consistent_share = 0.34

    def act(self, transcript: Transcript) -> str:
        if self.random.random() < self.consistent_share:
            possible = self._consistent(history(transcript, self.words))
            if len(possible):
                return self.words.answers[self.pick(possible)]
        return self.pick(self.words.guesses)


class ExpertPolicy(_WordlePolicy):
    """The bundled decision tree; off the tree, the guess that splits the possible answers into most classes.

    On the 431 common words the tree is optimal (proof: tools/wordle_trees.py searches exhaustively).
    """

    def act(self, transcript: Transcript) -> str:
        known = history(transcript, self.words)
        node = self._tree()
        for guess, code in known:
            if node is None or node["guess"] != guess:
                return self._split(known)
            node = node.get("next", {}).get(str(code))
        return node["guess"] if node is not None else self._split(known)

    def is_best(self, transcript: Transcript, action: str) -> bool:
        """Whether a guess is the expert's, or one of at most two words still possible (others as good may exist)."""
        guess = clean_guess(action)
        possible = self._consistent(history(transcript, self.words))
        if 1 <= len(possible) <= 2:
            return guess in {self.words.answers[i] for i in possible}
        return guess == self.act(transcript)

    def _tree(self) -> dict[str, Any] | None:
        if self.vocabulary not in ("common", "full") or self.words.duplicates != "standard":
            return None
        return load_tree(self.vocabulary)["tree"]

    def _split(self, known: History) -> str:
        possible = self._consistent(known)
        if len(possible) == 0:  # contradictory feedback: not from this word list
            return self.words.guesses[0]
        if len(possible) <= 2:
            return self.words.answers[possible[0]]
        return _best_split(self.words, possible.tobytes())


@lru_cache(maxsize=4096)  # of the word list, not of a policy: there is one policy a game
def _best_split(words: WordList, key: bytes) -> str:
    possible = np.frombuffer(key, dtype=np.int64)
    best, best_rank = "", (-1, False)
    answers = {words.answers[i] for i in possible}
    # A long guess list is thinned to the possible answers and a fixed sample: good play, bounded time.
    step = max(1, len(words.guesses) // 1500)
    for guess in dict.fromkeys([*sorted(answers)[:1500], *words.guesses[::step]]):
        classes = len(np.unique(words.row(words.index[guess])[possible]))
        rank = (classes, guess in answers)
        if rank > best_rank:
            best, best_rank = guess, rank
    return best


POLICIES = {"random": RandomPolicy, "suboptimal": SuboptimalPolicy, "expert": ExpertPolicy, "mixed": SuboptimalPolicy}

__all__ = ["POLICIES", "SOLVED", "ExpertPolicy", "RandomPolicy", "SuboptimalPolicy"]
