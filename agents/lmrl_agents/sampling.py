"""Generate actions for many contexts at once. Equal contexts, and equal beginnings of actions, are computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.utils import parametrize

from lmrl_agents.model import LanguageModel


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    """0 takes the most likely token."""
    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the most likely tokens that make up this share of probability."""
    max_tokens: int = 32
    """Longest action; it is cut there without its end token."""


@dataclass(frozen=True)
class Generated:
    """One sampled action."""

    ids: tuple[int, ...]
    """The sampled ids, the end token included unless the action was cut."""
    logprobs: tuple[float, ...]
    """Log-probability of each id under the distribution it was drawn from (temperature and cuts included)."""


def probabilities(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The distributions that tokens are drawn from: float [N, V] -> float [N, V]."""
    if sampling.temperature <= 0:
        best = torch.zeros_like(logits)
        return best.scatter_(1, logits.argmax(dim=1, keepdim=True), 1.0)
    logits = logits / sampling.temperature
    if 0 < sampling.top_k < logits.shape[1]:
        least = torch.topk(logits, sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    if sampling.top_p < 1.0:
        ordered, order = torch.sort(logits, dim=1, descending=True)
        share = torch.softmax(ordered, dim=1)
        beyond = share.cumsum(dim=1) - share >= sampling.top_p
        logits = logits.masked_fill(torch.zeros_like(beyond).scatter(1, order, beyond), float("-inf"))
    return torch.softmax(logits, dim=1)


class _Tree:
    """Decoding state of distinct (context, beginning of action) pairs: one row of the key-value cache each."""

    def __init__(self, model: LanguageModel, contexts: list[tuple[int, ...]]) -> None:
        self.model = model
        device = model.device
        self.lengths = torch.tensor([len(context) for context in contexts], device=device)
        size = int(self.lengths.max())
        # Padded on the left: new tokens of all rows then stand in the same cache column.
        tokens = torch.full((len(contexts), size), model.tokenizer.pad, device=device)
        self.mask = torch.zeros((len(contexts), size), dtype=torch.long, device=device)
        for i, context in enumerate(contexts):
            tokens[i, size - len(context) :] = torch.tensor(context, device=device)
            self.mask[i, size - len(context) :] = 1
        positions = (self.mask.cumsum(dim=1) - 1).clamp(min=0)
        output = model.lm.base_model(input_ids=tokens, attention_mask=self.mask, position_ids=positions, use_cache=True)
        self.cache = output.past_key_values
        self.logits = output.last_hidden_state[:, -1] @ model.embedding().T

    def advance(self, parents: torch.Tensor, tokens: torch.Tensor) -> None:
        """Continue row ``parents[i]`` with ``tokens[i]``; the rows of the tree are then these."""
        self.cache.reorder_cache(parents)
        self.lengths = self.lengths[parents] + 1
        self.mask = torch.cat([self.mask[parents], torch.ones_like(tokens)[:, None]], dim=1)
        output = self.model.lm.base_model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=(self.lengths - 1)[:, None],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        self.logits = output.last_hidden_state[:, -1] @ self.model.embedding().T


@torch.inference_mode()
def generate(
    model: LanguageModel,
    contexts: Sequence[Sequence[int]],
    uniforms: Sequence[Callable[[], float]],
    sampling: Sampling,
) -> list[Generated]:
    """One action per context.

    Args:
        model: the language model.
        contexts: ids that end where an action begins.
        uniforms: one source of uniform numbers per context; a token is drawn by inverting its distribution at the next
            number, so that an action depends on its own source alone and not on the batch.
        sampling: temperature and cuts.
    """
    was_training = model.training
    model.eval()
    limit = getattr(model.lm.config, "max_position_embeddings", None) or 10**9
    tokenizer = model.tokenizer
    with parametrize.cached():
        keys = [tuple(context)[-(limit - sampling.max_tokens) :] for context in contexts]
        distinct = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        tree = _Tree(model, list(distinct))
        rows = [distinct[key] for key in keys]
        live = list(range(len(keys)))
        ids: list[list[int]] = [[] for _ in keys]
        logprobs: list[list[float]] = [[] for _ in keys]
        for step in range(sampling.max_tokens):
            cumulative, probability = _distributions(tree.logits, sampling)
            where = np.array([rows[i] for i in live])
            draws = np.array([uniforms[i]() for i in live])
            totals = cumulative[where, -1]
            tokens = np.array(
                [
                    np.searchsorted(cumulative[row], u * total, side="right")
                    for row, u, total in zip(where, draws, totals, strict=True)
                ]
            )
            tokens = np.minimum(tokens, cumulative.shape[1] - 1)
            chances = np.log(np.maximum(probability[where, tokens], 1e-45))
            branches: dict[tuple[int, int], int] = {}
            going = []
            for i, row, token, logprob in zip(live, where.tolist(), tokens.tolist(), chances.tolist(), strict=True):
                ids[i].append(token)
                logprobs[i].append(logprob)
                if token != tokenizer.eoa:
                    rows[i] = branches.setdefault((row, token), len(branches))
                    going.append(i)
            live = going
            if not live or step == sampling.max_tokens - 1:
                break
            parents, nexts = zip(*branches, strict=True)
            tree.advance(torch.tensor(parents, device=model.device), torch.tensor(nexts, device=model.device))
    model.train(was_training)
    return [Generated(tuple(a), tuple(b)) for a, b in zip(ids, logprobs, strict=True)]


def _distributions(logits: torch.Tensor, sampling: Sampling) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative and plain probabilities, float64 [N, V]."""
    probability = probabilities(logits.double(), sampling).cpu().numpy()
    return probability.cumsum(axis=1), probability
