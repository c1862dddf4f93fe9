"""Datasets as they are read: indexing, streaming, filters, statistics, verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import gymnasium
import numpy as np

from lmrl_datasets.reading.checks import check_rows
from lmrl_datasets.reading.frames import By, frame
from lmrl_datasets.reading.shards import ShardReader
from lmrl_datasets.reading.stats import summarize
from lmrl_datasets.replay import make_recorded, replay_episode
from lmrl_datasets.schema import DatasetError, Episode, plain
from lmrl_datasets.store import verify_shards
from lmrl_envs import Task, task
from lmrl_envs.files.untrusted import shown
from lmrl_envs.wrappers import Candidates

if TYPE_CHECKING:
    import pandas as pd

SPLIT_SEED = 0
VALIDATION_SHARE = 0.1


class Dataset:
    """Episodes of one task, in a fixed order. Opening reads the manifest only; rows are read when needed.

    A dataset is a sequence of `Episode`: ``len(data)``, ``data[3]``, ``data[-10:]``, ``for episode in data``.
    """

    own_kwargs: Mapping[str, Any] = {}
    """Arguments of the environment that are the caller's, not the dataset's: they may name files."""

    def __init__(self, folder: Path, manifest: dict[str, Any], rows: np.ndarray | None = None) -> None:
        self.folder, self.manifest = Path(folder), manifest
        self._rows = rows

    # -- identity

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.manifest["name"]

    @property
    def env_id(self) -> str:
        """The task whose observations the episodes hold."""
        return self.manifest["env_id"]

    @property
    def env_kwargs(self) -> dict[str, Any]:
        """Arguments of the environment."""
        return dict(self.manifest["recipe"]["env_kwargs"])

    @property
    def positions(self) -> np.ndarray | None:
        """Which stored rows the episodes are, int64 ``[episodes]``; None: all, in order."""
        return self._rows

    def __len__(self) -> int:
        return self._total if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} episodes of {self.env_id})"

    @property
    def _total(self) -> int:
        return sum(shard["rows"] for shard in self.manifest["shards"])

    @property
    def task(self) -> Task:
        """The task's row.

        Raises:
            DatasetError: this version has no such task (any more).
        """
        try:
            return task(self.env_id)
        except gymnasium.error.Error as problem:
            made = self.manifest.get("packages", {}).get("lmrl", "of another version")
            raise DatasetError(
                f"{self.folder} was recorded on {self.env_id!r} by lmrl {made}; its episodes can be read here, but neither "
                f"scored nor replayed: {problem}"
            ) from None

    def recover_environment(self, **kwargs: Any) -> gymnasium.Env[str, str]:
        """The environment that the episodes were played in; ``kwargs`` take the place of recorded arguments.

        Raises:
            DatasetError: they were played against a live partner (`Task.is_live`), and no other ``simulator`` is given. A dataset
                may be anybody's: it does not decide which server is sent the API key, which file is written or run.
        """
        recorded = self.env_kwargs
        if self.task.is_live(recorded):
            if "simulator" not in kwargs:
                raise DatasetError(
                    f"{self.name} was played against {recorded['simulator']!r}, which is asked only by name: "
                    "recover_environment(simulator=..., simulator_options=...)"
                )
            recorded.pop("simulator_options", None)
        return make_recorded(self.task, recorded, str(self.folder), kwargs)

    # -- reading

    @cached_property
    def _reader(self) -> ShardReader:
        shards = self.manifest["shards"]
        return ShardReader([self.folder / shard["file"] for shard in shards], [shard["rows"] for shard in shards])

    @overload
    def __getitem__(self, index: int) -> Episode: ...

    @overload
    def __getitem__(self, index: slice) -> Dataset: ...

    def __getitem__(self, index: int | slice) -> Episode | Dataset:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"episode {index} of a dataset of {len(self)}")
        return Dataset.fetch(self, [index % len(self)])[0]

    def fetch(self, indices: Iterable[int]) -> list[Episode]:
        """Several episodes at once, in the order asked for."""
        wanted = np.fromiter(indices, np.int64)
        rows = wanted if self._rows is None else self._rows[wanted]
        return self._reader.rows(rows)

    def take(self, indices: np.ndarray) -> Dataset:
        """The dataset of these episodes (positions in this one)."""
        return self._with_rows(indices if self._rows is None else self._rows[indices])

    def _with_rows(self, rows: np.ndarray) -> Dataset:
        twin = Dataset(self.folder, self.manifest, np.asarray(rows, np.int64))
        if "_reader" in self.__dict__:
            twin.__dict__["_reader"] = self._reader
        return twin

    def iter_batches(self, size: int = 2048) -> Iterator[list[Episode]]:
        """Stream through all episodes in order, without holding them in memory."""
        keep = None
        if self._rows is not None:
            if np.any(np.diff(self._rows) <= 0):  # reordered or repeated: by random access
                for start in range(0, len(self), size):
                    yield self.fetch(range(start, min(start + size, len(self))))
                return
            keep = np.zeros(self._total, bool)
            keep[self._rows] = True
        yield from self._reader.stream(size, keep)

    def iter_episodes(self, shuffle_buffer: int = 0, seed: int = 0) -> Iterator[Episode]:
        """Stream episodes, in order or through a shuffle buffer of that many."""
        stream = (episode for batch in self.iter_batches() for episode in batch)
        if shuffle_buffer <= 1:
            yield from stream
            return
        rng = np.random.default_rng(seed)
        buffer: list[Episode] = []
        for episode in stream:
            if len(buffer) < shuffle_buffer:
                buffer.append(episode)
                continue
            k = int(rng.integers(shuffle_buffer))
            yield buffer[k]
            buffer[k] = episode
        rng.shuffle(buffer)  # type: ignore[arg-type]
        yield from buffer

    def __iter__(self) -> Iterator[Episode]:
        return self.iter_episodes()

    # -- numbers

    @cached_property
    def _numbers(self) -> dict[str, np.ndarray]:
        table = self._reader.columns(["rewards", "success"])
        rewards = table["rewards"].combine_chunks()
        offsets = rewards.offsets.to_numpy()
        lengths = np.diff(offsets)
        returns = np.zeros(len(lengths))
        # Summed episode by episode and in order, as `Episode.episode_return` does: equal to the last bit.
        values = rewards.values.to_numpy()
        for turn in range(int(lengths.max(initial=0))):
            here = lengths > turn
            returns[here] += values[offsets[:-1][here] + turn]
        numbers = {
            "returns": returns,
            "lengths": lengths,
            "success": table["success"].to_numpy(),
        }
        return numbers if self._rows is None else {key: value[self._rows] for key, value in numbers.items()}

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted returns, float64 ``[episodes]``."""
        return self._numbers["returns"]

    @property
    def lengths(self) -> np.ndarray:
        """Agent turns, int ``[episodes]``."""
        return self._numbers["lengths"]

    @property
    def success(self) -> np.ndarray:
        """Whether each episode succeeded, bool ``[episodes]``."""
        return self._numbers["success"]

    def stats(self) -> dict[str, Any]:
        """Summary statistics (keys as in `lmrl_datasets.summarize`)."""
        return summarize(self.task.id, self.returns, self.lengths, self.success)

    def to_pandas(self, by: By = "episode") -> pd.DataFrame:
        """The episodes as a data frame, a row for each episode or for each turn; for the columns see `lmrl_datasets.reading.frames.frame`.

        Raises:
            ValueError: another ``by``.
            gymnasium.error.DependencyNotInstalled: pandas is missing.
        """
        return frame(self, by)

    # -- parts

    def filter(
        self,
        predicate: Callable[[Episode], bool] | None = None,
        *,
        min_return: float | None = None,
        max_return: float | None = None,
        success: bool | None = None,
        min_length: int | None = None,
        max_length: int | None = None,
    ) -> Dataset:
        """The episodes that fulfil every condition given (bounds are inclusive)."""
        keep = np.ones(len(self), bool)
        if min_return is not None:
            keep &= self.returns >= min_return
        if max_return is not None:
            keep &= self.returns <= max_return
        if success is not None:
            keep &= self.success == success
        if min_length is not None:
            keep &= self.lengths >= min_length
        if max_length is not None:
            keep &= self.lengths <= max_length
        chosen = self.take(np.flatnonzero(keep))
        if predicate is None:
            return chosen
        return chosen.take(np.array([i for i, episode in enumerate(chosen) if predicate(episode)], np.int64))

    def split(self, validation: float = VALIDATION_SHARE, seed: int = SPLIT_SEED) -> tuple[Dataset, Dataset]:
        """(train, validation): a random share of the episodes, fixed by the seed, each in dataset order."""
        order = np.random.default_rng(seed).permutation(len(self))
        count = round(validation * len(self))
        return self.take(np.sort(order[count:])), self.take(np.sort(order[:count]))

    # -- replaying

    def reword(self, env_id: str, **env_kwargs: Any) -> Dataset:
        """The same games as another id of the family words them, by replaying seeds and actions.

        Raises:
            DatasetError: another family, or a replay that earns other rewards.
        """
        if task(env_id).family != self.task.family:
            raise DatasetError(f"{self.name} holds games of {self.env_id}; {env_id} is another family of tasks")
        if env_id == self.env_id and env_kwargs.items() <= self.env_kwargs.items():
            return self
        return RewordedDataset(self, env_id, env_kwargs)

    def verify(self, replay: bool = False, progress: Callable[[int, int], None] | None = None) -> None:
        """Check every file against the manifest, every row against the rules of episodes (`check_rows`) and, with ``replay``,
        every stored number against the environment.

        Raises:
            DatasetError: naming the file, and the episode, that is wrong.
        """
        verify_shards(self.folder, self.manifest)
        _ = self.task  # a task that is not known here is what there is to say, whatever the rows hold
        env: Any = self._played_in() if replay else None
        try:
            check_rows(self.folder, self.manifest)
            stats = Dataset(self.folder, self.manifest).stats()
            if stats != self.manifest["statistics"]:
                raise DatasetError(f"{self.folder}: the statistics in the manifest are not those of the episodes")
            if replay:
                self._replay(env, progress or (lambda done, total: None))
        finally:
            if replay:
                env.close()

    def _played_in(self) -> Any:
        """The environment of the episodes, with what was offered in it."""
        env, offered = self.recover_environment().unwrapped, self.manifest["recipe"].get("candidates")
        try:
            return Candidates(env, **offered) if offered else env  # type: ignore[arg-type]
        except (TypeError, ValueError) as problem:
            raise DatasetError(f"{self.folder}: candidates: {shown(str(problem), 300)}") from None

    def _replay(self, env: Any, progress: Callable[[int, int], None]) -> None:
        done = 0
        for batch in self.iter_batches():
            for episode in batch:
                try:
                    _, infos = replay_episode(env, episode)
                except (DatasetError, ValueError, TypeError, KeyError) as problem:
                    raise DatasetError(f"{self.folder}: {shown(str(problem), 300)}") from None
                said = "success" if not episode.stopped and infos[-1].get("success") != episode.success else ""
                said = said or ("info" if episode.info and plain(infos[-1]) != episode.info else "")
                if said:
                    raise DatasetError(
                        f"{self.folder}: episode {episode.episode_id}: {said} is not what the environment says"
                    )
            done += len(batch)
            progress(done, len(self))


