"""Losses of learning from pairs: tensors in, one number a pair out. A label y is the probability that the first is better.

Sources: Christiano et al., arXiv 1706.03741 (error rate); Ouyang et al., arXiv 2203.02155; Siththaranjan et al., arXiv 2312.08358
(mean and variance, categorical); Zhu, Jordan and Jiao, arXiv 2401.16335 (iterative data smoothing); Rafailov et al., arXiv 2305.18290
(DPO; conservative: its note of 2023); Azar et al., arXiv 2310.12036 (IPO); Chowdhury et al., arXiv 2403.00409 (robust); Ethayarajh et al.,
arXiv 2402.01306 (KTO).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

DIRECT = ("dpo", "ipo", "conservative", "robust")


def bradley_terry(gap: torch.Tensor, label: torch.Tensor, margin: float = 0.0, error: float = 0.0) -> torch.Tensor:
    """- y log P(D - m) - (1 - y) log P(-D - m), P(x) = (1 - error) s(x) + error / 2; float [N] each.

    Args:
        gap: D = r(first) - r(second), in nats.
        label: y.
        margin: m, by which the better one has to lead.
        error: share of labels that are a coin's (Christiano: .1); the loss is then bounded by - log(error / 2).
    """
    return label * _surprise(gap - margin, error) + (1 - label) * _surprise(-gap - margin, error)


def _surprise(x: torch.Tensor, error: float) -> torch.Tensor:
    return -F.logsigmoid(x) if not error else -torch.log((1 - error) * torch.sigmoid(x) + error / 2)


def centring(first: torch.Tensor, second: torch.Tensor, weight: float = 0.01) -> torch.Tensor:
    """weight (r(first) + r(second))^2: holds the rewards near zero, which gaps alone do not."""
    return weight * (first + second).square()


def normal_preference(
    first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor], label: torch.Tensor
) -> torch.Tensor:
    """The loss of P = Phi((m1 - m2) / sqrt(s1^2 + s2^2)); means and standard deviations, float [N] each."""
    z = (first[0] - second[0]) / (first[1].square() + second[1].square()).sqrt()
    return -label * torch.special.log_ndtr(z) - (1 - label) * torch.special.log_ndtr(-z)


def categorical_preference(first: torch.Tensor, second: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The loss of P = sum_ij p1_i p2_j (1[i > j] + 1[i = j] / 2); probabilities of atoms in rising order, float [N, K] each."""
    below = second.cumsum(dim=1) - second / 2
    chance = (first * below).sum(dim=1).clamp(1e-7, 1 - 1e-7)
    return -label * chance.log() - (1 - label) * (1 - chance).log()


def smoothed(labels: torch.Tensor, gaps: torch.Tensor, rate: float) -> torch.Tensor:
    """Iterative data smoothing of labels: y <- (1 - rate) y + rate s(D)."""
    return (1 - rate) * labels + rate * torch.sigmoid(gaps)


def direct(h: torch.Tensor, beta: float, kind: str = "dpo", error: float = 0.1) -> torch.Tensor:
    """The loss of a policy on a pair whose first is better.

    Args:
        h: log-ratio of policy and reference, summed over the action tokens, of the better less that of the worse, float [N].
        beta: b; for ipo its t.
        kind: dpo, -log s(b h); ipo, (h - 1 / 2t)^2; conservative, -(1 - e) log s(b h) - e log s(-b h); robust,
            [-(1 - e) log s(b h) + e log s(-b h)] / (1 - 2 e).
        error: e.

    Raises:
        ValueError: no such kind.
    """
    if kind == "ipo":
        return (h - 1 / (2 * beta)).square()
    better, worse = -F.logsigmoid(beta * h), -F.logsigmoid(-beta * h)
    if kind == "dpo":
        return better
    if kind == "conservative":
        return (1 - error) * better + error * worse
    if kind == "robust":
        return ((1 - error) * better - error * worse) / (1 - 2 * error)
    raise ValueError(f"loss={kind!r} is not one of {', '.join(DIRECT)}, kto")


def kto(log_ratio: torch.Tensor, good: torch.Tensor, beta: float, reference: torch.Tensor) -> torch.Tensor:
    """1 - s(b (lr - z0)) of what is good, 1 - s(b (z0 - lr)) of what is not; float [N] each, z0 a number without gradient."""
    sign = 2 * good - 1
    return 1 - torch.sigmoid(beta * sign * (log_ratio - reference.detach()))
