"""Worth of pieces by square, in hundredths of a pawn, for the built-in engine."""

from __future__ import annotations

from functools import lru_cache

import chess

KING = 60_000

Worth = list[list[int]]
"""Worth of a piece on a square to its owner, ``[piece][square]`` (Black's pieces from the end)."""


def _worth(kind: int, square: int, opening: float) -> float:
    """Value of a white piece on a square; ``opening`` runs from 1 (all pieces on the board) to 0 (few)."""
    rank, file = divmod(square, 8)
    centre = min(file, 7 - file) + min(rank, 7 - rank)
    ending = 1 - opening
    if kind == 1:
        middle = min(file, 7 - file) == 3
        step = (0, 0, 2, 6, 14, 30, 60, 0)[rank]
        return 95 + step + opening * middle * (-18 if rank == 1 else 14 if rank in (3, 4) else 0) + 2.5 * ending * step
    if kind == 2:
        return 290 + 9 * centre
    if kind == 3:
        return 315 + 5 * centre - 8 * (rank == 0)
    if kind == 4:
        return 490 + 20 * (rank == 6) + opening * 4 * min(file, 7 - file)
    if kind == 5:
        return 940 + 3 * centre
    shelter = (12, 30, 2, -4)[min(file, 7 - file)] if rank == 0 else -16 * rank - 10
    return KING + opening * shelter + ending * 10 * centre


_FORCE = (0, 0, 3, 3, 5, 9, 0)


def worth_near(board: list[int]) -> Worth:
    """Worth of pieces by square for positions near this one."""
    force = {1: 0, -1: 0}
    for piece in board:
        if piece:
            force[1 if piece > 0 else -1] += _FORCE[abs(piece)]
    material = min(force[1] + force[-1], 50)
    for side in (1, -1):
        # A king without pieces is driven to the edge by the other king, which has to come near.
        if not force[side] and force[-side] >= 5:
            return _tables_of(material, side, board.index(6 * side))
    return _tables_of(material)


@lru_cache(maxsize=512)
def _tables_of(material: int, side: int = 0, weak: int = 0) -> Worth:
    """The tables, with those of the kings for when ``side`` has but a king, on the square ``weak``. Not to be changed."""
    tables: Worth = [[0] * 64 for _ in range(13)]
    for kind in range(1, 7):
        worth = [round(_worth(kind, sq, material / 50)) for sq in range(64)]
        tables[kind] = worth
        tables[-kind] = [worth[sq ^ 56] for sq in range(64)]
    if side:
        for sq in range(64):
            rank, file = divmod(sq, 8)
            centre = min(file, 7 - file) + min(rank, 7 - rank)
            tables[6 * side][sq] = KING + 30 * centre
            tables[-6 * side][sq] = KING - 12 * chess.square_distance(sq, weak)
    return tables
