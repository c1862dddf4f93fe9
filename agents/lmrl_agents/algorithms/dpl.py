"""Distributional preference learning: how far people differ is learned with what they like (Siththaranjan et al., arXiv 2312.08358).

Plain learning from a crowd whose members differ for reasons that no pair shows ranks by Borda count: a large mild majority outvotes those
who are harmed. Here the utility of a game is a distribution, and what harms some has a large spread.

    mean-variance   u ~ N(m, s^2),  P = Phi((m1 - m2) / sqrt(s1^2 + s2^2));  over several actions m and s^2 add up
    categorical     u on K atoms from 0 to 1,  P = sum_ij p1_i p2_j (1[i > j] + 1[i = j] / 2);  minus ``entropy`` times the entropy of the
                    batch's mean distribution; games of one action only

    lmrl train dpl --env lmrl/Headline-v0 --data runs/pairs --start runs/bc --out runs/dpl

The folder is the rewards ``learned:runs/dpl`` (the mean), ``learned:risk=1:runs/dpl`` (mean less one standard deviation) and
``learned:quantile=.01:runs/dpl``. ``hidden_context`` of its description is Var m / (Var m + E s^2) over the pairs' games: 1 where
the games alone explain the labels. The paper's code takes s(z sqrt(2 pi)) for Phi(z), whose slope is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lmrl_agents.algorithms.reward_model import FitConfig, Reading, fit
from lmrl_agents.learning.preference_losses import categorical_preference, normal_preference
from lmrl_agents.learning.preference_pairs import labelled_pairs
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.models.critic import CriticConfig
from lmrl_agents.rewards.distributions import CATEGORICAL, DISTRIBUTION, KINDS, NORMAL, moments, read_distribution

TAKES_PAIRS = True


@dataclass(frozen=True)
class Config(FitConfig):
    """Hyperparameters; the preset's ``[dpl]`` table."""

    kind: str = NORMAL
    """mean-variance or categorical."""
    atoms: int = 10
    """K"""
    entropy: float = 0.1
    """Of categorical: weight of the mean distribution's entropy."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    if config.kind not in KINDS:
        raise ValueError(f"kind={config.kind!r} is not known; choose {' or '.join(KINDS)}")
    if config.kind == CATEGORICAL:
        pairs = labelled_pairs(run, config.annotators, config.first)
        if config.atoms < 2 or any(len(side.shown.actions) > 1 for side in pairs.sides):
            raise TrainingError(
                f"kind={CATEGORICAL} needs two atoms, and games of one action: distributions on atoms do not add up; take kind={NORMAL}"
            )
    outputs = 2 if config.kind == NORMAL else config.atoms
    reading = Reading(
        of=partial(read_distribution, kind=config.kind),
        loss=partial(distribution_loss, kind=config.kind, entropy=config.entropy),
        chance=lambda sums: torch.exp(-_surprise(sums, torch.ones(len(sums) // 2, dtype=sums.dtype), config.kind)),
        worth=lambda sums: moments(sums, config.kind)[0],
        facts=partial(_facts, kind=config.kind),
    )
    return fit(run, config, CriticConfig((DISTRIBUTION,), config.hidden, outputs=outputs), reading)


def distribution_loss(sums: torch.Tensor, labels: torch.Tensor, kind: str, entropy: float) -> torch.Tensor:
    """What the labels cost under the distributions of the sides, float [2 B, K], less the bonus: float [B]."""
    loss = _surprise(sums, labels, kind)
    if kind == CATEGORICAL and entropy:
        share = sums.mean(dim=0)
        loss = loss - entropy * -(share * share.clamp(min=1e-12).log()).sum()
    return loss


def _surprise(sums: torch.Tensor, labels: torch.Tensor, kind: str) -> torch.Tensor:
    if kind == CATEGORICAL:
        return categorical_preference(sums[::2], sums[1::2], labels)
    sides = sums[:, 0], sums[:, 1].sqrt()
    return normal_preference((sides[0][::2], sides[1][::2]), (sides[0][1::2], sides[1][1::2]), labels)


def _facts(sums: torch.Tensor, kind: str) -> dict[str, Any]:
    mean, variance = moments(sums, kind)
    explained = mean.var(correction=0)
    return {"distribution": kind, "hidden_context": float(explained / (explained + variance.mean()).clamp(min=1e-12))}
