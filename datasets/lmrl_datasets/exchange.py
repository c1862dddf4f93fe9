"""Datasets from and to other forms: JSON lines (``.jsonl``, ``.jsonl.zst``), chats and Minari."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium

from lmrl_datasets.reading.frames import By, chat_line, step_lines
from lmrl_datasets.recipes import Recipe
from lmrl_datasets.replay import make_recorded
from lmrl_datasets.schema import COLUMNS, DatasetError, Episode, to_json
from lmrl_datasets.store import naming_damage, require_pyarrow, write_shard
from lmrl_envs import task
from lmrl_envs.files import locked, needs, replacing
from lmrl_envs.files.untrusted import Count, Number, Schema, lines, shown

if TYPE_CHECKING:
    from lmrl_datasets.reading.dataset import Dataset

_SUFFIXES = (".jsonl", ".jsonl.zst")
_NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]*/[a-z0-9_][a-z0-9_.-]*-v\d+")
"""Names are folders, too: none is a path upwards."""


class EpisodeLine(Schema, frozen=True):
    """A line of a file of episodes: see `Episode`."""

    env_id: str
    seed: Count
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    rewards: tuple[Number, ...]
    terminated: bool
    truncated: bool
    episode_id: Count = 0
    policy: str = "unknown"
    stopped: bool = False
    success: bool = False
    env_kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    info: dict[str, Any] = {}


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


def write_chats(data: Dataset, path: str | Path, by: By = "episode") -> int:
    """Write a dataset as chats, the task's instructions as system message: what TRL's trainers take as it is; returns the lines.

    Args:
        data: the dataset.
        path: of the file.
        by: ``episode``: ``messages``, with ``return``, ``success``, ``env_id``, ``seed``, ``episode_id``. ``turn``: ``prompt`` and
            ``completion``, a line for each action.

    Raises:
        ValueError: the name does not end in .jsonl or .jsonl.zst.
    """
    import pyarrow as pa

    path, env, count = Path(path), data.recover_environment(), 0
    compression, instructions = _compression(path), env.unwrapped.instructions  # type: ignore[attr-defined]
    env.close()
    with replacing(path) as temporary, pa.output_stream(str(temporary), compression=compression) as file:
        for episode in data:
            whole = by == "episode"
            rows = [chat_line(episode, instructions)] if whole else step_lines(episode.transcript, instructions)
            for row in rows:
                file.write((to_json(row) + "\n").encode("utf-8", "replace"))
                count += 1
    return count


def read_jsonl(path: str | Path, out: str | Path, name: str, *, shard_size: int = 20_000) -> Path:
    """Make a dataset of a file of JSON lines; returns its folder.

    Every line is an object with the fields of `Episode`; ``policy``, ``stopped``, ``success``, ``env_kwargs``, ``options``,
    ``info`` and ``episode_id`` may be left out; episodes are numbered anew, by their place. Blank lines and a byte order mark
    are passed over. The whole file is checked before anything is written; what the environment says is checked by
    `Dataset.verify` with ``replay``.

    Args:
        path: the file, .jsonl or .jsonl.zst.
        out: the folder, new or empty.
        name: the dataset's name, such as ``wordle/mine-v0``.
        shard_size: episodes per Parquet file.

    Raises:
        DatasetError: naming the line and the field that is wrong, or an environment that cannot be made as the lines say.
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
        episodes = (episode for _, episode in read_episodes(path))
        for target in paths:
            write_shard(target, islice(episodes, shard_size))
        finish(folder, spec, paths, f"lmrl data import {path.name} --name {name}")
    return folder


def _check(path: Path) -> tuple[int, Episode]:
    """Read a whole file; returns the number of episodes and the first."""
    count, first = 0, None
    for number, episode in read_episodes(path):
        count += 1
        first = first or episode
        for name in ("env_id", "env_kwargs"):
            here, there = getattr(episode, name), getattr(first, name)
            if here is not there and to_json(here) != to_json(there):  # 1, 1.0 and true are equal, and not the same
                raise DatasetError(
                    f"{path} line {number}: {name} {shown(to_json(here))} is not that of the first episode; a dataset is of one task"
                )
    if first is None:
        raise DatasetError(f"{path} holds no episode")
    try:
        row = task(first.env_id)
    except gymnasium.error.Error as problem:
        raise DatasetError(
            f"{path}: env_id {shown(first.env_id)!r} is not known here ({shown(str(problem), 300)})"
        ) from None
    if row.is_live(first.env_kwargs):  # no card could be written of it
        raise DatasetError(
            f"{path} was played against {shown(str(first.env_kwargs['simulator']))!r}, which is asked only by name"
        )
    make_recorded(row, first.env_kwargs, str(path)).close()
    return count, first


def read_episodes(path: Path) -> Iterator[tuple[int, Episode]]:
    """The episodes of a file of JSON lines, checked one by one and numbered in their order, each with the number of its line."""
    _compression(path)
    with naming_damage(path):
        for place, (number, line) in enumerate(lines(path, EpisodeLine)):
            where = f"{path} line {number}"
            turns = len(line.actions)
            if turns < 1 or len(line.rewards) != turns or len(line.observations) != turns + 1:
                raise DatasetError(
                    f"{where}: {len(line.observations)} observations, {turns} actions, {len(line.rewards)} rewards: an "
                    "episode has T + 1, T and T, with T at least 1"
                )
            if line.terminated == line.truncated or (line.stopped and not line.truncated):
                raise DatasetError(
                    f"{where}: terminated={line.terminated}, truncated={line.truncated}, stopped={line.stopped}: an episode "
                    "either is terminated or truncated, and one that was stopped is truncated"
                )
            values = {name: getattr(line, name) for name in COLUMNS}
            yield number, Episode(**{**values, "episode_id": place})


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
