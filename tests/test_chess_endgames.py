"""Endgames: positions, tables, and the policy that mates soonest."""

from __future__ import annotations

import random
from collections import Counter

import chess
import gymnasium as gym
import numpy as np
import pytest

import lmrl_envs
from lmrl_envs.chess.endgames import (
    COUNTS,
    SETS,
    evaluation_positions,
    fen_of,
    images,
    mating_moves,
    moves_to_mate,
    random_position,
    squares_of,
)
from tools.chess_endgames import UNKNOWN, distances

ID = "lmrl/ChessEndgames-v0"


class BestDefence:
    """Black delays mate as long as the tables allow, and draws where it can."""

    def reply(self, requests):
        replies = []
        for request in requests:
            best, longest = "", -1
            for move in request.board.legal_moves:
                after = request.board.copy(stack=False)
                after.push(move)
                moves = 1000 if after.is_insufficient_material() else white_distance(after)
                if moves > longest:
                    best, longest = move.uci(), moves
            replies.append(best)
        return replies

    def close(self) -> None:
        pass


def white_distance(board: chess.Board) -> int:
    """White's moves until mate, White to move."""
    distances = []
    for move in board.legal_moves:
        after = board.copy(stack=False)
        after.push(move)
        moves = moves_to_mate(after)
        if moves is not None:
            distances.append(moves + 1)
    return min(distances)


def test_evaluation_set() -> None:
    fens = evaluation_positions()
    assert len(fens) == len(set(fens)) == 645 == sum(COUNTS.values())
    kinds = Counter()
    for fen in fens:
        board = chess.Board(fen)
        assert board.is_valid() and board.turn and fen.endswith(" w - - 0 1")
        pieces, _ = squares_of(board)
        kinds[pieces] += 1
        plies = 2 * white_distance(board) - 1
        assert plies >= {"Q": 15, "R": 15, "QR": 7, "RR": 9}[pieces]
    assert kinds == COUNTS


def test_no_two_evaluation_positions_are_mirror_images() -> None:
    seen: set = set()
    for fen in evaluation_positions():
        pieces, squares = squares_of(chess.Board(fen))
        assert (pieces, squares) not in seen
        seen |= {(pieces, image) for image in images(pieces, squares)}


def test_the_longest_mates_are_the_known_ones() -> None:
    for pieces, longest, positions in (("Q", 19, 144_508), ("R", 31, 175_168)):
        white, black = distances(pieces)
        assert (white != UNKNOWN).sum() == positions
        assert white[white != UNKNOWN].max() == longest and black[black != UNKNOWN].max() == longest + 1


