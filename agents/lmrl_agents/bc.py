"""Behaviour cloning.

L = - sum_t m_t log pi(x_t | x_<t) / sum_t m_t over the tokens that the agent of the data produced (m_t = 1), their end
token included; the environment's tokens are read, never predicted (Abdulhai et al., arXiv 2311.18232, section 5).

Departures from LMRL-Gym: equal rows of a batch are encoded once with their count as weight, which changes neither loss
nor gradient; logits are computed at action positions only; rows are drawn with replacement.

    lmrl train bc --env lmrl/MazeFullyObserved-v0 --data maze/mixed-v0 --sample --preset nano --seed 0 --out runs/bc-maze

Scores: see docs/results.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from lmrl_agents.training import (
    METRICS,
    Metrics,
    Ticker,
    TrainingError,
    TrainingRun,
    batch_indices,
    learning_rate,
    load_checkpoint,
    optimizer_for,
    precision,
    prepare,
    save_checkpoint,
    save_final,
)


@dataclass(frozen=True)
class Config:
    """Hyperparameters; the preset's ``[bc]`` table."""

    steps: int = 600
    """Gradient steps."""
    batch_size: int = 256
    """Rows a step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    weight_decay: float = 0.01
    """On matrices."""
    clip: float = 1.0
    """Largest gradient norm."""
    log_every: int = 20
    """Steps between lines of metrics."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""


def bc_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Weighted mean negative log-likelihood of the action tokens.

    Args:
        logits: float [N, V].
        targets: int64 [N].
        weights: float [N], how many equal tokens each stands for.
    """
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    total = weights.sum()
    with torch.no_grad():
        accuracy = ((logits.argmax(dim=-1) == targets) * weights).sum() / total
    return (losses * weights).sum() / total, {"accuracy": accuracy}


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = Config(**run.tables()["bc"])
    torch.manual_seed(run.seed)
    model, rows = prepare(run, run.load_data())
    optimizer = optimizer_for(model, config.learning_rate, config.weight_decay)
    done = load_checkpoint(run, model, optimizer) if run.resume else 0
    metrics = Metrics(run.out / METRICS, done)
    model.train()
    with Ticker(f"bc {run.env_id} seed {run.seed}", config.steps, done, run.show_progress) as ticker:
        for step in range(done, config.steps):
            batch = rows.batch(batch_indices(run.seed, step, len(rows), config.batch_size)).to(run.device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config.steps, config.learning_rate)
            with precision(run):
                logits, targets, which = model.action_logits(batch)
                loss, facts = bc_loss(logits, targets, batch.weight[which])
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss is {loss.item()} at step {step}; lower the learning rate (preset {run.preset})"
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            number = step + 1
            ticker.tick(number, int(batch.length.sum()), f"loss {loss.item():.3f}")
            if number % config.log_every == 0 or number == config.steps:
                metrics.log(
                    number,
                    loss=loss.item(),
                    accuracy=facts["accuracy"].item(),
                    gradient_norm=float(norm),
                    tokens_per_second=ticker.tokens_per_second,
                )
            if number % config.checkpoint_every == 0 and number < config.steps:
                save_checkpoint(run, model, optimizer, number)
        return save_final(run, model, {"steps": config.steps, "seconds": ticker.seconds})
