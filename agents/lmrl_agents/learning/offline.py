"""What the offline value methods share: their data, their critic, the loop, and the choice of beta."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.optimisation import adamw, batch_indices, cosine_decay, precision
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TASK, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.critic import Critic, CriticConfig
from lmrl_agents.models.distributed import shard
from lmrl_agents.models.guided import GuidedPolicy
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.step_cache import cached_steps
from lmrl_agents.models.steps import StepBatch, StepStore
from lmrl_envs import task


@dataclass(frozen=True)
class OfflineConfig:
    """Hyperparameters of all offline value methods."""

    steps: int = 1000
    """Gradient steps of the critic."""
    batch_size: int = 256
    """Rows a step; all decisions in a row are learned from."""
    learning_rate: float = 1e-3
    """Peak of the schedule."""
    trunk_scale: float = 1.0
    """Learning rate of the critic's transformer relative to its heads'."""
    weight_decay: float = 0.0
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    discount: float = 0.99
    """Per ``discount_unit``."""
    discount_unit: str = "decision"
    """"decision": a token at which the data know more than one way on (`decisions`), which nothing else counts as; "token": every
    token of an action, and all are learned from then; "turn": an action, however many tokens it has."""
    conservatism: float = 0.01
    """Weight (alpha) of the cross entropy of softmax Q at the data's tokens."""
    hidden: int = 0
    """Width of the heads' hidden layer; 0: linear heads."""
    compose: bool = False
    """Q rows are shared by characters, as the policy's output rows may be."""
    initial: float | None = None
    """What the heads say at first; None: `mean_value` of the data."""
    polyak: float = 0.03
    """How far the target, the slow copy of the critic that acts, moves towards it at each step."""
    support: float = 0.02
    """Tokens less likely than this under the data's policy are never taken."""
    betas: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    """Weights of the values that are tried on validation games when training is over; the best is kept."""
    validation_episodes: int = 64
    """Games played for each."""
    log_every: int = 20
    """Steps between lines of metrics."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    evaluate_every: int = 0
    """Steps between validations; 0: none."""
    evaluation_beta: float = 4.0
    """Weight of the values in these."""


def load(run: TrainingRun, deciding: bool = True, unit: str = "decision") -> tuple[LanguageModel, StepStore]:
    """The data's policy and the decisions of the data; all action tokens where values alone are to act (not ``deciding``), and
    where the discount's unit is a token.
    """
    model = start_policy(run).requires_grad_(False).eval()
    steps = cached_steps(run.load_data(), model.tokenizer, model.form, deciding and unit != "token").count_time(unit)
    steps.pass_tokens = run.pass_tokens
    run.save_facts(episodes=steps.episodes, decisions=len(steps), distinct_rows=steps.rows)
    return model, steps


def critic_of(
    run: TrainingRun,
    model: LanguageModel,
    heads: tuple[str, ...],
    data: StepStore,
    config: OfflineConfig,
    scale: float = 1.0,
) -> Critic:
    """A fresh critic beside the policy; ``scale``: what a unit of reward is in its values."""
    initial = config.initial
    if initial is None:
        limits = task(run.env_id).return_range if run.reward == TASK else (-np.inf, np.inf)
        initial = mean_value(data, config.discount, limits)
    return Critic.beside(model, CriticConfig(heads, config.hidden, config.compose), initial * scale)


def share_of_the_cut(data: StepStore, discount: float) -> np.ndarray:
    """How much of the value after an episode's end counts in the return-to-go of each step: float [N].

    gamma to the time up to the end where the episode was cut off, 0 where it terminated: the rest is the value of its last state.
    """
    return returns_to_go(np.zeros(len(data)), data.last, discount**data.time, data.cut_off.astype(float))


def mean_value(data: StepStore, discount: float, limits: tuple[float, float]) -> float:
    """The data's mean return-to-go, where what was not seen of cut-off episodes is worth as much as what was: v = E G + E s v."""
    seen = float(np.mean(returns_to_go(data.reward, data.last, discount**data.time)))
    unseen = float(np.mean(share_of_the_cut(data, discount)))
    return float(np.clip(seen / max(1 - unseen, 1e-6), *limits))


Losses = tuple[StepBatch, torch.Tensor, dict[str, torch.Tensor]]
"""The steps that were learned from, their loss, and what else is logged."""


def fit(
    run: TrainingRun,
    config: OfflineConfig,
    model: LanguageModel,
    critic: Critic,
    target: Critic,
    data: StepStore,
    losses_of: Callable[[np.ndarray], Losses],
    rule: str = "tilt",
    draws: int = 1,
) -> Path:
    """Fit the critic, then choose beta; returns the folder of policy and target.

    Args:
        run: what is trained.
        config: hyperparameters.
        model: the data's policy, which stays as it is.
        critic: what is trained.
        target: `Critic.target` of it, which follows.
        data: the decisions of the data.
        losses_of: the algorithm's loss for some groups of steps, int64 [groups].
        rule: how policy and values act together, see `GuidedPolicy`.
    """
    if run.shard:
        shard(model, critic, target)
    optimizer = adamw(
        config.learning_rate, config.weight_decay, critic.trunk, critic.heads, scales=(config.trunk_scale, 1.0)
    )
    session = Session(run, model, config, {"critic": critic, "target": target}, {"critic": optimizer})

    def tilted(beta: float) -> tuple[GuidedPolicy, float]:
        return GuidedPolicy(model, target, beta, config.support, rule, draws), 1.0

    for step in session:
        groups = session.shard(batch_indices(run.seed, step, data.groups, config.batch_size))
        rate = cosine_decay(step, config.steps, config.learning_rate)
        for part, more in session.parts(data, groups):
            with precision(run):
                batch, loss, measured = losses_of(part)
            norm = session.update("critic", loss, rate, batch, more)
        target.follow(critic, config.polyak)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item(), gradient_norm=norm, **{name: part.item() for name, part in measured.items()})
        if config.evaluate_every and (step + 1) % config.evaluate_every == 0:
            session.validate(tilted(config.evaluation_beta)[0], config.validation_episodes)
    decoding = session.choose("beta", config.betas, tilted, config.validation_episodes)
    return session.finish(target, decoding={**decoding, "support": config.support, "rule": rule, "draws": draws})
