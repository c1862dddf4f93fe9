"""How the task looks, and what is known of it beside the game."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmrl_envs import Transcript
from lmrl_envs.language.answers import FixedForm, Mention, Tool, plain
from lmrl_envs.partners.attacks import Target
from lmrl_envs.surface import Invariants, Picture, Surface
from toy_task.attacks import Numbers
from toy_task.rules import GUESSES, HIGHEST, LOWEST


class NumberForm(FixedForm):
    """A number, in an answer that is nothing else or in running text."""

    tool = Tool("guess", "number", "Guess a number.", "the number, in digits")

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text)
        return line if line.isascii() and line.isdigit() else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        return [Mention(found.start(), found[0]) for found in re.finditer(r"\b\d{1,3}\b", text)]


class HotColdSurface(Surface):
    """A list of what was said; report, page and terminal draw it alike. Language models answer with a `NumberForm`."""

    answer_form = NumberForm()

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        pairs = zip(transcript.actions, transcript.observations[1:], strict=True)
        lines = [transcript[0].text, *(f"{action[:20]}: {told}" for action, told in pairs)]
        return {"kind": "list", "lines": lines, "actions": []}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if action.strip() in map(str, range(LOWEST, HIGHEST + 1)):
            return None
        return f"That is no number from {LOWEST} to {HIGHEST}: it uses up a guess."

    def turn_limit(self, env: Any) -> int:
        return GUESSES

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str]:
        """Bisection finds 2**k of the numbers with guess k + 1."""
        n = kwargs.get("highest", HIGHEST)
        return -sum(i.bit_length() - 1 for i in range(1, n + 1)) / n, "exact", "bisection"

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0}), truncates=False)

    def attacks(self) -> Target:
        return Numbers()


SURFACE = HotColdSurface()
