"""How rewards are found: by name, by module, or by file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_agents.rewards.protocol import TASK, Reward, RewardError, Trajectory
from lmrl_envs import doors


class TaskReward:
    """What the task itself pays: never asked, because every game holds it."""

    def score(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        """As `Reward.score`.

        Raises:
            RewardError: always.
        """
        raise RewardError("the task's own reward is read off its games, and is no part of another one")


def load_reward(spec: str) -> Reward:
    """Make a reward.

    Args:
        spec: an installed name (``task``), one with an argument (``learned:runs/model``), ``module:factory`` or
            ``path/file.py:factory``, each perhaps with ``:argument``. A factory is called with the argument, if there is one.

    Raises:
        ValueError: there is none of this name.
        RewardError: it cannot be made, or is no reward.
    """
    factory, argument = doors.find("lmrl.rewards", spec)
    try:
        reward = factory(argument) if argument else factory()
    except (RewardError, ValueError, OSError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # that it asks for the end, too
        raise RewardError(f"reward {spec!r} cannot be made: {doors.told(problem)}") from None
    if not isinstance(reward, Reward):
        raise RewardError(f"reward {spec!r}: {type(reward).__name__} has no method score(trajectories)")
    return reward


def check_reward(spec: str, env_kwargs: Mapping[str, Any]) -> None:
    """Check that a reward may be optimised in a game, without loading it.

    Raises:
        ValueError: there is no such reward, or the game's own, which it is compared with, would not be gold.
    """
    doors.check("lmrl.rewards", spec)
    if spec != TASK and "reward" in env_kwargs:
        raise ValueError(
            f"reward={env_kwargs['reward']!r} changes what the task itself pays, and --reward {spec} replaces that: give one of them"
        )
