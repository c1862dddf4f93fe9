"""Policies that are guided by values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lmrl_agents.models.critic import Critic
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.tokenizer import TaskTokenizer

GREEDY = 1e6
"""Weight of values beside which nothing else counts."""
RULES = ("tilt", "values", "best_of")


def best_of_draws(q: torch.Tensor, prior: torch.Tensor, draws: int) -> torch.Tensor:
    """Probability that a token is the best, by q, of so many independent draws from ``prior``: float [N, V] each -> [N, V].

    F^n - F_before^n with F the prior's share of the tokens up to this one in the order of q: exact, nothing is drawn.
    """
    order = q.argsort(dim=1)
    share = prior.double().gather(1, order).cumsum(dim=1).clamp(max=1.0)
    upto = (share / share[:, -1:]).pow(draws)
    return torch.zeros_like(upto).scatter(1, order, upto.diff(dim=1, prepend=torch.zeros_like(upto[:, :1])))


def supports(prior: torch.Tensor, least: float) -> torch.Tensor:
    """The tokens of at least this probability, and the likeliest one: log-probabilities float [N, V] -> bool [N, V]."""
    return (prior.exp() >= least) | (prior == prior.amax(dim=1, keepdim=True))


class AroundModel(nn.Module):
    """A policy made of a model and something else: tokens, room and place are the model's."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    @property
    def tokenizer(self) -> TaskTokenizer:
        """The model's."""
        return self.model.tokenizer

    @property
    def max_positions(self) -> int:
        """The model's."""
        return self.model.max_positions

    @property
    def vocabulary(self) -> int:
        """The model's."""
        return self.model.vocabulary

    @property
    def device(self) -> torch.device:
        """The model's."""
        return self.model.device


class GuidedPolicy(AroundModel):
    """The data's policy guided by values, over tokens that the data's policy supports. Of three rules:

    - "tilt": log pi(x) + beta Q(x);
    - "values": beta Q(x) alone;
    - "best_of": the best by Q of ``draws`` draws from the data's policy (its probabilities are exact, see `best_of_draws`).

    Args:
        model: the data's policy.
        critic: what to tilt it by, the smallest of its Q heads.
        beta: 0 is the data's policy itself.
        support: tokens less likely than this under the data's policy are never taken (the likeliest always may be).
        rule: one of `RULES`.
        draws: of "best_of".

    Raises:
        ValueError: there is no such rule.
    """

    def __init__(
        self, model: LanguageModel, critic: Critic, beta: float, support: float, rule: str = "tilt", draws: int = 1
    ) -> None:
        super().__init__(model)
        if rule not in RULES or draws < 1:
            raise ValueError(f"rule={rule!r} with draws={draws} is not known; choose one of {', '.join(RULES)}")
        self.critic, self.beta, self.support = critic, beta, support
        self.rule, self.draws = rule, draws

    @property
    def networks(self) -> list[Any]:
        """Policy and critic, see `sampling.Policy`."""
        return [*self.model.networks, self.critic.trunk]

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """States of policy and critic, float [N, width] each, to the guided log-probabilities float [N, V]."""
        prior, supported, q = self.parts(states)
        if self.rule == "best_of":
            return best_of_draws(q, prior.exp().masked_fill(~supported, 0.0), self.draws).log()
        own = prior if self.rule == "tilt" else torch.zeros_like(prior)
        return (own + self.beta * q).masked_fill(~supported, float("-inf"))

    def parts(self, states: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The data's log-probabilities, which tokens it supports, and the least Q: float, bool, float [N, V]."""
        prior = torch.log_softmax(self.model.logits(states[:1]).float(), dim=1)
        return prior, supports(prior, self.support), self.critic.least_q(states[1])
