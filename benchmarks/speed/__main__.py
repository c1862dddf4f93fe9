"""One table: every piece of work beside the peers that do it too, and beside what the machine can do at most.

    python benchmarks/speed [--only PART ...] [--quick] [--json FILE] [--peers FOLDER]
    python benchmarks/speed --render [--json FILE]

Parts: startup, environments, rollouts, training, preferences, instruct, streaming, cluster, trust, curves, profiles; and, only when named, bench.

Each row is written to the file as soon as it is measured, and a part that is measured again replaces its own rows alone; how
long a part took is in the file too. ``--quick`` only tries whether everything works: its figures mean nothing.
``--render`` measures nothing and writes the file's tables into docs/performance.md.

Peers are installed by pip into virtual environments under ``--peers``, which are kept. Seconds are CPU seconds of one thread
unless a row says otherwise; contenders take turns within a row and the medians are shown.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from peers import Peers
from render import render
from table import NotMeasured, Table

PARTS = (
    "startup",
    "environments",
    "rollouts",
    "training",
    "preferences",
    "instruct",
    "streaming",
    "cluster",
    "trust",
    "curves",
    "profiles",
)
OTHERS = ("bench",)
"""Parts that are measured only when they are named."""
ROOT = Path(__file__).parents[2]


def main() -> None:
    """Measure what is asked for, or render what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS + OTHERS, default=PARTS, metavar="PART")
    parser.add_argument("--quick", action="store_true", help="short windows, once each")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "speed.json")
    parser.add_argument("--peers", type=Path, default=ROOT / ".peers", help="folder of the peers' virtual environments")
    parser.add_argument("--newer-python", help="a Python 3.12 or later, for TextArena's Chess")
    parser.add_argument("--render", action="store_true", help="write docs/performance.md's tables and measure nothing")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", help="what --render writes into")
    given = parser.parse_args()
    if given.render:
        try:
            render(given.json, given.page)
        except ValueError as problem:
            raise SystemExit(str(problem)) from None
        return
    table = Table(given.json, 0.1 if given.quick else 1.0, 1 if given.quick else 3, given.quick)
    peers = Peers(given.peers, given.newer_python)
    try:
        for part in given.only:
            table.begin(part, f"python benchmarks/speed --only {part}")
            if part in ("rollouts", "training", "preferences", "instruct", "curves", "profiles", "bench"):
                import torch

                torch.set_num_threads(1)
            try:
                importlib.import_module(part).rows(table, peers)
            except (NotMeasured, ImportError) as problem:
                table.find("not measured", str(problem))
                print(f"  not measured: {problem}", flush=True)
            table.end()
    finally:
        peers.close()


if __name__ == "__main__":
    main()
