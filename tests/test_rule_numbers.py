"""Bounds, shares and other numbers in the rules of games that a game played at random hardly ever touches."""

from __future__ import annotations

import chess
import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs.car_dealer import rules as car_dealer
from lmrl_envs.car_dealer.stock import draw_stock
from lmrl_envs.chess.rules import position_key, read_move
from lmrl_envs.guess_my_city.rules import guessed_city, named_cities
from lmrl_envs.maze.rules import check_layout, parse_maze, random_maze, random_size
from lmrl_envs.negotiation.rules import RANGES, Act, Hidden, Partner, State, reward_of
from lmrl_envs.twenty_questions.rules import load_knowledge, split_indices


def test_sizes_of_random_mazes() -> None:
    assert random_size("random:3x5") == (3, 5) and random_size("umaze") is None
    for good in ("random:2x2", "random:20x20", "umaze"):
        check_layout(good)
    for bad in ("random:1x5", "random:5x1", "random:21x5", "random:5x21", "nowhere"):
        with pytest.raises(ValueError, match=f"layout='{bad}' is not known"):
            check_layout(bad)
    maze = random_maze(3, 5, 0)
    assert [len(row) for row in maze.rows] == [11] * 7 and len(maze.cells) == 2 * 15 - 1
    assert set(maze.rows[0] + maze.rows[-1] + "".join(row[0] + row[-1] for row in maze.rows)) == {"#"}


@pytest.mark.parametrize("drawing", ["###\n# #\n###", "####\n#GG#\n####", "###\n#G#\n#G#\n###", "####\n#G#\n####"])
def test_drawings_that_are_no_maze(drawing: str) -> None:
    with pytest.raises(ValueError, match="rows of equal length and exactly one goal"):
        parse_maze(drawing)


def test_buyers_are_drawn_within_the_published_ranges() -> None:
    rng = np.random.default_rng(0)
    stock = draw_stock(rng)
    buyers = [car_dealer.draw_buyer(rng, stock) for _ in range(300)]
    traits = [car_dealer.PERSONALITIES[buyer["personality"]] for buyer in buyers]
    assert {b["patience"] - t.patience for b, t in zip(buyers, traits, strict=True)} == {-3, -2, -1, 0, 1, 2, 3}
    factors = {round(b["concession"] / t.concession, 2) for b, t in zip(buyers, traits, strict=True)}
    assert factors == {0.8, 1.0, 1.25}
    assert car_dealer.RETURN_RANGES["revenue"] == (0.0, 90.0) and car_dealer.RETURN_RANGES["deal"] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [("patience", (1, 60), (0, 61, True, "5")), ("concession", (0.1, 10.0), (0.09, 10.1, False, None))],
)
def test_ends_of_what_may_be_pinned(key: str, good: tuple, bad: tuple) -> None:
    for value in good:
        (checked,) = car_dealer.check_pinned({key: value}).values()
        assert checked == value and type(checked) is type(value)
    assert car_dealer.check_pinned({"patience": 7.0})["patience"] == 7
    for value in bad:
        with pytest.raises(ValueError, match=f"buyer {key}="):
            car_dealer.check_pinned({key: value})


def test_the_held_out_fifth_and_what_fits() -> None:
    known = load_knowledge()
    assert split_indices("test") == tuple(range(3, len(known.names), 5))
    assert sorted((*split_indices("train"), *split_indices("test"))) == list(split_indices("all"))
    longest = next(iter(known.measures))
    fits = {name: fit for name, fit in zip(known.names, known.measures["fit"], strict=True) if fit is not None}
    assert (fits["snake"], fits["jeans"], fits["sock"]) == pytest.approx((24.0, 33.6, 12.0))  # what bends: its bulk
    rigid = [k for k, name in enumerate(known.names) if name not in fits or fits[name] == known.measures[longest][k]]
    assert len(known.names) - len(rigid) == 15


def test_questions_have_an_end() -> None:
    env = gym.make("lmrl/TwentyQuestions-v1")
    for length, valid in ((500, True), (501, False)):
        env.reset(seed=0)
        assert env.step("Is it alive?".ljust(length - 1) + "?")[4]["valid"] is valid


def test_what_follows_a_citys_name_must_be_true_of_it() -> None:
    assert guessed_city("Bucharest, the capital of Romania") == "Bucharest"
    assert guessed_city("Bucharest, the capital of France") is None
    assert guessed_city("Bucharest") == "Bucharest"
    assert named_cities(("nuestra", "senora", "de", "la", "paz")) == {"La Paz"}  # not Los Angeles, which is "la"


def test_a_passing_capture_that_nobody_can_make_makes_no_other_position() -> None:
    board = chess.Board()
    board.push_uci("e2e4")
    assert board.ep_square == chess.E3
    same = chess.Board(board.fen())
    same.ep_square = None
    assert position_key(board) == position_key(same)
    taken = chess.Board("4k3/8/8/8/3pP3/8/8/4K3 b - e3 0 1")
    gone = chess.Board("4k3/8/8/8/3pP3/8/8/4K3 b - - 0 1")
    assert position_key(taken) != position_key(gone)


def test_promotions_by_capture() -> None:
    board = chess.Board("r3k3/1P6/8/8/8/8/8/4K3 w - - 0 1")
    for text in ("b7a8q", "bxa8=Q", "b7a8n"):
        move = read_move(board, text)
        assert move is not None and move.to_square == chess.A8 and move.promotion


def test_least_and_greatest_returns_of_a_negotiation() -> None:
    """What a seller and a buyer can get at most and at least, by `reward_of` itself."""
    ends = {
        kind: [reward_of(kind, "seller", price, 100.0, 70.0, 20) for price in (None, 100.0, 102.0, 1.0)]
        for kind in ("revenue", "saving", "agreement", "length", "chai")
    }
    assert (min(ends["revenue"]), max(ends["revenue"])) == RANGES["revenue"]
    assert (min(ends["agreement"]), max(ends["agreement"])) == RANGES["agreement"]
    assert (
        max(ends["length"]) == RANGES["length"][1]
        and reward_of("length", "seller", None, 1.0, 1.0, 1) == RANGES["length"][0]
    )
    assert min(ends["chai"]) == RANGES["chai"][0] and max(ends["chai"]) == pytest.approx(RANGES["chai"][1])


def test_a_partner_takes_its_limit_and_no_dollar_more() -> None:
    for role, good, bad in (("buyer", 900.0, 901.0), ("seller", 900.0, 899.0)):
        partner = Partner(Hidden("utility", 0.9, 10), 1000.0, role)  # type: ignore[arg-type]
        assert partner._takes(good, 900.0) and not partner._takes(bad, 900.0)


@pytest.mark.parametrize(("kind", "questions"), [("utility", 1), ("fairness", 1), ("rule_based", 2), ("stingy", 2)])
def test_partners_ask_so_many_questions(kind: str, questions: int) -> None:
    partner, state, asked = Partner(Hidden(kind, 0.9, 30), 1000.0, "buyer"), State(), []  # type: ignore[arg-type]
    for _ in range(3):
        step = partner.answer(Act("inform"), state)
        asked.append(step.act.name == "ask")
        state = step.state._replace(turns=0)
    assert asked == [True] * questions + [False] * (3 - questions)
