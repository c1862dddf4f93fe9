"""Many games of Wordle at once: guesses and secrets as indices, feedback as one table look-up."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmrl_envs.core import draw_index
from lmrl_envs.vector import ArrayTextVectorEnv
from lmrl_envs.wordle.env import GUESS_REWARD, OPENING, SOLVED_REWARD, WordleEnv
from lmrl_envs.wordle.rules import INVALID, MAX_GUESSES, PLAIN, SOLVED, clean_guess, paired_text

_TEXTS = np.array([*PLAIN, INVALID], dtype=object)
_INVALID = len(PLAIN)


class WordleVectorEnv(ArrayTextVectorEnv):
    """Vector entry point of Wordle."""

    env_class = WordleEnv
    _prototype: WordleEnv

    def _build(self) -> None:
        super()._build()
        self._words = self._prototype.words
        self._secrets = np.zeros(self.num_envs, np.int64)
        self._answers = np.array(self._words.answers, dtype=object)

    def _begin_game(self, slot: int, rng: np.random.Generator, options: dict[str, Any]) -> str:
        if "secret" in options:
            self._prototype._begin(options)  # raises for a word that is no answer
            self._secrets[slot] = self._words.answer_index[options["secret"]]
        else:
            self._secrets[slot] = draw_index(rng, len(self._answers))
        return OPENING

    def _play_arrays(self, actions, slots):  # type: ignore[no-untyped-def]
        index = self._words.index
        found = [index.get(action, -1) for action in actions]
        if -1 in found:
            found = [
                index.get(clean_guess(action), -1) if i < 0 else i for i, action in zip(found, actions, strict=True)
            ]
        guesses = np.array(found, np.int64)
        where = slice(None) if slots is None else slots
        valid = guesses >= 0
        codes = self._words.codes(guesses, self._secrets[where])
        if not valid.all():
            codes = np.where(valid, codes, np.uint8(_INVALID))
        solved = codes == SOLVED
        rewards = np.where(solved, SOLVED_REWARD, GUESS_REWARD)
        terminated = solved | (self._turns[where] >= MAX_GUESSES)
        texts = _TEXTS[codes].tolist()
        if self._prototype.feedback == "paired":
            texts = [
                INVALID if code == _INVALID else paired_text(self._words.guesses[guess], code)
                for guess, code in zip(found, codes.tolist(), strict=True)
            ]
        revealed = {"success": solved}
        if terminated.any():
            revealed["secret"] = self._answers[self._secrets[where]]
        return texts, rewards, terminated, np.zeros(len(codes), bool), valid, revealed

    def _game_state(self, slot: int) -> dict[str, Any]:
        return {"secret": self._words.answers[self._secrets[slot]]}
