"""Generating a dataset on Ray: two nodes of one CPU each beside one, both on this machine, in wall seconds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from peers import Peers
from table import NotMeasured, Table

from lmrl_datasets import generate

NAME = "wordle/mixed-v0"


def rate(nodes: int, episodes: int) -> Callable[[], float]:
    """Episodes per wall second of a cluster that is up: starting it and the workers' imports are outside the clock, as long as
    the first shards keep one node busy for the seconds that the other's worker takes to start.
    """

    def measure() -> float:
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            for _ in range(nodes - 1):
                cluster.add_node(num_cpus=1)
            ray.init(cluster.address, log_to_driver=False)
            with tempfile.TemporaryDirectory() as folder:
                warm = min(episodes, 64_000)
                options = {"seed": 0, "ray": "auto", "workers": nodes}
                generate(NAME, Path(folder) / "warm", episodes=warm * nodes, shard_size=warm // 16, **options)
                started = time.perf_counter()
                generate(NAME, Path(folder) / "data", episodes=episodes, shard_size=episodes // 16, **options)
                return episodes / (time.perf_counter() - started)
        finally:
            ray.shutdown()
            cluster.shutdown()

    return measure


def rows(table: Table, _: Peers) -> None:
    """The row of Ray."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise NotMeasured('Ray is not installed: pip install "lmrl[ray]"') from None
    episodes = 4_000 if table.quick else 256_000
    table.compare(
        "generating Wordle episodes on Ray, two nodes of one CPU",
        rate(2, episodes),
        {"one node of one CPU": rate(1, episodes)},
        unit="episodes/s",
        clock="wall s",
        target=1.7,
        note="both nodes on this machine: needs two idle cores",
        repeats=1 if table.quick else 3,
    )
