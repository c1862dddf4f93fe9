"""A dataset on disk: Parquet shards, and a manifest that is written last. Without its manifest a folder is unfinished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from lmrl_datasets.schema import COLUMNS, SCHEMA_VERSION, DatasetError, Episode, arrow_schema, to_table
from lmrl_envs.files import needs, package_versions, replacing, sha256_of
from lmrl_envs.files.untrusted import Count, Integer, Number, Refused, Schema, checked, read, shown

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MANIFEST = "manifest.json"
ROW_GROUP = 10_000


class ShardEntry(Schema, frozen=True):
    """What a manifest says of a shard."""

    file: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.parquet\Z")]
    """A plain name: shards lie in the dataset's folder."""
    rows: Count
    bytes: Count
    sha256: str


class CandidatesValues(Schema, frozen=True):
    """Arguments of `lmrl_envs.wrappers.Candidates`."""

    providers: Annotated[list[str], Meta(min_length=1, max_length=64)] | UnsetType = UNSET
    """Each is made anew for every game that is replayed."""
    chance: Number | UnsetType = UNSET
    noise: Number | UnsetType = UNSET
    least: Count | UnsetType = UNSET


class RecipeValues(Schema, frozen=True):
    """The recipe in a manifest: see `lmrl_datasets.recipes.Recipe`."""

    name: str
    env: str
    policy: str
    episodes: Count
    description: str
    env_kwargs: dict[str, Any]
    policy_kwargs: dict[str, Any]
    published: dict[str, Number]
    notes: str = ""
    shard_size: Count | None = None
    revision: Count = 1
    candidates: CandidatesValues = CandidatesValues()


class ManifestFile(Schema, frozen=True):
    """A ``manifest.json``."""

    schema_version: Count
    name: str
    env_id: str
    command: str
    recipe: RecipeValues
    seed: Integer | None
    episodes: Count
    shard_size: Count
    packages: dict[str, str]
    shards: Annotated[list[ShardEntry], Meta(min_length=1, max_length=1_000_000)]
    statistics: dict[str, Number | None]
    coverage: dict[str, Any] = {}


def require_pyarrow() -> None:
    """Raise `gymnasium.error.DependencyNotInstalled`, with the command to run, unless pyarrow is installed."""
    needs("reading and writing datasets", "pyarrow.parquet")


@contextlib.contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes a DatasetError that names it."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except Refused as problem:
        why = str(problem)
        raise DatasetError(why if why.startswith(str(path)) else f"{path}: {why}") from None
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError, pa.ArrowException) as problem:
        raise DatasetError(f"{path} is damaged: {shown((str(problem).splitlines() or [''])[0], 300)}") from None


def write_shard(path: Path, episodes: Iterable[Episode]) -> None:
    """Write episodes as one Parquet file, whole or not at all. Equal episodes give equal bytes."""
    require_pyarrow()
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        table = to_table(episodes)
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=9,
            row_group_size=ROW_GROUP,
            write_page_checksum=True,  # so that reading finds bad luck, not only `verify`
        )


def describe_shard(path: Path) -> dict[str, Any]:
    """What a manifest says of a shard: ``file``, ``rows``, ``bytes``, ``sha256``.

    Raises:
        DatasetError: the file is no whole Parquet file.
    """
    import pyarrow.parquet as pq

    with naming_damage(path):
        rows = pq.read_metadata(path).num_rows
    return {"file": path.name, "rows": rows, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def making_versions() -> dict[str, str]:
    """Versions of the packages that take part in making data."""
    return package_versions("pyarrow", "textworld")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished dataset.

    Raises:
        DatasetError: no such folder, no manifest, an unreadable one, or one of a newer schema.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise DatasetError(f"no dataset at {folder}")
    try:
        manifest = read(path, dict[str, Any])
        if isinstance(version := manifest.get("schema_version"), int) and version > SCHEMA_VERSION:
            raise DatasetError(
                f"{path} has schema version {version}; this package reads up to {SCHEMA_VERSION}: update lmrl"
            )
        checked(manifest, ManifestFile, path)
    except FileNotFoundError:
        raise DatasetError(
            f"{folder} has no {MANIFEST}: it is not a dataset, or its generation has not finished (run it again to resume)"
        ) from None
    except (OSError, Refused) as problem:
        raise DatasetError(f"{path} is damaged: {str(problem).removeprefix(f'{path}: ')}") from None
    for entry in manifest["shards"]:
        _check_size(folder / entry["file"], entry)
    return manifest


ROWS_OF_A_BYTE = 16
"""More rows than that are in no byte of a shard, whatever they hold. Who believed a manifest would make room for them."""


def _check_size(path: Path, entry: dict[str, Any]) -> None:
    """Check a shard's size, if it is there."""
    if path.is_file() and path.stat().st_size != entry["bytes"]:
        raise DatasetError(f"{path} has {path.stat().st_size} bytes, its manifest says {entry['bytes']}")
    if entry["rows"] > ROWS_OF_A_BYTE * entry["bytes"]:
        raise DatasetError(f"{path} cannot have the {entry['rows']} rows that its manifest says")


def opened_shard(path: Path, rows: int | None = None, **options: Any) -> pq.ParquetFile:
    """A shard, opened; damage is found as it is read, within `naming_damage`.

    Args:
        path: the file.
        rows: how many it must have.
        options: of `pyarrow.parquet.ParquetFile`.

    Raises:
        DatasetError: no whole Parquet file, none with the columns of episodes, or with another number of them.
    """
    import pyarrow.parquet as pq

    with naming_damage(path):
        if not path.is_file() and path.exists():  # a pipe would be waited for
            raise ValueError("no plain file")
        file = pq.ParquetFile(path, page_checksum_verification=True, **options)
        names = file.schema_arrow.names
        if tuple(names) != COLUMNS:
            raise ValueError(f"its columns are {shown(', '.join(names), 300)}; episodes have {', '.join(COLUMNS)}")
        if rows is not None and file.metadata.num_rows != rows:
            raise ValueError(f"it has {file.metadata.num_rows} rows, its manifest says {rows}")
        return file


def verify_shards(folder: Path, manifest: dict[str, Any]) -> None:
    """Check presence, size, digest, columns and number of rows of every shard.

    Raises:
        DatasetError: naming the first file that is missing, cut or changed, or of other rows than the manifest says.
    """
    for entry in manifest["shards"]:
        path = folder / entry["file"]
        if not path.is_file():
            raise DatasetError(f"{path} is missing")
        _check_size(path, entry)
        if sha256_of(path) != entry["sha256"]:
            raise DatasetError(f"{path} has been changed: its sha256 is not the manifest's")
        with opened_shard(path, entry["rows"]) as file:
            if not file.schema_arrow.equals(arrow_schema()):
                raise DatasetError(f"{path}: its columns are of other types than those of episodes")
    rows = sum(entry["rows"] for entry in manifest["shards"])
    if not rows:
        raise DatasetError(f"{folder} holds no episodes")
    if rows != manifest["episodes"]:
        raise DatasetError(f"{folder / MANIFEST} says {manifest['episodes']} episodes; its files have {rows} rows")
