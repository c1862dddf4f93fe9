"""What the soak samples between its rounds, and what the samples say."""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_envs import task_ids

SAMPLES, SETTINGS = "samples.jsonl", "soak.json"
TEXT_GAMES = tuple(id for id in task_ids() if "Chess" not in id)
LIMIT = 1.0
"""MB an hour that memory may grow after warm-up."""


class _MallInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


_LRU_CACHE = type(lru_cache(len))
_LIBC = ctypes.CDLL("libc.so.6")
_LIBC.mallinfo2.restype = _MallInfo


def sample(episodes: Counter[str], rounds: int, started: float) -> dict[str, Any]:
    """One line of ``samples.jsonl``: this process after a garbage collection, and its children."""
    gc.collect()
    _LIBC.malloc_trim(0)
    heap = _LIBC.mallinfo2()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    children = _children()
    return {
        "hours": round((time.monotonic() - started) / 3600, 5),
        "cpu_seconds": round(time.process_time(), 2),
        "heap_mb": round((heap.uordblks + heap.hblkhd) / 2**20, 3),
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 3),
        "files": len(os.listdir("/proc/self/fd")) - 1,  # the listing is one itself
        "threads": len(os.listdir("/proc/self/task")),
        "children": len(children),
        "child_names": sorted(children.values()),
        "objects": len(gc.get_objects()),
        "cached": sum(caches().values()),
        "rounds": rounds,
        "episodes": dict(episodes),
    }


def caches() -> dict[str, int]:
    """Entries of every ``lru_cache`` of the project: what may still fill up to its bound."""
    found: Counter[str] = Counter()
    for wrapper in gc.get_objects():
        if type(wrapper) is _LRU_CACHE and (wrapper.__module__ or "").startswith("lmrl_"):
            found[f"{wrapper.__module__}.{wrapper.__qualname__}"] += wrapper.cache_info().currsize
    return dict(found)


def _children() -> dict[int, str]:
    """Child processes: id -> name."""
    found = {}
    for thread in os.listdir("/proc/self/task"):
        for pid in map(int, Path(f"/proc/self/task/{thread}/children").read_text().split()):
            try:
                found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:  # gone since
                continue
    return found


def slope(hours: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Slope of the least-squares line per hour, and its standard error (inf for fewer than three points)."""
    x, y = np.asarray(hours, float), np.asarray(values, float)
    spread = float(((x - x.mean()) ** 2).sum()) if len(x) else 0.0
    if len(x) < 3 or spread == 0:
        return 0.0, math.inf
    rate = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - rate * (x - x.mean())
    return rate, math.sqrt(float((rest**2).sum()) / (len(x) - 2) / spread)


def report(folder: Path) -> dict[str, Any]:
    """What the samples say: growth after warm-up, and whether it keeps within the limits.

    Raises:
        ValueError: fewer than three samples after warm-up.
    """
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    lines = (folder / SAMPLES).read_text("utf-8").splitlines()
    samples = [json.loads(line) for line in lines]
    kept = [s for s in samples if s["hours"] >= settings["warm_up_hours"]]
    if len(kept) < 3:
        raise ValueError(
            f"{folder}: {len(kept)} samples after {settings['warm_up_hours']} hours of warm-up, 3 are needed"
        )
    hours = [s["hours"] for s in kept]
    growth = {}
    for key in ("rss_mb", "heap_mb", "objects", "cached"):
        rate, error = slope(hours, [s[key] for s in kept])
        growth[f"{key}_per_hour"] = {"slope": round(rate, 3), "standard_error": round(error, 3)}
    counts = {
        key: {"after_warm_up": kept[0][key], "at_end": kept[-1][key], "most": max(s[key] for s in kept)}
        for key in ("files", "threads", "children", "rss_mb", "heap_mb")
    }
    episodes = kept[-1]["episodes"]
    flat = growth["rss_mb_per_hour"]["slope"] < LIMIT
    level = all(counts[key]["at_end"] <= counts[key]["after_warm_up"] for key in ("files", "threads", "children"))
    return {
        **settings,
        "finished": bool(kept[-1]["hours"] >= settings["hours"] - 0.05),
        "hours_measured": round(kept[-1]["hours"], 3),
        "hours_after_warm_up": round(hours[-1] - hours[0], 3),
        "samples": len(samples),
        "samples_after_warm_up": len(kept),
        "cpu_seconds": kept[-1]["cpu_seconds"],
        "rounds": kept[-1]["rounds"],
        **growth,
        **counts,
        "episodes": episodes,
        "episodes_of_text_games": sum(episodes.get(id, 0) for id in TEXT_GAMES),
        "within_limits": flat and level,
    }
