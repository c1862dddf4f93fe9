"""Chess: rules, texts, options, and the built-in opponent."""

from __future__ import annotations

import hashlib
import itertools
import json
import random

import chess
import gymnasium as gym
import numpy as np
import pytest

import lmrl_envs
from lmrl_envs import make_policy
from lmrl_envs.chess import endgames
from lmrl_envs.chess.env import ChessEnv
from lmrl_envs.chess.native import NativeSearch
from lmrl_envs.chess.partner import LEVELS, BuiltinPartner, MoveRequest, RandomPartner, best_moves, mix
from lmrl_envs.chess.rules import plain_fen, position_text, read_move
from lmrl_envs.chess.search import _SIDE_KEY, MATE, Search, attacked

ID = "lmrl/Chess-v0"


def played(actions: list[str], replies: list[str], fen: str | None = None, **kwargs):
    """The outcomes of a scripted game."""
    env = ChessEnv(simulator="random", **kwargs)
    env.reset(seed=0, options={"replies": replies} | ({"fen": fen} if fen else {}))
    return env, [env.step(action) for action in actions]


# -- rules


def test_scholars_mate_wins() -> None:
    _env, steps = played(["e4", "Bc4", "Qh5", "Qxf7#"], ["e5", "Nc6", "Nf6"])
    text, reward, terminated, truncated, info = steps[-1]
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["success"] and info["result"] == "1-0" and info["ending"] == "checkmate"
    assert info["moves"] == ["e2e4", "e7e5", "f1c4", "b8c6", "d1h5", "g8f6", "h5f7"]
    assert [step[1] for step in steps[:-1]] == [0.0] * 3
    assert plain_fen(text) == "r1bqkb1r/pppp1Qpp/2n2n2/4p3/2B1P3/8/PPPP1PPP/RNB1K1NR b KQkq - 0 4"


def test_fools_mate_loses() -> None:
    _, steps = played(["f3", "g4"], ["e5", "Qh4"])
    _, reward, terminated, truncated, info = steps[-1]
    assert (reward, terminated, truncated) == (-1.0, True, False)
    assert not info["success"] and info["result"] == "0-1" and info["ending"] == "checkmate"


@pytest.mark.parametrize(
    ("fen", "action", "replies", "reason"),
    [
        ("7k/8/6K1/8/8/8/8/5Q2 w - - 0 1", "Qf7", [], "stalemate"),
        ("4k3/8/8/8/8/8/3r4/4K3 w - - 0 1", "Kxd2", [], "insufficient material"),
        ("8/8/8/8/8/k7/p1K5/8 w - - 0 1", "Kc3", ["a1=N"], "insufficient material"),
        ("4k3/8/8/8/8/8/4P3/R3K3 w Q - 149 100", "Ra2", [], "75 moves"),
        ("4k3/8/8/8/8/8/4P3/R3K3 w Q - 148 100", "Ra2", ["Kd8"], "75 moves"),
    ],
)
def test_draws_are_worth_nothing(fen: str, action: str, replies: list[str], reason: str) -> None:
    _, steps = played([action], replies, fen)
    _, reward, terminated, truncated, info = steps[-1]
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["ending"] == reason and info["result"] == "1/2-1/2" and not info["success"]


def test_mate_on_the_150th_half_move_is_mate() -> None:
    _, steps = played(["Ra8"], [], "6k1/5ppp/8/8/8/8/8/R5K1 w - - 149 100")
    assert steps[-1][1] == 1.0 and steps[-1][4]["ending"] == "checkmate"


def test_fivefold_repetition_ends_the_game_and_threefold_does_not() -> None:
    white, black = ["Nf3", "Ng1"] * 4, ["Nf6", "Ng8"] * 4
    env, steps = played(white[:7], black)
    assert not any(step[2] for step in steps)
    _, reward, terminated, _, info = env.step(white[7])
    assert terminated and reward == 0.0 and info["ending"] == "fivefold repetition"
    board = chess.Board()
    for move in info["moves"]:
        board.push_uci(move)
    assert board.is_fivefold_repetition()


