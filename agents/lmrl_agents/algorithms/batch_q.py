"""Q-learning on logged data, with or without a lower bound from dropout (the baselines of Jaques et al., arXiv 1907.00456).

    L = 1/2 (Q(s_t, x_t) - y)^2,   y = r_t + gamma min_{m = 1..M} max_x Qbar_m(s', x),   y = r_t at the end

Qbar_m is the target with the m-th draw of dropout; with M = 1 there is no dropout and this is plain Q-learning. (In the public code both
branches run the same statement, and nothing switches dropout.)

Acting: the token of the largest value, whatever the data's policy thinks of it. Nothing holds the values of actions that the data does
not have, and they are what the maximum picks: on narrow data this fails, which is why it stands beside `kl_control`, `dbcq` and `cql`.

    lmrl train batch_q --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/batch-q-maze
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lmrl_agents.learning.losses import squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.critic import Critic, least
from lmrl_agents.models.guided import GREEDY
from lmrl_agents.models.steps import StepBatch

SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[batch_q]`` table. ``support`` and ``betas`` of other value methods say nothing here."""

    passes: int = 1
    """M: draws of dropout in the target; 1: none."""
    dropout: float = 0.2
    """Its rate."""


@contextmanager
def dropping(trunk: nn.Module, rate: float) -> Iterator[None]:
    """With dropout at this rate in a network that is otherwise only evaluated."""
    found = [module for module in trunk.modules() if isinstance(module, nn.Dropout)]
    before = [(module, module.p) for module in found]
    for module in found:
        module.p = rate
    trunk.train()
    try:
        yield
    finally:
        trunk.eval()
        for module, p in before:
            module.p = p


@torch.no_grad()
def largest_after(target: Critic, batch: StepBatch, passes: int, dropout: float) -> torch.Tensor:
    """min over the passes of max_x Qbar(s', x), float [N]."""

    def largest() -> torch.Tensor:
        return target.read_tables(lambda q: (least(q).amax(dim=1),), target.states(batch)[batch.next_state])[0]

    if passes == 1:
        return largest()
    with dropping(target.trunk, dropout):
        drawn = [largest() for _ in range(passes)]
    return torch.stack(drawn).amin(dim=0)


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    if config.passes < 1 or not 0 <= config.dropout < 1:
        raise ValueError(
            f"passes={config.passes} with dropout={config.dropout}: at least 1, and at least 0 and below 1"
        )
    config = replace(config, support=0.0, betas=(GREEDY,), evaluation_beta=GREEDY)
    model, data = load(run, False, config.discount_unit)
    critic = critic_of(run, model, ("q1",), data, config)
    target = critic.target()
    if config.passes > 1 and not any(isinstance(module, nn.Dropout) for module in target.trunk.modules()):
        raise ValueError(f"passes={config.passes}: this family of models has no dropout")

    def losses_of(groups: np.ndarray) -> Losses:
        batch = data.batch(*data.distinct(data.steps_of(groups))[:2]).to(run.device)
        after = largest_after(target, batch, config.passes, config.dropout)
        y = batch.reward + config.discount**batch.time * batch.goes_on * after
        (q,) = critic.values_of(critic.states(batch)[batch.state], batch.token)
        return batch, squared_error(q, y, batch.weight), {"target": y.mean()}

    return fit(run, config, model, critic, target, data, losses_of, "values")
