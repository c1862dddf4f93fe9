"""GEM's games."""

from __future__ import annotations

from lmrl_envs.files import needs
from lmrl_foreign.env import Said


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        needs("foreign/Gem", "gem")
        import gem

        self.env = gem.make(name)
        self.instructions = (
            f"Play {name.split(':')[-1].partition('-')[0]}. The game says how; it reads what stands in \\boxed{{}}."
        )

    def start(self, seed: int) -> str:
        return str(self.env.reset(seed=seed)[0])

    def play(self, action: str) -> Said:
        text, reward, terminated, truncated, _ = self.env.step(action)
        won = bool(terminated) and "ongratulations" in str(text)
        cut = bool(truncated) and not won
        valid = (
            "invalid" not in str(text) and "did not provide" not in str(text) and "outside the range" not in str(text)
        )
        return Said(str(text), float(reward), bool(terminated) and not cut, cut, valid, won)
