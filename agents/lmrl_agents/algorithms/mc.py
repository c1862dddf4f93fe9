"""Monte-Carlo returns: regress on what followed, tilt the data's policy by it (Abdulhai et al., arXiv 2311.18232).

    G_t = r_t + gamma G_{t+1}
    L   = 1/2 (Q(s_t, x_t) - G_t)^2 + alpha (- log softmax(Q(s_t, .))[x_t])

Acting: pi(x | s) ~ pi_data(x | s) exp(beta Q(s, x)), over tokens that pi_data supports. Q is that of the data's policy:
one step of improvement, no stitching.

Departures: see `ilql`; equal decisions of a batch are regressed on the mean of their returns, which has the same gradient.
Nothing follows after a cut-off: its return is what was seen.

    lmrl train mc --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/mc-wordle

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -7.20, -8.78, -8.49; optimum -6.71, cloning -36. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import cross_entropy, squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TrainingRun

SHARDABLE = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[mc]`` table."""


def mc_loss(
    q: torch.Tensor, token: torch.Tensor, returns: torch.Tensor, weight: torch.Tensor, conservatism: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts: q float [N, V], token int64 [N], returns and weight float [N]."""
    loss_q = squared_error(q.gather(1, token[:, None])[:, 0], returns, weight)
    loss_c = cross_entropy(q, token, weight)
    return loss_q + conservatism * loss_c, {"loss_q": loss_q, "loss_c": loss_c}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    model, data = load(run)
    returns = returns_to_go(data.reward, data.last, config.discount)
    critic = critic_of(model, ("q1",), data, config)

    def losses_of(groups: np.ndarray) -> Losses:
        steps = data.steps_of(groups)
        distinct, counts, kind = data.distinct(steps, successors=False)
        means = np.bincount(kind, returns[steps]) / counts
        batch = data.batch(distinct, counts, successors=False).to(run.device)
        q = critic.q(critic.states(batch)[batch.state])[0]
        goal = torch.tensor(means, dtype=torch.float32, device=q.device)
        return batch, *mc_loss(q, batch.token, goal, batch.weight, config.conservatism)

    return fit(run, config, model, critic, critic.target(), data, losses_of)
