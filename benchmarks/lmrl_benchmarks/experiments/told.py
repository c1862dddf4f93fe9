"""What cells told, as a page draws it: groups of cells that differ in their seed alone, their names, numbers and curves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Result = dict[str, Any]
Groups = Mapping[tuple[str, ...], Sequence[Result]]
"""By their settings but the seed: results of every seed."""

PROXIES = {"optimised": "proxy, in standard deviations of the start", "proxy": "proxy"}
"""Curves that may stand beside gold, in words."""
DISTANCES = ("KL at the end", "KL")
"""Numbers that say how far an optimisation went."""


def labels(groups: Groups, keys: Sequence[str]) -> dict[tuple[str, ...], str]:
    """What each group is called: by the settings in which groups differ, numbers with their names."""
    varied = [k for k in range(len(keys)) if len({settings[k] for settings in groups}) > 1] or range(len(keys))
    return {own: ", ".join(called(keys[k], own[k]) for k in varied) for own in groups}


def called(key: str, value: str) -> str:
    """A setting with its name where it is a number, or by itself."""
    return value if math.isnan(number_of(value)) else f"{key} {value}"


def number_of(value: str) -> float:
    """What a setting says, nan if that is no number."""
    try:
        return float(value)
    except ValueError:
        return math.nan


def seeds_of(own: Iterable[Result], name: str) -> list[np.ndarray]:
    """A curve of each seed that has it: float [points, 2 or 3] each."""
    return [np.array(one["curves"][name], float) for one in own if one["curves"].get(name)]


def mean_curve(found: Sequence[np.ndarray]) -> np.ndarray:
    """Point by point over seeds, as far as all of them go: a mean over those that went on alone would be of others."""
    least = min(map(len, found))
    return np.mean([curve[:least, :2] for curve in found], axis=0)


def values_of(own: Iterable[Result], name: str) -> list[float]:
    """A number of each seed that has it."""
    return [one["numbers"][name] for one in own if name in one["numbers"]]


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error (0 for one value)."""
    return float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else 0.0


def reliability_of(own: Iterable[Result]) -> np.ndarray:
    """The held-out labels of all seeds together, in tenths of what was foretold: float [tenths, 3], foretold, observed, labels."""
    found = [np.pad(one, ((0, 0), (0, 3 - one.shape[1])), constant_values=1.0) for one in seeds_of(own, "reliability")]
    if not found:
        return np.zeros((0, 3))
    points = np.concatenate(found)
    points[:, 2] = np.maximum(points[:, 2], 0)
    tenth = np.minimum((points[:, 0] * 10).astype(int), 9)
    weight = np.maximum(points[:, 2], 1e-9)
    return np.array([[*np.average(points[tenth == k, :2], axis=0, weights=weight[tenth == k]), points[tenth == k, 2].sum()]
                     for k in np.unique(tenth)])  # fmt: skip


def proxy_of(own: Iterable[Result]) -> str:
    """The name of the proxy's curve that stands beside gold; "" where none does."""
    there = {name for one in own for name, curve in one["curves"].items() if curve}
    return next((name for name in PROXIES if name in there), "") if "gold" in there else ""


def is_along_kl(own: Iterable[Result]) -> bool:
    """Whether the curve of gold is over the square root of the KL."""
    own = list(own)
    return bool(proxy_of(own) or (seeds_of(own, "gold") and values_of(own, DISTANCES[0])))
