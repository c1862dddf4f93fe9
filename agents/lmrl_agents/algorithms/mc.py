"""Monte-Carlo returns: regress on what followed, tilt the data's policy by it (Abdulhai et al., arXiv 2311.18232).

    G_t = r_t + gamma G_{t+1};  after a cut-off in state s'  G = E_{x ~ pi_data} Qbar(s', x),  after the end 0
    L   = 1/2 (Q(s_t, x_t) - G_t)^2 + alpha (- log softmax(Q(s_t, .))[x_t])

Acting: pi(x | s) ~ pi_data(x | s) exp(beta Q(s, x)), over tokens that pi_data supports. Q is that of the data's policy: one step of
improvement, which is the optimum where the data's policy is valued in every state (tests/test_cut_offs.py).

Departures: see `ilql`; equal decisions of a batch are regressed on the mean of their returns, which has the same gradient. LMRL-Gym
takes a recording that was cut off for a finished game (``cut_offs = "end"``): its return is then what was seen.

    lmrl train mc --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/mc-wordle

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -7.20, -8.78, -8.49; optimum -6.71, cloning -36. More: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import mean, squared_error
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load, share_of_the_cut
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.chunks import in_pieces
from lmrl_agents.models.critic import Critic, Taken, states_of
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.steps import StepStore

SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[mc]`` table."""

    cut_offs: str = "bootstrap"
    """"bootstrap", or "end": what follows after a cut-off, the target's value or nothing."""


def mc_loss(
    q: Taken, returns: torch.Tensor, weight: torch.Tensor, conservatism: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss L above and its parts: q of the tokens that were taken, returns and weight float [N]."""
    loss_q, loss_c = squared_error(q.value, returns, weight), mean(q.surprise, weight)
    return loss_q + conservatism * loss_c, {"loss_q": loss_q, "loss_c": loss_c}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    if config.cut_offs not in ("bootstrap", "end"):
        raise ValueError(f"cut_offs={config.cut_offs!r} is not known; choose bootstrap or end")
    model, data = load(run, unit=config.discount_unit)
    critic = critic_of(run, model, ("q1",), data, config)
    target = critic.target()
    returns, shares = (
        returns_to_go(data.reward, data.last, config.discount**data.time),
        share_of_the_cut(data, config.discount),
    )
    if config.cut_offs == "end":
        shares[:] = 0.0
    value_after = partial(values_after, model, target, data)

    def losses_of(groups: np.ndarray) -> Losses:
        steps = data.steps_of(groups)
        distinct, counts, kind = data.distinct(steps, successors=False)
        means = np.bincount(kind, goals_of(data, steps, returns, shares, value_after)) / counts
        batch = data.batch(distinct, counts, successors=False).to(run.device)
        (q,) = critic.taken(critic.states(batch)[batch.state], batch.token)
        goal = torch.tensor(means, dtype=torch.float32, device=run.device)
        return batch, *mc_loss(q, goal, batch.weight, config.conservatism)

    return fit(run, config, model, critic, target, data, losses_of)


def goals_of(
    data: StepStore,
    steps: np.ndarray,
    returns: np.ndarray,
    shares: np.ndarray,
    value_after: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """G of some steps, int [K] -> float [K]: what was seen, and its share of the value after the cut.

    Args:
        data: all steps.
        steps: positions.
        returns: what was seen after each step of the data, float [N].
        shares: `share_of_the_cut`, float [N].
        value_after: positions of last steps, all different, to the values of the states after them.
    """
    goals, cut = returns[steps].copy(), shares[steps] > 0
    if cut.any():
        final = np.flatnonzero(data.last)
        ends, which = np.unique(final[np.searchsorted(final, steps[cut])], return_inverse=True)
        goals[cut] += shares[steps[cut]] * value_after(ends)[which]
    return goals


@torch.no_grad()
def values_after(model: LanguageModel, target: Critic, data: StepStore, ends: np.ndarray) -> np.ndarray:
    """E_{x ~ pi_data} Qbar(s', x) of the states after the last steps of cut-off episodes: int [K] -> float [K]."""
    kinds, _, kind = data.distinct(ends, successors=True)
    batch = data.batch(kinds).to(model.device)

    def read(known: torch.Tensor, slow: torch.Tensor) -> tuple[torch.Tensor]:
        return ((torch.softmax(model.logits([known]).float(), dim=1) * target.least_q(slow)).sum(dim=1),)

    known, slow = states_of(model.networks[0], batch)[batch.next_state], target.states(batch)[batch.next_state]
    (values,) = in_pieces(read, model.vocabulary, known, slow)
    return values.double().cpu().numpy()[kind]
