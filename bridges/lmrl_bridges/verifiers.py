"""Every task as a taskset of verifiers, and so for prime-rl and the Environments Hub (read against verifiers 0.4).

    eval lmrl-games -m MODEL --env.taskset.env lmrl/TwentyQuestions-v1 --env.taskset.games 20 --env.player.harness.id null

`bridges/verifiers_hub` is the package ``lmrl-games`` for the hub, which looks for a module of its own name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf
from pydantic import Field

from lmrl_bridges.game import Game, borrowed, game_rows
from lmrl_envs.seeding import Stream


class LmrlConfig(vf.TasksetConfig):
    """Which games are played."""

    env: str = ""
    """Task id, module:id or file.py:id: not to be left out, although `vf-eval` makes a configuration without arguments first."""
    games: int = Field(1000, ge=1)
    """How many."""
    seed: int = 0
    """Base seed of the games."""
    stream: Stream = "train"
    """What they are for: ``train``, ``validation`` or ``evaluation``, whose games are those of ``lmrl eval``."""
    env_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the environment."""


class LmrlData(vf.TaskData):
    """A game as a task: all rollouts of it play the same one."""

    env_id: str
    env_kwargs: dict[str, Any]
    seed: int


class LmrlTask(vf.Task[LmrlData, vf.State, vf.TaskConfig]):
    """A game."""


class LmrlTaskset(vf.Taskset[LmrlTask, LmrlConfig]):
    """Games of one task."""

    def load(self) -> Iterator[LmrlTask]:
        """The games, in the order of their numbers; the opening is the prompt."""
        config = self.config
        first = Game(config.env, config.env_kwargs)
        for row in game_rows(config.env, config.games, config.seed, config.stream, config.env_kwargs):
            data = LmrlData(
                name=f"{first.row.id}#{row['index']}",
                prompt=first.reset(row["seed"]),
                system_prompt=first.instructions,
                env_id=row["env_id"],
                env_kwargs=row["env_kwargs"],
                seed=row["seed"],
            )
            yield LmrlTask(data, config.task)
        first.close()


class LmrlEnvConfig(vf.EnvConfig):
    """Who plays."""

    player: vf.AgentConfig = vf.AgentConfig()


class LmrlEnv(vf.Env[LmrlEnvConfig]):
    """The player's messages are actions, the environment is its user."""

    async def run(self, task: LmrlTask, agents: vf.Agents) -> None:
        """Play a game. One that is cut off, by a limit or an error, has the task's least return."""
        game = borrowed(task.data.env_id, task.data.env_kwargs)
        game.reset(task.data.seed)
        try:
            async with agents.player.interaction(task) as interaction:
                segment = await interaction.turn()
                while not segment.terminated:
                    text = game.step(segment.last_reply)[0]
                    if game.over:
                        break
                    segment = await interaction.turn(text)
            interaction.trace.record_reward("return", game.score)
            for name, value in game.result.items():
                if name != "return":
                    interaction.trace.record_metric(name, value)
            interaction.trace.info["actions"] = list(game.transcript.actions)
        finally:
            game.let_go()


__all__ = ["LmrlConfig", "LmrlEnv", "LmrlEnvConfig", "LmrlTaskset"]
