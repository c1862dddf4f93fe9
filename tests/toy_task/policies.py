"""Players."""

from __future__ import annotations

import random
from typing import Any

from lmrl_envs import Transcript
from toy_task.rules import HIGHEST, LOWEST


class RandomPolicy:
    """A uniform number."""

    def __init__(self, seed: int = 0, highest: int = HIGHEST, **_: Any) -> None:
        self.random, self.highest = random.Random(seed), highest

    def act(self, transcript: Transcript) -> str:
        return str(LOWEST + int(self.random.random() * self.highest))


class ExpertPolicy(RandomPolicy):
    """Bisection: the middle of what is still possible."""

    def act(self, transcript: Transcript) -> str:
        low, high = LOWEST, self.highest
        for guess, told in zip(transcript.actions, transcript.observations[1:], strict=True):
            if told == "higher":
                low = max(low, int(guess) + 1)
            elif told == "lower":
                high = min(high, int(guess) - 1)
        return str((low + high) // 2)


class SuboptimalPolicy(ExpertPolicy):
    """Bisection every other time."""

    def act(self, transcript: Transcript) -> str:
        return super().act(transcript) if self.random.random() < 0.5 else RandomPolicy.act(self, transcript)


POLICIES = {"random": RandomPolicy, "suboptimal": SuboptimalPolicy, "expert": ExpertPolicy}
