"""Comparing agents (Agarwal et al., arXiv 2108.13264): performance profiles, probability of improvement, paired episodes.

Scores are given per task, as lists of the runs' scores; draws per task, as arrays [n, runs] (see `statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmrl_benchmarks.scores.statistics import BOOTSTRAPS, TAILS, bootstrap_means, percentile_interval

Runs = Sequence[Sequence[float]] | Sequence[np.ndarray]


def profile(scores: Runs, thresholds: np.ndarray) -> np.ndarray:
    """Performance profile [thresholds]: the share of runs that score above each threshold, averaged over tasks."""
    return np.mean([_above(np.asarray(runs, float)[None], thresholds)[0] for runs in scores], axis=0)


def profile_band(draws: Sequence[np.ndarray], thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pointwise 95 % band of a performance profile: low and high [thresholds]."""
    total = sum(_above(task, thresholds) for task in draws)
    low, high = np.percentile(total / len(draws), TAILS, axis=0)
    return low, high


def _above(runs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of the runs [n, runs] above each threshold: [n, thresholds]."""
    shares = np.zeros((len(runs), len(thresholds)))
    for run in runs.T:  # few runs, many draws
        shares += run[:, None] > thresholds[None, :]
    return shares / runs.shape[1]


def improvement(x: Runs, y: Runs) -> float:
    """P(X > Y): on a task drawn at random, how likely a run of X scores above a run of Y; ties count one half.

    On each task this is the Mann-Whitney U statistic divided by the number of pairs. Tasks of ``x`` and ``y`` are the
    same, in the same order; the numbers of runs may differ.
    """
    return float(np.mean([_beats(np.asarray(a, float)[None], np.asarray(b, float)[None])[0] for a, b in _pairs(x, y)]))


def improvement_interval(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> tuple[float, float]:
    """Interval of `improvement` from the draws of both."""
    return percentile_interval(np.mean([_beats(a, b) for a, b in _pairs(x, y)], axis=0))


def _pairs(x: Runs, y: Runs) -> list[tuple]:
    if len(x) != len(y) or not len(x):
        raise ValueError(f"improvement needs the same tasks on both sides, got {len(x)} and {len(y)}")
    return list(zip(x, y, strict=True))


def _beats(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[n, runs of a] against [n, runs of b]: [n]."""
    above, equal = a[:, :, None] > b[:, None, :], a[:, :, None] == b[:, None, :]
    return (above + 0.5 * equal).mean(axis=(1, 2))


@dataclass(frozen=True)
class Paired:
    """Difference of two agents on the same episodes of one task."""

    difference: float
    """Mean return of the first minus that of the second."""
    low: float
    high: float
    episodes: int
    wins: float
    """Share of the episodes where the first does better, ties half."""


class NotPairable(ValueError):
    """Two evaluations that share no episodes; the message says why."""


def paired(x: Mapping[int, float], y: Mapping[int, float], seed: int = 0, n: int = BOOTSTRAPS) -> Paired:
    """Bootstrap over episodes of the difference of returns on equal evaluation seeds.

    The same secret, start or buyer makes the games of both agents hard or easy alike; in the difference this cancels.
    The interval shows evaluation noise: it says nothing about how the agents would differ if trained again.

    Args:
        x: return by evaluation seed, of the first agent (averaged over its training seeds).
        y: the same of the second.
        seed: of the resampling.
        n: resamples.

    Raises:
        NotPairable: neither played the other's evaluation seeds. (Who played only some of them, as people do, is compared
            on these.)
    """
    common = x.keys() & y.keys()
    if len(common) < min(len(x), len(y)):
        raise NotPairable(
            f"not pairable: of {len(x)} and {len(y)} evaluation seeds {len(common)} are the same; "
            "evaluate both with the same suite"
        )
    if not common:
        raise NotPairable("not pairable: there are no episodes")
    differences = np.array([x[key] - y[key] for key in sorted(common)])
    low, high = percentile_interval(bootstrap_means(differences, np.random.default_rng(seed), n))
    wins = float(np.mean((differences > 0) + 0.5 * (differences == 0)))
    return Paired(float(differences.mean()), low, high, len(differences), wins)


EQUAL = 1e-9
"""Returns that differ by less are a tie."""


def wins(x: Sequence[float], y: Sequence[float]) -> np.ndarray:
    """On each of some equal seeds 1 where the first return is the better one, .5 for a tie, 0 else: float [n]."""
    difference = np.subtract(x, y)
    return np.where(np.abs(difference) < EQUAL, 0.5, difference > 0)


def unpaired(x: np.ndarray, y: np.ndarray, seed: int = 0, n: int = BOOTSTRAPS) -> tuple[float, float, float]:
    """Difference of the mean returns on two sets of games, with its interval: each set is drawn again by itself.

    Args:
        x: returns of the games of one set.
        y: those of the other; the numbers of games may differ.
        seed: of the resampling.
        n: resamples.
    """
    rng = np.random.default_rng(seed)
    draws = bootstrap_means(x, rng, n) - bootstrap_means(y, rng, n)
    return (float(np.mean(x) - np.mean(y)), *percentile_interval(draws))
