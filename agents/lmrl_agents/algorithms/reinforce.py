"""REINFORCE over tokens (Williams, 1992), with a choice of baselines.

    L = - E A_t log pi(x_t | s_t),   A_t = G_t - b(s_t)

- ``baseline = "value"``: b is a value network fitted to the returns; A is generalised by lambda (``decay``; 1 is G - V);
- "batch": the mean of the round's returns from the same turn on;
- "running": an average of the mean returns of earlier rounds, without the round itself;
- "none".

One pass over the data of a round, no clipping, no reuse; with minibatches (``batch_size``) smaller than a round, the later steps are
taken with games of a policy that is that much older, uncorrected; ``kl_weight`` penalises the KL to the starting policy as in `ppo`.
Departures: as in `ppo`, a value network of its own, advantages divided by max(std, ``least_std``), and rounds that moved
the policy too far are taken back.

    lmrl train reinforce --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --preset nano --seed 0 --out runs/reinforce

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -8.92, -7.99, -8.47; optimum -6.65, cloning -37. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import mean, policy_gradient_loss, squared_error
from lmrl_agents.learning.online import (
    GradientConfig,
    RoundGuard,
    floats,
    frozen,
    minibatches,
    new_logprobs,
    normalize,
    off_policy_weights,
    predict_logprobs,
    predict_values,
    rounds,
    steps_of,
)
from lmrl_agents.learning.optimisation import adamw, linear_decay, precision
from lmrl_agents.learning.returns import generalized_advantages, returns_to_go
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.distributed import all_reduce, all_reduce_array, moments, shard
from lmrl_agents.models.steps import StepStore

SHARDABLE = True
TAKES_REWARD = True

BASELINES = ("value", "batch", "running", "none")


@dataclass(frozen=True)
class Config(GradientConfig):
    """Hyperparameters; the preset's ``[reinforce]`` table."""

    baseline: str = "value"
    """One of `BASELINES`."""
    batch_size: int = 2048
    """Action tokens a minibatch."""
    value_rate: float = 1e-3
    """Learning rate of the value network."""
    value_epochs: int = 3
    """Passes of the value network over a round's tokens."""
    decay: float = 1.0
    """lambda"""
    entropy: float = 0.0
    """Weight of the policy's entropy."""
    kl_weight: float = 0.0
    """Of the KL to the starting policy, per token, as a penalty in the reward."""
    least_std: float = 0.1
    """Advantages are divided by their standard deviation, but not by less than this; 0: they are not divided."""
    value_hidden: int = 0
    """Width of a hidden layer in the value head."""


def turn_baseline(returns: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """For each token the mean of ``returns`` over all tokens of the same turn, of all processes: float [N], int [N] -> float [N]."""
    most = -int(all_reduce(-float(turns.max()), "min")) + 1
    sums = all_reduce_array(np.bincount(turns, returns, minlength=most))
    counts = all_reduce_array(np.bincount(turns, minlength=most).astype(float))
    return (sums / np.maximum(counts, 1))[turns]


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    if config.baseline not in BASELINES:
        raise ValueError(f"baseline={config.baseline!r} is not known; choose one of {', '.join(BASELINES)}")
    model = start_policy(run)
    start = frozen(model)
    critic = Critic.beside(model, CriticConfig(("value",), config.value_hidden))
    if run.shard:
        shard(model, start, critic)
    state = {"running": 0.0, "rounds": 0, "rate": 1.0}
    optimizers = {
        "policy": adamw(config.learning_rate, config.weight_decay, model),
        "critic": adamw(config.value_rate, config.weight_decay, critic),
    }
    session = Session(run, model, config, {"policy": model, "critic": critic}, optimizers, state)
    guard = RoundGuard(session, config)
    for round_, episodes in rounds(session, config):
        steps = steps_of(session, episodes, config)
        drawn = off_policy_weights(session, steps, config)
        rewards = config.reward_scale * steps.reward
        if config.kl_weight:
            old = predict_logprobs(start, steps, config.temperature)
            rewards = rewards - config.kl_weight * (steps.logprob - old)
        rate = config.rate(round_) * state["rate"]
        facts: dict[str, float] = {}
        if config.baseline == "value":
            values, after = predict_values(critic, steps)
            advantages, goals = generalized_advantages(
                rewards, values, steps.last, after, config.discount**steps.time, config.decay**steps.time
            )
            facts["value_loss"] = _fit_values(session, config, critic, steps, goals, round_)
        else:
            goals = returns_to_go(rewards, steps.last, config.discount**steps.time)
            if config.baseline == "batch":
                advantages = goals - turn_baseline(goals, steps.turn)
            else:
                advantages = goals - (state["running"] if config.baseline == "running" else 0.0)
                state["running"] += (moments(goals)[0] - state["running"]) / min(10, state["rounds"] + 1)
            state["rounds"] += 1
        if config.least_std:
            # Without a baseline the mean is what there is to learn from: it is not taken away.
            centre = 0.0 if config.baseline == "none" else None
            advantages = normalize(advantages, config.least_std, centre)
        weight = floats(drawn * advantages, run.device)
        guard.before()
        for index, batch, more in minibatches(steps, config.batch_size, (run.seed, round_), run.device, [0]):
            with precision(run):
                logprobs, entropy = new_logprobs(model, batch, config.temperature)
                loss = policy_gradient_loss(logprobs, weight[index], batch.weight)
                loss = loss - config.entropy * mean(entropy, batch.weight)
            session.update("policy", loss, rate, batch, more)
            facts |= {"loss": loss.item(), "entropy": mean(entropy, batch.weight).item()}
        facts |= guard.after(steps)
        session.log(**facts)
    return session.finish(critic.scaled(1 / config.reward_scale) if config.baseline == "value" else None)


def _fit_values(
    session: Session, config: Config, critic: Critic, steps: StepStore, returns: np.ndarray, round_: int
) -> float:
    """Fit the value network to the round's returns; returns the last loss."""
    run = session.run
    goal, loss = floats(returns, run.device), torch.zeros(())
    rate = linear_decay(round_, config.iterations, config.value_rate, config.floor)
    epochs = range(1, config.value_epochs + 1)
    for index, batch, more in minibatches(steps, config.batch_size, (run.seed, round_), run.device, epochs):
        with precision(run):
            loss = squared_error(critic.value(critic.states(batch))[batch.state], goal[index], batch.weight)
        session.update("critic", loss, rate, batch, more)
    return loss.item()
