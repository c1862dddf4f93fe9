"""The reward protocol: a reward is any object with ``score(trajectories)``, one number per action.

What a task itself pays is called gold, and stands behind a wall: a reward reads `Trajectory`, which holds none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from lmrl_envs import Transcript
from lmrl_envs.doors import told
from lmrl_envs.files.untrusted import LARGEST, shown

TASK = "task"
"""The spec of the task's own reward."""


class RewardError(RuntimeError):
    """A reward cannot be loaded, or gives no number; the message says which and why."""


@dataclass(frozen=True)
class Trajectory:
    """A game as a reward reads it: the conversation, and how it ended."""

    env_id: str
    transcript: Transcript
    """Its rewards are all 0: see `Trajectory.of`. Its last text may be an action that is not answered yet."""
    terminated: bool = False
    truncated: bool = False
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        env_id: str,
        transcript: Transcript,
        terminated: bool = False,
        truncated: bool = False,
        env_kwargs: Mapping[str, Any] | None = None,
    ) -> Trajectory:
        """A game without what it was paid."""
        blind = Transcript(turn._replace(reward=0.0) for turn in transcript)
        return cls(env_id, blind, terminated, truncated, dict(env_kwargs or {}))


@runtime_checkable
class Reward(Protocol):
    """Rewards actions."""

    def score(self, trajectories: Sequence[Trajectory]) -> Sequence[Sequence[float]]:
        """For each trajectory one finite number per action, in order.

        The numbers of a trajectory must depend on it alone, and an action's on nothing that was said after the answer to it.

        Optional beside it: ``fingerprint() -> str``, which identifies weights; ``describe() -> dict`` (JSON-able).
        """
        ...


def scored(reward: Reward, name: str, trajectories: Sequence[Trajectory]) -> list[tuple[float, ...]]:
    """What a reward gives, checked.

    Args:
        reward: the reward.
        name: its spec, for messages.
        trajectories: what is rewarded.

    Raises:
        RewardError: it fails, or gives something else than one finite number per action.
    """
    if not trajectories:
        return []
    try:
        given = islice(reward.score(trajectories), len(trajectories) + 1)  # what never ends is not waited for
        most = max(len(trajectory.transcript) for trajectory in trajectories) + 1
        found = [tuple(float(value) for value in islice(values, most)) for values in given]
    except (RewardError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # that it asks for the end, too
        raise RewardError(f"reward {name!r}: {told(problem)}") from None
    if len(found) != len(trajectories):
        raise RewardError(f"reward {name!r} scored {len(found)} trajectories, it was given {len(trajectories)}")
    for values, trajectory in zip(found, trajectories, strict=True):
        actions = trajectory.transcript.actions
        if len(values) != len(actions):
            raise RewardError(f"reward {name!r} gave {len(values)} numbers for {len(actions)} actions")
        for value, action in zip(values, actions, strict=True):
            if not abs(value) <= LARGEST:
                raise RewardError(f"reward {name!r} gave {value} for the action {shown(action)!r}")
    return found
