"""Values of candidates in a conversation: a recurrent network over its turns, and a score of each candidate.

A text is the mean of its tokens' embeddings, a turn that of what was said and of what was answered; the turns go through a GRU, and
Q(s, a) is a hidden layer over its state and the candidate's text. All of it is trained (Cohen et al. 2022, arXiv 2208.02294, the RNN encoder).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_envs.files.untrusted import read

WEIGHTS, DESCRIPTION = "planning.safetensors", "planning.json"
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


class PlanningValues(nn.Module):
    """Q of candidates.

    Args:
        config: sizes.
    """

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

    def target(self) -> PlanningValues:
        """A copy that is never trained."""
        return copy.deepcopy(self).requires_grad_(False)

    @torch.no_grad()
    def follow(self, source: PlanningValues, rate: float) -> None:
        """Move every weight by ``rate`` of its way towards the source's."""
        torch._foreach_lerp_(list(self.parameters()), list(source.parameters()), rate)  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        """Write weights and sizes beside a saved language model."""
        from safetensors.torch import save_file

        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)
        (folder / DESCRIPTION).write_text(json.dumps(asdict(self.config)) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, tokenizer: TaskTokenizer) -> PlanningValues:
        """Read what `save` wrote.

        Raises:
            ValueError: it is damaged, or of another tokenizer.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            config = read(folder / DESCRIPTION, PlanningConfig)
            if config.vocabulary != len(tokenizer) or not (1 <= config.width <= 8192 and 1 <= config.hidden <= 8192):
                raise ValueError(f"sizes {config}")
            values = cls(config)
            values.load_state_dict(load_file(folder / WEIGHTS))
        except (RuntimeError, OSError, ValueError, SafetensorError) as problem:
            raise ValueError(f"{folder / WEIGHTS} is damaged or does not fit the model: {problem}") from problem
        return values.eval()


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
