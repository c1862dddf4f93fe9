"""Utilities that are distributions, as `lmrl train dpl` learns them: read, added up, and made one number."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lmrl_agents.models.critic import Critic

DISTRIBUTION = "distribution"
"""Head of the critic, and the fact in its folder that says of which kind it is."""
NORMAL, CATEGORICAL = "mean-variance", "categorical"
KINDS = (NORMAL, CATEGORICAL)


def read_distribution(critic: Critic, states: torch.Tensor, kind: str) -> torch.Tensor:
    """States float [A, width] to means and variances, float [A, 2], or to probabilities of K atoms, float [A, K]."""
    told = critic.heads[DISTRIBUTION](states).float()
    if kind == CATEGORICAL:
        return torch.softmax(told, dim=1)
    return torch.stack([told[:, 0], F.softplus(told[:, 1]).square()], dim=1)


def moments(told: torch.Tensor, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and variances of what was read, float [N] each; atoms stand evenly from 0 to 1."""
    if kind == NORMAL:
        return told[:, 0], told[:, 1]
    atoms = torch.linspace(0, 1, told.shape[1], dtype=told.dtype, device=told.device)
    mean = told @ atoms
    return mean, told @ atoms.square() - mean.square()


def quantile(told: torch.Tensor, kind: str, share: float) -> torch.Tensor:
    """The utility below which a ``share`` of each distribution lies, float [N]; within an atom's cell (1 / K wide) it is spread evenly."""
    if kind == NORMAL:
        z = torch.special.ndtri(torch.tensor(share, dtype=torch.float64)).to(told.dtype)
        return told[:, 0] + z * told[:, 1].sqrt()
    upto = told.cumsum(dim=1)
    cell = (upto < share).sum(dim=1, keepdim=True).clamp(max=told.shape[1] - 1)
    own, before = told.gather(1, cell), upto.gather(1, cell) - told.gather(1, cell)
    return ((cell + ((share - before) / own.clamp(min=1e-12)).clamp(0, 1)) / told.shape[1])[:, 0]
