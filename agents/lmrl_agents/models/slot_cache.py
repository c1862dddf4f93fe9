"""Key-value caches of many games side by side: written in place, each slot at a length of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "lmrl_slots"
"""Name of `slot_attention` among transformers' attention functions."""


@dataclass
class Rows:
    """Where the rows of one forward pass lie: the slots, and the positions of the new tokens in them."""

    slots: slice | torch.Tensor
    """A run of neighbouring slots (read without a copy), or int64 [N] (gathered)."""
    starts: torch.Tensor
    """int64 [N]: tokens that each slot holds already."""
    size: int
    """New tokens per row; a shorter row is padded, and what is written for its padding is written over later."""
    capacity: int
    """Positions of a slot."""
    aligned: int | None
    """The start, where all rows have the same."""
    length: int
    """Positions that attention reads."""
    _flat: dict[int, torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, slots: Sequence[int], starts: Sequence[int], size: int, capacity: int, device: torch.device) -> Rows:
        neighbours = list(slots) == list(range(slots[0], slots[0] + len(slots)))
        used = max(starts) + size
        return cls(
            slots=slice(slots[0], slots[-1] + 1) if neighbours else torch.tensor(slots, device=device),
            starts=torch.tensor(starts, device=device),
            size=size,
            capacity=capacity,
            aligned=starts[0] if min(starts) == max(starts) else None,
            # A gap between the slots' data stops the processor's prefetching: better read a few masked positions.
            length=capacity if neighbours and used >= 0.75 * capacity else used,
        )

    @property
    def positions(self) -> torch.Tensor:
        """int64 [N, size]"""
        return self.starts[:, None] + torch.arange(self.size, device=self.starts.device)

    def mask(self) -> torch.Tensor | None:
        """bool [N, 1, size, length], true where a token may look; None where plain causal attention says the same."""
        if (
            self.aligned is not None
            and self.length == self.aligned + self.size
            and (self.size == 1 or not self.aligned)
        ):
            return None
        columns = torch.arange(self.length, device=self.starts.device)
        return (columns <= self.positions[:, :, None])[:, None]

    def write(self, buffer: torch.Tensor, new: torch.Tensor) -> None:
        """new [N, heads, size, width] into buffer [slots, heads, capacity, width]."""
        if self.aligned is not None and isinstance(self.slots, slice):
            buffer[self.slots, :, self.aligned : self.aligned + self.size] = new
            return
        heads = buffer.shape[1]
        if heads not in self._flat:
            device = self.starts.device
            slots = self.slots
            if isinstance(slots, slice):
                slots = torch.arange(slots.start, slots.stop, device=device)
            blocks = slots[:, None] * heads + torch.arange(heads, device=device)
            self._flat[heads] = (blocks[:, :, None] * self.capacity + self.positions[:, None]).flatten()
        buffer.view(-1, buffer.shape[-1]).index_copy_(0, self._flat[heads], new.reshape(-1, new.shape[-1]))

    def read(self, buffer: torch.Tensor) -> torch.Tensor:
        """[N, heads, length, width] of the rows' slots."""
        if isinstance(self.slots, slice):
            return buffer[self.slots, :, : self.length]
        return buffer[:, :, : self.length].index_select(0, self.slots)


class _Layer(CacheLayerMixin):
    def __init__(self, cache: SlotCache) -> None:
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        slots, capacity = self.cache.slots, self.cache.capacity
        # What is masked counts for nothing, unless it is not a number: hence zeros.
        self.keys, self.values = (
            new.new_zeros(slots, new.shape[1], capacity, new.shape[3]) for new in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows = self.cache.rows
        assert rows is not None and self.keys is not None and self.values is not None
        rows.write(self.keys, key_states)
        rows.write(self.values, value_states)
        return rows.read(self.keys), rows.read(self.values)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return (self.cache.rows.length if self.cache.rows else query_length), 0

    def get_seq_length(self) -> int:
        return (self.cache.rows.aligned or 0) if self.cache.rows else 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """The cache of one network: per layer, keys and values of all slots, each [slots, heads, capacity, width].

    Set ``rows`` before each forward pass. Capacity grows to what is asked for and no further, since slots that lie close
    together are read faster.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.slots = 0
        self.capacity = 0
        self.rows: Rows | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        while len(self.layers) <= layer_idx:
            self.layers.append(_Layer(self))
        return self.layers[layer_idx].update(key_states, value_states)

    def reserve(self, capacity: int, slots: int = 0) -> None:
        """Make room for ``capacity`` positions in each of ``slots`` slots; what is there stays."""
        there = self.slots, self.capacity
        self.slots, self.capacity = max(slots, self.slots), max(capacity, self.capacity)
        if there == (self.slots, self.capacity):
            return
        for layer, name, buffer in self._buffers():
            larger = buffer.new_zeros(self.slots, buffer.shape[1], self.capacity, buffer.shape[3])
            larger[: there[0], :, : there[1]] = buffer
            setattr(layer, name, larger)

    def clear(self) -> None:
        """Empty all slots and give the memory back."""
        self.layers, self.rows = [], None

    def _buffers(self) -> Iterator[tuple[_Layer, str, torch.Tensor]]:
        for layer in self.layers:
            for name in ("keys", "values"):
                buffer = getattr(layer, name)
                if buffer is not None:
                    yield layer, name, buffer

    def copy(self, source: int, targets: Sequence[int], first: int, last: int) -> None:
        """Positions ``first`` to ``last`` of a slot into others."""
        for _, _, buffer in self._buffers():
            buffer[list(targets), :, first:last] = buffer[source, :, first:last]

    def exchange(self, a: Sequence[int], b: Sequence[int], length: int) -> None:
        """The first ``length`` positions of the slots ``a[i]`` and ``b[i]``, for all i."""
        for _, _, buffer in self._buffers():
            buffer[[*a, *b], :, :length] = buffer[[*b, *a], :, :length]


def slot_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """`scaled_dot_product_attention`, save for single tokens in float32 on CPU: two matrix products read the cache at
    the speed of memory, the fused kernel at half of it.

    Args:
        query: [N, heads, T, width]; key and value: [N, key heads, L, width]; mask: bool [N, 1, T, L].

    Returns:
        [N, T, heads, width].
    """
    if query.shape[2] > 1 or query.dtype != torch.float32 or query.device.type != "cpu" or "position_bias" in kwargs:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    rows, heads, _, width = query.shape
    blocks = rows * key.shape[1]
    grouped = (query * (width**-0.5 if scaling is None else scaling)).reshape(blocks, -1, width)
    scores = torch.bmm(grouped, key.flatten(0, 1).transpose(1, 2)).view(rows, heads, -1)
    if attention_mask is not None:
        scores.masked_fill_(~attention_mask[:, 0], float("-inf"))
    weights = torch.softmax(scores, dim=-1)
    return torch.bmm(weights.view(blocks, -1, weights.shape[-1]), value.flatten(0, 1)).view(rows, 1, heads, -1), None


AttentionInterface.register(ATTENTION, slot_attention)
