"""Values of candidates in a conversation: a recurrent network over its turns, and a score of each candidate.

A text is the mean of its tokens' embeddings, a turn that of what was said and of what was answered; the turns go through a GRU, and
Q(s, a) is a hidden layer over its state and the candidate's text. All of it is trained (Cohen et al. 2022, arXiv 2208.02294, the RNN encoder).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.value_network import ValueNetwork

LONGEST = 256
"""Tokens of a text that are read, its last."""


@dataclass(frozen=True)
class PlanningConfig:
    """Sizes."""

    vocabulary: int
    width: int
    hidden: int


@dataclass(frozen=True)
class Talks:
    """Some conversations, T turns at most, K candidates at most; texts are rows of ``ids``, padded with -1, row 0 the empty text."""

    ids: torch.Tensor
    """int64 [U, L]"""
    said: torch.Tensor
    """int64 [B, T]: what the agent said last, before turn t."""
    heard: torch.Tensor
    """int64 [B, T]: what it was answered."""
    offered: torch.Tensor
    """int64 [B, T, K]"""
    open: torch.Tensor
    """bool [B, T, K]: a candidate is there."""

    def to(self, device: str | torch.device) -> Talks:
        """The same on a device."""
        return Talks(*(part.to(device) for part in (self.ids, self.said, self.heard, self.offered, self.open)))


class PlanningValues(ValueNetwork):
    """Q of candidates.

    Args:
        config: sizes.
    """

    files = "planning.safetensors", "planning.json"

    def __init__(self, config: PlanningConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.turns = nn.GRU(2 * config.width, config.hidden, batch_first=True)
        self.state = nn.Linear(config.hidden, config.hidden)
        self.action = nn.Linear(config.width, config.hidden, bias=False)
        self.out = nn.Linear(config.hidden, 1)

    def texts(self, ids: torch.Tensor) -> torch.Tensor:
        """int64 [U, L], padded with -1 -> float [U, width]."""
        there = (ids >= 0).float()[..., None]
        return (self.words(ids.clamp(min=0)) * there).sum(dim=1) / there.sum(dim=1).clamp(min=1.0).sqrt()

    def forward(self, talks: Talks) -> torch.Tensor:
        """float [B, T, K]; -inf where there is no candidate."""
        texts = self.texts(talks.ids)
        states, _ = self.turns(torch.cat([texts[talks.said], texts[talks.heard]], dim=-1))
        hidden = F.relu(self.state(states)[:, :, None] + self.action(texts)[talks.offered])
        return self.out(hidden)[..., 0].masked_fill(~talks.open, -torch.inf)

    @classmethod
    def load(cls, folder: Path, tokenizer: TaskTokenizer) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: it is damaged, or of another tokenizer.
        """

        def make(config: PlanningConfig) -> Self:
            if config.vocabulary != len(tokenizer) or not (1 <= config.width <= 8192 and 1 <= config.hidden <= 8192):
                raise ValueError(f"sizes {config}")
            return cls(config)

        return cls.read(folder, PlanningConfig, make)


class TextTable:
    """Texts as rows of ids, each once.

    Args:
        tokenizer: of the texts.
    """

    def __init__(self, tokenizer: TaskTokenizer) -> None:
        self._tokenizer = tokenizer
        self.rows: dict[str, int] = {"": 0}

    def row(self, text: str) -> int:
        """The number of a text."""
        return self.rows.setdefault(text, len(self.rows))

    def ids(self) -> torch.Tensor:
        """int64 [U, L], padded with -1."""
        return padded([list(self._tokenizer.encode(text)[-LONGEST:]) for text in self.rows], -1)


def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """int64 [rows, longest]."""
    longest = max(1, max(map(len, rows), default=1))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows], dtype=torch.int64)
