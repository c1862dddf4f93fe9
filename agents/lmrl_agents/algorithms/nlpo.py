"""Natural language policy optimisation: PPO that may only say what a lagged copy of itself finds likely.

Ramamurthy et al., arXiv 2210.01241. The policy that plays and learns is

    pi(x | s) ~ pi_model(x | s) 1[x in top-p of pi_lagged(. | s)],

the smallest set of likeliest tokens that holds ``mask`` of the lagged copy's probability, and never fewer than ``keep`` tokens. The copy
is set to the model after every ``sync`` rounds, so that the mask of a round's games is that of the round's learning. All else is `ppo`:
with ``mask = 1`` the two are the same, bit for bit.

Departures: ``keep`` is 1 (100 in the public code, which voids the mask of a small vocabulary); what is saved is the model without its mask.

    lmrl train nlpo --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/nlpo-wordle
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lmrl_agents.algorithms import ppo
from lmrl_agents.learning.online import frozen
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.guided import AroundModel
from lmrl_agents.models.model import LanguageModel

TAKES_REWARD = True


@dataclass(frozen=True)
class Config(ppo.Config):
    """Hyperparameters; the preset's ``[nlpo]`` table, and its ``[ppo]`` table for what that does not say."""

    mask: float = 0.9
    """p: share of the lagged copy's probability that may be said; 1: all."""
    keep: int = 1
    """Tokens that may be said at least."""
    sync: int = 5
    """Rounds after which the copy is set to the model."""


def likely(logits: torch.Tensor, share: float, keep: int) -> torch.Tensor:
    """The smallest set of likeliest tokens with this share of probability, and at least ``keep``: float [N, V] -> bool [N, V]."""
    if share >= 1:
        return torch.ones_like(logits, dtype=torch.bool)
    ordered, order = torch.softmax(logits.float(), dim=1).sort(dim=1, descending=True)
    inside = ordered.cumsum(dim=1) - ordered < share
    inside[:, :keep] = True
    return torch.zeros_like(inside).scatter(1, order, inside)


class MaskedPolicy(AroundModel):
    """The model within the mask of a lagged copy."""

    def __init__(self, model: LanguageModel, config: Config) -> None:
        super().__init__(model)
        self.config = config
        self.lagged: LanguageModel = frozen(model)

    @property
    def networks(self) -> list[Any]:
        """The model's, then the copy's."""
        return [*self.model.networks, *self.lagged.networks]

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """States of model and copy, float [N, width] each, to the masked logits float [N, V]."""
        with torch.no_grad():
            allowed = likely(self.lagged.logits(states[1:]), self.config.mask, self.config.keep)
        return self.model.logits(states[:1]).masked_fill(~allowed, float("-inf"))

    def ended(self, round_: int) -> None:
        """Set the copy to the model where that is due."""
        if (round_ + 1) % self.config.sync == 0:
            self.lagged.load_state_dict(self.model.state_dict())


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config, base="ppo")
    if not 0 < config.mask <= 1 or config.keep < 1 or config.sync < 1:
        raise ValueError(
            f"mask={config.mask}, keep={config.keep}, sync={config.sync}: above 0 and at most 1, at least 1 and 1"
        )
    return ppo.optimise(run, config, lambda model: MaskedPolicy(model, config))
