"""Group-relative policy optimisation (Shao et al., arXiv 2402.03300) over whole games.

A group is ``group_size`` games from one seed: the same start, the same secret. An episode's advantage is its return beside
its group's, one number for all its action tokens:

    A = (R - mean(group)) / (std(group) + 1e-4)
    L = E max(-r A, -clip(r, 1 - c, 1 + c) A) + b E k3(pi || pi_start)

Switches, named as in TRL where it has them, and what they make:

    GRPO      as it is, with ``loss_type`` grpo: tokens are averaged over each episode first
    Dr. GRPO  scale_rewards none, loss_type dr_grpo: a fixed length (Liu et al., arXiv 2503.20783)
    RLOO      scale_rewards none, leave_one_out (Ahmadian et al., arXiv 2402.14740)
    DAPO      loss_type dapo: over all tokens of a gradient step; ratio_clip_high .28; drop_flat (Yu et al., arXiv 2503.14476, which
              plays other groups in the place of flat ones; here a round then has fewer)
    GSPO      importance_sampling_level sequence: r = (pi(a) / pi_old(a))^(1 / |a|) of a whole utterance a (Zheng et al., arXiv 2507.18071)
    GiGPO     credit state: A + w (G_t - mean) / (std + 1e-4) among the group's turns in one position, G_t the return from there on
              (Feng et al., arXiv 2505.10978); positions are equal where the policy was given the same

``credit = "turn"`` compares returns from each turn on with those of the group at the same turn, so that a late turn is not praised
for an early one. What TRL calls num_generations, num_iterations, epsilon, epsilon_high and beta is ``group_size``, ``epochs``,
``ratio_clip``, ``ratio_clip_high`` and ``kl_weight`` here, as in `ppo`. k3 in the loss is an estimate of the KL whose gradient is not
the KL's: that is how it is usually done.

A round that moved the policy too far is taken back (`RoundGuard`).
A group whose returns are all equal teaches nothing; its share is logged as ``flat_groups``.

    lmrl train grpo --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/grpo-wordle

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -7.06, -21.8, -7.15; optimum -6.65, cloning -37. More: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.losses import clipped_policy_loss, kl_estimates, mean
from lmrl_agents.learning.online import (
    GradientConfig,
    RoundGuard,
    floats,
    frozen,
    minibatches,
    new_logprobs,
    off_policy_weights,
    predict_logprobs,
    rounds,
    steps_of,
)
from lmrl_agents.learning.optimisation import adamw, precision
from lmrl_agents.learning.returns import group_advantages, returns_to_go
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.distributed import all_reduce, shard
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokens import TokenEpisode

SHARDABLE = True
TAKES_REWARD = True

LOSS_TYPES = ("dapo", "grpo", "dr_grpo")
CREDITS = ("episode", "turn", "state")
LEVELS = ("token", "sequence")


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
    """One of `CREDITS`."""
    state_weight: float = 1.0
    """w"""
    drop_flat: bool = False
    """Leave groups whose returns are all equal out of the loss's mean."""
    loss_type: str = "dapo"
    """One of `LOSS_TYPES`."""
    epochs: int = 1
    """Passes over a round's tokens."""
    batch_size: int = 1024
    """Action tokens a minibatch."""
    ratio_clip: float = 0.2
    """c"""
    ratio_clip_high: float = 0.0
    """c where the ratio grows; 0: the same."""
    importance_sampling_level: str = "token"
    """One of `LEVELS`."""
    kl_weight: float = 0.0
    """b"""


def advantages_of(episodes: Sequence[TokenEpisode], steps: StepStore, config: Config) -> np.ndarray:
    """Advantage of every step, float [N]."""
    if config.credit not in CREDITS:
        raise ValueError(f"credit={config.credit!r} is not known; choose one of {', '.join(CREDITS)}")
    groups = np.array([episode.group for episode in episodes])
    returns = [sum(episode.rewards) for episode in episodes]
    whole = group_advantages(returns, groups.tolist(), config.scale_rewards, config.leave_one_out)[steps.episode]
    if config.credit == "episode":
        return whole
    ahead = returns_to_go(steps.reward, steps.last, config.discount**steps.time)
    number = steps.turn_number()
    first = np.unique(number, return_index=True)[1]
    labels = [(int(groups[steps.episode[k]]), place_of(steps, k, config.credit)) for k in first]
    names = {label: name for name, label in enumerate(dict.fromkeys(labels))}
    each = group_advantages(
        ahead[first].tolist(), [names[label] for label in labels], config.scale_rewards, config.leave_one_out
    )[number]
    return each if config.credit == "turn" else whole + config.state_weight * each


