"""Squares of a chess board: rays, steps, what lies between, and attacks. Squares are 0 to 63 (a1, b1, ... h8), sets are bits."""

from __future__ import annotations

from collections.abc import Iterable

_DIAGONAL, _STRAIGHT = ((1, 1), (1, -1), (-1, 1), (-1, -1)), ((0, 1), (0, -1), (1, 0), (-1, 0))
_JUMPS = ((1, 2), (2, 1), (-1, 2), (-2, 1), (1, -2), (2, -1), (-1, -2), (-2, -1))


def _ray(square: int, direction: tuple[int, int], length: int = 7) -> tuple[int, ...]:
    rank, file = divmod(square, 8)
    ray = []
    for _ in range(length):
        rank, file = rank + direction[0], file + direction[1]
        if not (0 <= rank < 8 and 0 <= file < 8):
            break
        ray.append(8 * rank + file)
    return tuple(ray)


def _rays(directions: tuple[tuple[int, int], ...], length: int = 7) -> tuple[tuple[tuple[int, ...], ...], ...]:
    return tuple(tuple(ray for d in directions if (ray := _ray(sq, d, length))) for sq in range(64))


SLIDES = {3: _rays(_DIAGONAL), 4: _rays(_STRAIGHT), 5: _rays(_DIAGONAL + _STRAIGHT)}
STEPS = {
    kind: tuple(tuple(sq for ray in rays for sq in ray) for rays in _rays(directions, 1))
    for kind, directions in ((2, _JUMPS), (6, _DIAGONAL + _STRAIGHT))
}
PAWN_TAKES = {side: tuple(sum(rays, ()) for rays in _rays(((side, 1), (side, -1)), 1)) for side in (1, -1)}


def _bits(squares: Iterable[int]) -> int:
    return sum(1 << sq for sq in squares)


_JUMP_BITS, _STEP_BITS = (tuple(map(_bits, STEPS[kind])) for kind in (2, 6))
PAWN_BITS = {side: tuple(map(_bits, takes)) for side, takes in PAWN_TAKES.items()}
# From where a piece (not a pawn) of each kind reaches a square of an empty board, and from where any of them does.
REACH = {kind: tuple(_bits(sum(rays, ())) for rays in slides) for kind, slides in SLIDES.items()}
REACH |= {2: _JUMP_BITS, 6: _STEP_BITS}
NEAR = tuple(jumps | lines for jumps, lines in zip(_JUMP_BITS, REACH[5], strict=True))
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
