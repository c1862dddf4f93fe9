"""Endgame positions: random ones, the evaluation set, and exact distances to mate."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import chess
import numpy as np

from lmrl_envs.core import draw_index

SETS = ("Q", "R", "QR", "RR")
"""White's pieces beside the king; Black has the king alone."""
COUNTS = {"Q": 161, "R": 162, "QR": 161, "RR": 161}
"""Positions of each set in the evaluation set."""

_FOLDER = Path(__file__).parent
_PIECES = {"Q": chess.QUEEN, "R": chess.ROOK}


def _symmetries() -> tuple[tuple[int, ...], ...]:
    maps = []
    for flip_files in (0, 7):
        for flip_ranks in (0, 56):
            straight = tuple(sq ^ flip_files ^ flip_ranks for sq in range(64))
            maps += [straight, tuple(8 * (sq % 8) + sq // 8 for sq in straight)]
    return tuple(maps)


SYMMETRIES = _symmetries()
"""The eight ways to turn and mirror a board without pawns, as maps of squares."""
TRIANGLE = tuple(8 * rank + file for file in range(4) for rank in range(file + 1))
"""Where the white king stands after a suitable one of them: a1, b1, b2, ... d4."""
_TURNED = tuple(next(m for m in SYMMETRIES if m[sq] in TRIANGLE) for sq in range(64))

Squares = tuple[int, ...]
"""White king, black king, white pieces in the order of the set's name."""


def images(pieces: str, squares: Squares) -> set[Squares]:
    """A position with all its mirror images; equal pieces in every order."""
    found = {tuple(mirror[sq] for sq in squares) for mirror in SYMMETRIES}
    return found | {(wk, bk, b, a) for wk, bk, a, b in found} if pieces == "RR" else found


def fen_of(pieces: str, squares: Squares) -> str:
    """The FEN of a position with White to move."""
    board = chess.Board(None)
    for square, piece in zip(squares, (chess.KING, chess.KING, *(_PIECES[p] for p in pieces)), strict=True):
        board.set_piece_at(square, chess.Piece(piece, chess.WHITE))
    board.set_piece_at(squares[1], chess.Piece(chess.KING, chess.BLACK))
    return board.fen()


def squares_of(board: chess.Board) -> tuple[str, Squares] | None:
    """The set and squares of a position; None when it is of no set."""
    if board.occupied.bit_count() > 4 or board.pawns | board.knights | board.bishops:
        return None
    white = board.occupied_co[True]
    queens, rooks = list(chess.scan_forward(board.queens & white)), list(chess.scan_forward(board.rooks & white))
    pieces = "Q" * len(queens) + "R" * len(rooks)
    if pieces not in SETS or board.occupied_co[False].bit_count() > 1:
        return None
    return pieces, (board.king(True), board.king(False), *queens, *rooks)  # type: ignore[return-value]


@lru_cache(maxsize=1)
def evaluation_positions() -> tuple[str, ...]:
    """The 645 FENs of the evaluation set."""
    return tuple((_FOLDER / "evaluation.txt").read_text(encoding="ascii").split("\n")[:-1])


@lru_cache(maxsize=1)
def _held_out() -> frozenset[tuple[str, Squares]]:
    held: set[tuple[str, Squares]] = set()
    for fen in evaluation_positions():
        pieces, squares = squares_of(chess.Board(fen))  # type: ignore[misc]
        held |= {(pieces, image) for image in images(pieces, squares)}
    return frozenset(held)


def random_position(rng: np.random.Generator) -> str:
    """The FEN of a random legal position, White to move, that is no mirror image of one of the evaluation set."""
    while True:
        pieces = SETS[draw_index(rng, len(SETS))]
        squares = tuple(draw_index(rng, 64) for _ in range(2 + len(pieces)))
        if len(set(squares)) == len(squares) and (pieces, squares) not in _held_out():
            board = chess.Board(fen_of(pieces, squares))
            # Two kings side by side, and a check that White would have given out of turn.
            if board.is_valid():
                return board.fen()


@lru_cache(maxsize=1)
def _mates() -> dict[str, np.ndarray]:
    with np.load(_FOLDER / "mates.npz", allow_pickle=False) as file:
        return {pieces: file[pieces] for pieces in SETS}


def moves_to_mate(board: chess.Board) -> int | None:
    """White's moves until mate with best play of both, Black to move; None when White does not win by force.

    Raises:
        ValueError: the position is of none of the `SETS`, or White is to move.
    """
    found = squares_of(board)
    if found is None or board.turn:
        raise ValueError(f"{board.fen()!r} is not an endgame of {', '.join(SETS)} with Black to move")
    pieces, (king, *others) = found
    turn = _TURNED[king]
    rest = [turn[sq] for sq in others]
    if pieces == "RR":
        rest[1:] = sorted(rest[1:])
    moves = int(_mates()[pieces][(TRIANGLE.index(turn[king]), *rest)])
    return None if moves == 255 else moves


def mating_moves(board: chess.Board, slack: int = 0) -> list[chess.Move]:
    """The moves of White that mate soonest, or up to ``slack`` moves later; empty when the position is of no set."""
    if squares_of(board) is None:
        return []
    lengths = []
    for move in board.legal_moves:
        after = board.copy(stack=False)
        after.push(move)
        moves = moves_to_mate(after)
        if moves is not None:
            lengths.append((moves, move))
    soonest = min(lengths, default=(0, None), key=lambda pair: pair[0])[0]
    return [move for moves, move in lengths if moves <= soonest + slack]
