"""Work done on a Ray cluster. Its machines need the same packages, but share no disk: folders travel as archives."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import Any

from lmrl_datasets.schema import DatasetError
from lmrl_datasets.store import making_versions
from lmrl_envs.files import needs, write_atomically
from lmrl_envs.files.archives import members

LOCAL = "local"


class WorkerLost(RuntimeError):
    """The machine or process that had a piece of work is gone."""


class Cluster:
    """A cluster that this process is connected to (see `joined`)."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    @property
    def cpus(self) -> int:
        """CPUs of the cluster as it is now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def send(self, value: Any) -> Any:
        """Put a value on the cluster once, for several pieces of work (in place of the value, in ``inputs``)."""
        return self._ray.put(value)

    def start(
        self,
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        output: str,
        inputs: Iterable[Any] = (),
        *,
        gpus: int = 0,
        retries: int = 0,
        once: bool = False,
    ) -> Future:
        """Begin a piece of work.

        Args:
            work: called with a scratch folder and ``arguments``.
            arguments: values that can be pickled.
            output: folder, within the scratch folder, that comes back.
            inputs: pairs of a folder's place in the scratch folder and its files (`archive`).
            gpus: GPUs that it takes, beside one CPU.
            retries: how often it is begun again where a worker is lost.
            once: the worker process serves nothing else afterwards.
        """
        remote = self._ray.remote(num_cpus=1, num_gpus=gpus, max_retries=retries, max_calls=int(once))(_work)
        return remote.remote(work, arguments, output, *inputs).future()

    def result(self, future: Future) -> tuple[Any, bytes]:
        """What the work returned, and its output folder as an archive.

        Raises:
            WorkerLost: the worker, or its machine, is gone.
            DatasetError: the machine has other versions of packages.
        """
        try:
            versions, returned, content = future.result()
        except self._ray.exceptions.RayTaskError as problem:
            raise problem.as_instanceof_cause() from None
        except self._ray.exceptions.RayError as problem:
            raise WorkerLost(f"a Ray worker was lost ({str(problem).strip().splitlines()[0]})") from None
        here = making_versions()
        differing = sorted(name for name in {*here, *versions} if here.get(name) != versions.get(name))
        if differing:
            told = ", ".join(f"{name} {versions.get(name)} there, {here.get(name)} here" for name in differing)
            raise DatasetError(f"a machine of the cluster has other versions: {told}")
        return returned, content


@contextlib.contextmanager
def joined(address: str, workers: int) -> Iterator[Cluster]:
    """The cluster at an address; a connection that was there before stays.

    Args:
        address: of a running cluster (``auto``, ``host:port``, ``ray://host:port``), or "local" for one on this machine.
        workers: CPUs of a local cluster.

    Raises:
        gymnasium.error.DependencyNotInstalled: Ray is not installed.
        DatasetError: there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    needs("working on a cluster", "ray")
    import ray

    before = ray.is_initialized()
    if not before:
        try:
            _reach(address)
            if address == LOCAL:
                ray.init(LOCAL, num_cpus=max(1, workers), include_dashboard=False, log_to_driver=False)
            else:
                ray.init(address, log_to_driver=False)
        except Exception as problem:  # Ray raises plain ones, too
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise DatasetError(f"no Ray cluster at {address!r}: {reason}") from None
    try:
        yield Cluster(ray)
    finally:
        if not before:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raise an OSError when nobody listens at ``host:port``: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _work(
    work: Callable[..., Any], arguments: tuple[Any, ...], output: str, *inputs: tuple[str, bytes]
) -> tuple[dict[str, str], Any, bytes]:
    """On a machine of the cluster: versions of packages here, what the work returned, and its output folder."""
    with tempfile.TemporaryDirectory(prefix="lmrl-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        for place, content in inputs:
            extract(scratch / place, content)
        returned = work(scratch, *arguments)
        return making_versions(), returned, archive(scratch / output)


# -- folders as bytes


def archive(folder: Path) -> bytes:
    """The files of a folder, without hidden ones (locks, what is under way)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for path in sorted(folder.rglob("*")):
            place = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in place.parts):
                file.add(path, arcname=str(place), recursive=False)
    return buffer.getvalue()


def extract(folder: Path, content: bytes) -> None:
    """Write the files of an `archive` into a folder, each whole or not at all.

    Raises:
        DatasetError: it holds something else than files of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for place, _, source in members(io.BytesIO(content)):
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, source.read())
    except (tarfile.TarError, ValueError) as problem:
        raise DatasetError(f"what a machine of the cluster sent is none of its folders: {problem}") from None


def replace_folder(folder: Path, content: bytes) -> None:
    """Put an `archive` in the place of a folder. Killed in between, the folder is gone, and its work is done again."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    extract(new, content)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


# -- shards


def make_on_cluster(address: str, make: Callable[[Any], Any], jobs: list[Any], workers: int) -> Iterator[int]:
    """Make shards on the cluster at ``address`` and write them here; yields the number of episodes of each.

    Args:
        address: see `joined`.
        make: writes one shard (`lmrl_datasets.generate.make_shard`).
        jobs: what it takes.
        workers: CPUs of a local cluster.

    Raises:
        DatasetError: there is no cluster, a machine has other versions, or a worker died.
    """
    with joined(address, workers) as cluster:
        started = {cluster.start(_shard, (make, job), "made", retries=3): job for job in jobs}
        for future in as_completed(started):
            try:
                count, content = cluster.result(future)
            except WorkerLost as loss:
                raise DatasetError(f"{loss}; run the same command to go on") from None
            extract(Path(started[future][-1]).parent, content)
            yield count


def _shard(scratch: Path, make: Callable[[Any], Any], job: Any) -> int:
    recipe, seed, indices, path = job
    (scratch / "made").mkdir()
    return make((recipe, seed, indices, str(scratch / "made" / Path(path).name)))
