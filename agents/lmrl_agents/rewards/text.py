"""Rewards read off the words of a conversation (``text:sentiment``), behind the door: see `lmrl_envs.language.conversation`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from lmrl_agents.rewards.protocol import RewardError, Trajectory
from lmrl_envs.language.conversation import NAMES, text_reward


class TextReward:
    """One reward of `NAMES`, or a weighted sum of several.

    Args:
        argument: a name, or names with weights: ``{question: .3, repetition: .5}``.

    Raises:
        RewardError: there is no such reward, or no such weight.
        gymnasium.error.DependencyNotInstalled: it needs the extra ``chat``.
    """

    def __init__(self, argument: str = "") -> None:
        self.weights = _weights(argument)
        for name in self.weights:
            text_reward(name, ("", "", ""), False)

    def score(self, trajectories: Sequence[Trajectory]) -> list[list[float]]:
        """As `lmrl_agents.rewards.protocol.Reward.score`."""
        return [self._of(one) for one in trajectories]

    def _of(self, one: Trajectory) -> list[float]:
        texts, ended = [turn.text for turn in one.transcript], one.terminated or one.truncated
        columns = [
            [weight * value for value in text_reward(name, texts, ended)] for name, weight in self.weights.items()
        ]
        return [math.fsum(values) for values in zip(*columns, strict=True)]

    def describe(self) -> dict[str, Any]:
        """The weights."""
        return {"weights": dict(self.weights)}


def _weights(argument: str) -> dict[str, float]:
    body = argument.strip()
    given = body[1:-1].split(",") if body.startswith("{") and body.endswith("}") else [f"{body}: 1"]
    weights: dict[str, float] = {}
    for part in given:
        name, _, weight = (own.strip().strip("\"'") for own in part.partition(":"))
        if name not in NAMES or name in weights:
            raise RewardError(f"text:{argument} names no reward of words, or one twice; there are: {', '.join(NAMES)}")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = math.nan
        if not math.isfinite(weights[name]):
            raise RewardError(
                f"text:{argument}: {name} has no finite weight, as in text:{{question: .3, laughter: .5}}"
            )
    return weights
