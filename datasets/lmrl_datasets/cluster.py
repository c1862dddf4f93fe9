"""Work done on a Ray cluster. The machines need this package and Ray, but share no disk: files travel as bytes."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lmrl_datasets.schema import DatasetError
from lmrl_datasets.store import provenance, write_bytes

LOCAL = "local"


@contextlib.contextmanager
def joined(address: str, workers: int) -> Iterator[Any]:
    """The module ``ray``, connected; a connection that was there before stays.

    Args:
        address: of a running cluster (``auto``, ``host:port``, ``ray://host:port``), or "local" for one on this machine.
        workers: CPUs of a local cluster.

    Raises:
        DatasetError: Ray is not installed, or there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise DatasetError('this needs Ray: pip install "lmrl[ray]"') from None
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
        yield ray
    finally:
        if not before:
            ray.shutdown()


def refuse_other_versions(there: Mapping[str, str]) -> None:
    """Compare the versions of packages on another machine (`store.provenance`) with those here.

    Raises:
        DatasetError: naming those that differ.
    """
    here = provenance()
    differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    if differing:
        versions = ", ".join(f"{name} {there.get(name)} there, {here.get(name)} here" for name in differing)
        raise DatasetError(f"a machine of the cluster has other versions: {versions}")


def make_on_cluster(address: str, make: Callable[[Any], Any], jobs: list[Any], workers: int) -> Iterator[int]:
    """Make shards on the cluster at ``address`` and write them here; yields the number of episodes of each.

    Args:
        address: see `joined`.
        make: writes one shard (`lmrl_datasets.generate.make_shard`).
        jobs: what it takes.
        workers: CPUs of a local cluster.

    Raises:
        DatasetError: Ray is not installed, there is no cluster, a machine has other versions, or a worker died.
    """
    with joined(address, workers) as ray:
        yield from _collect(ray, make, jobs)


def _reach(address: str) -> None:
    """Raise an OSError when nobody listens at ``host:port``: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _collect(ray: Any, make: Callable[[Any], Any], jobs: list[Any]) -> Iterator[int]:
    remote = ray.remote(num_cpus=1, max_retries=3)(_shard)
    pending = {remote.remote(make, recipe, seed, indices): (path, len(indices)) for recipe, seed, indices, path in jobs}
    while pending:
        (ready,), _ = ray.wait(list(pending), num_returns=1)
        path, count = pending.pop(ready)
        try:
            there, content = ray.get(ready)
        except ray.exceptions.RayTaskError as problem:
            raise problem.as_instanceof_cause() from None
        except ray.exceptions.RayError as problem:
            reason = str(problem).strip().splitlines()[0]
            raise DatasetError(f"a Ray worker was lost ({reason}); run the same command to go on") from None
        refuse_other_versions(there)
        write_bytes(Path(path), content)
        yield count


def _shard(make: Callable[[Any], Any], recipe: Any, seed: int, indices: range) -> tuple[dict[str, str], bytes]:
    """In a worker of the cluster: versions of packages here, and a shard's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard.parquet"
        make((recipe, seed, indices, str(path)))
        return provenance(), path.read_bytes()
