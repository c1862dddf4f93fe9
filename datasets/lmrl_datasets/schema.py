"""One row per episode: the schema of every dataset and of every evaluation record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmrl_envs import Transcript
from lmrl_envs.core import iterate_turns
from lmrl_envs.files.untrusted import LINE, decode

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1


class DatasetError(RuntimeError):
    """A dataset is missing, damaged, unfinished or of another kind; the message says what and where."""


class UnknownDataset(DatasetError, ValueError):
    """A name of no dataset, or of one that is not here."""


@dataclass(frozen=True)
class Episode:
    """One recorded episode: T actions and rewards, T + 1 observations."""

    episode_id: int
    env_id: str
    seed: int
    """Seed of ``env.reset``."""
    policy: str
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    rewards: tuple[float, ...]
    terminated: bool
    truncated: bool
    stopped: bool = False
    """The recording was stopped before the game ended; ``truncated`` is true then."""
    success: bool = False
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    """The last step's info."""

    @property
    def transcript(self) -> Transcript:
        """The conversation."""
        return Transcript.from_texts(iterate_turns(self.observations, self.actions), self.rewards)

    @property
    def episode_return(self) -> float:
        """The undiscounted sum of rewards."""
        return float(sum(self.rewards))

    def __len__(self) -> int:
        return len(self.actions)


JSON_COLUMNS = ("env_kwargs", "options", "info")
COLUMNS = tuple(Episode.__dataclass_fields__)
DICTIONARY_COLUMNS = ("env_id", "policy", *JSON_COLUMNS, "observations.list.element", "actions.list.element")
"""Parquet's names of the columns whose few distinct texts stand for many rows."""


def arrow_schema() -> pa.Schema:
    """The Arrow schema of a shard."""
    import pyarrow as pa

    texts = pa.list_(pa.string())
    return pa.schema(
        {
            "episode_id": pa.int64(),
            "env_id": pa.string(),
            "seed": pa.int64(),
            "policy": pa.string(),
            "observations": texts,
            "actions": texts,
            "rewards": pa.list_(pa.float64()),
            "terminated": pa.bool_(),
            "truncated": pa.bool_(),
            "stopped": pa.bool_(),
            "success": pa.bool_(),
            "env_kwargs": pa.string(),
            "options": pa.string(),
            "info": pa.string(),
        }
    )


def to_json(value: Any) -> str:
    """Compact JSON with sorted keys: equal values give equal bytes.

    Raises:
        TypeError, ValueError: what JSON does not hold, NaN and the infinities among it.
    """
    return json.dumps(value, separators=(",", ":"), sort_keys=True, default=_item, allow_nan=False)


def _item(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def plain(value: Any) -> Any:
    """A value as it is read back from JSON: tuples are lists, numpy's numbers plain.

    Raises:
        TypeError, ValueError: what JSON does not hold, numbers that are not finite or of more than 64 bits among it.
    """
    return decode(to_json(value), most=LINE)


def storable(text: str) -> str:
    """The text with what UTF-8 cannot hold (lone surrogates) replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def to_table(episodes: Iterable[Episode]) -> pa.Table:
    """Episodes as an Arrow table."""
    import pyarrow as pa

    rows = list(episodes)
    columns: dict[str, list[Any]] = {}
    for name in COLUMNS:
        values = [getattr(row, name) for row in rows]
        if name in JSON_COLUMNS:
            values = [to_json(value) for value in values]
        elif name in ("observations", "actions"):
            values = [[storable(text) for text in texts] for texts in values]
        columns[name] = values
    return pa.table(columns, schema=arrow_schema())
