"""The environment: parse, call the rules, word the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs import TextEnv
from lmrl_envs.core import Outcome, draw_index
from lmrl_envs.vector import vector_of
from toy_task.rules import GUESSES, HIGHEST, LOWEST, answer


class HotColdEnv(TextEnv):
    """Find a number.

    **Action**: a number. **Observation**: ``higher``, ``lower``, ``found`` or ``invalid``. **Reward**: -1 a guess, 0 for
    the right one. **End**: terminated when found and after seven guesses. **Options**: ``{"secret": number}``.
    """

    option_keys = frozenset({"secret"})

    def __init__(self, highest: int = HIGHEST, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        if not LOWEST < highest <= HIGHEST:
            raise ValueError(f"highest={highest!r} is not a number from {LOWEST + 1} to {HIGHEST}")
        self.highest = highest
        self.instructions = (
            f"Find a whole number from {LOWEST} to {highest}. Answer with a number only. You have {GUESSES} guesses."
        )

    def _begin(self, options: Mapping[str, Any]) -> str:
        secret = options.get("secret", LOWEST + draw_index(self.np_random, self.highest))
        if secret not in range(LOWEST, self.highest + 1):
            raise ValueError(f"secret={secret!r} is not a number from {LOWEST} to {self.highest}")
        self._secret = secret
        return "Which number?"

    def _play(self, action: str) -> Outcome:
        last = self.turn + 1 >= GUESSES
        text = action.strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            return "invalid", -1.0, last, False, {"valid": False}
        told = answer(int(text), self._secret)
        found = told == "found"
        return told, 0.0 if found else -1.0, found or last, False, {"valid": True}

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._rewards[-1] == 0.0, "secret": self._secret}

    game_fields = {"secret": int}

    def _get_game(self) -> dict[str, Any]:
        return {"secret": self._secret}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._secret = state["secret"]


HotColdVectorEnv = vector_of(HotColdEnv)
