"""Conservative Q-learning (Kumar et al., arXiv 2006.04779), over tokens.

    L = sum_i 1/2 (Q_i(s_t, x_t) - y)^2 + alpha sum_i (log sum_x exp Q_i(s_t, x) - Q_i(s_t, x_t))

with y = r_t + gamma 1[goes on] B(s'), and the backup B by ``backup``:

- "sarsa": min_i Qbar_i(s', x') at the data's next token, which is what LMRL-Gym's CQL does;
- "max":   max_x min_i Qbar_i(s', x) over the tokens x that the data's policy supports in s' (the restriction of BCQ,
           Fujimoto et al., arXiv 1812.02900);
- "expectile": V(s'), fitted as in `ilql`.

Acting as in `ilql`. Departures: see there; LMRL-Gym has no "max". After a cut-off "sarsa" has no next token: it backs up
the mean of Qbar under the data's policy.

    lmrl train cql --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/cql-maze

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -6.73, -6.72, -6.72; optimum -6.71, cloning -36. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import expectile_loss, mean, squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.chunks import in_pieces
from lmrl_agents.models.critic import Critic, Taken, least, states_of, value_of
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.steps import StepBatch

BACKUPS = ("sarsa", "max", "expectile")
SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[cql]`` table."""

    backup: str = "max"
    """One of `BACKUPS`."""
    expectile: float = 0.8
    """tau of the backup "expectile"."""


def cql_loss(
    q: list[Taken], y: torch.Tensor, weight: torch.Tensor, conservatism: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts: q of each head, of the tokens that were taken; y, weight float [N]."""
    loss_q = sum((squared_error(head.value, y, weight) for head in q), torch.zeros(()))
    loss_c = sum((mean(head.surprise, weight) for head in q), torch.zeros(()))
    return loss_q + conservatism * loss_c, {"loss_q": loss_q, "loss_c": loss_c}


def supported_max(q: torch.Tensor, prior: torch.Tensor, support: float) -> torch.Tensor:
    """max_x Q(s, x) over tokens with prior >= support, or over the likeliest one; q, prior float [N, V] -> float [N]."""
    allowed = (prior >= support) | (prior == prior.amax(dim=1, keepdim=True))
    return q.masked_fill(~allowed, float("-inf")).amax(dim=1)


@torch.no_grad()
def backup(
    model: LanguageModel, target: Critic, batch: StepBatch, following: torch.Tensor, config: Config
) -> torch.Tensor:
    """B(s') of every step, float [N]; ``following`` int64 [N] is the data's next token, -1 where there is none."""
    slow = target.states(batch)[batch.next_state]
    if config.backup == "expectile":
        return target.value(slow)
    known = states_of(model.networks[0], batch)[batch.next_state]

    def read(slow: torch.Tensor, known: torch.Tensor, following: torch.Tensor) -> tuple[torch.Tensor]:
        q = target.least_q(slow)
        prior = torch.softmax(model.logits([known]).float(), dim=1)
        if config.backup == "max":
            return (supported_max(q, prior, config.support),)
        taken = value_of(q, following.clamp(min=0))
        return (torch.where(following >= 0, taken, (prior * q).sum(dim=1)),)

    return in_pieces(read, model.vocabulary, slow, known, following)[0]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    if config.backup not in BACKUPS:
        raise ValueError(f"backup={config.backup!r} is not known; choose one of {', '.join(BACKUPS)}")
    model, data = load(run, unit=config.discount_unit)
    critic = critic_of(
        run, model, ("q1", "q2", "value") if config.backup == "expectile" else ("q1", "q2"), data, config
    )
    target = critic.target()
    next_token = np.where(data.last, -1, np.roll(data.token, -1))

    def losses_of(groups: np.ndarray) -> Losses:
        # "sarsa" tells steps apart by the data's next token, too.
        label = next_token if config.backup == "sarsa" else None
        steps, counts, _ = data.distinct(data.steps_of(groups), label=label)
        batch = data.batch(steps, counts).to(run.device)
        following = torch.from_numpy(next_token[steps].astype(np.int64)).to(run.device)
        y = batch.reward + config.discount**batch.time * batch.goes_on * backup(model, target, batch, following, config)
        states = critic.states(batch)[batch.state]
        loss, parts = cql_loss(critic.taken(states, batch.token), y, batch.weight, config.conservatism)
        if config.backup == "expectile":
            with torch.no_grad():
                slow = least(target.values_of(target.states(batch)[batch.state], batch.token))
            loss = loss + expectile_loss(critic.value(states), slow, config.expectile, batch.weight)
        return batch, loss, {**parts, "target": y.mean()}

    return fit(run, config, model, critic, target, data, losses_of)
