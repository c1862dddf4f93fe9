"""reasoning-gym's generators: a question, one answer, the generator's own score of it."""

from __future__ import annotations

from lmrl_envs.files import needs
from lmrl_foreign.env import Said


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        needs("foreign/Reasoning", "reasoning_gym")
        self.name = name
        self.instructions = "Answer the question. Your first answer counts; write nothing else."

    def start(self, seed: int) -> str:
        import reasoning_gym

        self.data = reasoning_gym.create_dataset(self.name, size=1, seed=seed)
        self.entry = self.data[0]
        return self.entry["question"]

    def play(self, action: str) -> Said:
        score = float(self.data.score_answer(action.strip() or None, self.entry))
        return Said("Right." if score == 1.0 else "Wrong.", score, True, False, bool(action.strip()), score == 1.0)
