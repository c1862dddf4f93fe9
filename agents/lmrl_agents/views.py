"""How an agent reads observations. A view changes wording only; what the environment tells stays all there is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

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


def _men(transcript: Transcript) -> list[str]:
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
        texts[i], move = _men_and_move(texts[i], action if is_short else "")
        if action and is_short:
            texts[i + 1] = move
    return texts


@lru_cache(maxsize=16_384)  # a conversation is read again at each of its turns
def _men_and_move(position: str, action: str = "") -> tuple[str, str]:
    import chess

    from lmrl_envs.chess.rules import plain_fen, read_move

    try:
        board = chess.Board(plain_fen(position))
    except ValueError:
        return position, action  # no chess
    men = sorted(
        (_MEN.index(man.symbol()), f"{man.symbol()}{chess.SQUARE_NAMES[sq]}") for sq, man in board.piece_map().items()
    )
    castling, passing = board.fen().split()[2:4]
    extras = [f"O={castling}"] * (castling != "-") + [f"x={passing}"] * (passing != "-")
    text = "".join(f" {part}" for part in [*(name for _, name in men), *extras])
    move = read_move(board, action)
    if move is None:
        return text, action
    if board.is_castling(move):
        return text, " O-O" if move.to_square > move.from_square else " O-O-O"
    symbol = board.piece_at(move.from_square).symbol()  # type: ignore[union-attr]
    return text, f" {symbol if symbol != 'P' else ''}{move.uci()[:2]} {move.uci()[2:]}"


VIEWS: dict[str, Callable[[Transcript], list[str]]] = {"plain": _plain, "paired": _paired, "men": _men}


def view_texts(view: str, transcript: Transcript) -> list[str]:
    """The texts of a conversation as an agent with this view reads them (environment first, in turn)."""
    return VIEWS[view](transcript)
