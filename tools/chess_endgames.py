"""Retrograde analysis of king and queen, rook, queen and rook, or two rooks against the bare king.

``python tools/chess_endgames.py`` computes the bundled files anew (about a minute, 1 GB): ``mates.npz`` with exact
distances to mate, and ``evaluation.txt``, the 645 hardest-quarter positions that training never starts from.

A position is an array index (white king, black king, white pieces in the order of the set's name). Distances are in
plies: 0 is mate, odd numbers belong to positions with White to move. Every array here is full: 64 squares per axis.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import chess
import numpy as np

from lmrl_envs.chess import endgames
from lmrl_envs.chess.endgames import COUNTS, SETS, TRIANGLE, fen_of, images

UNKNOWN = 255
_DIRECTIONS = {
    "Q": ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)),
    "R": ((0, 1), (0, -1), (1, 0), (-1, 0)),
}
_FOLDER = Path(endgames.__file__).parent


def _step(direction: tuple[int, int]) -> list[tuple[int, int]]:
    """(square, next square in this direction), far squares first: what lies ahead is done when it is needed."""
    dr, df = direction
    steps = [(sq, sq + 8 * dr + df) for sq in range(64) if 0 <= sq // 8 + dr < 8 and 0 <= sq % 8 + df < 8]
    return sorted(steps, key=lambda pair: -(dr * (pair[0] // 8) + df * (pair[0] % 8)))


def _on_axes(table: np.ndarray, axes: tuple[int, ...], ndim: int) -> np.ndarray:
    """A small table over some axes, shaped to broadcast over all."""
    order = np.argsort(axes)
    shape = [64 if axis in axes else 1 for axis in range(ndim)]
    return table.transpose(order).reshape(shape)


class _Geometry:
    """Which positions of a set are possible, and where Black is in check."""

    def __init__(self, pieces: str) -> None:
        n = 2 + len(pieces)
        shape = (64,) * n
        near = np.array([[chess.square_distance(a, b) <= 1 for b in range(64)] for a in range(64)])
        same = np.eye(64, dtype=bool)
        self.distinct = np.ones(shape, bool)
        for i in range(n):
            for j in range(i):
                self.distinct &= ~_on_axes(same, (j, i), n)
        self.black_to_move = self.distinct & ~_on_axes(near, (0, 1), n)
        between = np.array(
            [[[c in chess.SquareSet.between(a, b) for c in range(64)] for b in range(64)] for a in range(64)]
        )
        self.check = np.zeros(shape, bool)
        for i, piece in enumerate(pieces, start=2):
            mask = chess.BB_RANK_ATTACKS, chess.BB_FILE_ATTACKS, chess.BB_DIAG_ATTACKS
            lines = [m[a][0] for a in range(64) for m in (mask if piece == "Q" else mask[:2])]
            per = len(lines) // 64
            sees = np.array(
                [[any(lines[per * a + k] >> b & 1 for k in range(per)) for b in range(64)] for a in range(64)]
            )
            hit = np.broadcast_to(_on_axes(sees, (i, 1), n), shape).copy()
            for other in range(n):
                if other not in (1, i):
                    hit &= ~_on_axes(between, (i, 1, other), n)
            self.check |= hit
        self.white_to_move = self.black_to_move & ~self.check


def _moved_king(values: np.ndarray, axis: int, direction: tuple[int, int], fill: bool) -> np.ndarray:
    """``values`` after the king on ``axis`` takes one step; ``fill`` where the step leaves the board."""
    result = np.full(values.shape, fill)
    steps = _step(direction)
    here, there = [a for a, _ in steps], [b for _, b in steps]
    np.moveaxis(result, axis, 0)[here] = np.moveaxis(values, axis, 0)[there]
    return result


def _white_can_reach(targets: np.ndarray, pieces: str, distinct: np.ndarray) -> np.ndarray:
    """Positions from which some white move leads to ``targets``."""
    reach = np.zeros(targets.shape, bool)
    for direction in _DIRECTIONS["Q"]:
        reach |= _moved_king(targets, 0, direction, False)
    for axis, piece in enumerate(pieces, start=2):
        goal, free = np.moveaxis(targets, axis, 0), np.moveaxis(distinct, axis, 0)
        for direction in _DIRECTIONS[piece]:
            ahead = np.zeros(goal.shape, bool)
            for here, there in _step(direction):
                ahead[here] = goal[there] | (free[there] & ahead[there])
            reach |= np.moveaxis(ahead, 0, axis)
    return reach


@lru_cache(maxsize=4)
def distances(pieces: str) -> tuple[np.ndarray, np.ndarray]:
    """Plies to mate with White to move and with Black to move, uint8; `UNKNOWN` where there is none or no position."""
    geometry, n = _Geometry(pieces), 2 + len(pieces)
    white, black = (np.full((64,) * n, UNKNOWN, np.uint8) for _ in range(2))
    # A black capture leads to the smaller set, whose distances are known; one of a lone piece draws at once.
    taken: list[tuple[np.ndarray, np.ndarray]] = []
    for axis in range(2, n):
        rest = pieces[: axis - 2] + pieces[axis - 1 :]
        legal = _Geometry(rest).white_to_move if rest else ~np.eye(64, dtype=bool) & ~_near()
        value = distances(rest)[0] if rest else np.full((64, 64), UNKNOWN, np.uint8)
        square = _on_axes(np.eye(64, dtype=bool), (1, axis), n)
        taken.append((square & np.expand_dims(legal, axis), np.broadcast_to(np.expand_dims(value, axis), white.shape)))
    has_move = np.zeros(white.shape, bool)
    # What Black can step into: a legal position of the same set, or a legal capture.
    steps = geometry.white_to_move.copy()
    for legal, _ in taken:
        steps |= legal
    for direction in _DIRECTIONS["Q"]:
        has_move |= _moved_king(steps, 1, direction, False)
    new = geometry.black_to_move & geometry.check & ~has_move
    black[new] = 0
    ply, quiet = 0, 0
    while quiet < 2 or ply < 40:
        ply += 1
        won = _white_can_reach(new, pieces, geometry.distinct) & geometry.white_to_move & (white == UNKNOWN)
        white[won] = ply
        known = white <= ply
        for legal, value in taken:
            known |= legal & (value <= ply)
        doomed = geometry.black_to_move & has_move & (black == UNKNOWN)
        for direction in _DIRECTIONS["Q"]:
            doomed &= _moved_king(known | ~steps, 1, direction, True)
        ply += 1
        black[doomed] = ply
        new = doomed
        quiet = 0 if doomed.any() or won.any() else quiet + 1
    return white, black


def _near() -> np.ndarray:
    return np.array([[chess.square_distance(a, b) <= 1 for b in range(64)] for a in range(64)])


def hardest(pieces: str, count: int, least: int | None, rng: np.random.Generator) -> list[str]:
    """FENs of ``count`` positions at least ``least`` plies from mate (None: the longest quarter), no two mirror images."""
    white = distances(pieces)[0]
    found = white[white != UNKNOWN]
    if least is None:
        least = next(t for t in range(1, 99, 2) if (found >= t).mean() <= 0.25)
    candidates = np.argwhere((white >= least) & (white != UNKNOWN))
    chosen: list[str] = []
    seen: set[tuple[int, ...]] = set()
    for row in rng.permutation(len(candidates)):
        squares = tuple(candidates[row].tolist())
        if squares not in seen:
            seen |= images(pieces, squares)
            chosen.append(fen_of(pieces, squares))
            if len(chosen) == count:
                return chosen
    raise ValueError(f"{pieces} has only {len(chosen)} positions of {least} plies or more")


def main() -> None:
    """Write the bundled files."""
    rng = np.random.default_rng(645)
    arrays, fens = {}, []
    for pieces in SETS:
        white, black = distances(pieces)
        known = white != UNKNOWN
        possible = _Geometry(pieces).white_to_move
        sys.stdout.write(
            f"{pieces}: {possible.sum()} positions with White to move, {(possible & ~known).sum()} not won, "
            f"longest {white[known].max()} plies, mean {white[known].mean():.2f}\n"
        )
        black = black[list(TRIANGLE)]
        if pieces == "RR":  # the rooks are alike: the lower square first
            black = np.where(np.tri(64, 64, -1, dtype=bool), UNKNOWN, black)
        arrays[pieces] = np.where(black == UNKNOWN, 255, black // 2).astype(np.uint8)
        fens += hardest(pieces, COUNTS[pieces], 15 if len(pieces) == 1 else None, rng)
    np.savez_compressed(_FOLDER / "mates.npz", **arrays)
    (_FOLDER / "evaluation.txt").write_text("\n".join(fens) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
