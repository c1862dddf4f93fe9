"""Datasets beside Minari: streaming through all episodes of Wordle, in episodes per CPU second; and what ours weigh and cost."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from limits import disk_bandwidth
from peers import Peers
from pyarrow import parquet
from table import Table, cpu_rate

from lmrl_datasets import generate, load_dataset

NAME, MILLION = "wordle/mixed-v0", 1_000_000

# VmHWM, not getrusage: the latter starts with the size of the process that forked.
STREAM = """
import re, sys
from pathlib import Path
from lmrl_datasets import load_dataset
count = sum(len(batch) for batch in load_dataset(sys.argv[1]).iter_batches())
print(count, int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000)
"""


def cpu(function: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    started = time.process_time()
    function()
    return time.process_time() - started


def facts(folder: Path) -> dict[str, float]:
    """Opening, random access, memory and size."""
    opened = []
    for _ in range(5):
        started = time.perf_counter()
        load_dataset(folder)
        opened.append(time.perf_counter() - started)
    data = load_dataset(folder)
    rng = np.random.default_rng(0)
    memory = subprocess.run([sys.executable, "-c", STREAM, str(folder)], capture_output=True, text=True, check=True)
    megabytes = sum(shard["bytes"] for shard in data.manifest["shards"]) / 1e6
    return {
        "episodes": len(data),
        "megabytes": megabytes,
        "megabytes of a million": megabytes * MILLION / len(data),
        "opening, wall seconds": min(opened),
        "1,000 random episodes, CPU seconds, first time": cpu(lambda: data.fetch(rng.integers(len(data), size=1000))),
        "1,000 random episodes, CPU seconds": min(
            cpu(lambda: data.fetch(rng.integers(len(data), size=1000))) for _ in range(5)
        ),
        "memory while streaming, MB": float(re.split(r"\s+", memory.stdout)[1]),
    }


def rows(table: Table, peers: Peers) -> None:
    """All rows of datasets."""
    episodes, few = (5_000, 200) if table.quick else (100_000, 2_000)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "wordle"
        seconds = cpu(lambda: generate(NAME, folder, episodes=episodes))
        table.compare(
            "generating Wordle episodes, one process",
            lambda: episodes / seconds,
            unit="episodes/s",
            repeats=1,
            note=f"a million in {seconds * MILLION / episodes:,.0f} CPU s",
        )
        data = load_dataset(folder)
        path = Path(scratch) / "episodes.json"
        path.write_text(
            json.dumps(
                [
                    {
                        "texts": [turn.text for turn in e.transcript],
                        "rewards": list(e.transcript.rewards),
                        "terminated": e.terminated,
                    }
                    for e in data.take(np.arange(few))
                ]
            )
        )
        order = {"episodes": str(path), "folder": scratch, "seconds": table.seconds}
        disk = disk_bandwidth(32 if table.quick else 256)
        files = sorted(folder.rglob("*.parquet"))

        def stream() -> int:
            return sum(len(e.actions) > 0 for batch in load_dataset(folder).iter_batches() for e in batch)

        def columns() -> int:
            return sum(parquet.read_table(file).num_rows for file in files)

        table.compare(
            "streaming Wordle episodes",
            lambda: cpu_rate(stream, table.seconds),
            {"Minari (HDF5)": lambda: peers.ask("trl", "minari_stream", order)["rate"]},
            unit="episodes/s",
            target=10,
            limit=("pyarrow reading the columns, no episodes made", cpu_rate(columns, table.seconds)),
            note=f"ours over {episodes:,} episodes, Minari over the first {few:,} of them",
        )
        table.find("datasets", facts(folder) | {"disk, bytes/s": disk})