class RewordedDataset(Dataset):
    """A dataset whose observations are those of another id of the family; games are replayed as they are read."""

    def __init__(
        self, base: Dataset, env_id: str, env_kwargs: Mapping[str, Any], rows: np.ndarray | None = None
    ) -> None:
        super().__init__(base.folder, base.manifest, base._rows if rows is None else rows)
        self._base, self._env_id, self.own_kwargs = base, env_id, env_kwargs

    @property
    def env_id(self) -> str:
        return self._env_id

    @property
    def env_kwargs(self) -> dict[str, Any]:
        return {**self._base.env_kwargs, **self.own_kwargs}

    def recover_environment(self, **kwargs: Any) -> gymnasium.Env[str, str]:
        return super().recover_environment(**{**self.own_kwargs, **kwargs})

    @cached_property
    def _env(self) -> Any:
        return self.recover_environment().unwrapped

    def _reworded(self, episode: Episode) -> Episode:
        observations, _ = replay_episode(self._env, episode, compare_texts=False)
        return replace(episode, env_id=self.env_id, env_kwargs=self.env_kwargs, observations=tuple(observations))

    def _with_rows(self, rows: np.ndarray) -> Dataset:
        return RewordedDataset(self._base, self._env_id, self.own_kwargs, np.asarray(rows, np.int64))

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return self._reworded(found) if isinstance(found, Episode) else found

    def fetch(self, indices: Iterable[int]) -> list[Episode]:
        return [self._reworded(episode) for episode in super().fetch(indices)]

    def iter_batches(self, size: int = 2048) -> Iterator[list[Episode]]:
        reordered = self._rows is not None and bool(np.any(np.diff(self._rows) <= 0))
        for batch in super().iter_batches(size):  # a reordered base goes through fetch, which rewords already
            yield batch if reordered else [self._reworded(episode) for episode in batch]
