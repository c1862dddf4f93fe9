"""TextArena's games for one player. It pays when a game is closed."""

from __future__ import annotations

from lmrl_envs.files import needs
from lmrl_foreign.env import Said


class Game:
    """See `lmrl_foreign.env.Source`."""

    def __init__(self, name: str) -> None:
        needs("foreign/TextArena", "textarena")
        import textarena

        self.env = textarena.make(name)
        self.instructions = (
            f"Play {name.partition('-')[0]}. The game says how; it reads what stands in square brackets."
        )

    def start(self, seed: int) -> str:
        self.env.reset(num_players=1, seed=seed)
        return self._told()

    def _told(self, said: str = "") -> str:
        _, observations = self.env.get_observation()
        own = (
            [part[1] for part in observations if part[1] != said] if isinstance(observations, list) else [observations]
        )
        return "\n".join(map(str, own)).strip()

    def play(self, action: str) -> Said:
        over, _ = self.env.step(action)
        if not over:
            text = self._told(action)
            return Said(text, 0.0, False, False, "invalid" not in text.lower())
        rewards, info = self.env.close()
        told = info.get(0, {})
        text = str(told.get("reason", "The game is over."))
        limit = "turn limit" in text.lower()
        reward = float((rewards or {}).get(0, 0.0))
        invalid = bool(told.get("invalid_move"))
        return Said(text, reward, not limit, limit, not invalid, reward >= 1.0 and not invalid)
