"""Proximal policy optimisation over tokens, with a KL penalty to the starting policy.

Schulman et al., arXiv 1707.06347; Ziegler et al., arXiv 1909.08593.

    r~_t = r_t - b (log pi_old(x_t | s_t) - log pi_start(x_t | s_t))
    A, R by generalised advantage estimation over the action tokens of whole episodes; a cut-off episode bootstraps
    L_pi  = E max(-r A, -clip(r, 1 - c, 1 + c) A),    r = pi(x_t | s_t) / pi_old(x_t | s_t)
    L_V   = 1/2 E max((V - R)^2, (V_old + clip(V - V_old, -c_V, c_V) - R)^2)
    L     = L_pi - h H(pi) [+ p L_BC on a batch of the dataset]

b is fixed, or follows Ziegler's rule: b <- b (1 + clip(KL / target - 1, -.2, .2) n / horizon).

Departures: the value network has a transformer of its own, unless ``value_trunk = "shared"``: then its head reads the
policy's states, one optimizer minimises L + ``value_weight`` L_V, and the value's gradient reaches the policy's transformer;
advantages are divided by max(std, ``least_std``), not by std, which at the optimum would blow noise up; a round ends when
the KL from the policy that played exceeds ``kl_stop``; a round that moved the policy further than ``kl_limit`` is taken back
and the learning rate halved (`RoundGuard`).

    lmrl train ppo --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/ppo-wordle

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -6.73, -6.73, -6.74; optimum -6.71, cloning -36. More: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from lmrl_agents.learning.losses import clipped_policy_loss, clipped_value_loss, kl_estimates, mean, surprise
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
from lmrl_agents.learning.optimisation import adamw, batch_indices, linear_decay, precision
from lmrl_agents.learning.returns import generalized_advantages
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.chunks import read
from lmrl_agents.models.critic import Critic, CriticConfig, states_of
from lmrl_agents.models.distributed import all_reduce, moments, shard
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Policy
from lmrl_agents.models.step_cache import cached_steps
from lmrl_agents.models.steps import StepStore

SHARDABLE = True
TAKES_REWARD = True

TRUNKS = ("separate", "shared")


@dataclass(frozen=True)
class Config(GradientConfig):
    """Hyperparameters; the preset's ``[ppo]`` table."""

    epochs: int = 3
    """Passes over a round's tokens."""
    batch_size: int = 512
    """Action tokens a minibatch."""
    ratio_clip: float = 0.2
    """c"""
    value_clip: float = 0.2
    """c_V, in units of the scaled reward; 0: no clipping."""
    value_rate: float = 1e-3
    """Learning rate of the value network."""
    decay: float = 0.95
    """lambda"""
    entropy: float = 0.0
    """h"""
    kl_weight: float = 0.001
    """b, or where it starts."""
    kl_target: float = 0.0
    """Per token; 0 keeps b fixed."""
    kl_horizon: float = 10_000.0
    """Episodes over which b adapts."""
    kl_stop: float = 0.03
    """KL from the policy that played, per token, at which a round's learning ends; 0: never."""
    least_std: float = 0.1
    """Advantages are divided by their standard deviation, but not by less than this."""
    pretraining_weight: float = 0.0
    """p: behaviour cloning of the dataset in every minibatch (PPO-ptx, Ouyang et al., arXiv 2203.02155)."""
    pretraining_rows: int = 128
    """Rows of the dataset in each."""
    value_hidden: int = 0
    """Width of a hidden layer in the value head."""
    value_trunk: str = "separate"
    """One of `TRUNKS`: whether the value has a transformer of its own or reads the policy's states."""
    value_weight: float = 0.5
    """Of L_V beside L, where the transformer is shared; the head's learning rate is then ``value_rate``, warmed up, too."""


class Masking(Policy, Protocol):
    """A policy around the model that is trained."""

    @property
    def lagged(self) -> torch.nn.Module:
        """What it masks by, kept with checkpoints."""
        ...

    def ended(self, round_: int) -> None:
        """A round of learning is over."""
        ...


Mask = Callable[[LanguageModel], Masking]


def adapt(weight: float, divergence: float, target: float, episodes: int, horizon: float) -> float:
    """The next KL weight by Ziegler's rule."""
    error = min(max(divergence / target - 1, -0.2), 0.2)
    return weight * (1 + error * episodes / horizon)


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    return optimise(run, run.config(Config))


