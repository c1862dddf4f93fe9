"""The frontier of reward and divergence on the smallest tree of tokens there is, exactly.

Two tokens of {0, 1}: prior p(a1) = (.7, .3), p(a2 | a1) = ((.6, .4), (.2, .8)), reward ((0, 1), (3, -1)) at the end, no discount.
KL-control's policy is p exp(r / c) / Z; ``coded`` is what the public code of Jaques et al. 2019 (arXiv 1907.00456) comes to:
softmax Q with Q(a) = r(a) / c + k (log p(a) - log softmax Q(a)) at the last token, and the largest Q of the next state at the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

FIRST = np.array([0.7, 0.3])
SECOND = np.array([[0.6, 0.4], [0.2, 0.8]])
REWARD = np.array([[0.0, 1.0], [3.0, -1.0]])


def tilted(c: float) -> np.ndarray:
    """The exact policy over both tokens, float [2, 2]."""
    joint = FIRST[:, None] * SECOND * np.exp(REWARD / c)
    return joint / joint.sum()


def coded(c: float, k: float) -> np.ndarray:
    """The coded update's fixed point, float [2, 2].

    Q = y + k (log p - log softmax Q) is, up to the state's constant, (y + k log p) / (1 + k); that constant is what y + k (log p - log q)
    gives for any action.
    """
    policies, worth = [], []
    for a in range(2):
        q, value = _fixed(REWARD[a] / c, np.log(SECOND[a]), k)
        policies.append(q)
        worth.append(value.max())
    first, _ = _fixed(np.array(worth), np.log(FIRST), k)
    return first[:, None] * np.array(policies)


def _fixed(y: np.ndarray, log_p: np.ndarray, k: float) -> tuple[np.ndarray, np.ndarray]:
    logits = (y + k * log_p) / (1 + k)
    log_q = logits - np.log(np.exp(logits).sum())
    return np.exp(log_q), y + k * (log_p - log_q)


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Expected reward and divergence from the prior of one policy."""
    c = float(settings["c"])
    policy = tilted(c) if settings["form"] == "g" else coded(c, float(settings["k"]))
    prior = FIRST[:, None] * SECOND
    divergence = float((policy * np.log(policy / prior)).sum())
    return {
        "numbers": {
            "reward": float((policy * REWARD).sum()),
            "KL": divergence,
            "p(0 | 0)": float(policy[0, 0] / policy[0].sum()),
        }
    }
