"""Deep TAMER: a whole network, a memory, and feedback that comes late (Warnell et al., arXiv 1709.10163).

    L = sum_t w_t (h - H(s_t, a_t))^2 / sum_t w_t,   w_t: the share of the time from .2 to 4 s before the feedback in which a_t was done

Each action is fitted by itself to feedback that is weighed, where `tamer` fits the weighed sum. Feedback of the last ``memory`` rounds is learned
from again. Acting as there.

    lmrl train deep_tamer --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --set bc.steps=60 deep_tamer.iterations=3 deep_tamer.episodes=8 --out runs/deep-tamer
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lmrl_agents.algorithms import tamer
from lmrl_agents.learning.run import TrainingRun


@dataclass(frozen=True)
class Config(tamer.Config):
    """Hyperparameters; the preset's ``[deep_tamer]`` table."""

    learning_rate: float = 1e-3
    """At the start."""
    memory: int = 10
    """Rounds whose feedback is learned from."""
    delay: float = 1.0
    """How late scripted feedback comes, seconds."""
    earliest: float = 0.2
    """See `lmrl_agents.learning.feedback`."""
    latest: float = 4.0
    """See `lmrl_agents.learning.feedback`."""


def deep_tamer_loss(h: torch.Tensor, feedback: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Mean over feedback and actions, by their shares, of (h - H)^2."""
    return (shares * (feedback[:, None] - h[None]).square()).sum() / shares.sum().clamp(min=1e-6)


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    return tamer.optimise(run, run.config(Config), deep_tamer_loss, frozen_features=False)
