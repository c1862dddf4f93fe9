"""Group-relative policy optimisation (Shao et al., arXiv 2402.03300) over whole games.

A group is ``group_size`` games from one seed: the same start, the same secret. An episode's advantage is its return beside
its group's, one number for all its action tokens:

    A = (R - mean(group)) / (std(group) + 1e-4)
    L = E max(-r A, -clip(r, 1 - c, 1 + c) A) + b E k3(pi || pi_start)

Switches, named as in TRL: ``scale_rewards`` (group, batch, none) and ``loss_type``, how tokens are averaged: "dapo" over all tokens
of a gradient step (Yu et al., arXiv 2503.14476), "grpo" over each episode first, "dr_grpo" by a fixed length. Dr. GRPO (Liu et
al., arXiv 2503.20783) is scale_rewards none with loss_type dr_grpo; RLOO (Ahmadian et al., arXiv 2402.14740) is scale_rewards none
with ``leave_one_out``. ``credit = "turn"`` compares returns from each turn on, so that a late turn is not praised for an early one.
What TRL calls num_generations, num_iterations, epsilon and beta is ``group_size``, ``epochs``, ``ratio_clip`` and ``kl_weight`` here,
as in `ppo`. k3 in the loss is an estimate of the KL whose gradient is not the KL's: that is how it is usually done.

A round that moved the policy too far is taken back (`RoundGuard`).
A group whose returns are all equal teaches nothing; its share is logged as ``flat_groups``.

    lmrl train grpo --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/grpo-wordle

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -7.06, -21.8, -7.15; optimum -6.65, cloning -37. More: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmrl_agents.learning.losses import clipped_policy_loss, kl_estimates, mean
from lmrl_agents.learning.online import (
    GradientConfig,
    RoundGuard,
    floats,
    frozen,
    minibatches,
    new_logprobs,
    predict_logprobs,
    rounds,
    steps_of,
)
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.returns import group_advantages, returns_to_go
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.distributed import all_reduce
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokens import TokenEpisode

TAKES_REWARD = True

LOSS_TYPES = ("dapo", "grpo", "dr_grpo")


@dataclass(frozen=True)
class Config(GradientConfig):
    """Hyperparameters; the preset's ``[grpo]`` table. ``episodes`` counts groups."""

    episodes: int = 16
    """Groups a round."""
    group_size: int = 8
    """Games from one seed."""
    scale_rewards: str = "group"
    """What advantages are divided by, see `group_advantages`."""
    leave_one_out: bool = False
    """Compare with the mean of the others."""
    credit: str = "episode"
    """"episode", or "turn": returns from each turn on are compared with those of the group at the same turn."""
    loss_type: str = "dapo"
    """One of `LOSS_TYPES`."""
    epochs: int = 1
    """Passes over a round's tokens."""
    batch_size: int = 1024
    """Action tokens a minibatch."""
    ratio_clip: float = 0.2
    """c"""
    kl_weight: float = 0.0
    """b"""


def advantages_of(episodes: Sequence[TokenEpisode], steps: StepStore, config: Config) -> tuple[np.ndarray, float]:
    """Advantage of every step, float [N], and the share of groups with equal returns."""
    returns = np.array([sum(episode.rewards) for episode in episodes])
    groups = np.array([episode.group for episode in episodes])
    flat = float(np.mean([np.ptp(returns[groups == g]) == 0 for g in np.unique(groups)]))
    if config.credit == "episode":
        found = group_advantages(returns.tolist(), groups.tolist(), config.scale_rewards, config.leave_one_out)
        return found[steps.episode], flat
    if config.credit != "turn":
        raise ValueError(f"credit={config.credit!r} is not known; choose episode or turn")
    ahead = returns_to_go(steps.reward, steps.last, config.discount**steps.time)
    first = np.unique(np.stack([steps.episode, steps.turn], 1), axis=0, return_index=True)[1]
    labels = groups[steps.episode[first]] * (int(steps.turn.max()) + 1) + steps.turn[first]
    each = group_advantages(ahead[first].tolist(), labels.tolist(), config.scale_rewards, config.leave_one_out)
    width = int(steps.turn.max()) + 1
    table = np.zeros(len(episodes) * width)
    table[steps.episode[first] * width + steps.turn[first]] = each
    return table[steps.episode * width + steps.turn], flat


def token_weights(steps: StepStore, loss_type: str) -> np.ndarray:
    """Weight of every step in the loss: float [N], of mean 1 for "dapo" and "grpo"."""
    if loss_type not in LOSS_TYPES:
        raise ValueError(f"loss_type={loss_type!r} is not known; choose one of {', '.join(LOSS_TYPES)}")
    if loss_type != "grpo":
        return np.ones(len(steps))
    lengths = np.bincount(steps.episode)
    return (len(steps) / (lengths > 0).sum()) / lengths[steps.episode]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    model = start_policy(run)
    start = frozen(model)
    state = {"rate": 1.0}
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer}, state)
    guard = RoundGuard(session, config)
    for round_, episodes in rounds(session, config, config.group_size):
        steps = steps_of(session, episodes, config)
        found, flat = advantages_of(episodes, steps, config)
        # "dr_grpo" divides by the first round's mean length, whatever lengths become.
        length = all_reduce(float(len(steps)), "sum") / all_reduce(float(len(episodes)), "sum")
        state.setdefault("tokens", length)
        factor = length / state["tokens"] if config.loss_type == "dr_grpo" else 1.0
        weights = token_weights(steps, config.loss_type)
        advantages, old = floats(found * factor, run.device), floats(steps.logprob, run.device)
        if config.kl_weight:
            reference = floats(predict_logprobs(start, steps, config.temperature), run.device)
        rate = config.rate(round_) * state["rate"]
        facts: dict[str, float] = {}
        guard.before()
        size, epochs = config.batch_size, range(config.epochs)
        for index, batch, more in minibatches(steps, size, (run.seed, round_), run.device, epochs, weights):
            with precision(run):
                logprobs, entropy = new_logprobs(model, batch, config.temperature)
                loss = clipped_policy_loss(logprobs, old[index], advantages[index], config.ratio_clip, batch.weight)
                if config.kl_weight:
                    k3 = kl_estimates(logprobs, reference[index])[2]
                    loss = loss + config.kl_weight * mean(k3, batch.weight)
            session.update("policy", loss, rate, batch, more)
            facts = {"loss": loss.item(), "entropy": mean(entropy, batch.weight).item()}
        facts |= guard.after(steps)
        session.log(**facts, flat_groups=flat)
    return session.finish()
