"""How an agent reads observations. A view changes wording only; what the environment tells stays all there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lmrl_envs import Transcript
from lmrl_envs.wordle.rules import clean_guess, paired_text, parse_feedback


def _plain(transcript: Transcript) -> list[str]:
    return [turn.text for turn in transcript]


def _paired(transcript: Transcript) -> list[str]:
    """Wordle: each mark beside its letter and place, ``c1g r2y a3b n4b e5b``; guesses without blanks, in lower case."""
    texts = [turn.text for turn in transcript]
    for i in range(1, len(texts), 2):
        guess = clean_guess(texts[i])
        if len(guess) != 5:
            continue
        texts[i] = guess
        if i + 1 < len(texts) and len(texts[i + 1]) == 9:  # the plain form; the paired one is longer
            code = parse_feedback(texts[i + 1])
            if code is not None:
                texts[i + 1] = paired_text(guess, code)
    return texts


_MEN = "KQRBNPkqrbnp"
_LONGEST_MOVE = 64
_SQUARE = re.compile("[a-h][1-8]")


def _men(transcript: Transcript, turned: bool = False) -> list[str]:
    """Chess, where what a move depends on stands in single pieces of text.

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


def _turned(transcript: Transcript) -> list[str]:
    """As ``men``; boards without pawns or castling, where all directions are alike, turned and mirrored to one of eight."""
    return _men(transcript, turned=True)


def _turned_back(text: str, transcript: Transcript) -> str:
    board = _board(transcript[-1].text)
    return text if board is None else _mapped(text, _turning(board), back=True)


@lru_cache(maxsize=16_384)  # a conversation is read again at each of its turns
def _men_and_move(position: str, action: str = "", turned: bool = False) -> tuple[str, str]:
    import chess

    from lmrl_envs.chess.rules import read_move

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


def _board(position: str) -> Any:
    """A `chess.Board`; None when the text is no position."""
    import chess

    from lmrl_envs.chess.rules import plain_fen

    try:
        return chess.Board(plain_fen(position))
    except ValueError:
        return None


def _turning(board: Any) -> tuple[int, ...]:
    """Where each square goes so that the black king comes to stand between a1, d1 and d4, as a map of squares."""
    from lmrl_envs.chess.endgames import SYMMETRIES, TRIANGLE

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
    import chess

    names = chess.SQUARE_NAMES
    pairs = {names[a]: names[b] for a, b in enumerate(squares)}
    images = {b: a for a, b in pairs.items()} if back else pairs
    return _SQUARE.sub(lambda found: images[found[0]], text)


@dataclass(frozen=True)
class View:
    """A way to read conversations."""

    texts: Callable[[Transcript], list[str]]
    """All texts of a conversation, environment first, in turn."""
    said: Callable[[str, Transcript], str] = lambda text, transcript: text
    """What the environment is told when the agent answers a conversation with a text."""


VIEWS: dict[str, View] = {
    "plain": View(_plain),
    "paired": View(_paired),
    "men": View(_men),
    "turned": View(_turned, _turned_back),
}


def view_texts(view: str, transcript: Transcript) -> list[str]:
    """The texts of a conversation as an agent with this view reads them (environment first, in turn)."""
    return VIEWS[view].texts(transcript)
