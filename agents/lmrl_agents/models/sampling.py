"""Generate actions for many contexts at once. Equal contexts, and equal beginnings of actions, are computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.utils import parametrize

from lmrl_agents.models.families import WORTH, forgets, new_cache
from lmrl_agents.models.tokenizer import TaskTokenizer

Ids = tuple[int, ...]
Tables = tuple[np.ndarray, np.ndarray]
"""Cumulative and plain probabilities, float64 [N, V]."""


class NoNumbers(ValueError):
    """A model that says NaN or infinity: nothing can be drawn from it."""


class Policy(Protocol):
    """What tokens are drawn from: one or more transformers over the same tokens, and what their states say together."""

    @property
    def networks(self) -> Sequence[Any]:
        """Hugging Face base models; each is run over the tokens with a key-value cache of its own."""
        ...

    @property
    def tokenizer(self) -> TaskTokenizer: ...

    @property
    def vocabulary(self) -> int:
        """How many tokens there are logits for."""
        ...

    @property
    def max_positions(self) -> int:
        """Most tokens of context and action together."""
        ...

    @property
    def device(self) -> torch.device: ...

    def logits(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Last hidden states, float [N, width] of each network, to the logits of the next token, float [N, V]."""
        ...


@contextmanager
def evaluating(policy: Policy) -> Iterator[None]:
    """Without dropout within; afterwards every module is as it was (parts of a policy may be frozen while others are trained)."""
    modules = list(policy.modules()) if isinstance(policy, torch.nn.Module) else []
    modes = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


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
        logits = logits.masked_fill(_beyond(logits, sampling.top_p), float("-inf"))
    return torch.softmax(logits, dim=1)


def _beyond(logits: torch.Tensor, share: float) -> torch.Tensor:
    """Which tokens are not among the most likely ones that make up a share of probability: float [N, V] -> bool [N, V]."""
    chance = torch.softmax(logits, dim=1)
    # The few that matter are found sooner than all are sorted.
    most = min(64, chance.shape[1])
    while True:
        ordered, order = torch.topk(chance, most, dim=1)
        total = ordered.cumsum(dim=1)
        if most == chance.shape[1] or bool((total[:, -1] >= share).all()):
            return torch.ones_like(chance, dtype=torch.bool).scatter(1, order, total - ordered >= share)
        most = min(16 * most, chance.shape[1])


class _Start:
    """What contexts begin with, read once."""

    def __init__(self, policy: Policy, ids: Ids) -> None:
        self.networks, self.ids = policy.networks, ids
        tokens = torch.tensor(ids, device=policy.device)[None]
        read = [network(input_ids=tokens, use_cache=True).past_key_values for network in policy.networks]
        self._read = [[(layer.keys, layer.values) for layer in cache.layers] for cache in read]

    @classmethod
    def of(cls, policy: Policy, contexts: list[Ids]) -> _Start | None:
        """Of what these have in common, where that is much and its keys and values do for what comes after it."""
        first, last = min(contexts), max(contexts)
        same = next(
            (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(map(len, contexts)) - 1
        )
        if same < WORTH or len(contexts) < 2 or any(map(forgets, policy.networks)):
            return None
        return cls(policy, first[:same])

    def caches(self, rows: int) -> list[Any]:
        """Key-value caches of so many rows, one for each network."""
        caches: list[Any] = [new_cache(network) for network in self.networks]
        for cache, layers in zip(caches, self._read, strict=True):
            for number, (keys, values) in enumerate(layers):
                cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), number)
        return caches


class _Tree:
    """Decoding state of distinct (context, beginning of action) pairs: one row of the key-value caches each."""

    def __init__(self, policy: Policy, contexts: list[Ids], sampling: Sampling, start: _Start | None = None) -> None:
        self.policy, self.sampling = policy, sampling
        device, known = policy.device, len(start.ids) if start else 0
        self.lengths = torch.tensor([len(context) for context in contexts], device=device)
        size = int(self.lengths.max())
        # Padded on the left: new tokens of all rows then stand in the same cache column.
        tokens = torch.full((len(contexts), size - known), policy.tokenizer.pad, device=device)
        self.mask = torch.zeros((len(contexts), size), dtype=torch.long, device=device)
        self.mask[:, :known] = 1
        for i, context in enumerate(contexts):
            tokens[i, size - len(context) :] = torch.tensor(context[known:], device=device)
            self.mask[i, known + size - len(context) :] = 1
        self.caches: list[Any] = start.caches(len(contexts)) if start else [new_cache(n) for n in policy.networks]
        self._forward(tokens, (self.mask.cumsum(dim=1) - 1).clamp(min=0)[:, known:])

    def _forward(self, tokens: torch.Tensor, positions: torch.Tensor) -> None:
        states = []
        for i, network in enumerate(self.policy.networks):
            output = network(
                input_ids=tokens,
                attention_mask=self.mask,
                position_ids=positions,
                past_key_values=self.caches[i],
                use_cache=True,
            )
            self.caches[i] = output.past_key_values
            states.append(output.last_hidden_state[:, -1])
        self.logits = self.policy.logits(states)

    def tables(self) -> Tables:
        return tables_of(self.logits, self.sampling)

    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> None:
        """Continue row ``parents[i]`` with ``tokens[i]``; the rows are then these."""
        device = self.policy.device
        index = torch.tensor(parents, device=device)
        for cache in self.caches:
            cache.reorder_cache(index)
        self.lengths = self.lengths[index] + 1
        column = torch.tensor(tokens, device=device)[:, None]
        self.mask = torch.cat([self.mask[index], torch.ones_like(column)], dim=1)
        self._forward(column, (self.lengths - 1)[:, None])


