"""Speed of the datasets on one core: generating, opening, streaming, random access, and what the data weigh.

    python benchmarks/speed/datasets.py [--episodes 100000] [--chess 20] [--data FOLDER] [--json FILE]

Generates Wordle episodes into a temporary folder (``--data`` takes a dataset that is there), measures it, and scales to a
million. With Minari (pip install "lmrl[minari]") the same episodes are streamed out of its storage too. Each figure is the least CPU time of all threads (time.process_time) over a few runs; opening is wall time. Memory is
what a fresh process grows to while it streams through the whole dataset.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_datasets import DatasetError, generate, load_dataset
from lmrl_datasets.dataset import Dataset

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


def reading(folder: Path) -> dict[str, float]:
    """How fast a dataset is read."""

    def stream() -> int:
        return sum(len(batch) for batch in load_dataset(folder).iter_batches())

    opened = []
    for _ in range(5):
        started = time.perf_counter()
        load_dataset(folder)
        opened.append(time.perf_counter() - started)
    data: Dataset = load_dataset(folder)
    rng = np.random.default_rng(0)
    first = cpu(lambda: data.fetch(rng.integers(len(data), size=1000)))
    random_access = min(cpu(lambda: data.fetch(rng.integers(len(data), size=1000))) for _ in range(5))
    memory = subprocess.run([sys.executable, "-c", STREAM, str(folder)], capture_output=True, text=True, check=True)
    return {
        "episodes": len(data),
        "megabytes": sum(shard["bytes"] for shard in data.manifest["shards"]) / 1e6,
        "open_seconds": min(opened),
        "streamed_per_second": len(data) / min(cpu(stream) for _ in range(3)),
        "streaming_memory_mb": float(memory.stdout.split()[1]),
        "random_1000_first_seconds": first,
        "random_1000_seconds": random_access,
    }


MINARI_EPISODES = 500


def beside_minari(folder: Path, scratch: Path) -> dict[str, float]:
    """The same episodes streamed out of Minari's storage (HDF5) and out of ours, in one run."""
    os.environ["MINARI_DATASETS_PATH"] = str(scratch)
    few = load_dataset(folder)[:MINARI_EPISODES]
    stored = few.to_minari("lmrl/speed-v0")

    def theirs() -> int:
        return sum(len(episode.actions) for episode in stored.iterate_episodes())

    def ours() -> int:
        return sum(len(episode.actions) for batch in load_dataset(folder).iter_batches() for episode in batch)

    assert theirs() == int(few.lengths.sum())
    minari_rate = len(few) / min(cpu(theirs) for _ in range(3))
    own_rate = len(load_dataset(folder)) / min(cpu(ours) for _ in range(3))
    return {"minari_streamed_per_second": minari_rate, "streamed_over_minari": own_rate / minari_rate}


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--episodes", type=int, default=100_000)
    parser.add_argument("--chess", type=int, default=20, help="games; 0 leaves chess out")
    parser.add_argument("--data", type=Path, help="a dataset of Wordle to read, instead of a new one")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.data
        if folder is None:
            folder = Path(scratch) / "wordle"
            seconds = cpu(lambda: generate(NAME, folder, episodes=options.episodes))
            figures["wordle_generated_per_second"] = options.episodes / seconds
            figures["wordle_million_cpu_seconds"] = seconds * MILLION / options.episodes
        figures |= reading(folder)
        try:
            figures |= beside_minari(folder, Path(scratch))
        except DatasetError as problem:
            print(f"Minari not measured: {problem}")
        figures["million_megabytes"] = figures["megabytes"] * MILLION / figures["episodes"]
        if options.chess:
            seconds = cpu(lambda: generate("chess/mixed-v0", Path(scratch) / "chess", episodes=options.chess))
            figures["chess_cpu_seconds_per_game"] = seconds / options.chess
            figures["chess_625k_cpu_hours"] = seconds / options.chess * 625_000 / 3600
    for key, value in figures.items():
        print(f"{key:32}{value:>14,.3f}" if isinstance(value, float) else f"{key:32}{value:>14}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
