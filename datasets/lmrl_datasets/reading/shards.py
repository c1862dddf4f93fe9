"""Reading the Parquet shards of a dataset: streamed in batches, or row by row through a cache of row groups."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmrl_datasets.reading.columns import Decoder, decoded
from lmrl_datasets.schema import DICTIONARY_COLUMNS, Episode
from lmrl_datasets.store import naming_damage, opened_shard

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CACHE_BYTES = 512 << 20
"""Row groups kept in memory for random access, at most; a million episodes of six short turns take a third of it."""


class ShardReader:
    """The rows of some shards, numbered through.

    Args:
        paths: the shards.
        counts: how many rows each has.
    """

    def __init__(self, paths: Sequence[Path], counts: Sequence[int]) -> None:
        self.paths, self.counts = tuple(paths), tuple(counts)
        self._cached: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._decoder = Decoder()

    def __reduce__(self) -> Any:  # another process opens the files itself
        return ShardReader, (self.paths, self.counts)

    def columns(self, names: list[str]) -> pa.Table:
        """Some columns of all rows."""
        import pyarrow as pa

        tables = []
        for path, rows in zip(self.paths, self.counts, strict=True):
            with naming_damage(path), opened_shard(path, rows) as file:
                tables.append(file.read(columns=names))
        return pa.concat_tables(tables)

    def stream(self, size: int, keep: np.ndarray | None = None) -> Iterator[list[Episode]]:
        """All episodes in order, in batches of at most ``size``; with ``keep`` (bool, one a row) those alone."""
        import pyarrow as pa

        decoder, offset = Decoder(), 0
        for path, rows in zip(self.paths, self.counts, strict=True):
            # Texts that repeat stay numbers until they are episodes: 8 to 30 % faster.
            with naming_damage(path), opened_shard(path, rows, read_dictionary=list(DICTIONARY_COLUMNS)) as file:
                # Row group by row group: pyarrow cannot join the dictionaries of two in one batch of lists.
                groups = range(file.num_row_groups)
                for batch in chain.from_iterable(
                    file.iter_batches(batch_size=size, row_groups=[group], use_threads=False) for group in groups
                ):
                    count = batch.num_rows
                    if keep is not None:
                        batch = batch.filter(pa.array(keep[offset : offset + count]))
                    offset += count
                    if batch.num_rows:
                        yield decoder.episodes(batch)

    def rows(self, wanted: np.ndarray) -> list[Episode]:
        """The episodes of these row numbers, in the order asked for."""
        import pyarrow as pa

        if len(wanted) == 0:
            return []
        starts = self._groups[0]
        group_of = np.searchsorted(starts, wanted, side="right") - 1
        order = np.argsort(group_of, kind="stable")
        taken = []
        for group in np.unique(group_of).tolist():
            local = wanted[group_of == group] - starts[group]
            taken.append(decoded(self._group(group).take(pa.array(local))))
        merged = pa.Table.from_batches(taken).combine_chunks().to_batches()[0]
        episodes: list[Any] = [None] * len(wanted)
        for position, episode in zip(order.tolist(), self._decoder.episodes(merged), strict=True):
            episodes[position] = episode
        return episodes

    @cached_property
    def _files(self) -> list[pq.ParquetFile]:
        return [
            opened_shard(path, rows, read_dictionary=list(DICTIONARY_COLUMNS))
            for path, rows in zip(self.paths, self.counts, strict=True)
        ]

    @cached_property
    def _groups(self) -> tuple[np.ndarray, list[int]]:
        """First row of every row group, and the first row group of every file."""
        sizes = [[f.metadata.row_group(k).num_rows for k in range(f.num_row_groups)] for f in self._files]
        first = np.cumsum([0, *map(len, sizes)])
        starts = np.cumsum([0, *(size for group in sizes for size in group)])
        return starts[:-1], first[:-1].tolist()

    def _group(self, group: int) -> pa.RecordBatch:
        if group in self._cached:
            self._cached.move_to_end(group)
            return self._cached[group]
        first = self._groups[1]
        file = bisect_right(first, group) - 1
        with naming_damage(self.paths[file]):
            table = self._files[file].read_row_group(group - first[file]).combine_chunks()
        batch = self._cached[group] = table.to_batches()[0]
        while len(self._cached) > 1 and sum(other.nbytes for other in self._cached.values()) > CACHE_BYTES:
            self._cached.popitem(last=False)
        return batch
