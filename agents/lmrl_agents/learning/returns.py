"""Returns and advantages over the action tokens of whole episodes.

Tokens of the environment are no steps: they are neither rewarded nor discounted. ``last`` marks the last action token of
each episode; episodes stand one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmrl_agents.models.distributed import moments


def returns_to_go(
    rewards: np.ndarray, last: np.ndarray, discount: float | np.ndarray, final: np.ndarray | None = None
) -> np.ndarray:
    """G_t = r_t + discount_t * G_{t+1}, starting anew at each episode's end.

    Args:
        rewards: float [N].
        last: bool [N].
        discount: of what follows each step: float, or float [N].
        final: float [N], read where ``last``: the value after the end (of a truncated episode), 0 if not given.
    """
    found, discounts = np.zeros(len(rewards)), np.broadcast_to(discount, len(rewards))
    ahead = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        if last[t]:
            ahead = 0.0 if final is None else float(final[t])
        ahead = rewards[t] + discounts[t] * ahead
        found[t] = ahead
    return found


def generalized_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    last: np.ndarray,
    final: np.ndarray,
    discount: float | np.ndarray,
    decay: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Generalised advantage estimation (Schulman et al., arXiv 1506.02438) and the returns that values are fitted to.

    A_t = delta_t + discount * decay * A_{t+1}, delta_t = r_t + discount * V_{t+1} - V_t; R_t = A_t + V_t.

    Args:
        rewards: float [N].
        values: float [N], of the state before each token.
        last: bool [N].
        final: float [N], read where ``last``: value after the end; 0 when the episode terminated.
        discount: gamma, of what follows each step: float, or float [N].
        decay: lambda, likewise.
    """
    after = np.where(last, final, np.append(values[1:], 0.0))
    advantages = returns_to_go(rewards + discount * after - values, last, discount * decay)
    return advantages, advantages + values


def group_advantages(
    returns: Sequence[float], groups: Sequence[int], scale: str = "group", leave_one_out: bool = False
) -> np.ndarray:
    """How much better than its group each episode is (GRPO, Shao et al., arXiv 2402.03300).

    Args:
        returns: of each episode.
        groups: group of each episode.
        scale: "group" divides by the group's standard deviation (n - 1) + 1e-4, "batch" by that of all processes' games, "none" not at all
            (Dr. GRPO, Liu et al., arXiv 2503.20783).
        leave_one_out: compare with the mean of the others (RLOO, Ahmadian et al., arXiv 2402.14740).
    """
    if scale not in ("group", "batch", "none"):
        raise ValueError(f"scale={scale!r} is not known; choose group, batch or none")
    values, names = np.asarray(returns, float), np.asarray(groups)
    found = np.zeros(len(values))
    for name in np.unique(names):
        own = values[names == name]
        centred = own - own.mean()
        if leave_one_out and len(own) > 1:
            centred *= len(own) / (len(own) - 1)
        if scale == "group":
            centred /= (own.std(ddof=1) if len(own) > 1 else 0.0) + 1e-4
        found[names == name] = centred
    if scale == "batch":
        found /= moments(values, ddof=1)[1] + 1e-4
    return found
