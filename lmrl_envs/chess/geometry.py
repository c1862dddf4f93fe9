"""Squares of a chess board: rays, steps, what lies between, and attacks. Squares are 0 to 63 (a1, b1, ... h8), sets are bits."""

from __future__ import annotations

from collections.abc import Iterable

import chess

_DIAGONAL, _STRAIGHT = ((1, 1), (1, -1), (-1, 1), (-1, -1)), ((0, 1), (0, -1), (1, 0), (-1, 0))


def _ray(square: int, direction: tuple[int, int]) -> tuple[int, ...]:
    rank, file = divmod(square, 8)
    steps = ((rank + n * direction[0], file + n * direction[1]) for n in range(1, 8))
    return tuple(8 * r + f for r, f in steps if 0 <= r < 8 and 0 <= f < 8)


def _rays(directions: tuple[tuple[int, int], ...]) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(tuple(ray for d in directions if (ray := _ray(sq, d))) for sq in range(64))


def _bits(squares: Iterable[int]) -> int:
    return sum(1 << sq for sq in squares)


def _squares(sets: Iterable[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(chess.scan_forward(bits)) for bits in sets)


SLIDES = {3: _rays(_DIAGONAL), 4: _rays(_STRAIGHT), 5: _rays(_DIAGONAL + _STRAIGHT)}
STEPS = {2: _squares(chess.BB_KNIGHT_ATTACKS), 6: _squares(chess.BB_KING_ATTACKS)}
PAWN_BITS = {1: tuple(chess.BB_PAWN_ATTACKS[True]), -1: tuple(chess.BB_PAWN_ATTACKS[False])}
PAWN_TAKES = {side: _squares(bits) for side, bits in PAWN_BITS.items()}
# From where a piece (not a pawn) of each kind reaches a square of an empty board, and from where any of them does.
REACH = {kind: tuple(_bits(sum(rays, ())) for rays in slides) for kind, slides in SLIDES.items()}
REACH |= {2: tuple(chess.BB_KNIGHT_ATTACKS), 6: tuple(chess.BB_KING_ATTACKS)}
NEAR = tuple(jumps | lines for jumps, lines in zip(REACH[2], REACH[5], strict=True))
# Squares between two on one line, and those on it behind the second as seen from the first; 0 for all other pairs.
BETWEEN = [[0] * 64 for _ in range(64)]
BEHIND = [[0] * 64 for _ in range(64)]
for _sq in range(64):
    for _line in SLIDES[5][_sq]:
        for _n, _end in enumerate(_line):
            BETWEEN[_sq][_end] = _bits(_line[:_n])
            BEHIND[_sq][_end] = _bits(_line[_n + 1 :])


def attacked(b: list[int], square: int, by: int, attackers: int, pawns: int, occupied: int) -> bool:
    """Whether ``square`` is attacked by side ``by`` (1 or -1), whose pieces stand on the bits ``attackers``."""
    if PAWN_BITS[-by][square] & attackers & pawns:
        return True
    near = NEAR[square] & attackers & ~pawns
    while near:
        bit = near & -near
        near ^= bit
        sq = bit.bit_length() - 1
        if REACH[b[sq] * by][square] & bit and not BETWEEN[square][sq] & occupied:
            return True
    return False
