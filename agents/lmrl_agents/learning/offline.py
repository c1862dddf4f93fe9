"""What the offline value methods (mc, ilql, cql) share: their data, their critic, and the choice of beta."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.run import TrainingRun, save_facts, steps_of
from lmrl_agents.learning.session import save_final
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.critic import Critic, CriticConfig, GuidedPolicy
from lmrl_agents.models.distributed import by_sharding, unsharded
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.steps import StepStore
from lmrl_agents.playing.policy_agent import mean_return


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
    """Per decision."""
    conservatism: float = 0.01
    """Weight (alpha) of the cross entropy of softmax Q at the data's tokens."""
    hidden: int = 0
    """Width of the heads' hidden layer; 0: linear heads."""
    compose: bool = False
    """Q rows are shared by characters, as the policy's output rows may be."""
    initial: float | None = None
    """What the heads say at first; None: the data's mean return-to-go."""
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


def load(run: TrainingRun) -> tuple[LanguageModel, StepStore]:
    """The data's policy and the decisions of the data."""
    model = start_policy(run)
    model.requires_grad_(False).eval()
    steps = steps_of(run.load_data(), model, deciding=True)
    save_facts(run, episodes=steps.episodes, decisions=len(steps), distinct_rows=steps.rows)
    return model, steps


def critic_of(model: LanguageModel, heads: tuple[str, ...], config: OfflineConfig, returns: np.ndarray) -> Critic:
    """A fresh critic beside the policy."""
    initial = float(np.mean(returns)) if config.initial is None else config.initial
    return Critic.beside(model, CriticConfig(heads, config.hidden, config.compose), initial)


def optimizer_of(critic: Critic, config: OfflineConfig) -> torch.optim.AdamW:
    """AdamW with a learning rate of its own for the transformer."""
    groups = []
    for parameters, scale in ((critic.trunk.parameters(), config.trunk_scale), (critic.heads.parameters(), 1.0)):
        own = list(parameters)
        for decayed in (True, False):
            for members in by_sharding(p for p in own if (p.dim() >= 2) == decayed):
                if members:
                    groups.append({"params": members, "weight_decay": config.weight_decay * decayed, "scale": scale})
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def finish(
    run: TrainingRun, config: OfflineConfig, model: LanguageModel, critic: Critic, facts: dict[str, float]
) -> Path:
    """Choose beta on validation games, played at temperature 1, and save policy and critic."""
    tried = {}
    with unsharded(model, critic):
        for beta in config.betas:
            policy = GuidedPolicy(model, critic, beta, config.support)
            tried[beta] = mean_return(policy, model.form, run.env_id, config.validation_episodes, 1.0, run.env_kwargs)
    chosen = max(tried, key=lambda beta: tried[beta])
    decoding = {"beta": chosen, "support": config.support, "validation_return": {str(b): r for b, r in tried.items()}}
    return save_final(run, model, {**facts, "decoding": decoding}, critic)
