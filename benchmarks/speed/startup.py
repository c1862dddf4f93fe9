"""Starting: what a user waits for before anything happens, in seconds of fresh processes."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from peers import Peers
from table import Table

COMMANDS = {
    "lmrl --help": [str(Path(sys.executable).with_name("lmrl")), "--help"],
    "import lmrl_envs": [sys.executable, "-c", "import lmrl_envs"],
    "gymnasium.make of Wordle": [sys.executable, "-c", "import gymnasium; gymnasium.make('lmrl_envs:lmrl/Wordle-v0')"],
}


def seconds(command: list[str], repeats: int) -> dict[str, float]:
    """Medians over processes, Python's own start included."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    wall, cpu = [], []
    for _ in range(repeats + 1):
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, env=environment, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(time.perf_counter() - started)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    # The first one fills the disk's cache.
    return {"wall seconds": statistics.median(wall[1:]), "CPU seconds": statistics.median(cpu[1:])}


def rows(table: Table, _: Peers) -> None:
    """All starts."""
    for name, command in {"python alone": [sys.executable, "-c", "pass"], **COMMANDS}.items():
        found = seconds(command, 1 if table.quick else 5)
        table.find(name, found)
        print(f"  {name:<40}" + ", ".join(f"{value:.3f} {unit}" for unit, value in found.items()), flush=True)
