"""Who plays Black: opponents that answer positions, by name."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import chess

from lmrl_envs.chess.native import NativeSearch
from lmrl_envs.chess.rules import position_key
from lmrl_envs.partners.base import Partner

ENGINES = ("builtin", "stockfish", "random")


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A position to answer. The reply is a move in UCI notation."""

    board: chess.Board
    """The position, side to move; without its past. Not to be changed."""
    seed: int
    """64 bits for the choice among moves; from the environment's own random stream."""
    start: str = chess.STARTING_FEN
    """The position the game began from."""
    moves: tuple[str, ...] = ()
    """All moves since then, in UCI notation."""
    counts: Mapping[tuple[int, ...], int] = field(default_factory=dict)
    """How often each position has occurred (see `rules.position_key`)."""

    def replayed(self) -> chess.Board:
        """The position with its past on the move stack."""
        board = chess.Board(self.start)
        for move in self.moves:
            board.push_uci(move)
        return board


def mix(seed: int, n: int) -> int:
    """A 64-bit number for the n-th request of a game (SplitMix64)."""
    z = (seed + (n + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return z ^ (z >> 31)


class Level(NamedTuple):
    """How well the built-in engine plays."""

    nodes: int
    """Budget of search nodes per move."""
    margin: int
    """The move is drawn among those within this many hundredths of a pawn of the best."""
    slips: float
    """Share of moves that are drawn from all legal ones."""


LEVELS: tuple[Level, ...] = (
    Level(nodes=60, margin=150, slips=0.25),
    Level(nodes=120, margin=90, slips=0.12),
    Level(nodes=250, margin=60, slips=0.06),
    Level(nodes=500, margin=30, slips=0.02),
    Level(nodes=1000, margin=15, slips=0.0),
    Level(nodes=4000, margin=0, slips=0.0),
)
# Against Stockfish 15.1 at its lowest rating, 1350: strength 3 scored 2 of 24 games, strength 5 scored 6 of 16.
DEFAULT_STRENGTH = 3


_Scored = tuple[tuple[str, int], ...]
_MOST_KNOWN = 16384
_known: dict[tuple[Any, ...], _Scored] = {}  # about 1 kB each


def _analysis(board: chess.Board, nodes: int, margin: int, excluded: frozenset[str]) -> _Scored:
    key = position_key(board), nodes, margin, excluded
    found = _known.get(key)
    if found is None:
        moves = [move for move in board.legal_moves if move.uci() not in excluded]
        scored = NativeSearch(board, nodes).root(moves, margin)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[key] = tuple((move.uci(), score) for move, score in scored if score >= scored[0][1] - margin)
    return found


def best_moves(
    board: chess.Board, nodes: int, margin: int, counts: Mapping[tuple[int, ...], int] | None = None
) -> _Scored:
    """Moves (UCI) within ``margin`` of the best with their scores, best first.

    A function of its arguments alone. With ``counts``, moves into a position that has been there twice are left out
    as long as something else is better than a draw.
    """
    found = _analysis(board, nodes, margin, frozenset())
    if counts and found[0][1] > 0 and max(counts.values()) > 1:
        repeats = frozenset(move.uci() for move in board.legal_moves if _times_after(board, move, counts) > 1)
        if repeats and len(repeats) < board.legal_moves.count():
            others = _analysis(board, nodes, margin, repeats)
            if others[0][1] > 0:
                return others
    return found


def _times_after(board: chess.Board, move: chess.Move, counts: Mapping[tuple[int, ...], int]) -> int:
    after = board.copy(stack=False)
    after.push(move)
    return counts.get(position_key(after), 0)


def choose(level: Level, board: chess.Board, rng: random.Random, counts: Mapping[tuple[int, ...], int] | None) -> str:
    """A move (UCI) of the built-in engine at ``level``."""
    if level.slips and rng.random() < level.slips:
        moves = list(board.legal_moves)
        return moves[int(rng.random() * len(moves))].uci()
    found = best_moves(board, level.nodes, level.margin, counts)
    return found[int(rng.random() * len(found))][0]


class BuiltinPartner:
    """The search of `lmrl_envs.chess.search` at one of `LEVELS`."""

    def __init__(self, strength: int = DEFAULT_STRENGTH) -> None:
        if type(strength) is not int or not 0 <= strength < len(LEVELS):
            raise ValueError(f"strength={strength!r} is not known; choose an int from 0 to {len(LEVELS) - 1}")
        self.level = LEVELS[strength]

    def reply(self, requests: Sequence[MoveRequest]) -> list[str]:
        """One legal move per request."""
        return [choose(self.level, r.board, random.Random(r.seed), r.counts) for r in requests]

    def close(self) -> None:
        """Nothing to release."""


class RandomPartner:
    """A uniform legal move."""

    def reply(self, requests: Sequence[MoveRequest]) -> list[str]:
        """One legal move per request."""
        replies = []
        for request in requests:
            moves = list(request.board.generate_legal_moves())
            replies.append(moves[request.seed % len(moves)].uci())
        return replies

    def close(self) -> None:
        """Nothing to release."""


def make_engine(simulator: str, **options: Any) -> Partner:
    """The opponent called ``simulator``; options that are None are not given.

    Raises:
        ValueError: an unknown name, options it does not take, or values out of range.
        gymnasium.error.DependencyNotInstalled: ``stockfish`` is not on this machine.
    """
    given = {key: value for key, value in options.items() if value is not None}
    taken = {"builtin": {"strength"}, "stockfish": {"elo", "nodes", "pool_size"}, "random": set()}
    if simulator not in taken:
        raise ValueError(f"simulator={simulator!r} is not known; choose one of {', '.join(map(repr, ENGINES))}")
    wrong = given.keys() - taken[simulator]
    if wrong:
        raise ValueError(
            f"simulator={simulator!r} does not take {sorted(wrong)}; it takes {sorted(taken[simulator]) or 'no options'}"
        )
    if simulator == "builtin":
        return BuiltinPartner(**given)
    if simulator == "random":
        return RandomPartner()
    from lmrl_envs.partners.uci import UciPartner

    return UciPartner(**given)
