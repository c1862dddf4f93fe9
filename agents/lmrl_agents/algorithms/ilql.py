"""Implicit language Q-learning (Snell et al., arXiv 2206.11871; Abdulhai et al., arXiv 2311.18232, section 5).

For a decision x_t in state s_t with successor s' (1[goes on] is 0 after termination, 1 after a cut-off):

    y   = r_t + gamma 1[goes on] V(s')
    L_Q = sum_i 1/2 (Q_i(s_t, x_t) - y)^2
    L_V = 1/2 |tau - 1[u < 0]| u^2,   u = min_i Qbar_i(s_t, x_t) - V(s_t)
    L_C = sum_i - log softmax(Q_i(s_t, .))[x_t]
    L   = L_Q + L_V + alpha L_C,      Qbar moves by `polyak` of its way to Q after every step

Acting: pi(x | s) ~ pi_data(x | s) exp(beta min_i Qbar_i(s, x)), over tokens that pi_data supports.

Departures: the critic has a transformer of its own, so that values cannot spoil the policy; tokens that decide nothing
(`decisions`) are left out of the backup, and of the discount unless its unit says otherwise; a cut-off episode bootstraps from its last state (LMRL-Gym
treats it as ended); acting uses the slow target, as Snell's code does; beta is chosen on validation seeds.

    lmrl train ilql --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/ilql-maze

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -6.71, -6.71, -6.72; optimum -6.71, cloning -36. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import expectile_loss, mean, squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.critic import Taken, least
from lmrl_agents.models.steps import StepBatch

SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[ilql]`` table."""

    expectile: float = 0.8
    """tau"""


def ilql_loss(
    q: list[Taken],
    value: torch.Tensor,
    target_q: torch.Tensor,
    next_value: torch.Tensor,
    batch: StepBatch,
    config: Config,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts.

    Args:
        q: of each head, of the tokens that were taken.
        value: V(s), float [N].
        target_q: min_i Qbar_i(s, x), float [N].
        next_value: V(s'), float [N]; no gradient goes through it.
        batch: the N steps.
        config: gamma, tau and alpha.
    """
    y = batch.reward + config.discount**batch.time * batch.goes_on * next_value.detach()
    loss_q = sum((squared_error(head.value, y, batch.weight) for head in q), torch.zeros(()))
    loss_v = expectile_loss(value, target_q.detach(), config.expectile, batch.weight)
    loss_c = sum((mean(head.surprise, batch.weight) for head in q), torch.zeros(()))
    loss = loss_q + loss_v + config.conservatism * loss_c
    return loss, {"loss_q": loss_q, "loss_v": loss_v, "loss_c": loss_c}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    model, data = load(run, unit=config.discount_unit)
    critic = critic_of(run, model, ("value", "q1", "q2"), data, config)
    target = critic.target()

    def losses_of(groups: np.ndarray) -> Losses:
        batch = data.batch(*data.distinct(data.steps_of(groups))[:2]).to(run.device)
        states = critic.states(batch)
        values = critic.value(states)
        with torch.no_grad():
            slow = least(target.values_of(target.states(batch)[batch.state], batch.token))
        here, after = values[batch.state], values[batch.next_state]
        loss, parts = ilql_loss(critic.taken(states[batch.state], batch.token), here, slow, after, batch, config)
        return batch, loss, {**parts, "value": here.mean()}

    return fit(run, config, model, critic, target, data, losses_of)
