"""Play recorded actions again: what makes a dataset or an evaluation checkable without the player."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from lmrl_datasets.schema import DatasetError, Episode, to_json
from lmrl_envs import Task
from lmrl_envs.files.arguments import from_elsewhere
from lmrl_envs.files.untrusted import shown


def make_recorded(
    row: Task, recorded: Mapping[str, Any], where: str, own: Mapping[str, Any] | None = None, folder: Path | None = None
) -> gymnasium.Env[str, str]:
    """The environment that a record, an archive or a dataset names.

    Args:
        row: the task's row.
        recorded: arguments as they are recorded: anybody's (see `lmrl_envs.files.arguments`).
        where: what errors begin with.
        own: arguments of the caller in place of recorded ones.
        folder: plain files in it may be named, such as recordings that lie with the records.

    Raises:
        DatasetError: the arguments make no environment, or name files or code.
    """
    with from_elsewhere(folder, own or {}):
        try:
            return gymnasium.make(row.id, **{**recorded, **(own or {})})
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, gymnasium.error.Error) as problem:
            if isinstance(problem, gymnasium.error.DependencyNotInstalled) or own:
                raise
            raise DatasetError(
                f"{where}: {row.id} cannot be made with {shown(to_json(recorded))}: {shown(str(problem), 300)}"
            ) from None


def replay_episode(env: Any, episode: Episode, compare_texts: bool = True) -> tuple[list[str], list[dict[str, Any]]]:
    """Play an episode's actions again; returns the T + 1 observations and T infos.

    Raises:
        DatasetError: rewards, ends or (with ``compare_texts``) texts differ from the stored ones.
    """
    where = f"episode {episode.episode_id} (seed {episode.seed})"
    if not (episode.terminated or episode.truncated):
        raise DatasetError(f"{where}: the record ends in mid-game")
    observations, infos = [env.reset(seed=episode.seed, options=dict(episode.options))[0]], []
    terminated = truncated = False
    for turn, (action, stored) in enumerate(zip(episode.actions, episode.rewards, strict=True), start=1):
        if terminated or truncated:
            raise DatasetError(f"{where}: the game ends before turn {turn}, the record goes on")
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        infos.append(info)
        if reward != stored:
            raise DatasetError(f"{where}: turn {turn} earns {reward}, the record says {stored}")
    if (terminated, truncated or episode.stopped) != (episode.terminated, episode.truncated):
        raise DatasetError(f"{where}: ends terminated={terminated}, truncated={truncated}; the record differs")
    if compare_texts and tuple(observations) != episode.observations:
        turn = next((i for i, (a, b) in enumerate(zip(observations, episode.observations, strict=False)) if a != b), -1)
        raise DatasetError(f"{where}: observation {turn} is not what the environment says")
    return observations, infos