def test_repetitions_count_castling_rights() -> None:
    """The start has castling rights that its four later look-alikes have not: it does not count with them."""
    fen = "4k2r/8/8/8/8/8/8/R3K3 w Qk - 0 1"
    white, black = ["Ra2", "Ra1"] * 5, ["Rh7", "Rh8"] * 5
    env, steps = played(white[:8], black, fen)
    assert not any(step[2] for step in steps)
    _, reward, terminated, _, info = env.step(white[8])
    assert (reward, terminated, info["ending"]) == (0.0, True, "fivefold repetition")


@pytest.mark.parametrize(
    "action", ["e5", "Ke2", "e2e5", "e7e5", "", "hello", "0000", "--", "Z0", "O-O", "Nd2", "\x00e4", "e4 e5"]
)
def test_illegal_moves_cost_a_point_and_leave_the_position(action: str) -> None:
    env = ChessEnv()
    opening, _ = env.reset(seed=0)
    state = env.get_state()["game"]
    text, reward, terminated, truncated, info = env.step(action)
    assert (text, reward, terminated, truncated) == (opening, -1.0, False, False)
    assert info["valid"] is False and env.get_state()["game"] == state
    assert env.step("e4")[4]["valid"]


def test_ambiguous_san_is_illegal() -> None:
    fen = "4k3/8/8/8/8/8/8/R3K2R w KQ - 0 1"
    env, steps = played(["Rf1"], [], "4k3/8/8/8/8/4K3/8/R6R w - - 0 1")
    assert steps[0][1] == -1.0
    assert env.step("R h f 1")[4]["valid"]
    for castle in ("O-O", "0-0", "O - O", "e1g1", "e1h1", "0-0+"):
        env, steps = played([castle], ["Kd7"], fen)
        assert steps[0][4]["valid"] and env.get_state()["game"]["moves"][0] == "e1g1", castle


@pytest.mark.parametrize(
    ("action", "move"),
    [
        ("e8=Q", "e7e8q"),
        ("e8Q", "e7e8q"),
        ("e 8 = Q +", "e7e8q"),
        ("e7e8n", "e7e8n"),
        ("exd8=R", "e7d8r"),
        ("e7xd8=B", "e7d8b"),
        ("e8", None),
        ("e7e8", None),
        ("e8=K", None),
    ],
)
def test_promotion(action: str, move: str | None) -> None:
    fen = "3r4/4P2k/8/8/8/8/8/4K3 w - - 0 1"
    env, steps = played([action], ["Kh6"], fen)
    assert steps[0][4]["valid"] == (move is not None)
    if move:
        assert env.get_state()["game"]["moves"][0] == move


def test_en_passant() -> None:
    _env, steps = played(["e5", "e x d 6"], ["d5", "a6"], "4k3/p2p4/8/8/4P3/8/8/4K3 w - - 0 1")
    assert steps[0][0].split("   ")[3] == "d 6"
    assert steps[1][4]["valid"] and plain_fen(steps[1][0]).startswith("4k3/8/p2P4/8/")


def test_every_notation_of_every_legal_move_is_read() -> None:
    rng = random.Random(5)
    for _ in range(12):
        board = chess.Board()
        while not board.is_game_over() and board.ply() < 90:
            moves = list(board.legal_moves)
            for move in moves:
                san = board.san(move)
                for text in (san, " ".join(san), san.rstrip("+#"), move.uci(), f" {move.uci()}\n"):
                    assert read_move(board, text) == move
            for illegal in {"a1a8", "e1e8", "h2h5", "b7b8q"} - {move.uci() for move in moves}:
                assert read_move(board, illegal) is None
            board.push(rng.choice(moves))


def test_observations_are_fen() -> None:
    rng = random.Random(6)
    for _ in range(20):
        board = chess.Board()
        while not board.is_game_over() and board.ply() < 120:
            assert position_text(board, False) == board.fen()
            assert position_text(board, True) == " ".join(board.fen())
            assert plain_fen(position_text(board, True)) == board.fen()
            board.push(rng.choice(list(board.legal_moves)))


def test_cut_off_after_max_moves_counts_illegal_ones() -> None:
    env = gym.make(ID)
    env.reset(seed=0)
    steps = [env.step("e9") for _ in range(400)]
    assert [step[3] for step in steps] == [False] * 399 + [True] and not steps[-1][2]
    assert steps[-1][4]["result"] == "*" and steps[-1][4]["success"] is False
    assert env.unwrapped.transcript.episode_return == -400.0  # type: ignore[attr-defined]