def optimise(run: TrainingRun, config: Config, mask: Mask | None = None) -> Path:
    """Train, with a policy around the model if ``mask`` is given (`nlpo`); returns the folder of the model."""
    if config.value_trunk not in TRUNKS:
        raise ValueError(f"value_trunk={config.value_trunk!r} is not known; choose one of {', '.join(TRUNKS)}")
    shared = config.value_trunk == "shared"
    model = start_policy(run)
    start = frozen(model)
    critic = Critic.beside(model, CriticConfig(("value",), config.value_hidden), shared=shared)
    if run.shard:
        shard(model, start, *([] if shared else [critic]))
    if shared:
        scales = (1.0, config.value_rate / config.learning_rate)
        optimizers = {"policy": adamw(config.learning_rate, config.weight_decay, model, critic.heads, scales=scales)}
    else:
        optimizers = {
            "policy": adamw(config.learning_rate, config.weight_decay, model),
            "critic": adamw(config.value_rate, config.weight_decay, critic),
        }
    data = cached_steps(run.load_data(), model.tokenizer, model.form) if config.pretraining_weight else None
    state = {"kl_weight": config.kl_weight, "rate": 1.0}
    masking = None if mask is None else mask(model)
    modules = {"policy": model, "critic": critic, **({} if masking is None else {"masking": masking.lagged})}
    session = Session(run, model, config, modules, optimizers, state)
    session.acting = session.acting if masking is None else masking
    guard = RoundGuard(session, config, [critic.heads] if shared else [])
    for round_, episodes in rounds(session, config):
        steps = steps_of(session, episodes, config)
        drawn = off_policy_weights(session, steps, config)
        old = predict_logprobs(start, steps, config.temperature)
        divergence = moments(steps.logprob - old)[0]
        rewards = config.reward_scale * steps.reward - state["kl_weight"] * (steps.logprob - old)
        values, after = predict_values(critic, steps)
        advantages, returns = generalized_advantages(
            rewards, values, steps.last, after, config.discount**steps.time, config.decay**steps.time
        )
        scaled = drawn * normalize(advantages, config.least_std)
        guard.before()
        facts = _learn(session, config, critic, data, steps, (scaled, returns, values), round_)
        facts |= guard.after(steps, steady=not facts["stopped"])
        if config.kl_target:
            state["kl_weight"] = adapt(
                state["kl_weight"], divergence, config.kl_target, config.episodes, config.kl_horizon
            )
        session.log(
            **facts,
            kl_start=divergence,
            kl_weight=state["kl_weight"],
            advantage_std=moments(advantages)[1],
            explained_variance=1 - (moments(returns - values)[1] / max(moments(returns)[1], 1e-5)) ** 2,
        )
        if masking is not None:
            masking.ended(round_)
    return session.finish(critic.scaled(1 / config.reward_scale))


def _learn(
    session: Session,
    config: Config,
    critic: Critic,
    data: StepStore | None,
    steps: StepStore,
    targets: Sequence[np.ndarray],
    round_: int,
) -> dict[str, float]:
    """The minibatches of a round; returns means of what was measured."""
    run, model, shared = session.run, session.policy, config.value_trunk == "shared"
    advantages, returns, values, old = (floats(numbers, run.device) for numbers in (*targets, steps.logprob))
    rate = config.rate(round_) * session.state["rate"]
    value_rate = linear_decay(round_, config.iterations, config.value_rate, config.floor)
    value_clip = config.value_clip or float("inf")
    measured: list[dict[str, float]] = []
    stop, divergence, epochs = False, 0.0, range(config.epochs)
    fresh = True  # the first pass of a minibatch
    for index, batch, more in minibatches(steps, config.batch_size, (run.seed, round_), run.device, epochs):
        with precision(run):
            states = states_of(model.networks[0], batch)
            logprobs, entropy = new_logprobs(session.acting, batch, config.temperature, states)
            loss = clipped_policy_loss(logprobs, old[index], advantages[index], config.ratio_clip, batch.weight)
            loss = loss - config.entropy * mean(entropy, batch.weight)
            if data is not None:
                number = round_ * 1000 + len(measured)
                drawn = batch_indices(run.seed, number, data.groups, config.pretraining_rows)
                real = data.clone_batch(drawn).to(run.device)
                (cost,) = read(model, lambda *of: (surprise(*of),), model.action_states(real), real.token)
                loss = loss + config.pretraining_weight * mean(cost, real.weight)
            predicted = critic.value(states if shared else critic.states(batch))[batch.state]
            value_loss = clipped_value_loss(predicted, values[index], returns[index], value_clip, batch.weight)
        if fresh:
            divergence = all_reduce(mean(kl_estimates(old[index], logprobs)[2].detach(), batch.weight).item())
            stop = bool(config.kl_stop and divergence > config.kl_stop)
            if stop:
                break
        fresh = not more
        if shared:
            session.update("policy", loss + config.value_weight * value_loss, rate, batch, more)
        else:
            session.update("policy", loss, rate, batch, more)
            session.update("critic", value_loss, value_rate, batch, more)
        facts = {"loss": loss.item(), "value_loss": value_loss.item(), "kl_played": divergence}
        measured.append({**facts, "entropy": mean(entropy, batch.weight).item()})
    means = {name: sum(m[name] for m in measured) / len(measured) for name in measured[0]} if measured else {}
    return {**means, "updates": float(len(measured)), "stopped": float(stop)}
