"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.surface import Invariants, Picture, Surface, quoted
from lmrl_envs.wordle.rules import MARKS, MAX_GUESSES, PLAIN, WORD_LENGTH, clean_guess, parse_feedback


class WordleSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    # -- how it looks

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        rows: list[dict[str, Any]] = []
        keys: dict[str, str] = {}
        for action, told in zip(transcript.actions, transcript.observations[1:], strict=True):
            code, guess = parse_feedback(told), clean_guess(action)
            if code is None or len(guess) != WORD_LENGTH:
                rows.append({"guess": action[:20], "marks": None})
                continue
            marks = PLAIN[code].replace(" ", "")
            rows.append({"guess": guess, "marks": marks})
            for letter, mark in zip(guess, marks, strict=True):
                keys[letter] = max(mark, keys.get(letter, mark), key=MARKS.index)
        return {"kind": "tiles", "rows": rows, "keys": keys, "length": WORD_LENGTH, "guesses": MAX_GUESSES}

    # -- playing it by hand

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if clean_guess(action) in env.words.index:
            return None
        return f'{quoted(action)} is not in this task\'s word list: it is answered "invalid" and uses up a guess.'

    def turn_limit(self, env: Any) -> int:
        return MAX_GUESSES

    # -- what is tried on it, and what must hold then

    variants = (
        {"feedback": "paired"},
        {"duplicates": "independent"},
        {"vocabulary": ["crane", "crank", "eerie", "mamma"]},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0}), truncates=False)


SURFACE = WordleSurface()