def place_of(steps: StepStore, step: int, credit: str) -> Hashable:
    """What turns are compared by within a group: their number, or all that the policy was given."""
    if credit == "turn":
        return int(steps.turn[step])
    return steps.row_tokens(int(steps.row[step]))[: steps.column[step] + 1].tobytes()


def flat_episodes(episodes: Sequence[TokenEpisode]) -> np.ndarray:
    """Whether all games of an episode's group have the same return: bool [E]."""
    returns = np.array([sum(episode.rewards) for episode in episodes])
    groups = np.array([episode.group for episode in episodes])
    return np.array([np.ptp(returns[groups == group]) == 0 for group in groups])


def sequence_ratios(logprobs: torch.Tensor, old: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
    """Of each token the logarithm of its utterance's ratio, the mean over its tokens: float [N] each, number int64 [N] -> float [N]."""
    _, which = number.unique(return_inverse=True)
    sums = torch.zeros(int(which.max()) + 1, device=logprobs.device).index_add(0, which, logprobs - old)
    return (sums / which.bincount())[which]


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
    return optimise(run, run.config(Config), start_policy(run))


def optimise(
    run: TrainingRun,
    config: Config,
    model: LanguageModel,
    rewarding_of: Callable[[Session], Rewarding] | None = None,
    beside: Mapping[str, tuple[torch.nn.Module, torch.optim.Optimizer]] | None = None,
) -> Path:
    """Train a policy; returns the folder of the model.

    Args:
        run: what is trained.
        config: how.
        model: the policy.
        rewarding_of: what is learned from, given the session; default: the run's reward.
        beside: what else is trained meanwhile, with its optimizer.
    """
    level = config.importance_sampling_level
    if level not in LEVELS:
        raise ValueError(f"importance_sampling_level={level!r} is not known; choose one of {', '.join(LEVELS)}")
    start = frozen(model)
    if run.shard:
        shard(model, start)
    state = {"rate": 1.0}
    parts = {"policy": (model, adamw(config.learning_rate, config.weight_decay, model)), **(beside or {})}
    modules, optimizers = ({name: pair[k] for name, pair in parts.items()} for k in (0, 1))
    session = Session(run, model, config, modules, optimizers, state)  # type: ignore[arg-type]
    guard = RoundGuard(session, config)
    rewarding = rewarding_of(session) if rewarding_of else None
    for round_, episodes in rounds(session, config, config.group_size, rewarding):
        same = flat_episodes(episodes)
        if config.drop_flat and not same.all():
            episodes = [episode for episode, is_flat in zip(episodes, same, strict=True) if not is_flat]
        steps = steps_of(session, episodes, config)
        found = off_policy_weights(session, steps, config) * advantages_of(episodes, steps, config)
        # "dr_grpo" divides by the first round's mean length, whatever lengths become.
        length = all_reduce(float(len(steps)), "sum") / all_reduce(float(len(episodes)), "sum")
        state.setdefault("tokens", length)
        factor = length / state["tokens"] if config.loss_type == "dr_grpo" else 1.0
        weights = token_weights(steps, config.loss_type)
        advantages, old = floats(found * factor, run.device), floats(steps.logprob, run.device)
        number = torch.from_numpy(steps.turn_number()).to(run.device)
        if config.kl_weight:
            reference = floats(predict_logprobs(start, steps, config.temperature), run.device)
        rate = config.rate(round_) * state["rate"]
        facts: dict[str, float] = {}
        guard.before()
        size, epochs = config.batch_size, range(config.epochs)
        for index, batch, more in minibatches(steps, size, (run.seed, round_), run.device, epochs, weights):
            with precision(run):
                logprobs, entropy = new_logprobs(model, batch, config.temperature)
                told, before = logprobs, old[index]
                if level == "sequence":
                    told, before = sequence_ratios(logprobs, before, number[index]), torch.zeros_like(before)
                clips = {"clip": config.ratio_clip, "above": config.ratio_clip_high}
                loss = clipped_policy_loss(told, before, advantages[index], weights=batch.weight, **clips)
                if config.kl_weight:
                    k3 = kl_estimates(logprobs, reference[index])[2]
                    loss = loss + config.kl_weight * mean(k3, batch.weight)
            session.update("policy", loss, rate, batch, more)
            facts = {"loss": loss.item(), "entropy": mean(entropy, batch.weight).item()}
        facts |= guard.after(steps)
        session.log(**facts, flat_groups=float(same.mean()))
    return session.finish()
