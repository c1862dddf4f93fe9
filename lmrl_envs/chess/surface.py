"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import chess

from lmrl_envs.chess.answer_form import ChessForm
from lmrl_envs.chess.partner import DEFAULT_STRENGTH
from lmrl_envs.chess.rules import plain_fen, position_text, read_move
from lmrl_envs.chess.views import men, turned, turned_back
from lmrl_envs.core import Transcript
from lmrl_envs.surface import Invariants, Picture, Surface, View, quoted


class ChessSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = ChessForm()

    views = {**Surface.views, "men": View(men), "turned": View(turned, turned_back)}

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        fens = [plain_fen(text) for text in transcript.observations]
        board = chess.Board(fens[-1])
        legal: dict[str, list[str]] = {}
        promotions: set[str] = set()
        for move in () if ended is not None else board.legal_moves:
            source, target = chess.square_name(move.from_square), chess.square_name(move.to_square)
            if move.promotion:
                promotions.add(source + target)
            if target not in legal.setdefault(source, []):
                legal[source].append(target)
        steps = [_step(*turn) for turn in zip(fens[:-1], transcript.actions, fens[1:], strict=True)]
        played = [squares for _, squares in steps if squares]
        king = board.king(board.turn)
        return {
            "kind": "board",
            "fen": fens[-1],
            "legal": legal,
            "promotions": sorted(promotions),
            "last": list(played[-1]) if played else [],
            "check": chess.square_name(king) if king is not None and board.is_check() else None,
            "moves": [{"text": text, "legal": bool(squares)} for text, squares in steps],
        } | ({} if ended is None else {"fens": fens})

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if read_move(chess.Board(plain_fen(transcript[-1].text)), action) is not None:
            return None
        return f"{quoted(action)} is no legal move here: it costs a point, and the position stays."

    same_game = Surface.same_game | {"spaced", "legal_moves", "pool_size"}
    partner_arguments = Surface.partner_arguments | {"strength", "elo", "nodes", "pool_size"}
    equals = {"strength": DEFAULT_STRENGTH}

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        return 1.0, "best known", "no game is worth more than a win"

    # Stockfish is not asked again when records are verified: its replies are those of the record.
    def replay_kwargs(self, env_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if env_kwargs.get("simulator") != "stockfish":
            return dict(env_kwargs)
        kept = {key: value for key, value in env_kwargs.items() if key not in ("elo", "nodes", "pool_size")}
        return {**kept, "simulator": "random"}

    def replay_options(
        self,
        env_kwargs: Mapping[str, Any],
        options: Mapping[str, Any],
        observations: Sequence[str],
        actions: Sequence[str],
    ) -> dict[str, Any]:
        """Whether the replies are legal is then checked, and what follows from them; not who chose them."""
        if env_kwargs.get("simulator") != "stockfish":
            return dict(options)
        turns = zip(map(plain_fen, observations), actions, map(plain_fen, observations[1:]), strict=False)
        replies = [_reply(*turn) for turn in turns]
        return {**options, "replies": [reply.uci() for reply in replies if reply is not None]}

    variants = (
        {"simulator": "random"},
        {"simulator": "random", "spaced": False, "legal_moves": True, "max_moves": 12},
        {"strength": 0},
        {"simulator": "stockfish", "nodes": 20, "pool_size": 1, "max_moves": 8},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, 1.0, -1.0}), hidden=())


def _reply(before: str, action: str, after: str) -> chess.Move | None:
    """Black's move of a turn; None where there was none to make: White's was illegal, or ended the game."""
    board = chess.Board(before)
    move = read_move(board, action)
    if move is None:
        return None
    board.push(move)
    if board.fen() == after:
        return None
    for reply in board.legal_moves:
        board.push(reply)
        found = board.fen() == after
        board.pop()
        if found:
            return reply
    raise ValueError(f"no legal reply leads from {board.fen()!r} to {after!r}")


@lru_cache(maxsize=8192)
def _step(before: str, action: str, after: str) -> tuple[str, tuple[str, ...]]:
    """One turn as people write it, and the squares of the last move on the board; the reply is read off the position."""
    board = chess.Board(before)
    move = read_move(board, action)
    if move is None:
        return f"{action[:20]}?", ()
    text = f"{board.fullmove_number}. {board.san(move)}"
    board.push(move)
    for reply in board.legal_moves:
        board.push(reply)
        same = position_text(board, False) == after
        board.pop()
        if same:
            text, move = f"{text} {board.san(reply)}", reply
            break
    return text, (chess.square_name(move.from_square), chess.square_name(move.to_square))


class EndgamesSurface(ChessSurface):
    """The same with other starts."""

    lmrl_also = frozenset({"positions"})

    variants = (*ChessSurface.variants, {"simulator": "random", "positions": "evaluation"})

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        return 1.0, "exact", "every position is won (retrograde analysis)"


SURFACE, ENDGAMES = ChessSurface(), EndgamesSurface()
