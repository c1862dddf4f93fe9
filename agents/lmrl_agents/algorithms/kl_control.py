"""KL-control: maximise the return less what it costs to leave the data's policy p (Jaques et al., arXiv 1611.02796 and 1907.00456).

    E sum_t gamma^t ( r_t / c - KL(pi(. | s_t) || p(. | s_t)) ),        c: units of reward that one nat is worth

Targets y of F(s_t, x_t), regressed with 1/2 (F - y)^2; s' is the next state, F' the target's values there, none after the end:

    "g"     y = r/c + gamma log sum_x p(x | s') exp F'(s', x)              acts by p exp F / Z: the exact solution (G-learning)
    "psi"   y = r/c + log p(x_t | s_t) + gamma log sum_x exp F'(s', x)     acts by softmax F: the same solution, F = G + log p
    "q"     y = r/c + log p(x_t | s_t) + gamma max_x F'(s', x)             acts by argmax F (Q-learning with log prior)
    "klq_coded" y = r/c + k (log p(x_t | s_t) - log softmax F(s_t, .)[x_t]) + gamma max_x F'(s', x), or log sum exp with ``soft``;
            acts by softmax F. What the public code of arXiv 1907.00456 does. It is another problem's solution: at a last step
            softmax F = exp((r/c + k log p) / (1 + k)) / Z, where the exact one is p exp(r/c) / Z.

"psi", "q" and "klq_coded" charge log p for the logged token alone. Under a nearly deterministic p an action that the data does not have is
then charged nothing, and is believed to be worth what the head says at first; "g" cannot take it.

Departures: "g" has no tokens that p gives less than ``support``, in its backups and in play: what the data do not have has values that
nothing corrects, and a network's p is never 0 (without this, a Maze player with c = 1 stood still); a reward stands on the last token of its turn, and the value of the next turn at its first (the public code gives
the reward to every word, and reads the next value behind the padding); the squared error for Huber's.

    lmrl train kl_control --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/kl-maze
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import mean, squared_error, surprise
from lmrl_agents.learning.offline import Losses, OfflineConfig, critic_of, fit, load
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.chunks import in_pieces, read
from lmrl_agents.models.critic import states_of
from lmrl_agents.models.guided import GREEDY, supports

FORMS = ("g", "psi", "q", "klq_coded")
SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(OfflineConfig):
    """Hyperparameters; the preset's ``[kl_control]`` table. ``betas`` of other value methods say nothing here, nor ``support`` but to "g"."""

    form: str = "g"
    """One of `FORMS`."""
    reward_scale: float = 1.0
    """c: units of reward that one nat of divergence is worth; the smaller, the further from the data's policy."""
    penalty: float = 0.5
    """k of "klq_coded"."""
    soft: bool = False
    """"klq_coded" backs up log sum exp in place of the maximum (the paper's "KL-control Psi")."""
    conservatism: float = 0.0
    """As of all value methods; none of these has it."""


def backup(
    values: torch.Tensor, log_prior: torch.Tensor, form: str, soft: bool = False, support: float = 0.0
) -> torch.Tensor:
    """What a state is worth: values and log p of its tokens, float [N, V] -> float [N]."""
    if form == "g":
        return torch.logsumexp((log_prior + values).masked_fill(~supports(log_prior, support), float("-inf")), dim=1)
    return torch.logsumexp(values, dim=1) if form == "psi" or soft else values.amax(dim=1)


def reward_of(reward: torch.Tensor, log_prior: torch.Tensor, log_own: torch.Tensor, config: Config) -> torch.Tensor:
    """r/c with what the form charges at the step itself: of the token that was taken reward, log p and log softmax F, float [N] each."""
    scaled = reward / config.reward_scale
    if config.form == "g":
        return scaled
    return scaled + (config.penalty * (log_prior - log_own) if config.form == "klq_coded" else log_prior)


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of policy and critic."""
    config = run.config(Config)
    if config.form not in FORMS:
        raise ValueError(f"form={config.form!r} is not known; choose one of {', '.join(FORMS)}")
    if not config.reward_scale > 0:
        raise ValueError(f"reward_scale={config.reward_scale} must be positive")
    support = config.support if config.form == "g" else 0.0
    config = replace(config, support=support, betas=(GREEDY if config.form == "q" else 1.0,), evaluation_beta=1.0)
    model, data = load(run, config.form == "g", config.discount_unit)
    critic = critic_of(run, model, ("q1",), data, config, 1 / config.reward_scale)
    target = critic.target()

    def worth(known: torch.Tensor, slow: torch.Tensor) -> tuple[torch.Tensor]:
        log_prior = torch.log_softmax(model.logits([known]).float(), dim=1)
        return (backup(target.least_q(slow), log_prior, config.form, config.soft, support),)

    def losses_of(groups: np.ndarray) -> Losses:
        batch = data.batch(*data.distinct(data.steps_of(groups))[:2]).to(run.device)
        (q,) = critic.taken(critic.states(batch)[batch.state], batch.token)
        with torch.no_grad():
            known, slow = states_of(model.networks[0], batch), target.states(batch)[batch.next_state]
            (charged,) = read(model, lambda *of: (-surprise(*of),), known[batch.state], batch.token)
            (after,) = in_pieces(worth, model.vocabulary, known[batch.next_state], slow)
            y = reward_of(batch.reward, charged, -q.surprise, config)
            y = y + config.discount**batch.time * batch.goes_on * after
        loss = squared_error(q.value, y, batch.weight)
        if config.conservatism:
            loss = loss + config.conservatism * mean(q.surprise, batch.weight)
        return batch, loss, {"target": y.mean()}

    return fit(run, config, model, critic, target, data, losses_of, "tilt" if config.form == "g" else "values")
