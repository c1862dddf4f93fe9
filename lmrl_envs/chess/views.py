"""How a trained agent reads chess (`lmrl_envs.surface.View`): every man beside its square."""

from __future__ import annotations

import re
from functools import lru_cache

import chess

from lmrl_envs.chess.endgames import SYMMETRIES, TRIANGLE
from lmrl_envs.chess.rules import plain_fen, read_move
from lmrl_envs.core import Transcript

_MEN = "KQRBNPkqrbnp"
_LONGEST_MOVE = 64
_SQUARE = re.compile("[a-h][1-8]")


def men(transcript: Transcript, turned: bool = False) -> list[str]:
    """Texts where what a move depends on stands in single pieces of text.

    Positions: every man beside its square, `` Kb1 Rc3 kh1``, White's first and the king before the others; then what can still
    be castled (``O=KQ``) and the square of a pawn that can be taken in passing (``x=e3``); the move counters are left out.
    Moves: who moves and where to, `` Rc3 c8``; which squares can be reached is then nearly a matter of one piece of text. A
    blank comes first everywhere, so that a man is the same token wherever it stands.
    """
    texts = [turn.text for turn in transcript]
    for i in range(0, len(texts), 2):
        action = texts[i + 1] if i + 1 < len(texts) else ""
        is_short = len(action) <= _LONGEST_MOVE  # what is longer is no move, and would fill the memory of moves
        texts[i], move = _men_and_move(texts[i], action if is_short else "", turned)
        if action and is_short:
            texts[i + 1] = move
    return texts


def turned(transcript: Transcript) -> list[str]:
    """As ``men``; boards without pawns or castling, where all directions are alike, turned and mirrored to one of eight."""
    return men(transcript, turned=True)


def turned_back(text: str, transcript: Transcript) -> str:
    """An answer to the `turned` position as it is meant on the board that was turned."""
    board = _board(transcript[-1].text)
    return text if board is None else _mapped(text, _turning(board), back=True)


@lru_cache(maxsize=16_384)  # a conversation is read again at each of its turns
def _men_and_move(position: str, action: str = "", turned: bool = False) -> tuple[str, str]:
    board = _board(position)
    if board is None:
        return position, action
    to = _turning(board) if turned else tuple(range(64))
    men = sorted(
        (_MEN.index(man.symbol()), f"{man.symbol()}{chess.SQUARE_NAMES[to[sq]]}")
        for sq, man in board.piece_map().items()
    )
    castling, passing = board.fen().split()[2:4]
    extras = [f"O={castling}"] * (castling != "-") + [f"x={passing}"] * (passing != "-")
    text = "".join(f" {part}" for part in [*(name for _, name in men), *extras])
    move = read_move(board, action)
    if move is None:
        return text, _mapped(action, to)
    if board.is_castling(move):
        return text, " O-O" if move.to_square > move.from_square else " O-O-O"
    symbol = board.piece_at(move.from_square).symbol()  # type: ignore[union-attr]
    return text, _mapped(f" {symbol if symbol != 'P' else ''}{move.uci()[:2]} {move.uci()[2:]}", to)


def _board(position: str) -> chess.Board | None:
    """The position; None when the text is no position."""
    try:
        return chess.Board(plain_fen(position))
    except ValueError:
        return None


def _turning(board: chess.Board) -> tuple[int, ...]:
    """Where each square goes so that the black king comes to stand between a1, d1 and d4, as a map of squares."""
    king = board.king(False)
    if board.pawns or board.castling_rights or king is None:
        return SYMMETRIES[0]
    men = sorted((_MEN.index(man.symbol()), sq) for sq, man in board.piece_map().items())
    # On the diagonal two will do for the king; equal men are in no order.
    return min(
        (m for m in SYMMETRIES if m[king] in TRIANGLE), key=lambda m: sorted((symbol, m[sq]) for symbol, sq in men)
    )


def _mapped(text: str, squares: tuple[int, ...], back: bool = False) -> str:
    """A move's text with every square replaced by its image."""
    names = chess.SQUARE_NAMES
    pairs = {names[a]: names[b] for a, b in enumerate(squares)}
    images = {b: a for a, b in pairs.items()} if back else pairs
    return _SQUARE.sub(lambda found: images[found[0]], text)
