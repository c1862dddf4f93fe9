"""A dataset that grows episode by episode, as people play: killed at any moment, it is as it was before or after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmrl_datasets.reading.dataset import Dataset
from lmrl_datasets.recipes import Recipe
from lmrl_datasets.schema import SCHEMA_VERSION, DatasetError, Episode
from lmrl_datasets.store import (
    MANIFEST,
    describe_shard,
    making_versions,
    read_manifest,
    require_pyarrow,
    write_atomically,
    write_shard,
)

FULL_SHARD = 256
"""Episodes of a shard that is never written again; only the last shard is rewritten as it grows."""


def append_episodes(folder: Path, recipe: Recipe, episodes: Sequence[Episode]) -> Dataset:
    """Add episodes to the end of a dataset, which is made if it is not there; returns the dataset.

    Shards are written under new names, then the manifest that names them takes the old one's place. Shards that the
    manifest before did not name either are deleted, so that who has just opened the dataset can still read it.

    Args:
        folder: the dataset's folder.
        recipe: name, task, arguments and policy; of an existing dataset all but the number of episodes must be the same.
        episodes: in order; their ``episode_id`` is set to their place.

    Raises:
        DatasetError: the folder holds another dataset, or is damaged.
    """
    require_pyarrow()
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
    if manifest is not None:
        there, wanted = dict(manifest["recipe"]), asdict(recipe)
        differing = sorted(key for key in wanted if key != "episodes" and there.get(key) != _as_json(wanted[key]))
        if differing:
            raise DatasetError(f"{folder} holds another dataset ({', '.join(differing)} differ); choose another folder")
    shards = list(manifest["shards"]) if manifest else []
    total = sum(shard["rows"] for shard in shards)
    new = [Episode(**{**vars(episode), "episode_id": total + i}) for i, episode in enumerate(episodes)]
    if not new:
        if manifest is None:
            raise DatasetError(f"{folder}: a dataset needs an episode")
        return Dataset(folder, manifest)
    if shards and shards[-1]["rows"] < FULL_SHARD:
        assert manifest is not None
        new = list(Dataset(folder, {**manifest, "shards": shards[-1:]})) + new
        shards.pop()
    for start in range(0, len(new), FULL_SHARD):
        part = new[start : start + FULL_SHARD]
        path = folder / f"train-{part[0].episode_id:07d}-{part[-1].episode_id:07d}.parquet"
        write_shard(path, part)
        shards.append(asdict(describe_shard(path)))
    return _replace_manifest(folder, recipe, shards, manifest)


def _replace_manifest(
    folder: Path, recipe: Recipe, shards: list[dict[str, Any]], before: dict[str, Any] | None
) -> Dataset:
    rows = sum(shard["rows"] for shard in shards)
    manifest: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "recipe": _as_json({**asdict(recipe), "episodes": rows}),
        "name": recipe.name,
        "env_id": recipe.env,
        "seed": None,
        "episodes": rows,
        "command": recipe.description,
        "packages": making_versions(),
        "shards": shards,
    }
    manifest["statistics"] = Dataset(folder, manifest).stats()
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    kept = {shard["file"] for shard in [*shards, *(before["shards"] if before else [])]}
    for path in folder.glob("train-*.parquet"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
    return Dataset(folder, manifest)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))
