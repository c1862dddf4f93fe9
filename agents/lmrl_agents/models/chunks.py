"""Tables over the vocabulary in pieces: of [rows, V] logits, or values of every token, no more is there at once than a bound allows.

A loss needs a few numbers of each row: the log-probability of its token, an entropy, a largest value. A piece's table is made, read and let
go, and made again for the gradient (activation checkpointing: Chen et al., arXiv 1604.06174). What fits is one piece, which is kept. No
algorithm needs a whole table; in play there is a row for each game that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

AT_ONCE = 2**26
"""Numbers of a table: 256 MiB in float32. While a piece is read there are its logarithms and its gradient, too."""

Numbers = tuple[torch.Tensor, ...]
"""What is read of a table, a number or more for each row: [N, ...] each."""

_at_once = AT_ONCE


@contextmanager
def bounded(at_once: int) -> Iterator[None]:
    """Within, tables have at most so many numbers (0: however many)."""
    global _at_once
    before, _at_once = _at_once, at_once
    try:
        yield
    finally:
        _at_once = before


def rows_of(outputs: int) -> int:
    """How many rows of a table over so many tokens are there at once; a row is never divided."""
    return max(1, (_at_once or 1 << 62) // outputs)


def in_pieces(of: Callable[..., Numbers], outputs: int, *rows: torch.Tensor) -> Numbers:
    """``of(*rows)``, for so many of the rows at a time.

    Args:
        of: reads a table that it makes of rows; it is called twice where there is a gradient, and must say the same again.
        outputs: V.
        rows: [N, ...] each.
    """
    size, count = rows_of(outputs), len(rows[0])
    if count <= size:
        return of(*rows)
    again = partial(checkpoint, of, use_reentrant=False, preserve_rng_state=False)  # no output layer drops out
    parts = []
    for start in range(0, count, size):
        piece = [each[start : start + size] for each in rows]
        parts.append((again if torch.is_grad_enabled() else of)(*piece))
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def read(policy: Any, of: Callable[..., Numbers], states: torch.Tensor, *rows: torch.Tensor) -> Numbers:
    """``of(logits, *rows)`` of a policy's states, float [N, width], likewise."""
    return in_pieces(lambda own, *more: of(policy.logits([own]), *more), policy.vocabulary, states, *rows)


def by_state(
    of: Callable[..., Numbers], outputs: int, states: Sequence[torch.Tensor], state: torch.Tensor, *rows: torch.Tensor
) -> Numbers:
    """``of(states, state, *rows)`` likewise, where several rows may be of one state, whose row of the table is made once a piece.

    Args:
        of: as above.
        outputs: V.
        states: float [S, width] each.
        state: int64 [N], of each row.
        rows: [N, ...] each.
    """
    if len(state) <= rows_of(outputs):
        return of(states, state, *rows)

    def piece(which: torch.Tensor) -> Numbers:
        own, local = state[which].unique(return_inverse=True)
        return of([each[own] for each in states], local, *(each[which] for each in rows))

    order = state.argsort(stable=True)
    back = order.argsort()
    return tuple(part[back] for part in in_pieces(piece, outputs, order))
