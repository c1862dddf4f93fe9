"""Best of n and the KL-regularised optimum, exactly, where the answers to a prompt can be listed.

A policy is an array of probabilities over the K answers. Best of n (Stiennon et al. 2020, arXiv 2009.01325; the divergence as in
Gao, Schulman and Hilton 2022, arXiv 2210.10760) draws n answers of the reference and keeps the one with the greatest score. The
KL-regularised optimum maximises E r - B KL(policy || reference): policy = reference exp(r / B) / Z, at the value B log Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray | Sequence[float]


def best_of_n(reference: Array, scores: Array, n: int) -> np.ndarray:
    """The policy that keeps the best of n answers of the reference; among equal scores, as often as the reference has them.

    Args:
        reference: (K,) probabilities.
        scores: (K,), greater is better.
        n: answers drawn, at least 1.

    Returns:
        (K,) probabilities.

    Raises:
        ValueError: shapes that differ, no distribution, or n below 1.
    """
    reference, scores = _checked(reference, scores)
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    _, group = np.unique(scores, return_inverse=True)
    share = np.bincount(group, weights=reference)
    below = np.minimum(np.concatenate([[0.0], np.cumsum(share)]), 1.0)
    won = below[1:] ** n - below[:-1] ** n
    return np.divide(reference * won[group], share[group], out=np.zeros_like(reference), where=share[group] > 0)


def best_of_n_kl(n: int) -> float:
    """log n - (n - 1) / n nats: the divergence of best of n from the reference without ties, with them an upper bound."""
    if n < 1:
        raise ValueError(f"n={n} must be at least 1")
    return float(np.log(n) - (n - 1) / n)


def kl_regularised_optimum(reference: Array, rewards: Array, coefficient: float) -> tuple[np.ndarray, float]:
    """The policy that maximises E r - coefficient * KL(policy || reference), and that maximum.

    Args:
        reference: (K,) probabilities.
        rewards: (K,).
        coefficient: of the divergence, above 0.

    Raises:
        ValueError: shapes that differ, no distribution, or a coefficient that is not above 0.
    """
    reference, rewards = _checked(reference, rewards)
    if not coefficient > 0:
        raise ValueError(f"coefficient={coefficient} must be above 0")
    top = rewards.max()
    weights = reference * np.exp((rewards - top) / coefficient)
    return weights / weights.sum(), float(top + coefficient * np.log(weights.sum()))


def kl(policy: Array, reference: Array) -> float:
    """KL(policy || reference) in nats; infinite where the policy says what the reference never does."""
    policy, reference = _checked(policy, reference)
    said = policy > 0
    if np.any(reference[said] == 0):
        return float("inf")
    return float(np.sum(policy[said] * np.log(policy[said] / reference[said])))


def _checked(probabilities: Array, values: Array) -> tuple[np.ndarray, np.ndarray]:
    probabilities, values = np.asarray(probabilities, float), np.asarray(values, float)
    if probabilities.ndim != 1 or probabilities.shape != values.shape:
        raise ValueError(f"shapes {probabilities.shape} and {values.shape} are not (K,) and (K,)")
    if np.any(probabilities < 0) or not np.isclose(probabilities.sum(), 1):
        raise ValueError(f"{probabilities[:8]} are not probabilities")
    return probabilities, values