def test_bundled_tables_are_those_of_the_analysis() -> None:
    rng = np.random.default_rng(3)
    for pieces in ("Q", "R"):
        black = distances(pieces)[1]
        for squares in rng.integers(64, size=(400, 3)).tolist():
            board = chess.Board(fen_of(pieces, tuple(squares))) if len(set(squares)) == 3 else None
            if board is None:
                continue
            board.turn = chess.BLACK
            if board.is_valid():
                plies = int(black[tuple(squares)])
                assert moves_to_mate(board) == (None if plies == UNKNOWN else plies // 2)


@pytest.mark.parametrize("pieces", SETS)
def test_tables_satisfy_the_rules_of_chess(pieces: str) -> None:
    """With Black to move: 0 is mate, else the longest over Black's moves of the shortest over White's."""
    rng = random.Random(2)
    checked = Counter()
    while checked.total() < 150:
        squares = tuple(rng.sample(range(64), 2 + len(pieces)))
        board = chess.Board(fen_of(pieces, squares))
        board.turn = chess.BLACK
        if not board.is_valid():
            continue
        expected: int | None = 0
        if not board.is_checkmate():
            lengths = []
            for move in board.legal_moves:
                after = board.copy(stack=False)
                after.push(move)
                lengths.append(None if after.is_insufficient_material() else white_distance(after))
            expected = max(lengths) if lengths and None not in lengths else None
        assert moves_to_mate(board) == expected
        checked["mate" if expected == 0 else "draw" if expected is None else "win"] += 1
    assert checked["win"] > 50


def test_training_never_draws_the_evaluation_set(monkeypatch: pytest.MonkeyPatch) -> None:
    fens = set(evaluation_positions())
    rng = np.random.default_rng(0)
    drawn = [random_position(rng) for _ in range(1500)]
    assert not fens & set(drawn)
    kinds = Counter(squares_of(chess.Board(fen))[0] for fen in drawn)
    assert set(kinds) == set(SETS) and min(kinds.values()) > 250
    for fen in drawn[:300]:
        board = chess.Board(fen)
        assert board.is_valid() and board.turn and not board.castling_rights

    # A stream that gives exactly the squares of a mirror image of an evaluation position is passed over.
    pieces, squares = squares_of(chess.Board(evaluation_positions()[0]))
    image = max(images(pieces, squares))
    other = squares_of(chess.Board(drawn[0]))

    class Stream:
        def __init__(self) -> None:
            self.numbers = []
            for kind, places in ((pieces, image), other):
                self.numbers += [(SETS.index(kind) + 0.5) / len(SETS), *((sq + 0.5) / 64 for sq in places)]

        def random(self) -> float:
            return self.numbers.pop(0)

    assert random_position(Stream()) == drawn[0]  # type: ignore[arg-type]


def test_positions_and_index() -> None:
    fens = evaluation_positions()
    env = gym.make(ID, positions="evaluation", spaced=False)
    assert all(env.reset(seed=seed)[0] in fens for seed in range(30))
    assert len({env.reset()[0] for _ in range(30)}) > 20
    assert env.reset(seed=0, options={"index": 7})[0] == fens[7]
    assert gym.make(ID, spaced=False).reset(seed=0, options={"fen": fens[9]})[0] == fens[9]
    for options in ({"index": 645}, {"index": -1}, {"index": "3"}, {"index": 1, "fen": fens[1]}):
        with pytest.raises(ValueError, match=r"index"):
            env.reset(seed=0, options=options)
    with pytest.raises(ValueError, match=r"random.*evaluation"):
        gym.make(ID, positions="hard")


def test_expert_mates_the_best_defence_in_exactly_the_least_moves() -> None:
    env = gym.make(ID)
    env.unwrapped.partner = BestDefence()  # type: ignore[attr-defined]
    for index in range(0, 645, 16):
        env.reset(seed=index, options={"index": index})
        least = white_distance(chess.Board(evaluation_positions()[index]))
        player = lmrl_envs.make_policy(ID, "expert", seed=index)
        for turn in range(1, least + 1):
            _, reward, terminated, _, info = env.step(player.act(env.unwrapped.transcript))
            assert terminated == (turn == least)
        assert reward == 1.0 and info["success"]


def test_a_lost_piece_is_a_draw() -> None:
    env = gym.make(ID)
    env.reset(seed=0, options={"fen": "8/8/8/3k4/8/8/R7/7K w - - 0 1", "replies": ["Kc4", "Kxc3"]})
    env.step("Ra3")
    _, reward, terminated, _, info = env.step("Rc3")
    assert (reward, terminated, info["ending"]) == (0.0, True, "insufficient material")


def test_mating_moves_of_other_positions_are_none() -> None:
    assert mating_moves(chess.Board()) == []
    assert mating_moves(chess.Board("4k3/8/8/8/8/8/4P3/4K3 w - - 0 1")) == []
    assert mating_moves(chess.Board("4k1r1/8/8/8/8/8/4Q3/4K3 w - - 0 1")) == []
    with pytest.raises(ValueError, match="Black to move"):
        moves_to_mate(chess.Board("4k3/8/8/8/8/8/4Q3/4K3 w - - 0 1"))
