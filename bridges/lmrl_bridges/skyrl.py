"""Every task as an environment of SkyRL-Gym (read against skyrl-gym 0.4).

    import lmrl_bridges.skyrl                  # registers "lmrl"
    lmrl_bridges.skyrl.rows("lmrl/Wordle-v0", 1000)   # of the training data: env_class, prompt, seed

SkyRL-Gym has no seed and no reset: an environment is made for one game, which the row of the data names, so that the rollouts of a
group play the same one. Trainers add up the rewards and end games themselves; see ``rewards`` of `Game`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skyrl_gym import register
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput, ConversationType

from lmrl_bridges.game import borrowed, game_rows
from lmrl_envs.core import check_choice

ID = "lmrl"


class LmrlEnv(BaseTextEnv):
    """One game.

    Args:
        env_config: of the trainer, for all games: ``env_id``, ``env_kwargs``, ``rewards``, ``max_turns``.
        extras: of the row: ``seed``, and where it differs ``env_id``, ``env_kwargs``, ``max_turns``.
    """

    def __init__(self, env_config: Mapping[str, Any] | None = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        said = {**(env_config or {}), **(extras or {})}
        self.game = borrowed(said["env_id"], said.get("env_kwargs"))
        self.game.rewards = check_choice("rewards", said.get("rewards", "score"), ("step", "score"))
        self.seed, self._result, self._closed = said.get("seed"), None, False
        limit = said.get("max_turns") or self.game.row.surface.turn_limit(self.game.env)
        self.max_turns = int(limit or 10**9)

    def init(self, prompt: ConversationType) -> tuple[ConversationType, dict[str, Any]]:
        """Begin the game; the row's prompt with the opening text as the user's message."""
        opening = self.game.reset(self.seed)
        return [*prompt, {"role": "user", "content": opening}], {"env_id": self.game.row.id}

    def step(self, action: str) -> BaseTextEnvStepOutput:
        """Play what the model wrote."""
        self.turns += 1
        text, reward, terminated, truncated, info = self.game.step(action)
        over = terminated or truncated
        return {
            "observations": [] if over else [{"role": "user", "content": text}],
            "reward": reward,
            "done": over or self.turns >= self.max_turns,
            "metadata": {**info, "text": text, "terminated": terminated, "truncated": truncated},
            "postprocessed_action": None,
        }

    def get_metrics(self) -> dict[str, Any]:
        """Return, success, turns and valid share of the game; the least return of one that was not finished."""
        if self._result is None and self.game.over:
            self._result = self.game.result
        return self._result or self.game.result

    def close(self) -> None:
        """Let go of the game: the next one of its kind is played in its environment."""
        if not self._closed:
            self._closed, self._result = True, self.get_metrics()
            self.game.let_go()


def rows(env_id: str, games: int, seed: int = 0, **arguments: Any) -> list[dict[str, Any]]:
    """Training data: as `game_rows`, with SkyRL's column ``env_class``."""
    return [{**row, "env_class": ID} for row in game_rows(env_id, games, seed, **arguments)]


register(ID, f"{__name__}:LmrlEnv")
