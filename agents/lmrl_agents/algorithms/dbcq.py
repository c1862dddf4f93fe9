"""Discrete batch-constrained Q-learning: nothing is taken but the best of what the data's policy offers.

    L = 1/2 (Q(s_t, x_t) - y)^2,   y = r_t + gamma E[ max_{i = 1..n} Qbar(s', x_i) ],  x_i ~ p(. | s'),   y = r_t at the end

Acting: the best by Qbar of n draws from the data's policy p. With n = 1 both are those of p itself, with n without end those of `batch_q`
over what p supports. (BCQ: Fujimoto et al., arXiv 1812.02900; in this form Jaques et al., arXiv 1907.00456, with n = 10; the backup
is that of EMaQ, Ghasemipour et al., arXiv 2007.11091.)

Departure: the expected maximum and the probabilities of the best draw are computed exactly, from the order of the values; nothing is drawn.

    lmrl train dbcq --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/dbcq-maze
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.chunks import in_pieces
from lmrl_agents.models.critic import states_of
from lmrl_agents.models.guided import best_of_draws

SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[dbcq]`` table. ``support`` and ``betas`` of other value methods say nothing here."""

    draws: int = 10
    """n"""


def expected_best(q: torch.Tensor, prior: torch.Tensor, draws: int) -> torch.Tensor:
    """E max of q over so many draws from the prior: float [N, V] each -> float [N]."""
    return (best_of_draws(q, prior, draws) * q).sum(dim=1).float()


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    if config.draws < 1:
        raise ValueError(f"draws={config.draws} must be at least 1")
    config = replace(config, support=0.0, betas=(1.0,), evaluation_beta=1.0)
    model, data = load(run, unit=config.discount_unit)
    critic = critic_of(run, model, ("q1",), data, config)
    target = critic.target()

    def read(known: torch.Tensor, slow: torch.Tensor) -> tuple[torch.Tensor]:
        prior = torch.softmax(model.logits([known]).float(), dim=1)
        return (expected_best(target.least_q(slow), prior, config.draws),)

    def losses_of(groups: np.ndarray) -> Losses:
        batch = data.batch(*data.distinct(data.steps_of(groups))[:2]).to(run.device)
        with torch.no_grad():
            known, slow = states_of(model.networks[0], batch)[batch.next_state], target.states(batch)[batch.next_state]
            (after,) = in_pieces(read, model.vocabulary, known, slow)
            y = batch.reward + config.discount**batch.time * batch.goes_on * after
        (q,) = critic.values_of(critic.states(batch)[batch.state], batch.token)
        return batch, squared_error(q, y, batch.weight), {"target": y.mean()}

    return fit(run, config, model, critic, target, data, losses_of, "best_of", config.draws)
