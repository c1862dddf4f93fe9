"""Rewards learned from few comparisons: bandits, with and without iterative data smoothing (Zhu, Jordan and Jiao, arXiv 2401.16335).

Twelve arms with gold N(0, 1); comparisons between arms that are both drawn by shares of Dirichlet(1/2), so that some are hardly ever compared (where
one of the two is any other, each is compared often enough and there is nothing to mend), each labelled by Bradley-Terry. A table of rewards descends on
the cross-entropy; after each epoch labels move to what it says (``ids``), or not. The policy takes the arm of the largest reward, ties shared: what
optimisation ends in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ARMS, BANDITS, EPOCHS, STEP = 12, 100, 400, 0.2
HELD_OUT = 5
"""One comparison in five tells early stopping when to stop."""


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Mean gold of a hundred bandits at the end, at the best moment, and where early stopping would have stopped.

    Settings: comparisons; ids (rate at which labels move, 0: they stay); seed.
    """
    rng, count, rate = (
        np.random.default_rng(int(settings["seed"])),
        int(settings["comparisons"]),
        float(settings["ids"]),
    )
    curve, stopped = np.zeros(EPOCHS), []
    for _ in range(BANDITS):
        gold = rng.normal(size=ARMS)
        share = rng.dirichlet(np.full(ARMS, 0.5))
        chance = np.outer(share, share) * (1 - np.eye(ARMS))
        first, second = np.divmod(rng.choice(ARMS**2, count, p=(chance / chance.sum()).ravel()), ARMS)
        labels = (rng.random(count) < 1 / (1 + np.exp(gold[second] - gold[first]))).astype(float)
        held = np.arange(count) % HELD_OUT == HELD_OUT - 1
        rewards, found = descent(first, second, labels, rate), []
        plain = descent(first[~held], second[~held], labels[~held], 0.0)
        for table in rewards:
            best = np.isclose(table, table.max(), atol=1e-9)
            found.append(float(gold[best].mean()))
        curve += np.array(found) / BANDITS
        gaps = plain[:, first[held]] - plain[:, second[held]]
        loss = (np.logaddexp(0, gaps) - labels[held] * gaps).mean(axis=1)
        table = plain[int(np.argmin(loss))]
        stopped.append(float(gold[np.isclose(table, table.max(), atol=1e-9)].mean()))
    numbers = {"end": float(curve[-1]), "best": float(curve.max()), "early stop": float(np.mean(stopped))}
    return {"numbers": numbers, "curves": {"gold": [[float(k + 1), float(curve[k])] for k in range(0, EPOCHS, 10)]}}


def descent(first: np.ndarray, second: np.ndarray, labels: np.ndarray, rate: float) -> np.ndarray:
    """The table of rewards after each epoch: float [EPOCHS, ARMS]."""
    table, labels, found = np.zeros(ARMS), labels.astype(float).copy(), []
    step = min(STEP, STEP * 60 / len(labels))
    for _ in range(EPOCHS):
        slope = labels - 1 / (1 + np.exp(table[second] - table[first]))
        np.add.at(table, first, step * slope)
        np.add.at(table, second, -step * slope)
        labels = (1 - rate) * labels + rate / (1 + np.exp(table[second] - table[first]))
        found.append(table.copy())
    return np.array(found)
