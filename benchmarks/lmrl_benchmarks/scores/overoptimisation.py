"""How gold goes as a proxy is optimised: best of n without bias from one set of samples, and Gao, Schulman and Hilton's two forms.

d is the square root of the KL divergence from the policy that is started from, in nats. Best of n: R(d) = d (a - b d), which peaks at
a / 2b; reinforcement learning: R(d) = d (a - b log d), which peaks at e^(a/b - 1) (arXiv 2210.10760).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def best_of_n_means(scores: np.ndarray, values: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """For each n the expected value of the best of n by score, without bias, from M samples of each prompt.

    sum_k C(k - 1, n - 1) / C(M, n) v_(k) over samples in rising order of score, in log-gamma; among equal scores values are averaged.

    Args:
        scores: float [prompts, M], what the best is chosen by.
        values: float [prompts, M], what is told of it (gold; the proxy itself; a fault).
        sizes: n, each from 1 to M.

    Returns:
        float [prompts, len(sizes)].

    Raises:
        ValueError: shapes that differ, or an n that is not from 1 to M.
    """
    scores, values = np.asarray(scores, float), np.asarray(values, float)
    if scores.shape != values.shape or scores.ndim != 2:
        raise ValueError(f"shapes {scores.shape} and {values.shape} are not (prompts, M) twice")
    count = scores.shape[1]
    if not all(1 <= n <= count for n in sizes):
        raise ValueError(f"n of {list(sizes)} must be from 1 to the {count} samples")
    order = np.argsort(scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    told = np.take_along_axis(values, order, axis=1).copy()
    for row in range(len(told)):
        _, block = np.unique(ranked[row], return_inverse=True)
        told[row] = (np.bincount(block, told[row]) / np.bincount(block))[block]
    weights = np.stack([_weights(count, n) for n in sizes], axis=1)
    return told @ weights


def _weights(count: int, n: int) -> np.ndarray:
    """C(k - 1, n - 1) / C(count, n) for k = 1 .. count."""
    whole = math.lgamma(count + 1) - math.lgamma(n + 1) - math.lgamma(count - n + 1)
    found = np.zeros(count)
    for k in range(n, count + 1):
        found[k - 1] = math.exp(math.lgamma(k) - math.lgamma(n) - math.lgamma(k - n + 1) - whole)
    return found


def standings(values: np.ndarray) -> np.ndarray:
    """The share of its prompt's answers that each answer is better than, ties half (itself among them): float [prompts, M].

    With it as the value, `best_of_n_means` is how often the best of n wins over an answer as it comes, to the same prompt.
    """
    rounded = np.round(np.asarray(values, float), 9)
    places = [
        np.searchsorted(ordered, row, "left") + np.searchsorted(ordered, row, "right")
        for ordered, row in zip(np.sort(rounded, axis=1), rounded, strict=True)
    ]
    return np.array(places) / (2 * rounded.shape[1])


def in_deviations(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Values less the mean of the reference, in its standard deviations (of one that does not vary: as they are)."""
    return (np.asarray(values) - np.mean(reference)) / (float(np.std(reference)) or 1.0)


@dataclass(frozen=True)
class Fit:
    """R(d) = d (a - b d), or d (a - b log d), fitted by least squares to gold above that at d = 0."""

    form: str
    """``best of n`` or ``rl``."""
    a: float
    b: float
    r2: float

    @property
    def peak(self) -> tuple[float, float]:
        """d and R(d) where R is greatest; infinite where it only rises (b <= 0)."""
        if self.b <= 0 or self.a <= 0:
            return (math.inf, math.inf) if self.a > 0 else (0.0, 0.0)
        d = self.a / (2 * self.b) if self.form == "best of n" else math.exp(self.a / self.b - 1)
        return d, self.at(d)

    def at(self, d: float) -> float:
        """R(d)."""
        return d * (self.a - self.b * (d if self.form == "best of n" else math.log(d))) if d > 0 else 0.0


def fitted(distances: Sequence[float], gains: Sequence[float], form: str) -> Fit:
    """The fit of gains in gold over the start, at distances above 0.

    Raises:
        ValueError: fewer than three points, or no such form.
    """
    d, gain = np.asarray(distances, float), np.asarray(gains, float)
    if form not in ("best of n", "rl"):
        raise ValueError(f"form={form!r} is not 'best of n' or 'rl'")
    if len(d) < 3 or d.shape != gain.shape or not (d > 0).all():
        raise ValueError("a fit needs three points or more, at distances above 0")
    columns = np.stack([d, -d * (d if form == "best of n" else np.log(d))], axis=1)
    (a, b), *_ = np.linalg.lstsq(columns, gain, rcond=None)
    rest, spread = float(np.sum((gain - columns @ [a, b]) ** 2)), float(np.sum((gain - gain.mean()) ** 2))
    return Fit(form, float(a), float(b), 1 - rest / spread if spread else 1.0)


def is_overoptimised(proxy: Sequence[float], gold: Sequence[float], gold_error: Sequence[float]) -> bool:
    """Whether the proxy goes on rising where gold falls from its peak by more than its 95 % interval."""
    top = int(np.argmax(gold))
    last = len(gold) - 1
    noise = 1.96 * math.hypot(gold_error[top], gold_error[last])
    return last > top and proxy[last] > proxy[top] and gold[top] - gold[last] > noise
