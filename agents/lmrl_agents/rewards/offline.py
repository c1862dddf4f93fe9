"""Recorded games paid by another reward than the task's own, as a dataset of its own: what offline algorithms learn from then."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import Trajectory, scored
from lmrl_datasets import Dataset
from lmrl_datasets.generate import SHARD_SIZE, file_name
from lmrl_datasets.schema import Episode
from lmrl_datasets.store import MANIFEST, describe_shard, read_manifest, write_shard
from lmrl_envs.files import write_json

AT_ONCE = 512
"""Games that are scored at once."""


def rewarded(data: Dataset, spec: str, folder: Path) -> Dataset:
    """The same games in the same order, paid by a reward, which sees no gold; kept in a folder, and made once.

    What the task itself paid is in each episode's ``info["gold"]``.

    Raises:
        RewardError: the reward failed, or gave no finite number for each action.
    """
    if not (folder / MANIFEST).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        starts = range(0, len(data), SHARD_SIZE)
        paths = [folder / file_name(k, len(starts)) for k in range(len(starts))]
        for start, path in zip(starts, paths, strict=True):
            write_shard(path, _paid(data, range(start, min(start + SHARD_SIZE, len(data)), AT_ONCE), spec))
        manifest = {**data.manifest, "env_id": data.env_id, "episodes": len(data), "coverage": {}}
        manifest["shards"] = [describe_shard(path) for path in paths]
        manifest["statistics"] = Dataset(folder, manifest).stats()
        write_json(folder / MANIFEST, manifest)
    return Dataset(folder, read_manifest(folder))


def _paid(data: Dataset, starts: range, spec: str) -> Iterator[Episode]:
    reward = load_reward(spec)
    for start in starts:
        some = data.fetch(range(start, min(start + AT_ONCE, starts.stop)))
        games = [Trajectory.of(data.env_id, e.transcript, e.terminated, e.truncated, data.env_kwargs) for e in some]
        for episode, own in zip(some, scored(reward, spec, games), strict=True):
            yield replace(episode, rewards=own, info={**episode.info, "gold": list(episode.rewards)})
