"""Datasets from and to other forms: JSON lines (``.jsonl``, ``.jsonl.zst``) and Minari."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import gymnasium

from lmrl_datasets.recipes import Recipe
from lmrl_datasets.schema import COLUMNS, JSON_COLUMNS, DatasetError, Episode, to_json
from lmrl_datasets.store import naming_damage, require_pyarrow, write_shard
from lmrl_envs.files import locked, near, needs, replacing

if TYPE_CHECKING:
    from lmrl_datasets.reading.dataset import Dataset

_SUFFIXES = (".jsonl", ".jsonl.zst")
_REQUIRED = tuple(
    f.name
    for f in fields(Episode)
    if f.default is MISSING and f.default_factory is MISSING and f.name not in ("episode_id", "policy")
)
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*/[a-z0-9_][a-z0-9_.-]*-v\d+")
"""Names are folders, too: none is a path upwards."""


def _compression(path: Path) -> str | None:
    if not path.name.endswith(_SUFFIXES):
        raise ValueError(f"{path.name}: the name of a file of JSON lines must end in {' or '.join(_SUFFIXES)}")
    return "zstd" if path.name.endswith(".zst") else None


def write_jsonl(data: Dataset, path: str | Path) -> int:
    """Write a dataset as JSON lines, one episode each with the fields of `Episode`; returns how many.

    Raises:
        ValueError: the name does not end in .jsonl or .jsonl.zst.
    """
    import pyarrow as pa

    path = Path(path)
    compression = _compression(path)
    with replacing(path) as temporary, pa.output_stream(str(temporary), compression=compression) as file:
        for batch in data.iter_batches():
            lines = (to_json({name: getattr(episode, name) for name in COLUMNS}) + "\n" for episode in batch)
            file.write("".join(lines).encode("utf-8", "replace"))
    return len(data)


def read_jsonl(path: str | Path, out: str | Path, name: str, *, shard_size: int = 20_000) -> Path:
    """Make a dataset of a file of JSON lines; returns its folder.

    Every line is an object with the fields of `Episode`; ``episode_id`` (the line's place), ``policy``, ``stopped``,
    ``success``, ``env_kwargs``, ``options`` and ``info`` may be left out. The whole file is checked before anything is
    written; what the environment says is checked by `Dataset.verify` with ``replay``.

    Args:
        path: the file, .jsonl or .jsonl.zst.
        out: the folder, new or empty.
        name: the dataset's name, such as ``wordle/mine-v0``.
        shard_size: episodes per Parquet file.

    Raises:
        DatasetError: naming the line that is wrong.
    """
    from lmrl_datasets.generate import file_name, finish, spec_of, take_folder

    require_pyarrow()
    path, folder = Path(path), Path(out)
    if not _NAME.fullmatch(name):
        raise ValueError(f"name={name!r} must look like <family>/<name>-v0")
    count, first = _check(path)
    recipe = Recipe(
        name,
        first.env_id,
        first.policy,
        count,
        f"Imported from the file {path.name}.",
        env_kwargs=dict(first.env_kwargs),
    )
    spec = spec_of(recipe, None, count, shard_size)
    with locked(folder / ".lock-whole", "writing"):
        if take_folder(folder, spec):
            raise DatasetError(f"{folder} holds a dataset already; choose another folder")
        total = -(-count // shard_size)
        paths = [folder / file_name(k, total) for k in range(total)]
        episodes = read_episodes(path)
        for target in paths:
            write_shard(target, islice(episodes, shard_size))
        finish(folder, spec, paths, f"lmrl data import {path.name} --name {name}")
    return folder


def _check(path: Path) -> tuple[int, Episode]:
    """Read a whole file; returns the number of episodes and the first."""
    count, first = 0, None
    for episode in read_episodes(path):
        count += 1
        first = first or episode
        for name in ("env_id", "env_kwargs"):
            if getattr(episode, name) != getattr(first, name):
                raise DatasetError(
                    f"{path} line {count}: {name} {getattr(episode, name)!r} is not that of line 1; a dataset is of one task"
                )
    if first is None:
        raise DatasetError(f"{path} holds no episode")
    try:
        gymnasium.spec(first.env_id)
    except gymnasium.error.Error as problem:
        raise DatasetError(f"{path} line 1: env_id {first.env_id!r} is not known here ({problem})") from None
    return count, first


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    import pyarrow as pa

    compression = _compression(path)
    with naming_damage(path), pa.input_stream(str(path), compression=compression) as raw:
        yield io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")


def read_episodes(path: Path) -> Iterator[Episode]:
    """The episodes of a file of JSON lines, checked one by one."""
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _episode(json.loads(line), number - 1)
            except (ValueError, TypeError) as problem:
                raise DatasetError(f"{path} line {number}: {problem}") from None


def _episode(row: Any, place: int) -> Episode:
    if not isinstance(row, dict):
        raise TypeError("not an object with the fields of an episode")
    for key in row:
        if key not in COLUMNS:
            raise ValueError(f"unknown field {key!r}; {near(key, COLUMNS)}")
    missing = [name for name in _REQUIRED if name not in row]
    if missing:
        raise ValueError(f"without {', '.join(missing)}")
    row = {"episode_id": place, "policy": "unknown", **row}
    kinds = {"env_id": str, "policy": str, "episode_id": int, "seed": int, **dict.fromkeys(JSON_COLUMNS, dict)}
    kinds |= dict.fromkeys(("terminated", "truncated", "stopped", "success"), bool)
    for key, value in row.items():
        if key in kinds and type(value) is not kinds[key]:
            raise TypeError(f"{key} is {value!r}, it must be of type {kinds[key].__name__}")
    for key in ("observations", "actions"):
        if not isinstance(row[key], list) or not all(isinstance(text, str) for text in row[key]):
            raise TypeError(f"{key} must be a list of strings")
    if not isinstance(row["rewards"], list) or not all(_is_number(value) for value in row["rewards"]):
        raise TypeError("rewards must be a list of finite numbers")
    turns = len(row["actions"])
    if turns < 1 or len(row["rewards"]) != turns or len(row["observations"]) != turns + 1:
        raise ValueError(
            f"{len(row['observations'])} observations, {turns} actions, {len(row['rewards'])} rewards: an episode has "
            "T + 1, T and T, with T at least 1"
        )
    values: dict[str, Any] = {**row, "rewards": tuple(map(float, row["rewards"]))}
    values |= {key: tuple(row[key]) for key in ("observations", "actions")}
    return Episode(**values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def to_minari(data: Dataset, dataset_id: str | None = None) -> Any:
    """Store a dataset as a Minari dataset (HDF5); returns the `minari.MinariDataset`.

    Texts become Minari's ``Text`` observations and actions, T + 1 and T of them; seeds, rewards, terminations and
    truncations are kept, as is whether an episode succeeded (``infos["success"]``, one value a step, the same all along).
    Other ``info`` has no fixed shape and stays behind. Minari keeps a group of HDF5 an episode: count with some 14 kB and
    4 ms for each.

    Args:
        data: the dataset.
        dataset_id: Minari's name for it, by default ``lmrl/<name>``.

    Raises:
        gymnasium.error.DependencyNotInstalled: minari is not installed.
        DatasetError: it has a dataset of that name.
    """
    needs("this", "minari", "h5py")  # minari looks for h5py only when it writes
    import minari
    from minari.data_collector import EpisodeBuffer

    dataset_id = dataset_id or f"lmrl/{data.name}"
    if dataset_id in minari.list_local_datasets():
        raise DatasetError(f"Minari has a dataset {dataset_id!r} here already; delete it or choose another id")
    buffers = [
        EpisodeBuffer(
            id=number,
            seed=episode.seed,
            observations=[text.replace("\x00", "\N{REPLACEMENT CHARACTER}") for text in episode.observations],
            actions=[text.replace("\x00", "\N{REPLACEMENT CHARACTER}") for text in episode.actions],
            rewards=list(episode.rewards),
            terminations=_at_end(episode, episode.terminated),
            truncations=_at_end(episode, episode.truncated),
            infos={"success": [episode.success] * (len(episode) + 1)},
        )
        for number, episode in enumerate(data)
    ]
    env = data.recover_environment()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`(author_email|code_permalink|eval_env)` is set to None")
            return minari.create_dataset_from_buffers(
                dataset_id,
                buffers,
                env=env,
                algorithm_name=data.manifest["recipe"]["policy"],
                author="The lmrl authors",
                description=data.manifest["recipe"]["description"].strip(),
                data_format="hdf5",
            )
    finally:
        env.close()


def _at_end(episode: Episode, ended: bool) -> list[bool]:
    return [False] * (len(episode) - 1) + [ended]
