"""reasoning-gym's generators: a question, one answer, the generator's own score of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from lmrl_envs.files import needs
from lmrl_foreign.env import Said


@cache
def questions(name: str) -> Any:
    """A generator's questions by their seeds: its data set of seed 0 draws the k-th by seed k. Some read a book each time they are made."""
    import reasoning_gym

    return reasoning_gym.create_dataset(name, size=2**31, seed=0)


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        needs("foreign/Reasoning", "reasoning_gym")
        self.name = name
        self.instructions = "Answer the question. Your first answer counts; write nothing else."

    def start(self, seed: int) -> str:
        self.entry = questions(self.name)[seed]
        return self.entry["question"]

    def play(self, action: str) -> Said:
        score = float(questions(self.name).score_answer(action.strip() or None, self.entry))
        return Said("Right." if score == 1.0 else "Wrong.", score, True, False, bool(action.strip()), score == 1.0)
