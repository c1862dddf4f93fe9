"""The search of `lmrl_envs.chess.search`, compiled from ``search.c`` when the package was installed.

The same moves and scores to the last bit (tests hold the two together), in a fraction of the time (docs/performance.md). Where there
was no C compiler, the search runs in Python.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import chess

from lmrl_envs.chess import geometry
from lmrl_envs.chess.search import _KEEPS, _KEYS, _RIGHT_KEYS, _SIDE_KEY, Search
from lmrl_envs.chess.worth import Worth

LIBRARY = Path(__file__).with_name("_search.so")
_LONGEST = 2**50
"""Budgets beyond this are the same to a search that nobody lives to see end."""


class _Position(ctypes.Structure):
    _fields_ = [
        ("b", ctypes.c_int8 * 64),
        *((name, ctypes.c_uint64) for name in ("own", "enemy", "pawns", "key")),
        *((name, ctypes.c_int32) for name in ("side", "rights", "ep", "score")),
    ]


class _Move(ctypes.Structure):
    _fields_ = [
        ("gain", ctypes.c_int32),
        *((name, ctypes.c_int8) for name in ("from_square", "to_square", "promotion", "unused")),
    ]


def _tables() -> Any:
    """What ``Tables`` of search.c holds, in its order."""
    g = geometry
    rows: list[Any] = [*(g.PAWN_BITS[side] for side in (1, -1)), [0] * 128]
    rows += [
        *(g.REACH[kind] for kind in range(2, 7)),
        g.NEAR,
        *g.BETWEEN,
        *g.BEHIND,
        *_KEYS,
        _RIGHT_KEYS,
        [_SIDE_KEY],
        _KEEPS,
    ]
    flat = list(itertools.chain.from_iterable(rows))
    return (ctypes.c_uint64 * len(flat))(*flat)


class _Library:
    """The compiled function and what it reads."""

    def __init__(self, path: Path) -> None:
        loaded = ctypes.CDLL(str(path))
        source = ctypes.c_char.in_dll(loaded, "lmrl_source")
        self.source = ctypes.string_at(ctypes.addressof(source)).decode()
        self.root = loaded.lmrl_root
        self.root.restype = ctypes.c_int64
        self.tables = _tables()
        self._worth: dict[int, tuple[Worth, Any]] = {}

    def worth(self, worth: Worth) -> Any:
        """The tables of worth as an array; there are few, made once by `worth_near`."""
        kept = self._worth.get(id(worth))
        if kept is None:
            if len(self._worth) > 1000:
                self._worth.clear()
            # With the list itself, so that its id is not given to another one.
            kept = self._worth[id(worth)] = worth, (ctypes.c_int32 * (13 * 64))(*itertools.chain.from_iterable(worth))
        return kept[1]


@cache
def library() -> _Library | None:
    """The compiled search, if it is there and made from the present source."""
    if not LIBRARY.exists():
        return None
    try:
        found = _Library(LIBRARY)
        if found.source == hashlib.sha256(LIBRARY.with_name("search.c").read_bytes()).hexdigest():
            return found
        problem = "it was made from another version of search.c"
    except (OSError, AttributeError, ValueError) as error:
        problem = str(error)
    warnings.warn(
        f"the compiled chess search cannot be used ({problem}); the same search runs in Python, slower. "
        "Installing the package again compiles it anew",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


class NativeSearch(Search):
    """One search from one position, in C where that is there."""

    def __init__(self, board: chess.Board, nodes: int) -> None:
        super().__init__(board, nodes)
        # In C nothing stops a pawn on its last rank from walking off the board: what no game has is left to Python.
        self.sound = not board.status() & ~chess.STATUS_OPPOSITE_CHECK

    def root(self, moves: list[chess.Move], margin: int = 0) -> list[tuple[chess.Move, int]]:
        """See `Search.root`."""
        compiled = library()
        b, own, enemy, pawns, side, rights, ep, score, key = self.position
        if compiled is None or not self.sound:
            return super().root(moves, margin)
        position = _Position((ctypes.c_int8 * 64)(*b), own, enemy, pawns, key, side, rights, ep, score)
        listed = (_Move * len(moves))(*((0, move.from_square, move.to_square, move.promotion or 0) for move in moves))
        scores = (ctypes.c_int32 * len(moves))()
        nodes = compiled.root(
            compiled.tables,
            compiled.worth(self.worth),
            ctypes.byref(position),
            ctypes.c_int64(min(self.limit, _LONGEST)),
            ctypes.c_int32(margin),
            ctypes.c_int32(len(moves)),
            listed,
            scores,
        )
        if nodes < 0:  # no position to search: Python says what is wrong with it
            return super().root(moves, margin)
        self.nodes = nodes
        known = {(move.from_square, move.to_square, move.promotion or 0): move for move in moves}
        return [
            (known[move.from_square, move.to_square, move.promotion], score)
            for move, score in zip(listed, scores, strict=True)
        ]
