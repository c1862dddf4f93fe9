"""Statistics of scores (Agarwal et al., arXiv 2108.13264): aggregates, and intervals from the stratified bootstrap.

Rows are training seeds. Episodes of one trained policy are no independent runs: an interval over the episodes of a
single seed shows evaluation noise only, and whoever shows it has to say so.

A bootstrap is kept as draws: for every task an array [n, runs] of n resamples. Any statistic of the runs is then computed
on the resamples as on the runs themselves; `lmrl_benchmarks.scores.comparison` does so for profiles and improvement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
"""Scores [..., n] -> [...]."""

BOOTSTRAPS = 2000
TAILS = (2.5, 97.5)
"""Percentiles between which an interval lies."""


def mean(scores: np.ndarray) -> np.ndarray:
    """The mean over the last axis."""
    return scores.mean(axis=-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """The interquartile mean over the last axis: the mean of the middle half, a quarter cut off at each end."""
    ordered = np.sort(scores, axis=-1)
    n = ordered.shape[-1]
    cut = int(0.25 * n)
    return ordered[..., cut : n - cut].mean(axis=-1)


def optimality_gap(scores: np.ndarray, target: float = 100.0) -> np.ndarray:
    """By how much the scores miss the target on average; what is above the target does not make up for the rest."""
    return target - np.minimum(scores, target).mean(axis=-1)


# -- draws


def bootstrap_means(values: Sequence[float] | np.ndarray, rng: np.random.Generator, n: int = BOOTSTRAPS) -> np.ndarray:
    """Means [n] of resamples of independent values.

    How often each distinct value is drawn is multinomial; games have few distinct returns, so this costs little whatever
    the number of episodes is.
    """
    distinct, counts = np.unique(np.asarray(values, float), return_counts=True)
    total = int(counts.sum())
    if len(distinct) == 1:
        return np.full(n, distinct[0])
    shares = counts / total
    return np.concatenate(
        [rng.multinomial(total, shares, size=part) @ distinct / total for part in _parts(n, len(distinct))]
    )


def run_draws(runs: Sequence[float] | np.ndarray, rng: np.random.Generator, n: int = BOOTSTRAPS) -> np.ndarray:
    """Resamples [n, runs] of the runs of one task."""
    runs = np.asarray(runs, float)
    return runs[rng.integers(len(runs), size=(n, len(runs)))]


def _parts(n: int, size: int) -> list[int]:
    """Split ``n`` resamples so that one part holds at most about four million numbers."""
    most = max(1, 4_000_000 // size)
    return [most] * (n // most) + ([n % most] if n % most else [])


# -- intervals


def percentile_interval(estimates: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of bootstrap estimates."""
    low, high = np.percentile(estimates, TAILS)
    return float(low), float(high)


def bootstrap_interval(values: Sequence[float] | np.ndarray, seed: int = 0, n: int = BOOTSTRAPS) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of independent values; one value gives a point."""
    return percentile_interval(bootstrap_means(values, np.random.default_rng(seed), n))


def interval(draws: Sequence[np.ndarray], statistic: Statistic = mean) -> tuple[float, float]:
    """Interval of a statistic pooled over tasks, from the draws [n, runs] of each: the tasks are fixed, the runs of each are
    drawn among themselves."""
    return percentile_interval(statistic(np.concatenate(draws, axis=1)))


AGGREGATES: dict[str, Statistic] = {"mean": mean, "iqm": iqm, "gap": optimality_gap}
"""What is told of an agent over all tasks; ``gap`` is the optimality gap to a score of 100."""


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson, 1927), 95 % by default; (0, 1) when nothing was tried."""
    if n == 0:
        return 0.0, 1.0
    rate, square = successes / n, z * z / n
    middle, half = rate + square / 2, z * math.sqrt(rate * (1 - rate) / n + square / (4 * n))
    # Rounding must not leave a sliver above 0 or below 1 where the bound is exactly that.
    low = 0.0 if successes == 0 else (middle - half) / (1 + square)
    high = 1.0 if successes == n else (middle + half) / (1 + square)
    return low, high


CHANCE = 4.0
"""Of `exceeds`: by chance fewer than 4 in 10,000 agents that play optimally are above."""


def exceeds(returns: np.ndarray, optimum: float) -> bool:
    """Whether the mean of independent returns is above the best possible mean by more than chance.

    Deviations d from the optimum are summed and divided by the root of the sum of their squares. For independent symmetric
    deviations that statistic is above x with a probability of at most exp(-x**2 / 2), whatever their sizes (Efron, *Student's
    t-test under symmetry conditions*, 1969); it is at most the root of their number, so fewer than 17 games are never above.
    """
    deviations = np.asarray(returns, float) - optimum
    spread = float(np.sqrt((deviations**2).sum()))
    return spread > 0 and float(deviations.sum()) / spread > CHANCE
