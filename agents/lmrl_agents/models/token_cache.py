"""A dataset's training rows, tokenised once: memory-mapped arrays keyed by dataset, tokenizer and text format.

    rows = cached_rows(data, tokenizer, form)      # tokenises at the first call, maps files afterwards
    rows[3].tokens                                 # int32 [T], read when asked for
    store = rows.store(tokenizer.pad)              # the RowStore that trainers take their batches from

A cache is a folder of raw arrays and of ``cache.json``, which is written last, names what the rows were made of, and holds
the size and checksum of every array: a folder that is cut, changed or of something else is made anew. Equal rows are kept
once, with the turns of the first, as `RowStore` keeps them. Two processes that need the same rows do the work once: the second waits for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, overload

import numpy as np

from lmrl_agents.models import tokenizer as tokenizers
from lmrl_agents.models import tokens
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import Row, RowStore, TextFormat, TokenEpisode, episode_rows
from lmrl_datasets import Dataset
from lmrl_datasets.store import write_atomically

HOME_VARIABLE = "LMRL_CACHE"
META = "cache.json"
_ENDS = {(False, False): 0, (True, False): 1, (False, True): 2, (True, True): 3}

Progress = Callable[[int, int], None]
"""Called with (episodes done, episodes in all)."""


def cache_home() -> Path:
    """Where token caches lie: ``$LMRL_CACHE``, else ``lmrl`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, and there ``tokens``."""
    home = os.environ.get(HOME_VARIABLE)
    if not home:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmrl"
    return Path(home) / "tokens"


class CachedRows(Sequence[Row]):
    """The rows of a dataset, in its order, mapped from a cache folder."""

    def __init__(self, folder: Path, meta: dict[str, Any]) -> None:
        self.folder = folder
        array = {name: self._map(name, spec) for name, spec in meta["arrays"].items()}
        self.which = array.pop("which")
        """int64 [rows]: which distinct row each row is."""
        self.distinct = DistinctRows(**array)

    def _map(self, name: str, spec: dict[str, Any]) -> np.ndarray:
        return np.memmap(self.folder / f"{name}.bin", np.dtype(spec["dtype"]), "r")

    def __len__(self) -> int:
        return len(self.which)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self.distinct[int(i)] for i in self.which[index]]
        return self.distinct[int(self.which[index])]

    def store(self, pad: int) -> RowStore:
        """The rows as trainers take them. Rows are read from the files as batches need them."""
        store = RowStore.__new__(RowStore)  # its constructor would read all rows to find the equal ones
        store.pad, store.rows, store.which = pad, self.distinct, np.asarray(self.which)  # type: ignore[assignment]
        return store


class DistinctRows(Sequence[Row]):
    """Rows in concatenated arrays: row ``i`` is at ``offsets[i]:offsets[i + 1]``."""

    def __init__(
        self,
        tokens: np.ndarray,
        action_mask: np.ndarray,
        rewards: np.ndarray,
        turn: np.ndarray,
        ends: np.ndarray,
        offsets: np.ndarray,
    ) -> None:
        self._tokens, self._mask, self._rewards, self._turn = tokens, action_mask, rewards, turn
        self._ends, self._offsets = ends, offsets

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Row:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        span = slice(int(self._offsets[index]), int(self._offsets[index + 1]))
        end = int(self._ends[index])
        return Row(
            self._tokens[span].astype(np.int32),
            np.asarray(self._mask[span]),
            np.asarray(self._rewards[span]),
            np.asarray(self._turn[span]),
            bool(end & 1),
            bool(end & 2),
        )


def cached_rows(
    data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, progress: Progress | None = None
) -> CachedRows:
    """The rows of a dataset as a tokenizer and a text format make them, tokenised at the first call.

    Args:
        data: any dataset: whole, split, filtered or reworded; each of these has a cache of its own.
        tokenizer: its whole definition is part of the key.
        form: view, context and length of rows.
        progress: called now and then while the cache is made.

    Raises:
        ValueError: there are no rows.
        OSError: the cache cannot be written (disk full); nothing half made is left.
    """
    source = _source(data, tokenizer, form)
    folder = cache_home() / hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits here and finds the work done
        meta = _whole(folder, source)
        if meta is None:
            _make(folder, source, data, tokenizer, form, progress)
            meta = json.loads((folder / META).read_text("utf-8"))
        return CachedRows(folder, meta)


def _source(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat) -> dict[str, Any]:
    """What the rows are a function of."""
    rows = data.positions
    definition = getattr(tokenizer.hf, "backend_tokenizer", None)
    modules = (tokenizers, tokens, sys.modules[form.reading.texts.__module__])
    code = "".join(map(inspect.getsource, modules))
    return {
        "dataset": data.name,
        "shards": [shard["sha256"] for shard in data.manifest["shards"]],
        "rows": None if rows is None else hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest(),
        "env_id": data.env_id,
        "env_kwargs": json.loads(json.dumps(data.env_kwargs, sort_keys=True, default=str)),
        "tokenizer": tokenizer.fingerprint(),
        "tokenizer_definition": _digest(definition.to_str() if definition is not None else ""),
        "format": asdict(form),
        "code": _digest(code),
        "byte_order": sys.byteorder,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _whole(folder: Path, source: dict[str, Any]) -> dict[str, Any] | None:
    """The description of a cache that is there, whole, and of this source; None otherwise."""
    try:
        meta = json.loads((folder / META).read_text("utf-8"))
        if meta["source"] != source:
            return None
        for name, spec in meta["arrays"].items():
            path = folder / f"{name}.bin"
            if path.stat().st_size != spec["bytes"] or _checksum(path) != spec["crc32"]:
                return None
        return meta
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, cut, or not ours: made anew
        return None


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def _make(
    folder: Path,
    source: dict[str, Any],
    data: Dataset,
    tokenizer: TaskTokenizer,
    form: TextFormat,
    progress: Progress | None,
) -> None:
    """Write the cache beside its place and move it there."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    try:
        arrays = _write(fresh, _rows(data, tokenizer, form, progress), len(tokenizer))
        write_atomically(fresh / META, json.dumps({"source": source, "arrays": arrays}, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)  # damaged; whoever maps it keeps what it has mapped
        os.rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _rows(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, progress: Progress | None) -> Iterator[Row]:
    done = 0
    for batch in data.iter_batches():
        for episode in batch:
            ids = TokenEpisode.from_transcript(
                episode.transcript, episode.terminated, episode.truncated, tokenizer, form
            )
            yield from episode_rows(ids, form)
        done += len(batch)
        if progress:
            progress(done, len(data))


def _write(folder: Path, rows: Iterable[Row], vocabulary: int) -> dict[str, dict[str, Any]]:
    """Write rows, equal ones once; returns type, size and checksum of every array."""
    kinds = {
        "tokens": "uint16" if vocabulary <= 1 << 16 else "int32",
        "action_mask": "bool",
        "rewards": "float32",
        "turn": "int32",
        "ends": "uint8",
        "offsets": "int64",
        "which": "int64",
    }
    index: dict[bytes, int] = {}
    which, offsets, ends = [], [0], bytearray()
    files = {name: (folder / f"{name}.bin").open("wb") for name in ("tokens", "action_mask", "rewards", "turn")}
    try:
        for row in rows:
            parts = {name: getattr(row, name).astype(kinds[name]).tobytes() for name in files}
            end = _ENDS[row.terminated, row.truncated]
            told = b"".join(parts[name] for name in files if name != "turn") + bytes((end,))
            key = hashlib.blake2b(told, digest_size=16).digest()
            position = index.setdefault(key, len(index))
            which.append(position)
            if position == len(offsets) - 1:
                for name, content in parts.items():
                    files[name].write(content)
                offsets.append(offsets[-1] + len(row.tokens))
                ends.append(end)
    finally:
        for file in files.values():
            file.close()
    if not which:
        raise ValueError("there are no rows to train on")
    for name, values in (("ends", ends), ("offsets", offsets), ("which", which)):
        np.asarray(values, kinds[name]).tofile(folder / f"{name}.bin")
    described = {}
    for name, dtype in kinds.items():
        path = folder / f"{name}.bin"
        described[name] = {"dtype": dtype, "bytes": path.stat().st_size, "crc32": _checksum(path)}
    return described
