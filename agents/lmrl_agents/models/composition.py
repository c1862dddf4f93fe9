"""Rows of tokens that share what is learned about their characters."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from lmrl_agents.models.tokenizer import TaskTokenizer


class CharacterComposition(nn.Module):
    """Token embeddings as a free row plus one vector per (position, character) of the token's text."""

    parts: torch.Tensor

    def __init__(self, texts: list[str], width: int, positions: int = 8) -> None:
        super().__init__()
        characters = sorted({c for text in texts for c in text[:positions]})
        column = {c: i for i, c in enumerate(characters)}
        parts = np.zeros((len(texts), positions * len(characters)), np.float32)
        for i, text in enumerate(texts):
            for k, c in enumerate(text[:positions]):
                parts[i, k * len(characters) + column[c]] = 1.0
        used = parts.any(axis=0)
        self.register_buffer("parts", torch.from_numpy(parts[:, used]), persistent=False)
        self.vectors = nn.Parameter(torch.randn(int(used.sum()), width) * 0.02)

    def forward(self, free: torch.Tensor) -> torch.Tensor:
        """[V, width] -> [V, width]"""
        return free + self.parts @ self.vectors


def token_texts(tokenizer: TaskTokenizer) -> list[str]:
    """The text of each token, "" for special tokens."""
    return [tokenizer.decode([token]).strip() for token in range(len(tokenizer))]
