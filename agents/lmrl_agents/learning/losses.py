"""Loss functions: tensors in, a scalar out. Every mean is weighted; a weight says for how many equal terms one stands.

Notation: N tokens, V the vocabulary. Sources: ILQL (Snell et al., arXiv 2206.11871), CQL (Kumar et al., arXiv
2006.04779), PPO (Schulman et al., arXiv 1707.06347), estimators of the KL divergence (Schulman, 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted mean of float [N]."""
    return (values * weights).sum() / weights.sum()


def surprise(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """- log softmax(logits)[token]: float [N, V], int64 [N] -> float [N]. Its weighted mean is the cross entropy."""
    return F.cross_entropy(logits.float(), tokens, reduction="none")


def squared_error(predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """1/2 E (predicted - target)^2."""
    return 0.5 * mean((predicted.float() - target).square(), weights)


def expectile_loss(value: torch.Tensor, target: torch.Tensor, expectile: float, weights: torch.Tensor) -> torch.Tensor:
    """1/2 E |tau - 1[u < 0]| u^2 with u = target - value: its minimum is the tau-expectile of the targets.

    ``expectile`` .5 gives half of `squared_error`; towards 1 the value tends to the largest target.
    """
    u = target - value.float()
    return 0.5 * mean(torch.where(u < 0, 1 - expectile, expectile) * u.square(), weights)


def policy_gradient_loss(logprobs: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """- E A log pi."""
    return -mean(advantages * logprobs, weights)


def clipped_policy_loss(
    logprobs: torch.Tensor,
    old_logprobs: torch.Tensor,
    advantages: torch.Tensor,
    clip: float,
    weights: torch.Tensor,
    above: float = 0.0,
) -> torch.Tensor:
    """E max(-r A, -clip(r, 1 - c, 1 + c') A) with r = exp(logprob - old logprob); c' is ``above``, or c where that is 0."""
    ratio = torch.exp(logprobs - old_logprobs)
    losses = torch.maximum(-ratio * advantages, -ratio.clamp(1 - clip, 1 + (above or clip)) * advantages)
    return mean(losses, weights)


def clipped_value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, clip: float, weights: torch.Tensor
) -> torch.Tensor:
    """1/2 E max((V - R)^2, (V_old + clip(V - V_old, -c, c) - R)^2)."""
    near = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * mean(torch.maximum((values - returns).square(), (near - returns).square()), weights)


def kl_estimates(logprobs: torch.Tensor, reference: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Per-sample estimates k1, k2, k3 of KL(pi || reference) from tokens drawn from pi.

    k1 = -log r, k2 = (log r)^2 / 2, k3 = r - 1 - log r with r = reference / pi. k1 and k3 are unbiased, k3 is never
    negative.
    """
    log_ratio = reference - logprobs
    return -log_ratio, 0.5 * log_ratio.square(), torch.expm1(log_ratio) - log_ratio


def chosen(logits: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each token and the entropy of its distribution; logits float [N, V], tokens int64 [N]."""
    logs = torch.log_softmax(logits.float(), dim=1)
    # A token that cannot be drawn has the logarithm -inf, and adds nothing.
    return logs.gather(1, tokens[:, None])[:, 0], -(logs.exp() * logs.clamp(min=-1e4)).sum(dim=1)
