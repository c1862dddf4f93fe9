"""What holds of the rows of every dataset, whatever the game: checked column by column, before anything is replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lmrl_datasets.reading.columns import wrong_lengths
from lmrl_datasets.schema import COLUMNS, DICTIONARY_COLUMNS, JSON_COLUMNS, DatasetError, to_json
from lmrl_datasets.store import naming_damage, opened_shard
from lmrl_envs.files.untrusted import LARGEST, LINE, decode

_BATCH = 4096


def check_rows(folder: Path, manifest: dict[str, Any]) -> None:
    """Check every row of a dataset.

    Episodes are numbered from 0 in their order, and of the manifest's task and arguments; each has T + 1 observations, T actions
    and T finite rewards, ends terminated or truncated and not both, and is truncated if it was stopped; what is stored as JSON is
    an object; nothing is missing.

    Raises:
        DatasetError: naming the file, and the first row of it that is wrong.
    """
    wanted = {"env_id": manifest["env_id"], "env_kwargs": to_json(manifest["recipe"]["env_kwargs"])}
    number = 0
    for entry in manifest["shards"]:
        path, first = folder / entry["file"], number
        with naming_damage(path), opened_shard(path, entry["rows"], read_dictionary=list(DICTIONARY_COLUMNS)) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                if found := _wrong(batch, number, wanted):
                    row, why = found
                    raise DatasetError(f"{path}, row {number - first + row}: {why}")
                number += batch.num_rows


def _wrong(batch: Any, number: int, wanted: dict[str, str]) -> tuple[int, str] | None:
    """The first row that is wrong, within the batch, and why."""
    for name in COLUMNS:
        column = batch.column(name)
        lists = name in ("observations", "actions", "rewards")
        if column.null_count or (lists and column.flatten().null_count):
            return (0 if not column.null_count else column.is_null().index(True).as_py()), f"{name} is missing"
    if (row := wrong_lengths(batch)) is not None or (row := _first(_lengths(batch, "actions") < 1)) is not None:
        return row, "an episode has T + 1 observations, T actions and T rewards, with T at least 1"
    ids = batch.column("episode_id").to_numpy()
    if (row := _first(ids != np.arange(number, number + batch.num_rows))) is not None:
        return row, f"episode_id is {ids[row]}, in its place it is {number + row}"
    if (row := _first(batch.column("seed").to_numpy() < 0)) is not None:
        return row, "seed is below 0"
    rewards = batch.column("rewards").flatten().to_numpy()
    if (at := _first(~(np.abs(rewards) <= LARGEST))) is not None:
        ends = np.cumsum(_lengths(batch, "rewards"))
        return int(np.searchsorted(ends, at, side="right")), "a reward is no finite number"
    ends = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in ("terminated", "truncated", "stopped")}
    if (row := _first(ends["terminated"] == ends["truncated"])) is not None:
        return row, "an episode ends terminated or truncated, and not both"
    if (row := _first(ends["stopped"] & ~ends["truncated"])) is not None:
        return row, "an episode that was stopped is truncated"
    for name, value in wanted.items():
        for text in batch.column(name).unique().to_pylist():
            if (to_json(_parsed(name, text)) if name in JSON_COLUMNS else text) != value:
                return _row(batch.column(name), text), f"{name} is not the manifest's"
    for name in JSON_COLUMNS:
        for text in batch.column(name).unique().to_pylist():
            _parsed(name, text)
    return None


def _row(column: Any, text: str) -> int:
    """The first row of a text; texts stay in their dictionary, in which a few bytes may stand for gigabytes."""
    place = column.dictionary.index(text).as_py()
    return int(np.argmax(column.indices.to_numpy() == place))


def _parsed(name: str, text: str) -> dict[str, Any]:
    return decode(text, dict[str, Any], f"column {name}", LINE)


def _lengths(batch: Any, name: str) -> np.ndarray:
    return batch.column(name).value_lengths().to_numpy()


def _first(where: np.ndarray) -> int | None:
    return int(where.argmax()) if where.any() else None
