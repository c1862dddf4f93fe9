"""Kahneman-Tversky optimisation: each game by itself is good or bad, against what is usual (Ethayarajh et al., arXiv 2402.01306).

    L = w_good (1 - s(b (lr - z0))) of a good game, w_bad (1 - s(b (z0 - lr))) of a bad one
    lr: log-ratio of policy and reference over its action tokens;   z0: the batch's mean of it, at least 0, without gradient

A label y of a pair makes its first game good with weight y and bad with 1 - y, its second the other way round. The paper estimates z0
on answers that are paired with other prompts; here it is that of the batch's own games.

    lmrl train kto --env lmrl/Headline-v0 --data runs/pairs --start runs/bc --out runs/kto
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lmrl_agents.algorithms.dpo import DirectConfig, optimise, pair_loss
from lmrl_agents.learning.run import TrainingRun

TAKES_PAIRS = True


@dataclass(frozen=True)
class Config(DirectConfig):
    """Hyperparameters; the preset's ``[kto]`` table."""

    good_weight: float = 1.0
    """w_good"""
    bad_weight: float = 1.0
    """w_bad"""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    weights = {"good": config.good_weight, "bad": config.bad_weight}
    return optimise(run, config, partial(pair_loss, beta=config.beta, kind="kto", **weights))