# -- arguments and options


def test_spaced_and_plain_observations_are_the_same_game() -> None:
    spaced, plain = gym.make(ID), gym.make(ID, spaced=False)
    assert spaced.reset(seed=4)[0] == " ".join(plain.reset(seed=4)[0])
    for action in ("d4", "c4", "Nc3"):
        assert spaced.step(action)[0] == " ".join(plain.step(action)[0])


def test_legal_moves_are_told_only_when_asked_for() -> None:
    env = gym.make(ID, legal_moves=True)
    _, info = env.reset(seed=0)
    assert len(info["legal_moves"]) == 20 and "Nf3" in info["legal_moves"]
    info = env.step("nonsense")[4]
    assert len(info["legal_moves"]) == 20
    assert set(env.step("e4")[4]["legal_moves"]) != set(info["legal_moves"])
    plain = gym.make(ID)
    assert "legal_moves" not in plain.reset(seed=0)[1] and "legal_moves" not in plain.step("e4")[4]
    vector = gym.make_vec(ID, num_envs=2, vectorization_mode="vector_entry_point", legal_moves=True)
    assert len(vector.reset(seed=0)[1]["legal_moves"][1]) == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fen": "nonsense"}, "no position"),
        ({"fen": 3}, "no position"),
        ({"fen": "8/8/8/8/8/8/8/8 w - - 0 1"}, "impossible"),
        ({"fen": "4k3/8/8/8/8/8/8/4K2R b K - 0 1"}, "Black to move"),
        ({"fen": "4k3/8/8/8/8/8/8/P3K3 w - - 0 1"}, "impossible"),
        ({"fen": "8/8/8/8/8/5k2/5q2/7K w - - 0 1"}, "stalemate"),
        ({"fen": "4k3/8/8/8/8/8/8/4K3 w - - 0 1"}, "insufficient"),
        ({"replies": "e5"}, "allowed is a list"),
        ({"replies": ["castle"]}, "allowed is a list"),
        ({"replies": [5]}, "allowed is a list"),
        ({"replies": 5}, "allowed is a list"),
        ({"index": 1}, "unknown reset option"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(ID).reset(seed=0, options=options)


def test_a_composed_start_with_black_in_check_is_played_on_but_no_king_is_taken() -> None:
    env = gym.make(ID, legal_moves=True)
    fen = "7k/8/6K1/8/8/8/8/Q7 w - - 0 1"
    _, info = env.reset(options={"fen": fen})
    assert "Qa8#" in info["legal_moves"] and not any("h8" in move for move in info["legal_moves"])
    assert env.step("Qxh8")[1] == env.step("a1h8")[1] == -1.0  # illegal: the position stays
    for policy in ("random", "suboptimal", "expert"):
        assert read_move(chess.Board(fen), make_policy(ID, policy).act(env.unwrapped.transcript)) is not None
    _, reward, terminated, _, info = env.step(make_policy(ID, "expert").act(env.unwrapped.transcript))
    assert (reward, terminated, info["success"]) == (1.0, True, True)


def test_an_illegal_reply_is_refused_when_its_turn_comes() -> None:
    env = ChessEnv()
    env.reset(seed=0, options={"replies": ["e5", "e5"]})
    env.step("e4")
    before = env.get_state()
    with pytest.raises(ValueError, match=r"reply 'e5' is not legal .*allowed are .*Nf6"):
        env.step("d4")
    assert env.get_state() == before


def test_replies_come_first_then_the_opponent_takes_over() -> None:
    env = ChessEnv()
    env.reset(seed=0, options={"replies": ["a6", "h7h6"]})
    for action in ("e4", "d4", "c4"):
        env.step(action)
    moves = env.get_state()["game"]["moves"]
    assert moves[1::2][:2] == ["a7a6", "h7h6"] and len(moves) == 6
    again = ChessEnv()
    again.reset(seed=0)
    assert again.get_state()["game"]["replies"] == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"simulator": "gnuchess"}, "builtin.*stockfish.*random"),
        ({"strength": 9}, "0 to 5"),
        ({"strength": "high"}, "0 to 5"),
        ({"elo": 1500}, "builtin.*does not take.*elo"),
        ({"simulator": "random", "strength": 1}, "no options"),
        ({"simulator": "stockfish", "strength": 1}, "does not take"),
        ({"max_moves": 0}, "at least 1"),
    ],
)
def test_impossible_arguments_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gym.make(ID, **kwargs)


