"""Identity preference optimisation: DPO's log-ratio, pulled to a fixed lead (Azar et al., arXiv 2310.12036).

    L = (h - 1 / 2b)^2,   h the log-ratio of the better less that of the worse, summed over action tokens (`dpo`)

A pair that is always won has no endless pull, as it has in DPO: the optimum is ref(y) exp(p(y beats ref) / b) / Z, of probabilities of
winning, not of rewards. The paper sums log-probabilities; TRL takes their mean over tokens.

    lmrl train ipo --env lmrl/Headline-v0 --data runs/pairs --start runs/bc --set ipo.beta=0.3 --out runs/ipo
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
    """Hyperparameters; the preset's ``[ipo]`` table. ``beta`` is the paper's tau."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    return optimise(run, config, partial(pair_loss, beta=config.beta, kind="ipo"))
