"""Behaviour cloning.

L = - sum_t m_t log pi(x_t | x_<t) / sum_t m_t over the tokens that the agent of the data produced (m_t = 1), their end
token included; the environment's tokens are read, never predicted (Abdulhai et al., arXiv 2311.18232, section 5).

Departures from LMRL-Gym: equal actions of a batch are read once with their count as weight, which changes neither loss
nor gradient; logits are computed at action positions only; rows are drawn with replacement.

    lmrl train bc --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --preset nano --seed 0 --out runs/bc-maze

Maze (fully observed, `nano`, seeds 0 to 2, sampled): -38.1, -36.4, -38.0; optimum -6.7. More: docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from lmrl_agents.learning.losses import mean, surprise
from lmrl_agents.learning.optimisation import adamw, batch_indices, cosine_decay, precision
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import fresh_model
from lmrl_agents.models.chunks import read
from lmrl_agents.models.distributed import shard
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.step_cache import cached_steps
from lmrl_agents.models.steps import StepStore

SHARDABLE = True


@dataclass(frozen=True)
class Config:
    """Hyperparameters; the preset's ``[bc]`` table."""

    steps: int = 600
    """Gradient steps."""
    batch_size: int = 256
    """Rows a step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    warmup: int = 50
    """Steps in which the learning rate grows."""
    weight_decay: float = 0.01
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    log_every: int = 20
    """Steps between lines of metrics."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    evaluate_every: int = 0
    """Steps between validations; 0: none."""
    evaluation_episodes: int = 64
    """Games of a validation, sampled and greedy."""
    temperatures: tuple[float, ...] = ()
    """Temperatures that are tried on validation games at the end; agents with temperature "best" take the best one."""


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    data = run.load_data()
    model = fresh_model(run, data)
    return imitate(run, run.config(Config), model, cached_steps(data, model.tokenizer, model.form))


def imitate(run: TrainingRun, config: Config, model: LanguageModel, steps: StepStore) -> Path:
    """Clone any steps; returns the folder of the model."""
    session = fit(run, config, model, steps)
    if not config.temperatures:
        return session.finish()
    temperatures, games = config.temperatures, config.evaluation_episodes
    return session.finish(decoding=session.choose("temperature", temperatures, lambda t: (model, t), games))


def fit(run: TrainingRun, config: Config, model: LanguageModel, steps: StepStore) -> Session:
    """The loop, over any steps."""
    if run.shard:
        shard(model)
    optimizer = adamw(config.learning_rate, config.weight_decay, model)
    session = Session(run, model, config, {"policy": model}, {"policy": optimizer})
    steps.pass_tokens = run.pass_tokens
    model.train()
    for step in session:
        groups = session.shard(batch_indices(run.seed, step, steps.groups, config.batch_size))
        rate = cosine_decay(step, config.steps, config.learning_rate, config.warmup)
        for part, more in session.parts(steps, groups):
            batch = steps.clone_batch(part).to(run.device)
            with precision(run):
                cost, hit = read(model, read_token, model.action_states(batch), batch.token)
                loss = mean(cost, batch.weight)
            norm = session.update("policy", loss, rate, batch, more)
        session.note = f"loss {loss.item():.3f}"
        session.log(loss=loss.item(), accuracy=mean(hit, batch.weight).item(), gradient_norm=norm)
        if config.evaluate_every and (step + 1) % config.evaluate_every == 0:
            session.validate(model, config.evaluation_episodes)
    return session


def read_token(logits: torch.Tensor, token: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each token costs, and whether it is the likeliest: float [N] each."""
    return surprise(logits, token), (logits.detach().argmax(dim=1) == token).float()
