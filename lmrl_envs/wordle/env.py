"""Wordle as an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lmrl_envs.core import Outcome, TextEnv, check_choice, draw_index
from lmrl_envs.language.lists import toml
from lmrl_envs.wordle.rules import FEEDBACK, INVALID, MAX_GUESSES, PLAIN, SOLVED, clean_guess, load_words, paired_text

OPENING = "Wordle:"
GUESS_REWARD, SOLVED_REWARD = -1.0, 0.0
_TEXTS = toml(__file__, "instructions.toml")


class WordleEnv(TextEnv):
    """Wordle.

    **Action**: a word, ``crane`` or ``c r a n e``; case and white space do not matter.
    **Observation**: ``Wordle:`` at first; then one mark per letter, ``g y b b b``, or ``invalid``.
    **Reward**: -1 a guess (an invalid one too), 0 for the right word.
    **End**: terminated when solved, and after six guesses (the limit is a rule of the game).
    **Options**: ``{"secret": word}``, any of the answers.

    Args:
        vocabulary: "common" (431 words), "full" (2,220 answers, 11,014 guesses), a path to a file of words, or a list
            of words (answers and guesses alike).
        feedback: "plain", or "paired": letter, place and mark together, ``c1g r2y a3b n4b e5b``.
        duplicates: "standard", or "independent": every letter judged alone (LMRL-Gym's rule).

    Version history: v0, initial.
    """

    option_keys = frozenset({"secret"})

    def __init__(
        self,
        vocabulary: str | Sequence[str] = "common",
        feedback: Literal["plain", "paired"] = "plain",
        duplicates: Literal["standard", "independent"] = "standard",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        check_choice("feedback", feedback, _TEXTS["marks"])
        check_choice("duplicates", duplicates, FEEDBACK)
        self.words = load_words(vocabulary, duplicates)
        self.feedback = feedback
        self.instructions = _TEXTS["instructions"].format(marks=_TEXTS["marks"][feedback])
        self._allowed, self._answers = self.words.index, self.words.answers
        self._secret = -1

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words that may be guessed."""
        return self.words.guesses

    def _begin(self, options: Mapping[str, Any]) -> str:
        if "secret" in options:
            secret = options["secret"]
            if not isinstance(secret, str) or secret not in self.words.answer_index:
                raise ValueError(f"secret={secret!r} is not one of the {len(self._answers)} answers of this word list")
            self._secret = self.words.answer_index[secret]
        else:
            self._secret = draw_index(self.np_random, len(self._answers))
        return OPENING

    def _play(self, action: str) -> Outcome:
        last = len(self._rewards) + 1 >= MAX_GUESSES
        guess = self._allowed.get(action)
        if guess is None:
            guess = self._allowed.get(clean_guess(action))
            if guess is None:
                return INVALID, GUESS_REWARD, last, False, {"valid": False}
        code = self.words.code(guess, self._secret)
        text = PLAIN[code] if self.feedback == "plain" else paired_text(self.words.guesses[guess], code)
        if code == SOLVED:
            return text, SOLVED_REWARD, True, False, {"valid": True}
        return text, GUESS_REWARD, last, False, {"valid": True}

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._rewards[-1] == SOLVED_REWARD, "secret": self._answers[self._secret]}

    game_fields = {"secret": str}

    def _get_game(self) -> dict[str, Any]:
        return {"secret": self._answers[self._secret]}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._secret = self.words.answer_index[state["secret"]]

    def _draw(self) -> str:
        from lmrl_envs.wordle.surface import SURFACE

        return SURFACE.draw(self)
