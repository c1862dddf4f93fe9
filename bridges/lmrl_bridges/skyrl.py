"""Every task as an environment of SkyRL-Gym (read against skyrl-gym 0.4).

    import lmrl_bridges.skyrl                  # registers "lmrl"
    lmrl_bridges.skyrl.rows("lmrl/Wordle-v0", 1000)   # of the training data: env_class, prompt, seed

SkyRL-Gym has no seed and no reset: an environment is made for one game, which the row of the data names, so that the rollouts of a
group play the same one. Trainers add up the rewards and end games themselves; see ``rewards`` of `Game`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skyrl_gym import register
from skyrl_gym.envs.base_text_env import BaseTextEnv, BaseTextEnvStepOutput, ConversationType

from lmrl_bridges.game import Game, game_rows
from lmrl_envs.core import check_choice

ID = "lmrl"


@dataclass(frozen=True)
class _Kind:
    """Games of one task with the same arguments."""

    turn_limit: int
    kept: bool
    """Whether a game that was let go of is played again: not where it holds a partner who lives elsewhere."""
    idle: list[Game] = field(default_factory=list)
    """Played and let go of: to make an environment takes as long as ten games of Wordle."""


_KINDS: dict[str, _Kind] = {}


class LmrlEnv(BaseTextEnv):
    """One game.

    Args:
        env_config: of the trainer, for all games: ``env_id``, ``env_kwargs``, ``rewards``, ``max_turns``.
        extras: of the row: ``seed``, and where it differs ``env_id``, ``env_kwargs``, ``max_turns``.
    """

    def __init__(self, env_config: Mapping[str, Any] | None = None, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        said = {**(env_config or {}), **(extras or {})}
        self.game, self._kind = _game(said["env_id"], said.get("env_kwargs"))
        self.game.rewards = check_choice("rewards", said.get("rewards", "score"), ("step", "score"))
        self.seed, self._result, self._closed = said.get("seed"), None, False
        self.max_turns = int(said.get("max_turns") or self._kind.turn_limit)

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
        if self._closed:
            return
        self._closed, self._result = True, self.get_metrics()
        if self._kind.kept:
            self._kind.idle.append(self.game)
        else:
            self.game.close()


def _game(env_id: str, env_kwargs: Mapping[str, Any] | None) -> tuple[Game, _Kind]:
    kwargs = dict(env_kwargs or {})
    name = f"{env_id} {sorted(kwargs.items())}" if kwargs else env_id
    kind = _KINDS.get(name)
    if kind is not None:
        try:  # trainers close and begin games in threads: the last idle one may be taken between a look and a grasp
            return kind.idle.pop(), kind
        except IndexError:
            return Game(env_id, kwargs), kind
    game = Game(env_id, kwargs)
    limit = game.row.surface.turn_limit(game.env) or 10**9
    return game, _KINDS.setdefault(name, _Kind(limit, not game.row.is_live(kwargs)))


def rows(env_id: str, games: int, seed: int = 0, **arguments: Any) -> list[dict[str, Any]]:
    """Training data: as `game_rows`, with SkyRL's column ``env_class``."""
    return [{**row, "env_class": ID} for row in game_rows(env_id, games, seed, **arguments)]


register(ID, f"{__name__}:LmrlEnv")
