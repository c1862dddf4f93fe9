"""Players of White. They read either form of FEN and answer in SAN, spaced by character when the FEN is."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import chess

from lmrl_envs.chess.endgames import mating_moves
from lmrl_envs.chess.partner import LEVELS, Level, choose
from lmrl_envs.chess.rules import MAX_MOVE_LENGTH, Counts, plain_fen, playable_moves, position_key, read_move
from lmrl_envs.core import ScriptedPolicy, Transcript


@lru_cache(maxsize=1024)
def _position(text: str) -> chess.Board:
    """The position an observation shows. Not to be changed."""
    return chess.Board(plain_fen(text))


@lru_cache(maxsize=4096)  # a game's earlier turns are asked for at each of the later ones
def _left(text: str, action: str) -> tuple[bool, tuple[int, ...]] | None:
    """The position a move led to, and whether it can have stood there before; None where the text is no legal move."""
    board = _position(text).copy()
    move = read_move(board, action)
    if move is None:
        return None
    board.push(move)
    return board.halfmove_clock > 0, position_key(board)


def past_positions(transcript: Transcript) -> Counts:
    """How often each position has occurred since the last capture or pawn move, as far as the conversation shows."""
    counts: Counts = {}
    for i in range(len(transcript) - 3, -1, -2):
        move = "".join(transcript[i + 1].text.split())
        left = _left(transcript[i].text, move) if len(move) <= MAX_MOVE_LENGTH else None
        if left is not None:
            reversible, key = left
            if not reversible:
                break
            counts[key] = counts.get(key, 0) + 1
    return counts


class RandomPolicy(ScriptedPolicy):
    """A uniform legal move."""

    def act(self, transcript: Transcript) -> str | None:
        text = transcript[-1].text
        board = _position(text).copy()
        move = board.san(self.move(board, transcript))
        return " ".join(move) if text[1:2] == " " else move

    def move(self, board: chess.Board, transcript: Transcript) -> chess.Move:
        """The move to play."""
        return self.pick(playable_moves(board))


class ExpertPolicy(RandomPolicy):
    """The built-in engine at its strongest; in endgames against the bare king, the soonest mate (exact tables)."""

    level: Level = LEVELS[-1]
    slack = 0

    def move(self, board: chess.Board, transcript: Transcript) -> chess.Move:
        if board.was_into_check():  # a composed start that no game leads to, nor the tables and the search know
            return self._mate_now(board)
        mates = mating_moves(board, self.slack)
        if mates:
            return self.pick(mates)
        return chess.Move.from_uci(choose(self.level, board, self.random, past_positions(transcript)))

    def is_best(self, transcript: Transcript, action: str) -> bool | None:
        """Whether a move is on a way to the soonest mate; None where no table knows (all but bare kings)."""
        board = _position(transcript[-1].text).copy()
        mates = [] if board.was_into_check() else mating_moves(board, 0)
        return read_move(board, action) in mates if mates else None

    def _mate_now(self, board: chess.Board) -> chess.Move:
        moves = playable_moves(board)
        for move in moves:
            board.push(move)
            mate = board.is_checkmate()
            board.pop()
            if mate:
                return move
        return self.pick(moves)


class _Mixture(ExpertPolicy):
    """The expert's move or, with probability ``epsilon``, a uniform one."""

    epsilon = 0.0

    def move(self, board: chess.Board, transcript: Transcript) -> chess.Move:
        if self.random.random() < self.epsilon:
            return self.pick(playable_moves(board))
        return super().move(board, transcript)


class SuboptimalPolicy(_Mixture):
    """An engine a little better than the default opponent, with every 25th move played at random."""

    level, epsilon = LEVELS[4], 0.04


class MixedPolicy(_Mixture):
    """The recipe of the Chess data: every game has a strength of its own, as in LMRL-Gym (arXiv 2311.18232, app. C.4).

    Nobody resigns here, and the built-in opponent is slower to win than the Stockfish of the published games. So that games
    are as long as published, White no longer slips in won games but takes its time over them, and plays random moves now and
    then when it has all but lost, or, ever more of them, when the game drags on. Recording stops after 90 moves.
    """

    weakest, strongest, skew = 500, 4000, 0.88
    margin, slips, power = 5, 0.14, 2
    ahead, behind = 5, -7
    """Material (pawns) from which a game counts as won or lost."""
    unhurried = 40
    """What a move in a won game may be worse than the best, in hundredths of a pawn."""
    careless, late, later = 0.25, 50, 0.06
    """Share of random moves when lost; what it grows by from move ``late`` on, unless won."""
    longest = 90

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        strength = self.random.random() ** self.skew
        nodes = round(self.weakest * (self.strongest / self.weakest) ** strength)
        self.levels = [Level(nodes, margin, 0.0) for margin in (self.margin, self.unhurried)]
        self.own_slips = self.slips * (1 - strength) ** self.power

    def act(self, transcript: Transcript) -> str | None:
        return super().act(transcript) if len(transcript) < 2 * self.longest else None

    def move(self, board: chess.Board, transcript: Transcript) -> chess.Move:
        balance, played = material(board), len(transcript) // 2
        won = balance >= self.ahead
        self.level = self.levels[won]
        if won:
            self.epsilon = 0.0
        else:
            floor = self.careless if balance <= self.behind else 0.0
            self.epsilon = max(self.own_slips, floor) + self.later * max(0, played - self.late)
        return super().move(board, transcript)


_WORTH = {chess.PAWN: 1, chess.KNIGHT: 3, chess.BISHOP: 3, chess.ROOK: 5, chess.QUEEN: 9}


def material(board: chess.Board) -> int:
    """White's material less Black's, in pawns."""
    return sum(
        worth * (len(board.pieces(kind, chess.WHITE)) - len(board.pieces(kind, chess.BLACK)))
        for kind, worth in _WORTH.items()
    )


class EndgamesSuboptimalPolicy(_Mixture):
    """The soonest mate, with every third move played at random."""

    epsilon = 0.35


class EndgamesMixedPolicy(_Mixture):
    """The recipe of the Endgames data: a share of random moves per game, as in LMRL-Gym (app. C.5).

    In some games the other moves are not the best ones either: any that mates at most one move later than need be.
    """

    most, unhurried = 0.855, 0.22

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.epsilon = self.most * self.random.random()
        self.slack = int(self.random.random() < self.unhurried)


POLICIES = {"random": RandomPolicy, "suboptimal": SuboptimalPolicy, "expert": ExpertPolicy, "mixed": MixedPolicy}
