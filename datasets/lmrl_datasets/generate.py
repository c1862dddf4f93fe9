"""Generate datasets: policies play seeded games; whole shards are the unit of work, of resumption and of parallelism.

Every episode is a function of (recipe, seed, index) alone, and every shard holds a fixed range of indices, so the bytes
do not depend on the number of workers or on where a killed run was taken up again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium

from lmrl_datasets.cluster import make_on_cluster
from lmrl_datasets.recipes import Recipe, load_recipe
from lmrl_datasets.schema import SCHEMA_VERSION, DatasetError, Episode
from lmrl_datasets.store import MANIFEST, describe_shard, making_versions, read_manifest, require_pyarrow, write_shard
from lmrl_envs import TextEnv, load_task, make_policy
from lmrl_envs.files import claim, locked, write_atomically, write_json
from lmrl_envs.seeding import episode_seed
from lmrl_envs.work import Progress, kill_workers, process_pool
from lmrl_envs.wrappers import Candidates

SPEC, CARD = "generation.json", "README.md"
SHARD_SIZE = 20_000


def play_episode(env: TextEnv, recipe: Recipe, seed: int, index: int) -> Episode:
    """Episode ``index`` of a dataset."""
    env_seed = episode_seed("data", seed, index)
    policy = make_policy(
        recipe.env, recipe.policy, seed=episode_seed("policy", seed, index), **recipe.env_kwargs, **recipe.policy_kwargs
    )
    game: Any = Candidates(env, **recipe.candidates) if recipe.candidates else env
    choosing = random.Random(env_seed)
    _, info = game.reset(seed=env_seed)
    terminated = truncated = stopped = False
    while not (terminated or truncated):
        action = policy.act(env.transcript)
        if action is None:
            truncated = stopped = True
            break
        if recipe.candidates and action not in info["candidates"]:
            action = choosing.choice(info["candidates"])
        _, _, terminated, truncated, info = game.step(action)
    transcript = env.transcript
    return Episode(
        episode_id=index,
        env_id=recipe.env,
        seed=env_seed,
        policy=recipe.policy,
        observations=transcript.observations,
        actions=transcript.actions,
        rewards=transcript.rewards,
        terminated=terminated,
        truncated=truncated,
        stopped=stopped,
        success=bool(info.get("success", False)),
        env_kwargs=recipe.env_kwargs,
        info=info,
    )


def file_name(k: int, total: int) -> str:
    """Name of shard ``k``."""
    return f"train-{k:05d}-of-{total:05d}.parquet"


def make_shard(job: tuple[Recipe, int, range, str]) -> int:
    """Play the episodes of one shard (recipe, seed, indices, path) and write it; returns how many."""
    recipe, seed, indices, path = job
    env: Any = gymnasium.make(load_task(recipe.env).id, **recipe.env_kwargs).unwrapped
    try:
        write_shard(Path(path), (play_episode(env, recipe, seed, index) for index in indices))
    finally:
        env.close()
    return len(indices)


def _results(jobs: list[Any], workers: int, ray: str | None) -> Iterator[int]:
    if ray is not None:
        yield from make_on_cluster(ray, make_shard, jobs, workers)
        return
    if workers <= 1 or len(jobs) <= 1:
        yield from map(make_shard, jobs)
        return
    with process_pool(min(workers, len(jobs))) as pool:
        try:
            for future in as_completed([pool.submit(make_shard, job) for job in jobs]):
                yield future.result()
        except BrokenProcessPool:
            kill_workers(pool)
            raise DatasetError(
                "a worker process died (killed, or out of memory); run the same command to go on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def generate(
    name: str,
    out: str | Path,
    *,
    episodes: int | None = None,
    seed: int = 0,
    workers: int = 1,
    shard: tuple[int, int] | None = None,
    shard_size: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """Generate a dataset into the folder ``out``; returns it.

    Args:
        name: a dataset name (`dataset_names`).
        out: the folder; a run that was killed is taken up where it stopped.
        episodes: number of episodes, by default the recipe's.
        seed: the dataset's seed.
        workers: processes.
        shard: (i, n): make only every n-th shard, from the i-th (0-based); whoever finds all shards there finishes.
        shard_size: episodes per file.
        ray: address of a Ray cluster that makes the shards, "local" for one on this machine; same bytes.
        progress: called after each shard.

    Raises:
        FolderError: the folder holds something else, or another process is generating into it.
        DatasetError: no such dataset, or a worker process died.
    """
    require_pyarrow()
    recipe = load_recipe(name)
    count = recipe.episodes if episodes is None else episodes
    if count < 1:
        raise ValueError(f"episodes={count} must be at least 1")
    # At least two files per worker's worth for small sets, so that a small set is parallel too; a function of the size only.
    size = shard_size or recipe.shard_size or min(SHARD_SIZE, max(1000, -(-count // 8)))
    folder = Path(out)
    spec = spec_of(recipe, seed, count, size)
    if take_folder(folder, spec):
        return folder
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    paths = [folder / file_name(k, len(parts)) for k in range(len(parts))]
    which, of = shard or (0, 1)
    if not 0 <= which < of:
        raise ValueError(f"shard {which}/{of}: the first number must be in 0..{of - 1}")
    # Parts (--shard) of one split share the folder; a whole run, or another part of the same name, does not.
    with (
        locked(folder / ".lock-whole", "generating", shared=of > 1),
        locked(folder / f".lock-{which}-of-{of}", "generating"),
    ):
        mine = [k for k in range(len(parts)) if k % of == which]
        jobs = [(recipe, seed, parts[k], str(paths[k])) for k in mine if not paths[k].exists()]
        total = sum(len(parts[k]) for k in mine)
        done = total - sum(len(job[2]) for job in jobs)
        if progress:
            progress(done, total)
        for made in _results(jobs, workers, ray):
            done += made
            if progress:
                progress(done, total)
    if all(path.exists() for path in paths):
        finish(folder, spec, paths, f"lmrl data generate {name} --episodes {count} --seed {seed}")
    return folder


def spec_of(recipe: Recipe, seed: int | None, episodes: int, shard_size: int) -> dict[str, Any]:
    """What determines the files of a dataset."""
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": asdict(recipe),
        "seed": seed,
        "episodes": episodes,
        "shard_size": shard_size,
        "packages": making_versions(),
    }


def _makes(recipe: Any) -> dict[str, Any] | None:
    """What a stored recipe makes; None for what is no recipe of this version."""
    try:
        return Recipe(**recipe).makes()
    except TypeError:
        return None


def take_folder(folder: Path, spec: dict[str, Any]) -> bool:
    """Take a folder for a dataset; returns whether it holds the same one, finished.

    Raises:
        FolderError: it holds something else.
    """
    finished = (folder / MANIFEST).exists()

    def differing(there: dict[str, Any]) -> Iterator[str]:
        # A finished dataset stays what it is under other versions of packages; an unfinished one must not be mixed.
        keys = [key for key in spec if key != "recipe" and not (finished and key == "packages")]
        yield from (key for key in keys if there.get(key) != spec[key])
        if _makes(there.get("recipe")) != _makes(spec["recipe"]):
            yield "recipe"

    claim(folder, SPEC, spec, "dataset", differing)
    if finished:
        read_manifest(folder)
    return finished


def finish(folder: Path, spec: dict[str, Any], paths: list[Path], command: str) -> None:
    """Write the card, and describe all shards in the manifest; only now the dataset is whole."""
    from lmrl_datasets.cards import card
    from lmrl_datasets.coverage import coverage
    from lmrl_datasets.reading.dataset import Dataset

    recipe = spec["recipe"]
    manifest = {
        **spec,
        "name": recipe["name"],
        "env_id": recipe["env"],
        "command": command,
        "shards": [describe_shard(path) for path in paths],
    }
    data = Dataset(folder, manifest)
    manifest["statistics"] = data.stats()
    manifest["coverage"] = coverage(data)
    write_atomically(folder / CARD, card(manifest))
    write_json(folder / MANIFEST, manifest)
