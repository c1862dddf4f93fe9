"""Steps of gradient descent: learning rates, the optimizer, precision, and which data a step takes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.models.distributed import by_sharding


def cosine_decay(step: int, steps: int, peak: float, warmup: int = 50, floor: float = 0.05) -> float:
    """Linear warm-up, then a cosine down to ``floor`` times the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def linear_decay(step: int, steps: int, peak: float, floor: float, warmup: int = 0) -> float:
    """Linear from ``peak`` to ``floor * peak``; in the first ``warmup`` steps a growing part of that."""
    return peak * (1 - (1 - floor) * step / max(1, steps - 1)) * min(1.0, (step + 1) / (warmup + 1))


def adamw(rate: float, weight_decay: float, *modules: nn.Module, scales: tuple[float, ...] = ()) -> torch.optim.AdamW:
    """AdamW with decay on matrices only (arXiv 2311.18232, appendix: betas .9, .95).

    Args:
        rate: learning rate.
        weight_decay: of parameters with two dimensions or more.
        modules: what is trained; parameters that require no gradient are left out.
        scales: learning rate of each module relative to ``rate``, which `Session.update` keeps to; default: 1.
    """
    groups = []
    for module, scale in zip(modules, scales or (1.0,) * len(modules), strict=True):
        trained = [p for p in module.parameters() if p.requires_grad]
        for matrices in (True, False):
            alike = [p for p in trained if (p.dim() >= 2) == matrices]
            groups += [
                {"params": own, "weight_decay": weight_decay * matrices, "scale": scale} for own in by_sharding(alike)
            ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def precision(run: TrainingRun) -> torch.autocast:
    """A context of automatic mixed precision if the run asks for bfloat16."""
    return torch.autocast(torch.device(run.device).type, torch.bfloat16, enabled=run.dtype == "bf16")


def batch_indices(seed: int, step: int, size: int, batch: int) -> np.ndarray:
    """Positions of the rows of a step: drawn with replacement, a function of seed and step alone."""
    return np.random.default_rng((seed, step)).integers(size, size=batch)
