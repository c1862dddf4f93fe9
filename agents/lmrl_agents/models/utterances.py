"""Values of whole utterances in a bargain: what is known of a position, what an utterance does, and networks over both.

A position is both sides' prices, the partner's first and its last but one, what stands, the turn, the partner's last act and an
embedding of its words; an utterance is its act, its price and an embedding of its words. Prices are shares of the listed price and never in the words (`BLANK`); a text's embedding is the mean of
the language model's token embeddings, of length 1 so that prices, all within 0 to 1, are not lost beside it; it costs no pass through the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.value_network import ValueNetwork
from lmrl_envs.surface import BLANK, Bargaining, Position

MISSING = 0.8
"""What stands for a buyer's price where there is none yet, as a share of the listed price."""
FACTS = 12
"""Numbers that are known of a position beside what the partner did last and its words."""


@dataclass(frozen=True)
class UtteranceConfig:
    """Networks over utterances."""

    width: int
    """Of the language model's embeddings."""
    acts: int
    """Kinds of acts."""
    answers: int
    """Kinds of acts of a partner."""
    hidden: int = 128
    """Units of each of the two hidden layers."""
    value: bool = False
    """Whether there is a V network beside the two of Q."""
    actor: bool = False
    """Whether there is a price actor."""
    missing: float = MISSING
    """What stands for a buyer's price where there is none yet."""


class Texts:
    """Embeddings of texts under a language model, remembered."""

    def __init__(self, model: LanguageModel) -> None:
        self._table = model.lm.get_input_embeddings().weight.detach()
        self._tokenizer = model.tokenizer
        self.of = lru_cache(maxsize=100_000)(self._of)

    def _of(self, text: str) -> torch.Tensor:
        ids = self._tokenizer.encode(text.replace(BLANK, "$"))[-256:]
        if not ids:
            return torch.zeros(self._table.shape[1])
        return F.normalize(self._table[list(ids)].mean(dim=0).cpu().float(), dim=0)


def prices_of(position: Position, missing: float) -> tuple[float, float]:
    """The agent's and the partner's last price; where there is none, what stands for it: a seller's is the listed one, a buyer's half."""
    sells = position.role == "seller"
    own = (1.0 if sells else 0.5) if position.own is None else position.own
    theirs = (missing if sells else 1.0) if position.theirs is None else position.theirs
    return own, theirs


def facts_of(position: Position, missing: float) -> list[float]:
    """The `FACTS` of a position."""
    own, theirs = prices_of(position, missing)
    standing = position.standing
    return [
        position.turn / 10, own, float(position.own is None), theirs, float(position.theirs is None),
        standing or 0.0, float(standing is not None), 1.0,
        # How the partner got here tells of what kind it is.
        *(*position.named[:1], 0.0)[:1], *(*position.named[-2:-1], 0.0)[:1], len(position.named) / 10, (position.turn - len(position.named)) / 10,
    ]  # fmt: skip


def price_grid(theirs: float, own: float) -> list[float]:
    """CHAI's five prices for an utterance: the partner's, a quarter, half and three quarters of the way, the agent's own."""
    return [theirs + share * (own - theirs) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


class _Net(nn.Module):
    """Two hidden layers over a position and what is done in it; the position's part is reckoned once for many utterances."""

    def __init__(self, state: int, action: int, hidden: int, outputs: int = 1) -> None:
        super().__init__()
        self.state = nn.Linear(state, hidden)
        self.action = nn.Linear(action, hidden, bias=False) if action else None
        self.middle, self.out = nn.Linear(hidden, hidden), nn.Linear(hidden, outputs)

    def forward(self, states: torch.Tensor, actions: torch.Tensor | None = None) -> torch.Tensor:
        """states float [B, S], actions float [B, K, A] or None -> float [B, K, outputs] or [B, outputs]."""
        x = self.state(states)
        if self.action is not None and actions is not None:
            x = x[:, None] + self.action(actions)
        return self.out(F.relu(self.middle(F.relu(x))))


class UtteranceValues(ValueNetwork):
    """Two Q networks, and if asked for V and a price actor.

    Args:
        config: sizes.
        initial: what every value is at first.
    """

    files = "utterances.safetensors", "utterances.json"

    def __init__(self, config: UtteranceConfig, initial: float = 0.0) -> None:
        super().__init__()
        self.config = config
        state, action = FACTS + config.answers + config.width, config.acts + 2 + config.width
        self.q1, self.q2 = (_Net(state, action, config.hidden) for _ in range(2))
        self.v = _Net(state, 0, config.hidden) if config.value else None
        self.actor = _Net(state, action - 2, config.hidden, 2) if config.actor else None
        if config.actor:
            self.actor_entropy = nn.Parameter(
                torch.tensor(-2.302585)
            )  # log of the weight of the actor's entropy, .1 at first
        for net in (self.q1, self.q2, self.v):
            if net is not None:
                nn.init.zeros_(net.out.weight)
                nn.init.constant_(net.out.bias, initial)

    def states(self, positions: Sequence[Position], texts: Texts) -> torch.Tensor:
        """float [B, FACTS + answers + width]."""
        facts = torch.tensor([facts_of(position, self.config.missing) for position in positions])
        heard = F.one_hot(torch.tensor([one.heard for one in positions]), self.config.answers).float()
        return torch.cat([facts, heard, torch.stack([texts.of(one.said) for one in positions])], dim=1)

    def actions(self, acts: torch.Tensor, prices: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """acts int64 [...], prices float [...] (NaN: none), words float [..., width] -> float [..., A]."""
        none = prices.isnan()
        kinds = F.one_hot(acts, self.config.acts).float()
        return torch.cat([kinds, words, prices.nan_to_num(0.0)[..., None], none.float()[..., None]], dim=-1)

    def q(self, states: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both Q, float [B, K] each."""
        return self.q1(states, actions)[..., 0], self.q2(states, actions)[..., 0]

    def least_q(self, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """The smaller of both, float [B, K]."""
        return torch.minimum(*self.q(states, actions))

    def price(
        self, states: torch.Tensor, actions: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The actor's prices for acts and words, and their log-density: noise float [B, K] -> float [B, K] each.

        A Gaussian about a mean between 0.3 and 1.1 of the listed price.
        """
        assert self.actor is not None
        mean, spread = self.actor(states, actions[..., :-2]).unbind(dim=-1)
        spread = spread.clamp(-4.0, -1.0)
        price = 0.3 + 0.8 * torch.sigmoid(mean) + spread.exp() * noise
        return price, -0.5 * noise.square() - spread - 0.9189385

    @classmethod
    def load(cls, folder: Path, model: LanguageModel, bargaining: Bargaining) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: it is damaged, or of another language model or task.
        """

        def make(config: UtteranceConfig) -> Self:
            width = model.lm.get_input_embeddings().weight.shape[1]
            sizes = (width, len(bargaining.acts), len(bargaining.answers))
            if (config.width, config.acts, config.answers) != sizes or not 1 <= config.hidden <= 8192:
                raise ValueError(f"sizes {config}")
            return cls(config)

        return cls.read(folder, UtteranceConfig, make)
