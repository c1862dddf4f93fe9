"""A dataset on disk: Parquet shards, and a manifest that is written last. Without its manifest a folder is unfinished."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lmrl_datasets.schema import SCHEMA_VERSION, DatasetError, Episode, to_table
from lmrl_envs.files import needs, package_versions, replacing, sha256_of

MANIFEST = "manifest.json"
ROW_GROUP = 10_000


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
    except (UnicodeDecodeError, OSError, pa.ArrowException) as problem:
        raise DatasetError(f"{path} is damaged: {str(problem).splitlines()[0]}") from None


def write_shard(path: Path, episodes: Iterable[Episode]) -> None:
    """Write episodes as one Parquet file, whole or not at all. Equal episodes give equal bytes."""
    require_pyarrow()
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        table = to_table(episodes)
        pq.write_table(table, temporary, compression="zstd", compression_level=9, row_group_size=ROW_GROUP)


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
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DatasetError(
            f"{folder} has no {MANIFEST}: it is not a dataset, or its generation has not finished (run it again to resume)"
        ) from None
    except (OSError, ValueError) as problem:
        raise DatasetError(f"{path} is damaged: {problem}") from None
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or not isinstance(manifest.get("shards"), list):
        raise DatasetError(f"{path} is not a manifest of this package")
    if version > SCHEMA_VERSION:
        raise DatasetError(
            f"{path} has schema version {version}; this package reads up to {SCHEMA_VERSION}: update lmrl"
        )
    for shard in manifest["shards"]:
        name = shard.get("file") if isinstance(shard, dict) else None
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".parquet"):
            raise DatasetError(f"{path} names a shard {name!r} outside its folder")
    return manifest


def verify_shards(folder: Path, manifest: dict[str, Any]) -> None:
    """Check presence, size and digest of every shard.

    Raises:
        DatasetError: naming the first file that is missing, cut or changed.
    """
    for entry in manifest["shards"]:
        path = folder / entry["file"]
        if not path.is_file():
            raise DatasetError(f"{path} is missing")
        if path.stat().st_size != entry["bytes"]:
            raise DatasetError(f"{path} has {path.stat().st_size} bytes, its manifest says {entry['bytes']}")
        if sha256_of(path) != entry["sha256"]:
            raise DatasetError(f"{path} has been changed: its sha256 is not the manifest's")
