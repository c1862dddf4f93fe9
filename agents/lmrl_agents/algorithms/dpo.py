"""Direct preference optimisation: a policy from pairs, without a reward model (Rafailov et al., arXiv 2305.18290).

    h = sum_t log pi / ref of the better - the same of the worse, over action tokens;   L = - log s(b h)

``loss``: "ipo" (h - 1 / 2b)^2 (Azar et al., arXiv 2310.12036); "conservative", "robust": e of the labels are wrong (``error``); "kto": each
game by itself against the batch's KL (Ethayarajh et al., arXiv 2402.01306). ``reference_free``: ref is uniform. A soft label y weighs both
ways: y L(h) + (1 - y) L(-h). Sums, not means, over tokens; TRL's IPO takes means.

    lmrl train dpo --env lmrl/Headline-v0 --data runs/pairs --start runs/bc --set dpo.beta=0.3 --out runs/dpo

The log-probability of the chosen falls in training: that is expected, and logged beside the rejected's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lmrl_agents.learning.online import frozen, new_logprobs, predict_logprobs
from lmrl_agents.learning.optimisation import adamw, cosine_decay, precision
from lmrl_agents.learning.preference_losses import direct, kto
from lmrl_agents.learning.preference_pairs import episodes_of, labelled_pairs
from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.learning.session import Session
from lmrl_agents.learning.start import start_policy
from lmrl_agents.models.steps import StepBatch, StepStore

TAKES_PAIRS = True


@dataclass(frozen=True)
class DirectConfig:
    """Hyperparameters of the methods that `optimise`."""

    steps: int = 200
    """Gradient steps."""
    batch_size: int = 64
    """Pairs a step."""
    learning_rate: float = 5e-4
    """At its peak; a cosine down to a twentieth."""
    warmup: int = 20
    """Steps in which the learning rate grows."""
    weight_decay: float = 0.0
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    beta: float = 0.1
    """b"""
    reference_free: bool = False
    """Take a uniform reference."""
    annotators: tuple[str, ...] = ()
    """Whose labels are learned from; default: everybody's."""
    log_every: int = 10
    """Steps between lines of metrics."""
    checkpoint_every: int = 100
    """Steps between checkpoints."""


@dataclass(frozen=True)
class Config(DirectConfig):
    """Hyperparameters; the preset's ``[dpo]`` table."""

    loss: str = "dpo"
    """dpo, ipo, conservative, robust or kto."""
    error: float = 0.1
    """e, of conservative and robust."""


class SideSteps:
    """The action tokens of many games, batched by game.

    Args:
        steps: of all games, in order.
        games: how many.
    """

    def __init__(self, steps: StepStore, games: int) -> None:
        self.steps = steps
        self.begin: list[int] = np.searchsorted(steps.episode, np.arange(games + 1)).tolist()

    def batch(self, games: np.ndarray) -> tuple[StepBatch, torch.Tensor, np.ndarray]:
        """The tokens of these games, the place of each one's game in ``games`` (int64 [N]), and their numbers."""
        which = np.concatenate([np.arange(self.begin[g], self.begin[g + 1]) for g in games])
        owner = np.repeat(np.arange(len(games)), [self.begin[g + 1] - self.begin[g] for g in games])
        return self.steps.batch(which, successors=False), torch.from_numpy(owner), which


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    return optimise(run, config, partial(pair_loss, beta=config.beta, kind=config.loss, error=config.error))


def optimise(run: TrainingRun, config: DirectConfig, loss_of: Callable[..., torch.Tensor]) -> Path:
    """Move a policy by the run's pairs; returns the folder of the model.

    Args:
        run: what is trained.
        config: how.
        loss_of: log-ratios of policy and reference over the sides of pairs, float [2 B], and labels, float [B], to losses, float [B].

    Raises:
        TrainingError: there is no policy to start from.
    """
    data = labelled_pairs(run, config.annotators)
    if run.start is None:
        raise TrainingError(f"{run.algorithm} needs the policy that its pairs come from, or one like it: --start DIR")
    model = start_policy(run)
    episodes = episodes_of(data.sides, model.tokenizer, model.form)
    sides = SideSteps(StepStore.of(episodes, model.form, model.tokenizer.pad), len(episodes))
    sides.steps.dtype = run.dtype
    reference = np.zeros(len(sides.steps))
    if not config.reference_free:
        reference = predict_logprobs(frozen(model), sides.steps, 1.0)
    optimizers = {"policy": adamw(config.learning_rate, config.weight_decay, model)}
    session = Session(run, model, config, {"policy": model}, optimizers)
    model.train()
    for step in session:
        items = np.random.default_rng((run.seed, step)).integers(len(data.label), size=config.batch_size)
        games = np.stack([2 * data.pair[items], 2 * data.pair[items] + 1], axis=1).ravel()
        batch, owner, which = sides.batch(games)
        batch, owner = batch.to(run.device), owner.to(run.device)
        labels = torch.tensor(data.label[items], dtype=torch.float32, device=run.device)
        with precision(run):
            logprobs, _ = new_logprobs(model, batch, 1.0)
            ratios = logprobs - torch.tensor(reference[which], dtype=torch.float32, device=run.device)
            sums = torch.zeros(len(games), device=run.device).index_add(0, owner, ratios)
            loss = loss_of(sums, labels).mean()
        session.update("policy", loss, cosine_decay(step, config.steps, config.learning_rate, config.warmup), batch)
        h = (sums[::2] - sums[1::2]).detach()
        session.note = f"loss {loss.item():.3f}"
        better = torch.where(labels > 0.5, sums[::2], sums[1::2]).detach()
        worse = torch.where(labels > 0.5, sums[1::2], sums[::2]).detach()
        session.log(
            loss=loss.item(), chosen=better.mean().item(), rejected=worse.mean().item(),
            accuracy=((h > 0) == (labels > 0.5)).float().mean().item(),
        )  # fmt: skip
    return session.finish()


def pair_loss(
    sums: torch.Tensor,
    labels: torch.Tensor,
    beta: float,
    kind: str,
    error: float = 0.1,
    good: float = 1.0,
    bad: float = 1.0,
) -> torch.Tensor:
    """float [2 B] log-ratios of the sides, [B] labels -> [B]; ``good`` and ``bad`` weigh kto's two kinds of games."""
    if kind == "kto":
        reference = sums.detach().mean().clamp(min=0)
        share = torch.stack([labels, 1 - labels], dim=1).flatten()
        liked, disliked = (kto(sums, torch.full_like(share, side), beta, reference) for side in (1.0, 0.0))
        return (good * share * liked + bad * (1 - share) * disliked).view(-1, 2).mean(dim=1)
    h = sums[::2] - sums[1::2]
    return labels * direct(h, beta, kind, error) + (1 - labels) * direct(-h, beta, kind, error)
