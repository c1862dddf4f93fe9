"""A dataset's steps, tokenised once: an Arrow file, keyed by dataset, tokenizer and text format, that is memory-mapped.

    steps = cached_steps(data, tokenizer, form)      # tokenises at the first call, maps the file afterwards

The file holds the arrays of a `StepStore`, each as a list in one row. A description beside it, written last, names what the
steps were made of and holds the file's checksum: a file that is cut, changed or of something else is made anew. Two
processes that need the same steps do the work once: the second waits for the first.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_agents.models import chat, steps, tokens
from lmrl_agents.models import tokenizer as tokenizers
from lmrl_agents.models.steps import StepEncoder, StepStore, decisions
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_datasets import Dataset
from lmrl_envs.files import lock, write_atomically
from lmrl_envs.files.untrusted import decode, read

HOME_VARIABLE = "LMRL_CACHE"


def cache_home() -> Path:
    """Where steps are cached: ``$LMRL_CACHE``, else ``lmrl`` in ``$XDG_CACHE_HOME`` or ``~/.cache``, and there ``steps``."""
    home = os.environ.get(HOME_VARIABLE)
    if not home:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmrl"
    return Path(home) / "steps"


def cached_steps(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, deciding: bool = False) -> StepStore:
    """The steps of the episodes that have any, as a tokenizer and a text format make them; tokenised at the first call.

    Where the cache cannot be written (a full disk, a read-only home), the steps are kept in memory, with a warning.

    Args:
        data: any dataset: whole, split, filtered or reworded; each of these has a cache of its own.
        tokenizer: its whole definition is part of the key.
        form: view, context and length of rows.
        deciding: leave out tokens that decide nothing (`decisions`).

    Raises:
        ValueError: there are no steps.
    """
    try:
        source = _source(data, tokenizer, form, deciding)
        path = cache_home() / f"{_digest(json.dumps(source, sort_keys=True))}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as file:
            lock(file.fileno(), wait=True)  # whoever comes second waits here and finds the work done
            if not _is_whole(path, source):
                _write(path, source, _parts(data, tokenizer, form, deciding))
            return StepStore(_mapped(path), tokenizer.pad)
    except OSError as problem:
        warnings.warn(f"the dataset's steps are kept in memory, not in a cache: {problem}", stacklevel=2)
    parts = list(_parts(data, tokenizer, form, deciding))
    return StepStore({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, tokenizer.pad)


def _source(data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, deciding: bool) -> dict[str, Any]:
    """What the steps are a function of."""
    rows = data.positions
    definition = getattr(tokenizer.hf, "backend_tokenizer", None)
    modules = (chat, tokenizers, tokens, steps, sys.modules[form.reading.texts.__module__])
    return {
        "dataset": data.name,
        "shards": [shard["sha256"] for shard in data.manifest["shards"]],
        "rows": None if rows is None else hashlib.sha256(np.ascontiguousarray(rows, "<i8").tobytes()).hexdigest(),
        "env_id": data.env_id,
        "env_kwargs": decode(json.dumps(data.env_kwargs, sort_keys=True, default=str)),
        "tokenizer": tokenizer.fingerprint(),
        "tokenizer_definition": _digest(definition.to_str() if definition is not None else ""),
        "format": asdict(form),
        "deciding": deciding,
        "code": _digest("".join(map(inspect.getsource, modules))),
        "byte_order": sys.byteorder,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_whole(path: Path, source: dict[str, Any]) -> bool:
    """Whether there is a cache of this source, as it was written; warns of one that is damaged."""
    description = path.with_suffix(".json")
    if not description.is_file():
        return False
    try:
        if read(description) == {"source": source, "crc32": _checksum(path)}:
            return True
    except (OSError, ValueError):  # missing or cut
        pass
    warnings.warn(f"{path} is damaged or of another dataset; it is made anew", stacklevel=3)
    return False


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def _parts(
    data: Dataset, tokenizer: TaskTokenizer, form: TextFormat, deciding: bool
) -> Iterator[dict[str, np.ndarray]]:
    """The arrays of the dataset's steps, some thousand episodes at a time."""
    known = None
    if deciding:
        texts = {
            text for batch in data.iter_batches() for e in batch for text in form.reading.texts(e.transcript)[1::2]
        }
        known = decisions(form.action(text, tokenizer) for text in texts)
    encoder = StepEncoder(form, known)
    for batch in data.iter_batches():
        for e in batch:
            if e.transcript.rewards:
                encoder.add(TokenEpisode.from_transcript(e.transcript, e.terminated, e.truncated, tokenizer, form))
        part = encoder.take()
        del part["logprob"]  # nobody's policy: 0 everywhere
        if len(tokenizer) <= 1 << 16:
            part["tokens"] = part["tokens"].astype(np.uint16)  # rows are what takes room
        yield part


def _write(path: Path, source: dict[str, Any], parts: Iterator[Mapping[str, np.ndarray]]) -> None:
    """Write a cache, whole or not at all. Arrays grow in files of their own, so that memory holds one part at a time."""
    import pyarrow as pa

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        types: dict[str, np.dtype] = {}
        for part in parts:
            for name, values in part.items():
                types[name] = values.dtype
                with Path(folder, name).open("ab") as file:
                    file.write(values.data)
        if not types or not Path(folder, "row").stat().st_size:
            raise ValueError("there are no actions to learn from")
        columns = [_as_list(np.memmap(Path(folder, name), dtype, "r")) for name, dtype in types.items()]
        batch = pa.RecordBatch.from_arrays(columns, names=list(types))
        with pa.OSFile(f"{folder}/whole", "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        path.with_suffix(".json").unlink(missing_ok=True)
        os.replace(f"{folder}/whole", path)
        write_atomically(path.with_suffix(".json"), json.dumps({"source": source, "crc32": _checksum(path)}))


def _as_list(values: np.ndarray) -> Any:
    """An array as one row of a list column, without a copy."""
    import pyarrow as pa

    return pa.LargeListArray.from_arrays(pa.array([0, len(values)], pa.int64()), pa.array(values))


def _mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a cache; they are read from the disk as they are needed."""
    import pyarrow as pa

    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    return {name: batch.column(name).values.to_numpy(zero_copy_only=True) for name in batch.schema.names}
