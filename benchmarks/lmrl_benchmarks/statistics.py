"""Statistics of scores (Agarwal et al., arXiv 2108.13264): interquartile mean, stratified bootstrap, and intervals.

Rows are training seeds. Episodes of one trained policy are no independent runs: an interval over the episodes of a
single seed shows evaluation noise only, and whoever shows it has to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
"""Scores [..., n] -> [...]."""

BOOTSTRAPS = 2000


def mean(scores: np.ndarray) -> np.ndarray:
    """The mean over the last axis."""
    return scores.mean(axis=-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """The interquartile mean over the last axis: the mean of the middle half, a quarter cut off at each end."""
    ordered = np.sort(scores, axis=-1)
    n = ordered.shape[-1]
    cut = int(0.25 * n)
    return ordered[..., cut : n - cut].mean(axis=-1)


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    seed: int = 0,
    level: float = 0.95,
    statistic: Statistic = mean,
    n: int = BOOTSTRAPS,
) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of independent values; one value gives a point."""
    values = np.asarray(values, float)
    if len(values) < 2:
        return float(values[0]), float(values[0])
    rng = np.random.default_rng(seed)
    estimates = np.concatenate(
        [
            np.atleast_1d(statistic(values[rng.integers(len(values), size=(part, len(values)))]))
            for part in _parts(n, len(values))
        ]
    )
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(estimates, [tail, 100 - tail])
    return float(low), float(high)


def _parts(n: int, size: int) -> list[int]:
    """Split ``n`` resamples so that one part holds at most about four million numbers."""
    most = max(1, 4_000_000 // size)
    return [most] * (n // most) + ([n % most] if n % most else [])


def stratified_interval(
    scores: Sequence[Sequence[float]],
    seed: int = 0,
    level: float = 0.95,
    statistic: Statistic = mean,
    n: int = BOOTSTRAPS,
) -> tuple[float, float]:
    """Interval of a statistic pooled over tasks: each task's runs are drawn again among themselves.

    Args:
        scores: for every task the scores of its runs (training seeds), normalised.
        seed: of the resampling.
        level: of the interval.
        statistic: of the pooled scores.
        n: resamples.
    """
    rng = np.random.default_rng(seed)
    drawn = [np.asarray(runs, float)[rng.integers(len(runs), size=(n, len(runs)))] for runs in scores]
    estimates = statistic(np.concatenate(drawn, axis=1))
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(estimates, [tail, 100 - tail])
    return float(low), float(high)