def test_state_goes_through_json_and_keeps_the_opponents_choices() -> None:
    env, twin = ChessEnv(strength=0), ChessEnv(strength=0)
    env.reset(seed=8)
    for action in ("e4", "d4"):
        env.step(action)
    twin.reset(seed=99)
    twin.set_state(json.loads(json.dumps(env.get_state())))
    legal = [move.uci() for move in env._board.legal_moves][:1]
    assert env.step(legal[0]) == twin.step(legal[0])
    assert env.reset() == twin.reset()
    assert [env.step(a) for a in ("d4", "c4")] == [twin.step(a) for a in ("d4", "c4")]


def test_drawing_shows_coordinates_and_the_last_move() -> None:
    env = ChessEnv(simulator="random", render_mode="ansi")
    env.reset(seed=0, options={"replies": ["e5"]})
    assert "[" not in env.render()  # type: ignore[operator]
    env.step("e4")
    rows = env.render().split("\n")  # type: ignore[union-attr]
    assert rows[0] == "8  r  n  b  q  k  b  n  r " and rows[-1].split() == list("abcdefgh")
    assert rows[3] == "5  .  .  .  . [p] .  .  . " and rows[1] == "7  p  p  p  p [.] p  p  p "


# -- the built-in engine


def test_search_knows_the_rules() -> None:
    """Moves, scores, keys and rights of the search agree with python-chess in random games."""
    rng = random.Random(1)
    for _ in range(4):
        board = chess.Board()
        while not board.is_game_over() and board.ply() < 60:
            search = Search(board, 1)
            found = set()
            gains = {}
            for move in search.moves(*search.position[:7]):
                after, own, other, pawns, side, rights, ep, score, key = search.play(search.position, move)
                if attacked(after, after.index(-6 * side), side, own, pawns, own | other):
                    continue
                chess_move = chess.Move(move[1], move[2], move[3] or None)
                found.add(chess_move)
                if (board.is_capture(chess_move) and not board.is_en_passant(chess_move)) or chess_move.promotion:
                    gains[move[1:]] = move[0]
                there = board.copy(stack=False)
                there.push(chess_move)
                twin = Search(there, 1)
                assert (after, own, other, pawns, side, rights) == twin.position[:6]
                assert key == twin.position[8] ^ _SIDE_KEY
                assert ep == twin.position[6] or not there.has_legal_en_passant()
                if twin.worth == search.worth:
                    assert score == twin.position[7]
            # Quiescence knows the same captures and promotions, those to a queen alone, and is told from which gain on.
            queens = {move: gain for move, gain in gains.items() if move[2] in (0, chess.QUEEN)}
            least = sorted(queens.values())[len(queens) // 2] if queens else 0
            for bound in (-(10**6), least):
                captures = search.captures(*search.position[:5], bound)
                assert captures == sorted(captures, reverse=True) and all(move[0] >= bound for move in captures)
                known = {
                    move[1:]: move[0] for move in captures if board.is_legal(chess.Move(*move[1:3], move[3] or None))
                }
                assert known == {move: gain for move, gain in queens.items() if gain >= bound}
            assert found == {m for m in board.legal_moves if m.promotion not in (chess.ROOK, chess.BISHOP)}
            board.push(rng.choice(list(board.legal_moves)))


@pytest.mark.parametrize(
    ("fen", "move", "nodes"),
    [
        ("6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1", "a1a8", 50),  # mate in one
        ("r1bqkb1r/pppp1ppp/2n2n2/4p2Q/2B1P3/8/PPPP1PPP/RNB1K1NR w KQkq - 4 4", "h5f7", 50),
        ("4k3/8/8/8/3q4/8/4N3/4K3 w - - 0 1", "e2d4", 50),  # a queen for nothing
        ("6k1/8/8/8/8/8/r4r2/K2R4 w - - 0 1", "a1b1", 50),  # the only move that keeps the rook is worse than none
        ("7k/8/8/6R1/8/8/5R2/K7 w - - 0 1", "f2h2", 500),  # two rooks: mate in one
    ],
)
def test_search_finds_what_is_there(fen: str, move: str, nodes: int) -> None:
    board = chess.Board(fen)
    found = best_moves(board, nodes, 0)
    after = board.copy()
    after.push_uci(found[0][0])
    assert found[0][0] == move or after.is_checkmate()


def test_search_sees_mate_in_two_and_scores_it_as_mate() -> None:
    board = chess.Board("7k/8/8/8/8/8/R7/1R5K w - - 0 1")  # Ra7, then Rb8
    score = best_moves(board, 5000, 0)[0][1]
    assert score > MATE - 20


@pytest.mark.parametrize("kind", [Search, NativeSearch])
def test_the_engine_plays_as_it_always_did(kind: type[Search]) -> None:
    """Records, references and datasets hold its moves: a faster search has to find the same ones, by the same nodes."""
    rng = random.Random(7)
    digest = hashlib.sha256()
    for game in range(24):
        board = chess.Board()
        if game % 3 == 2:  # an endgame, Black to move
            board = chess.Board(endgames.random_position(np.random.default_rng(game)))
            board.push(min(board.legal_moves, key=chess.Move.uci))
        for _ in range(int(rng.random() * 70) if game % 3 < 2 else 0):
            moves = sorted(move.uci() for move in board.legal_moves)
            if not moves:
                break
            board.push_uci(moves[int(rng.random() * len(moves))])
        if not board.is_game_over():
            level = LEVELS[game % 5]
            search = kind(board, level.nodes)
            scored = search.root(sorted(board.legal_moves, key=chess.Move.uci), level.margin)
            digest.update(f"{[(move.uci(), score) for move, score in scored]} {search.nodes}".encode())
    assert digest.hexdigest()[:16] == "af731e1fe9974186"


def test_builtin_replies_depend_on_the_request_alone() -> None:
    board = chess.Board()
    board.push_uci("e2e4")
    requests = [MoveRequest(board, seed) for seed in range(40)]
    together = BuiltinPartner().reply(requests)
    assert [BuiltinPartner().reply([r])[0] for r in reversed(requests)] == together[::-1]
    assert len(set(together)) > 1
    assert board.move_stack == [chess.Move.from_uci("e2e4")]


def test_stronger_levels_win() -> None:
    """Strength 4 against strength 0, from both sides of random openings."""
    score = 0.0
    for game in range(6):
        rng = random.Random(game // 2)
        board = chess.Board()
        for _ in range(4):
            board.push(rng.choice(list(board.legal_moves)))
        strong = bool(game % 2)
        while not board.is_game_over(claim_draw=True) and board.ply() < 200:
            opponent = BuiltinPartner(4 if board.turn == strong else 0)
            board.push_uci(opponent.reply([MoveRequest(board.copy(stack=False), mix(game, board.ply()))])[0])
        result = board.result(claim_draw=True)
        score += {"1-0": strong, "0-1": not strong}.get(result, 0.5)
    assert score >= 5


def test_levels_are_ordered() -> None:
    assert all(a.nodes < b.nodes and a.slips >= b.slips for a, b in itertools.pairwise(LEVELS))


def test_random_opponent_is_uniform_and_seeded() -> None:
    board = chess.Board()
    board.push_uci("e2e4")
    requests = [MoveRequest(board, mix(5, n)) for n in range(4000)]
    replies = RandomPartner().reply(requests)
    assert replies == RandomPartner().reply(requests)
    counts = np.unique(replies, return_counts=True)[1]
    assert len(counts) == 20 and counts.min() > 140 and counts.max() < 260


def test_expert_beats_the_default_opponent() -> None:
    env = gym.make(ID)
    results = []
    for seed in range(2):
        env.reset(seed=seed)
        player = lmrl_envs.make_policy(ID, "expert", seed=seed)
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(player.act(env.unwrapped.transcript))
            over = terminated or truncated
        results.append(info["success"])
    assert all(results)


def test_policies_answer_in_the_notation_of_the_observation() -> None:
    for spaced in (True, False):
        env = gym.make(ID, spaced=spaced)
        env.reset(seed=0)
        for name in lmrl_envs.task(ID).policy_names:
            action = lmrl_envs.make_policy(ID, name).act(env.unwrapped.transcript)
            assert (" " in action) == spaced
            assert chess.Board().parse_san(action.replace(" ", ""))
