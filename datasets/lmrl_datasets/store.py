"""A dataset on disk: Parquet shards, and a manifest that is written last. Without its manifest a folder is unfinished."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lmrl_datasets.schema import SCHEMA_VERSION, DatasetError, Episode, to_table

MANIFEST = "manifest.json"
ROW_GROUP = 10_000


def require_pyarrow() -> None:
    """Raise a DatasetError with the command to run unless pyarrow is installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DatasetError('datasets need pyarrow: pip install "lmrl[data]"') from None


@dataclass(frozen=True)
class Shard:
    """One Parquet file of a dataset."""

    file: str
    rows: int
    bytes: int
    sha256: str


@contextlib.contextmanager
def locked(path: Path, what: str, shared: bool = False) -> Iterator[None]:
    """Hold a lock on a file, an exclusive one unless ``shared``; the lock goes with the process.

    Raises:
        DatasetError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            raise DatasetError(f"another process is {what} in {path.parent}") from None
        yield


def end_with_parent() -> None:
    """In a worker process: end when the parent is gone, however it went, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A write that fails, on a full disk for instance, says of which file; the system's error does not."""
    try:
        yield
    except OSError as problem:
        if problem.errno is not None:  # without, the text is all there is, and a name would hide it
            problem.filename = problem.filename or str(path)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with (
            _naming(path),
            temporary.open("xb") as file,
        ):  # "x": a link of that name, in a folder from elsewhere, is not followed
            file.write(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_new(path: Path, text: str) -> bool:
    """Write a file, whole, unless there is one; returns whether it was written. Of several processes one does."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write_atomically(temporary, text)
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        os.replace(temporary, path)  # a file system without hard links: there the last one gets it
        return True
    finally:
        temporary.unlink(missing_ok=True)


def append_whole(path: Path, text: str, sync: bool = False) -> None:
    """Append to a file that one process writes: on an error (a full disk, Ctrl-C) it is as it was.

    Args:
        path: the file, made if it is not there; its folder is.
        text: whole lines.
        sync: return only when the disk has it.
    """
    data = memoryview(text.encode("utf-8"))
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(file).st_size
        try:
            with _naming(path):
                while data:
                    data = data[os.write(file, data) :]
                if sync:
                    os.fsync(file)
        except BaseException:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_shard(path: Path, episodes: Iterable[Episode]) -> None:
    """Write episodes as one Parquet file, whole or not at all. Equal episodes give equal bytes."""
    require_pyarrow()
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        table = to_table(episodes)
        with _naming(path):
            pq.write_table(table, temporary, compression="zstd", compression_level=9, row_group_size=ROW_GROUP)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def describe_shard(path: Path) -> Shard:
    """File name, rows, size and digest.

    Raises:
        DatasetError: the file is no whole Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_metadata(path).num_rows
    except (pa.ArrowInvalid, OSError) as problem:
        raise DatasetError(f"{path} is damaged: {str(problem).splitlines()[0]}") from None
    return Shard(path.name, rows, path.stat().st_size, sha256_of(path))


def provenance() -> dict[str, str]:
    """Versions of what takes part in making data."""
    versions = {}
    for package in ("lmrl", "gymnasium", "numpy", "chess", "pyarrow", "textworld"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


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