class Memo:
    """Distributions that are known already, by everything before the token: for tasks whose contexts recur.

    What is not known is read with key-value caches, kept until the next call of `begin`: a new context once, then a token at a time.
    Valid as long as the weights and the sampling stay the same. Keeps at most ``most_bytes`` of them.
    """

    def __init__(self, policy: Policy, sampling: Sampling, most_bytes: int = 2**29) -> None:
        self.policy, self.sampling = policy, sampling
        self.size = max(1, most_bytes // (16 * len(policy.tokenizer)))  # two tables of float64 each
        self._known: dict[Ids, tuple[np.ndarray, np.ndarray]] = {}
        self._rows: list[Ids] = []
        self._trees: list[tuple[_Tree, dict[Ids, int]]] = []
        self._start: _Start | None = None

    def begin(self, contexts: list[Ids]) -> Memo:
        self._rows, self._trees = contexts, []
        return self

    def tables(self) -> Tables:
        missing = [row for row in dict.fromkeys(self._rows) if row not in self._known]
        if len(self._known) + len(missing) > self.size:
            self._known.clear()
            missing = list(dict.fromkeys(self._rows))
        for tree, place in self._grow(missing):
            self._known.update(zip(place, zip(*tree.tables(), strict=True), strict=True))
        found = [self._known[row] for row in self._rows]
        return np.stack([a for a, _ in found]), np.stack([b for _, b in found])

    def _grow(self, missing: list[Ids]) -> list[tuple[_Tree, dict[Ids, int]]]:
        """Trees that stand at the missing rows, and which row of theirs is which: those there are, a token further, and a new one."""
        grown = []
        for tree, place in self._trees:
            further = [row for row in missing if row[:-1] in place]
            if further:
                tree.advance([place[row[:-1]] for row in further], [row[-1] for row in further])
                grown.append((tree, {row: i for i, row in enumerate(further)}))
                missing = [row for row in missing if row[:-1] not in place]
        if missing:
            self._start = self._start or _Start.of(self.policy, missing)
            begins = self._start is not None and all(
                row[: len(self._start.ids)] == self._start.ids and len(row) > len(self._start.ids) for row in missing
            )
            tree = _Tree(self.policy, missing, self.sampling, self._start if begins else None)
            grown.append((tree, {row: i for i, row in enumerate(missing)}))
        self._trees = grown
        return grown

    def advance(self, parents: Sequence[int], tokens: Sequence[int]) -> None:
        self._rows = [(*self._rows[parent], token) for parent, token in zip(parents, tokens, strict=True)]


@torch.inference_mode()
def generate(
    policy: Policy,
    contexts: Sequence[Sequence[int]],
    uniforms: Sequence[Callable[[], float]],
    sampling: Sampling,
    memo: Memo | None = None,
) -> list[Generated]:
    """One action per context.

    Args:
        policy: the language model, alone or guided by values.
        contexts: ids that end where an action begins.
        uniforms: one source of uniform numbers per context; a token is drawn by inverting its distribution at the next
            number, so that an action depends on its own source alone and not on the batch.
        sampling: temperature and cuts.
        memo: of this policy and sampling; looked up and added to.
    """
    room = policy.max_positions - sampling.max_tokens
    eoa = policy.tokenizer.eoa
    with evaluating(policy), parametrize.cached():
        keys = [tuple(context)[-room:] for context in contexts]
        distinct = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        tree = memo.begin(list(distinct)) if memo else _Tree(policy, list(distinct), sampling)
        rows = [distinct[key] for key in keys]
        live = list(range(len(keys)))
        ids: list[list[int]] = [[] for _ in keys]
        logprobs: list[list[float]] = [[] for _ in keys]
        for step in range(sampling.max_tokens):
            tokens, chances = draw(*tree.tables(), [rows[i] for i in live], [uniforms[i]() for i in live])
            branches: dict[tuple[int, int], int] = {}
            going = []
            for i, token, logprob in zip(live, tokens, chances, strict=True):
                ids[i].append(token)
                logprobs[i].append(logprob)
                if token != eoa:
                    rows[i] = branches.setdefault((rows[i], token), len(branches))
                    going.append(i)
            live = going
            if not live or step == sampling.max_tokens - 1:
                break
            tree.advance(*zip(*branches, strict=True))
    return [Generated(tuple(a), tuple(b)) for a, b in zip(ids, logprobs, strict=True)]


def draw(
    cumulative: np.ndarray, probability: np.ndarray, rows: Sequence[int], uniforms: Sequence[float]
) -> tuple[list[int], list[float]]:
    """Tokens drawn by inverting the distributions ``rows[i]`` at ``uniforms[i]``, and their log-probabilities."""
    last, totals = cumulative.shape[1] - 1, cumulative[:, -1].tolist()
    tokens = [
        min(int(cumulative[row].searchsorted(u * totals[row], "right")), last)
        for row, u in zip(rows, uniforms, strict=True)
    ]
    chances = np.log(np.maximum(probability[np.asarray(rows), np.asarray(tokens)], 1e-45))
    return tokens, chances.tolist()


def tables_of(logits: torch.Tensor, sampling: Sampling) -> Tables:
    """The distributions that tokens are drawn from, on the CPU: logits float [N, V] -> float64 [N, V] twice.

    Raises:
        NoNumbers: the logits hold NaN or infinity.
    """
    probability = probabilities(logits.double(), sampling).cpu().numpy()
    cumulative = probability.cumsum(axis=1)
    if not np.isfinite(cumulative[:, -1]).all() or not bool(torch.isfinite(logits).any(dim=1).all()):
        raise NoNumbers("the model's logits are NaN or infinite: its weights are damaged, or its training went wrong")
    return cumulative, probability
