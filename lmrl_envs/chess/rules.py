"""Chess as a pure game of texts: positions, moves as people and engines write them, and how games end."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import chess

DRAW_REPETITIONS = 5
DRAW_HALF_MOVES = 150
MAX_MOVE_LENGTH = 12
"""Letters of the longest notation, as in ``Qa1xb2=Q#``, and a little more."""

_FEN_SHAPE = re.compile(r"\S+ [wb] \S+ \S+ \d+ \d+")
_PIECES = tuple((piece, colour) for colour in (chess.WHITE, chess.BLACK) for piece in chess.PIECE_TYPES)
_LETTERS = tuple(chess.Piece(piece, colour).symbol() for piece, colour in _PIECES)
_EMPTY = list("/".join(["1" * 8] * 8))
# Where square k (a1 = 0) stands in the text above: ranks from 8 down to 1, nine characters each.
_PLACE = tuple(9 * (7 - square // 8) + square % 8 for square in range(64))
_RUNS = tuple(("1" * n, str(n)) for n in range(8, 1, -1))
_UCI: dict[str, chess.Move] = {
    chess.SQUARE_NAMES[f] + chess.SQUARE_NAMES[t]: chess.Move(f, t) for f in range(64) for t in range(64) if f != t
}
_UCI |= {
    uci + letter: chess.Move(move.from_square, move.to_square, piece)
    for uci, move in list(_UCI.items())
    if (uci[1], uci[3]) in {("7", "8"), ("2", "1")} and abs(ord(uci[0]) - ord(uci[2])) < 2
    for letter, piece in (("q", chess.QUEEN), ("r", chess.ROOK), ("b", chess.BISHOP), ("n", chess.KNIGHT))
}
# Castling as "king takes rook", which python-chess takes too: kept under its usual name.
_CASTLES = {
    chess.Move(chess.E1, chess.H1): chess.Move(chess.E1, chess.G1),
    chess.Move(chess.E1, chess.A1): chess.Move(chess.E1, chess.C1),
    chess.Move(chess.E8, chess.H8): chess.Move(chess.E8, chess.G8),
    chess.Move(chess.E8, chess.A8): chess.Move(chess.E8, chess.C8),
}


def position_text(board: chess.Board, spaced: bool) -> str:
    """The position as FEN (as `chess.Board.fen`, four times as fast); ``spaced`` puts a space between characters."""
    cells = _EMPTY[:]
    white, black = board.occupied_co[True], board.occupied_co[False]
    kinds = (board.pawns, board.knights, board.bishops, board.rooks, board.queens, board.kings)
    for letters, side in ((_LETTERS[:6], white), (_LETTERS[6:], black)):
        for letter, kind in zip(letters, kinds, strict=True):
            squares = kind & side
            while squares:
                lowest = squares & -squares
                cells[_PLACE[lowest.bit_length() - 1]] = letter
                squares ^= lowest
    places = "".join(cells)
    for run, digit in _RUNS:
        if run in places:
            places = places.replace(run, digit)
    ep = chess.SQUARE_NAMES[board.ep_square] if board.ep_square is not None and board.has_legal_en_passant() else "-"  # type: ignore[index]
    castling = _castling_text(board.clean_castling_rights()) if board.castling_rights else "-"
    turn = "w" if board.turn else "b"
    fen = f"{places} {turn} {castling} {ep} {board.halfmove_clock} {board.fullmove_number}"
    return " ".join(fen) if spaced else fen


@lru_cache(maxsize=16)
def _castling_text(rights: int) -> str:
    corners = ((chess.BB_H1, "K"), (chess.BB_A1, "Q"), (chess.BB_H8, "k"), (chess.BB_A8, "q"))
    return "".join(letter for corner, letter in corners if rights & corner) or "-"


def plain_fen(text: str) -> str:
    """The FEN of an observation of either form."""
    return text[::2] if text[1:2] == " " else text


def read_position(fen: Any) -> chess.Board:
    """A board from a FEN (spaced or not), White to move, legal and not yet decided.

    Raises:
        ValueError: what is wrong with it, and what is allowed.
    """
    allowed = "allowed is the FEN of a legal, undecided position with White to move"
    try:
        if not isinstance(fen, str) or not _FEN_SHAPE.fullmatch(plain_fen(fen)):
            raise ValueError("not the six fields of a FEN")
        board = chess.Board(plain_fen(fen))
    except ValueError as error:
        raise ValueError(f"fen={fen!r} is no position ({error}); {allowed}") from None
    # Black in check with White to move cannot arise in a game, but it can be played on, as composed positions are.
    status = board.status() & ~chess.STATUS_OPPOSITE_CHECK
    if status != chess.STATUS_VALID:
        problem = str(status.name).replace("STATUS_", "").replace("_", " ").lower()
        raise ValueError(f"fen={fen!r} is impossible ({problem}); {allowed}")
    if not board.turn:
        raise ValueError(f"fen={fen!r} has Black to move; {allowed}")
    over = ending(board, 1)
    if over is not None:
        raise ValueError(f"fen={fen!r} is decided ({over[1]}); {allowed}")
    return board


def read_move(board: chess.Board, text: str) -> chess.Move | None:
    """The legal move meant by UCI or SAN; white space does not matter. None: there is none, or more than one."""
    move = _UCI.get(text)
    if move is None:
        text = "".join(text.split())
        if not 2 <= len(text) <= MAX_MOVE_LENGTH:
            return None
        move = _UCI.get(text)
    if move is not None and board.is_legal(move) and move.to_square != board.king(not board.turn):
        return _CASTLES[move] if move in _CASTLES and board.is_castling(move) else move
    try:
        move = board.parse_san(text)
    except ValueError:
        return None
    # False is the null move, which is none here.
    return move if move and move.to_square != board.king(not board.turn) else None


def playable_moves(board: chess.Board) -> list[chess.Move]:
    """The legal moves; where a composed start has Black in check already, not those that would take the king."""
    king = board.king(not board.turn)
    return [move for move in board.legal_moves if move.to_square != king]


def position_key(board: chess.Board) -> tuple[int, ...]:
    """What makes two positions the same for repetitions: pieces, side to move, castling rights, en passant."""
    return (
        board.pawns,
        board.knights,
        board.bishops,
        board.rooks,
        board.queens,
        board.kings,
        board.occupied_co[True],
        board.turn,
        board.clean_castling_rights(),
        board.ep_square if board.ep_square is not None and board.has_legal_en_passant() else -1,
    )


Counts = dict[tuple[int, ...], int]
"""How often each position has stood on the board since the last capture or pawn move."""


def count_position(counts: Counts, board: chess.Board) -> tuple[Counts, int]:
    """The counts after ``board`` came about, and how often it has been there; ``counts`` stays as it is."""
    key = position_key(board)
    if board.halfmove_clock == 0:
        return {key: 1}, 1
    times = counts.get(key, 0) + 1
    return {**counts, key: times}, times


def ending(board: chess.Board, times: int) -> tuple[str, str] | None:
    """Result and reason if the game is over; ``times`` is how often the position has occurred."""
    if not any(board.generate_legal_moves()):
        if board.is_check():
            return ("0-1" if board.turn else "1-0"), "checkmate"
        return "1/2-1/2", "stalemate"
    if board.is_insufficient_material():
        return "1/2-1/2", "insufficient material"
    if board.halfmove_clock >= DRAW_HALF_MOVES:
        return "1/2-1/2", "75 moves"
    if times >= DRAW_REPETITIONS:
        return "1/2-1/2", "fivefold repetition"
    return None


def looks_like_a_move(text: Any) -> bool:
    """Whether a text is UCI or SAN of some move in some position."""
    if not isinstance(text, str):
        return False
    text = "".join(text.split())
    return text in _UCI or bool(
        re.fullmatch(r"(O-O(-O)?|0-0(-0)?|[NBKRQ]?[a-h]?[1-8]?[-x]?[a-h][1-8](=?[nbrqNBRQ])?)[+#]?", text)
    )
