"""Chess and its endgames as environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import chess

from lmrl_envs.chess import endgames
from lmrl_envs.chess.partner import MoveRequest, make_engine, mix
from lmrl_envs.chess.rules import (
    Counts,
    count_position,
    ending,
    looks_like_a_move,
    playable_moves,
    position_text,
    read_move,
    read_position,
)
from lmrl_envs.core import Outcome, PartnerTextEnv, check_choice, draw_index
from lmrl_envs.language.lists import toml
from lmrl_envs.partners.base import SimulatorError
from lmrl_envs.vector import vector_of

MAX_MOVES = 400
WIN_REWARD, LOSS_REWARD, DRAW_REWARD, ILLEGAL_REWARD = 1.0, -1.0, 0.0, -1.0
_TEXTS = toml(__file__, "instructions.toml")
_REWARDS = {"1-0": WIN_REWARD, "0-1": LOSS_REWARD, "1/2-1/2": DRAW_REWARD}

_Pending = tuple[tuple[str, ...], chess.Board, Counts, tuple[str, str] | None, chess.Move | None]
"""All moves, position, counts, ending (if it is one), and Black's scripted reply (if there is one)."""


class ChessEnv(PartnerTextEnv):
    """A game of chess; the agent is White.

    **Action**: a move, SAN (``Nf3``, ``O-O`` or ``0-0``, check marks or not) or UCI (``g1f3``); white space anywhere is
    ignored, so ``N f 3`` is a move too.
    **Observation**: FEN, a space between any two characters unless ``spaced=False``.
    **Reward**: +1 for mating, -1 for being mated, 0 for draws and moves, -1 for an action that is no legal move (the
    position stays, Black does not move).
    **End**: terminated by checkmate, stalemate, insufficient material, 75 moves without capture or pawn move, fivefold
    repetition; truncated after 400 actions.
    **Options**: ``{"fen": FEN, "replies": [move, ...]}``: where to begin (White to move), and what Black plays first.
    **Info**: at the end ``success`` (won), ``result`` (``1-0``, ``0-1``, ``1/2-1/2``, or ``*`` when cut off),
    ``ending`` (why) and ``moves`` (of both sides, UCI).

    Args:
        spaced: a space between the characters of the FEN.
        legal_moves: list the legal moves (SAN) in ``info["legal_moves"]``.
        simulator: who plays Black: "builtin", "stockfish" or "random".
        strength: of "builtin", 0 to 5 (default 3).
        elo: of "stockfish": its own strength limit, which is not reproducible.
        nodes: of "stockfish": full strength of that many nodes a move, with a seeded choice among good moves (default).
        pool_size: of "stockfish": engine processes (default: as many as there are cores, 4 at most).
        max_moves: actions until truncation.

    Version history: v0, initial.
    """

    option_keys = frozenset({"fen", "replies"})
    _task = ""

    def __init__(
        self,
        spaced: bool = True,
        legal_moves: bool = False,
        simulator: str = "builtin",
        strength: int | None = None,
        elo: int | None = None,
        nodes: int | None = None,
        pool_size: int | None = None,
        max_moves: int = MAX_MOVES,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        if max_moves < 1:
            raise ValueError(f"max_moves={max_moves} must be at least 1")
        self.spaced, self.max_moves, self._list_moves = spaced, max_moves, legal_moves
        self.instructions = _TEXTS["instructions"].format(
            task=self._task, spaced=", its characters separated by spaces" if spaced else "", limit=max_moves
        )
        self.partner = make_engine(simulator, strength=strength, elo=elo, nodes=nodes, pool_size=pool_size)
        self._replies: tuple[str, ...] = ()
        self._seed = 0
        self._use(chess.STARTING_FEN, ())

    def _use(self, start: str, moves: tuple[str, ...]) -> None:
        """Take over a game; every attribute of it is replaced."""
        board = chess.Board(start)
        counts, times = count_position({}, board)
        for move in moves:
            board.push(chess.Move.from_uci(move))
            counts, times = count_position(counts, board)
        board.clear_stack()
        self._start, self._moves, self._board, self._counts = start, moves, board, counts
        self._over = ending(board, times)
        self._text = position_text(board, self.spaced)
        # What the agent's move made of the position, between `_ask` and `_answer`.
        self._pending: _Pending | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """See `TextEnv.reset`."""
        opening, info = super().reset(seed=seed, options=options)
        return opening, self._with_moves(info)

    def _begin(self, options: Mapping[str, Any]) -> str:
        replies = options.get("replies", ())
        if isinstance(replies, str) or not hasattr(replies, "__iter__") or not all(map(looks_like_a_move, replies)):
            raise ValueError(
                f"replies={replies!r}: allowed is a list of Black's moves in SAN or UCI, as ['e5', 'g8f6']"
            )
        start = read_position(options["fen"]).fen() if "fen" in options else self._draw_start(options)
        self._replies = tuple(replies)
        self._seed = draw_index(self.np_random, 2**53)
        self._use(start, ())
        return self._text

    def _draw_start(self, options: Mapping[str, Any]) -> str:
        return chess.STARTING_FEN

    def _ask(self, action: str) -> MoveRequest | None:
        move = read_move(self._board, action)
        if move is None:
            self._pending = None
            return None
        board = self._board.copy(stack=False)
        board.push(move)
        counts, times = count_position(self._counts, board)
        over = ending(board, times)
        scripted = None if over is not None else self._scripted_reply(board)
        moves = (*self._moves, move.uci())
        self._pending = moves, board, counts, over, scripted
        if over is not None or scripted is not None:
            return None
        return MoveRequest(board, mix(self._seed, len(moves)), self._start, moves, counts)

    def _scripted_reply(self, board: chess.Board) -> chess.Move | None:
        """Black's next move given at reset; None when there is none left."""
        done = len(self._moves) // 2
        if done >= len(self._replies):
            return None
        move = read_move(board, self._replies[done])
        if move is None:
            allowed = ", ".join(board.san(move) for move in board.legal_moves)
            raise ValueError(f"reply {self._replies[done]!r} is not legal in {board.fen()!r}; allowed are {allowed}")
        return move

    def _answer(self, action: str, reply: str | None) -> Outcome:
        cut = len(self._rewards) + 1 >= self.max_moves
        if self._pending is None:
            return self._text, ILLEGAL_REWARD, False, cut, self._with_moves({"valid": False})
        moves, board, counts, over, black = self._pending
        if over is None:
            if black is None:
                black = read_move(board, reply or "")
            if black is None:
                raise SimulatorError(f"the opponent answered {reply!r} to {board.fen()!r}, which is not legal")
            board.push(black)
            counts, times = count_position(counts, board)
            over = ending(board, times)
            moves = (*moves, black.uci())
        board.clear_stack()
        self._board, self._counts, self._moves, self._over, self._pending = board, counts, moves, over, None
        self._text = position_text(board, self.spaced)
        if over is not None:
            return self._text, _REWARDS[over[0]], True, False, self._with_moves({"valid": True})
        return self._text, 0.0, False, cut, self._with_moves({"valid": True})

    def _with_moves(self, info: dict[str, Any]) -> dict[str, Any]:
        if self._list_moves:
            info["legal_moves"] = [self._board.san(move) for move in playable_moves(self._board)]
        return info

    def _reveal(self) -> dict[str, Any]:
        result, reason = self._over or ("*", "cut off")
        return {"success": result == "1-0", "result": result, "ending": reason, "moves": list(self._moves)}

    game_fields = {"start": str, "moves": list[str], "replies": list[str], "seed": int}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        board = read_position(game["start"])
        for text in game["moves"]:
            move = chess.Move.from_uci(text)
            if move not in board.legal_moves:
                raise ValueError(f"game: {text[:10]!r} is no legal move")
            board.push(move)
        if not all(map(looks_like_a_move, game["replies"])):
            raise ValueError("game: replies are no moves")

    def _get_game(self) -> dict[str, Any]:
        return {
            "start": self._start,
            "moves": list(self._moves),
            "replies": list(self._replies),
            "seed": self._seed,
        }

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._replies, self._seed = tuple(state["replies"]), state["seed"]
        self._use(state["start"], tuple(state["moves"]))

    def _draw(self) -> str:
        from lmrl_envs.chess.surface import SURFACE

        return SURFACE.draw(self)


class ChessEndgamesEnv(ChessEnv):
    """King and queen, rook, queen and rook, or two rooks against the bare king; otherwise as `ChessEnv`.

    The start is drawn at reset: a set of pieces, then squares, uniform over the legal positions with White to move.

    **Options**: those of `ChessEnv`, and ``{"index": i}``: the i-th position of the evaluation set.

    Args:
        positions: "random" (never one of the evaluation set, nor its mirror image) or "evaluation": uniform over 645
            fixed positions, the hardest of each set by mate distance.
        kwargs: those of `ChessEnv`.

    Version history: v0, initial.
    """

    option_keys = frozenset({"fen", "replies", "index"})
    _task = ": win an endgame against the bare king"

    def __init__(self, positions: Literal["random", "evaluation"] = "random", **kwargs: Any) -> None:
        check_choice("positions", positions, ("random", "evaluation"))
        self.positions = positions
        super().__init__(**kwargs)

    def _begin(self, options: Mapping[str, Any]) -> str:
        if "index" in options and "fen" in options:
            raise ValueError("options fen and index exclude each other: give one")
        return super()._begin(options)

    def _draw_start(self, options: Mapping[str, Any]) -> str:
        fens = endgames.evaluation_positions()
        if "index" in options:
            index = options["index"]
            if type(index) is not int or not 0 <= index < len(fens):
                raise ValueError(f"index={index!r} is not an int from 0 to {len(fens) - 1}")
            return fens[index]
        if self.positions == "evaluation":
            return fens[draw_index(self.np_random, len(fens))]
        return endgames.random_position(self.np_random)


ChessVectorEnv = vector_of(ChessEnv)
ChessEndgamesVectorEnv = vector_of(ChessEndgamesEnv)
