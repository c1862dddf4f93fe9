"""Summary statistics shared by datasets and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmrl_envs import normalized_score, task


def summarize(
    env_id: str,
    returns: Sequence[float] | np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    success: Sequence[bool] | np.ndarray,
) -> dict[str, Any]:
    """Mean and standard deviation (of the population) of returns and lengths in agent turns, share of successes, scores.

    ``normalized_score`` is on the optimum scale, ``normalized_score_lmrl`` on LMRL-Gym's; None for tasks without that scale.
    """
    if len(returns) == 0:
        raise ValueError("no episodes to summarize")
    mean = float(np.mean(returns))
    reference = task(env_id).reference
    return {
        "episodes": len(returns),
        "return_mean": mean,
        "return_std": float(np.std(returns)),
        "length_mean": float(np.mean(lengths)),
        "length_std": float(np.std(lengths)),
        "success_rate": float(np.mean(success)),
        "normalized_score": normalized_score(env_id, mean) if reference else None,
        "normalized_score_lmrl": normalized_score(env_id, mean, "lmrl") if reference and reference.lmrl else None,
    }
