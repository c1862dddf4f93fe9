"""GPT-2's forward pass for the engine, in fewer operations than transformers' modules take.

It uses the modules' own weights and differs in three ways: GELU is one kernel, residuals are added in place, and the last
layer is computed for the last token of each row alone. Any other network, and a GPT-2 that was changed (adapters, hooks,
cross-attention), goes through its own ``forward``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GPT2Model
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Attention, GPT2Block
from transformers.pytorch_utils import Conv1D

from lmrl_agents.models.slot_cache import SlotCache, slot_attention

PLAIN = {GPT2Model, GPT2Block, GPT2Attention, GPT2MLP, Conv1D}
PLAIN |= {nn.ModuleList, nn.LayerNorm, nn.Embedding, nn.Dropout}
GELU_TANH = ("gelu_new", "gelu_pytorch_tanh")


def is_plain_gpt2(network: Any) -> bool:
    """Whether `last_states` computes what the network's ``forward`` does."""
    if type(network) is not GPT2Model or network.config._attn_implementation == "eager":
        return False
    if network.config.add_cross_attention or network.config.activation_function not in GELU_TANH:
        return False
    blocks: Any = network.h
    activations = {block.mlp.act for block in blocks}
    return all(type(m) in PLAIN or m in activations for m in network.modules()) and not any(
        m._forward_hooks or m._forward_pre_hooks for m in network.modules()
    )


def last_states(
    network: Any, cache: SlotCache, tokens: torch.Tensor, positions: torch.Tensor, last: torch.Tensor
) -> torch.Tensor:
    """The state after the last new token of each row.

    Args:
        network: see `is_plain_gpt2`; in evaluation mode.
        cache: with ``rows`` set to those of the tokens.
        tokens: int64 [N, T]; positions likewise.
        last: int64 [N], column of each row's last token.

    Returns:
        float [N, width].
    """
    rows = cache.rows
    assert rows is not None
    count, size = tokens.shape
    mask = rows.mask()
    x = network.wte(tokens) + network.wpe(positions)
    for i, block in enumerate(network.h):
        attention = block.attn
        mixed = project(attention.c_attn, norm(block.ln_1, x)).view(count, size, 3, attention.num_heads, -1)
        query, key, value = mixed.transpose(1, 3).unbind(2)
        key, value = cache.update(key, value, i)
        if i == len(network.h) - 1 and size > 1:
            each = torch.arange(count, device=tokens.device)
            query, x = query[each, :, last][:, :, None], x[each, last][:, None]
            columns = torch.arange(rows.length, device=tokens.device)
            mask = (columns <= (rows.starts + last)[:, None])[:, None, None]
        mixed, _ = slot_attention(attention, query, key, value, mask, scaling=attention.scaling)
        x += project(attention.c_proj, mixed.flatten(2))
        hidden = project(block.mlp.c_fc, norm(block.ln_2, x))
        x += project(block.mlp.c_proj, F.gelu(hidden, approximate="tanh"))
    return norm(network.ln_f, x)[:, -1]


def norm(layer: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    """The layer's own function, float [..., width]."""
    return F.layer_norm(x, layer.normalized_shape, layer.weight, layer.bias, layer.eps)


def project(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """A Conv1D of transformers: float [..., n] to float [..., m]."""
    return torch.addmm(layer.bias, x.view(-1, x.shape[-1]), layer.weight).view(*x.shape[:-1], -1)
