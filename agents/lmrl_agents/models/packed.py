"""States of chosen tokens under a transformer: what every training step computes, padding left out where that is possible.

A batch of conversations is a fifth to a half padding, and only the states before action tokens are asked for. For GPT-2
everything but attention therefore runs over the real tokens, one after the other, and what follows the last layer's attention
over the chosen ones alone. Any other network, and a GPT-2 that was changed or drops out, goes through its own ``forward``; what all
rows begin with (the instructions of a chat) is read once then, and the rows attend to its keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from lmrl_agents.models.distributed import is_sharded
from lmrl_agents.models.families import WORTH, forgets, new_cache
from lmrl_agents.models.gpt2_pass import is_plain_gpt2, norm, project


def states_at(
    network: Any, tokens: torch.Tensor, length: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """The states after chosen tokens of right-padded rows.

    Args:
        network: a Hugging Face base model.
        tokens: int64 [B, T].
        length: int64 [B], how many of a row's tokens are real.
        rows: int64 [S]; columns likewise. No place twice.

    Returns:
        float [S, width].
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    if not _packs(network):
        start = _shared_start(network, tokens, columns)
        if start:
            return _after(network, tokens, length, start)[rows, columns - start]
        with _checkpointing(network):
            hidden = network(
                input_ids=tokens,
                attention_mask=(places < length[:, None]).long(),
                position_ids=places.expand_as(tokens),
                use_cache=False,
            ).last_hidden_state
        return hidden[rows, columns]
    # What comes after the last state that is asked for changes nothing.
    last = torch.full_like(length, -1).scatter_reduce_(0, rows, columns, "amax")
    kept = places <= last[:, None]
    numbers = kept.flatten().cumsum(0) - 1
    return _packed(network, tokens, kept.flatten().nonzero()[:, 0], numbers[rows * tokens.shape[1] + columns])


def _shared_start(network: Any, tokens: torch.Tensor, columns: torch.Tensor) -> int:
    """How many tokens all rows begin with, before the first state that is asked for; 0 where they are not to be read by themselves."""
    if len(tokens) < 2 or tokens.shape[1] <= WORTH or _computed_twice(network):
        return 0
    if any(map(is_sharded, network.parameters())) or forgets(network):  # a sharded one is called once for each gradient
        return 0
    differs = (tokens != tokens[0]).any(dim=0).int()
    same = int(differs.argmax()) if bool(differs.any()) else tokens.shape[1]
    start = min(same, int(columns.min()))
    return start if start >= WORTH else 0


def _after(network: Any, tokens: torch.Tensor, length: torch.Tensor, start: int) -> torch.Tensor:
    """States after the first ``start`` tokens, which are the same in all rows: float [B, T - start, width]."""
    places = torch.arange(tokens.shape[1], device=tokens.device)
    cache: Any = new_cache(network)
    first = {"input_ids": tokens[:1, :start], "position_ids": places[None, :start]}
    network(**first, past_key_values=cache, use_cache=True)
    for layer in cache.layers:
        layer.keys, layer.values = (x.expand(len(tokens), -1, -1, -1) for x in (layer.keys, layer.values))
    return network(
        input_ids=tokens[:, start:],
        attention_mask=(places < length[:, None]).long(),
        position_ids=places[start:].expand(len(tokens), -1),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state


def _computed_twice(network: Any) -> list[Any]:
    """The layers whose activations are computed again for the gradient."""
    return [m for m in network.modules() if getattr(m, "gradient_checkpointing", False)]


@contextmanager
def _checkpointing(network: Any) -> Iterator[None]:
    """Layers that are to be computed twice are so within, where there is a gradient to come: transformers asks whether they are
    being trained, but what is inside them stays in the mode that it is in (no dropout).
    """
    layers = [m for m in _computed_twice(network) if not m.training]
    layers = layers if torch.is_grad_enabled() else []
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False


def _packs(network: Any) -> bool:
    """Whether `_packed` computes what the network's ``forward`` does."""
    if not is_plain_gpt2(network) or network.gradient_checkpointing:
        return False
    return not (network.training and any(isinstance(m, torch.nn.Dropout) and m.p for m in network.modules()))


def _packed(network: Any, tokens: torch.Tensor, real: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """States of the ``chosen`` of the ``real`` tokens; real: int64 [N] into the flat batch, chosen: int64 [S] into those."""
    count, size = tokens.shape
    x = network.wte(tokens.flatten()[real]) + network.wpe(real % size)
    for block in network.h:
        attention = block.attn
        mixed = project(attention.c_attn, norm(block.ln_1, x))
        spread = _Spread.apply(mixed, real, count * size).view(count, size, 3, attention.num_heads, -1)
        query, key, value = spread.permute(2, 0, 3, 1, 4)
        # Padding stands on the right, where no real token looks.
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=attention.scaling)
        seen = seen.transpose(1, 2).reshape(count * size, -1)
        if block is network.h[-1]:
            seen, x = _Pick.apply(seen, real[chosen]), _Pick.apply(x, chosen)
        else:
            seen = _Pick.apply(seen, real)
        x = x + project(attention.c_proj, seen)
        hidden = project(block.mlp.c_fc, norm(block.ln_2, x))
        x = x + project(block.mlp.c_proj, F.gelu(hidden, approximate="tanh"))
    return norm(network.ln_f, x)


class _Spread(torch.autograd.Function):
    """Rows to their places among zeros; PyTorch's own derivative of `_Pick` would add one by one."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:
        ctx.save_for_backward(places)
        return x.new_zeros(size, x.shape[1]).index_copy_(0, places, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Pick(torch.autograd.Function):
    """The rows at places, each place once."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.size = len(x)
        return x.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient.new_zeros(ctx.size, gradient.shape[1]).index_copy_(0, ctx.saved_tensors[0], gradient), None
