"""The mazes against known facts."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from lmrl_envs import make_policy, task
from lmrl_envs.maze.belief import BeliefPlanner
from lmrl_envs.maze.policies import read_position
from lmrl_envs.maze.rules import ACTIONS, LAYOUTS, named_maze, parse_maze, random_maze

FO, PO = "lmrl/MazeFullyObserved-v0", "lmrl/MazePartiallyObserved-v0"


def mean_return_over_starts(id: str, policy: str = "expert") -> float:
    env = gym.make(id)
    returns = []
    for start in env.unwrapped.maze.starts:
        env.reset(seed=0, options={"start": start})
        player = make_policy(id, policy)
        over = False
        while not over:
            _, _, terminated, truncated, _ = env.step(player.act(env.unwrapped.transcript))
            over = terminated or truncated
        returns.append(env.unwrapped.transcript.episode_return)
    assert len(returns) == 25
    return float(np.mean(returns))


def test_layout_facts() -> None:
    maze = named_maze("double_t")
    assert (len(maze.rows), len(maze.rows[0])) == (10, 13)
    assert maze.goal == (8, 6) and len(maze.cells) == 26
    assert maze.distance[1, 1] == 12 == max(maze.distance.values())


def test_texts() -> None:
    env = gym.make(FO)
    text, _ = env.reset(options={"start": (5, 3)})
    assert text == (
        "The goal is at position 8, 6. Your current position is at position 5, 3. "
        "There are walls to your left, below you."
    )
    assert gym.make(PO).reset(options={"start": (1, 3)})[0] == "There is a wall above you."
    walls = named_maze("double_t").walls_text
    assert walls[7, 6] == "There are walls to your right, to your left."
    assert parse_maze("#####\n#   #\n#   #\n#  G#\n#####").walls_text[2, 2] == "There are no walls near you."


def test_fully_observed_expert_is_exactly_optimal() -> None:
    assert mean_return_over_starts(FO) == pytest.approx(-171 / 25, abs=1e-12)
    assert task(FO).reference.optimum == -171 / 25


def test_partially_observed_expert_is_the_planner_and_beats_the_published_best() -> None:
    planned = BeliefPlanner(named_maze("double_t")).mean_return
    assert planned == pytest.approx(-181 / 25) == task(PO).reference.optimum
    assert mean_return_over_starts(PO) == pytest.approx(planned)
    assert planned >= -25.75


@pytest.mark.parametrize("layout", LAYOUTS)
def test_belief_values_are_a_fixed_point_between_bounds(layout: str) -> None:
    plan = BeliefPlanner(named_maze(layout))
    for belief, branches in plan.branches.items():
        assert plan.cost[belief] == pytest.approx(min(plan.cost_of(belief, action) for action in branches))
        assert plan.cost[belief] >= sum(n * plan.maze.distance[cell] for cell, n in belief) - 1e-9


def test_random_reference_is_the_value_of_uniform_moves() -> None:
    maze = named_maze("double_t")
    value = dict.fromkeys(maze.cells, 0.0)
    for _ in range(100):
        value = {
            cell: 0.0
            if cell == maze.goal
            else np.mean([0.0 if (n := maze.next_cell[a][cell]) == maze.goal else value[n] - 1 for a in ACTIONS])
            for cell in maze.cells
        }
    assert task(FO).reference.random == pytest.approx(np.mean([value[s] for s in maze.starts]), abs=1e-3)


def test_rewards_bumps_and_invalid_actions() -> None:
    env = gym.make(FO)
    env.reset(options={"start": (7, 6)})
    assert env.step("move left")[1:3] == (-1.0, False)  # a bump stays
    assert env.step("Move down")[1] == -4.0  # case matters
    assert env.step("go down")[4]["valid"] is False
    text, reward, terminated, truncated, info = env.step("  move down \n")
    assert (text, reward, terminated, truncated) == ("Success", 0.0, True, False)
    assert info["success"] is True and info["valid"] is True


def test_truncated_after_100_actions_not_before() -> None:
    env = gym.make(FO)
    env.reset(options={"start": (1, 1)})
    ends = [env.step("move up")[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]
    assert env.unwrapped.transcript.episode_return == -100


@pytest.mark.parametrize(
    "options",
    [
        {"start": (0, 0)},
        {"start": (8, 6)},
        {"start": "somewhere"},
        {"start": 3},
        {"start": (1.9, 1)},
        {"start": "11"},
        {"start": (float("inf"), 1)},
        {"goal": (1, 1)},
    ],
)
def test_impossible_options(options: dict) -> None:
    with pytest.raises(ValueError):
        gym.make(FO).reset(options=options)


@pytest.mark.parametrize("layout", ["spiral", "random:1x4", "random:99x99", "random:4", 7])
def test_unknown_layouts(layout: object) -> None:
    with pytest.raises(ValueError, match="layout"):
        gym.make(FO, layout=layout)


def test_random_mazes_are_perfect_and_differ() -> None:
    drawings = set()
    for seed in range(30):
        maze = random_maze(4, 6, seed)
        edges = sum(maze.next_cell[a][cell] != cell for cell in maze.cells for a in ACTIONS) // 2
        assert edges == len(maze.cells) - 1  # a tree: one way between any two cells
        assert set(maze.distance) == set(maze.cells)
        drawings.add(maze.rows)
    assert len(drawings) == 30


@pytest.mark.parametrize("id", [FO, PO])
def test_expert_finds_its_way_without_a_map(id: str) -> None:
    env = gym.make(id, layout="random:4x4")
    for seed in range(20):
        env.reset(seed=seed)
        player = make_policy(id, "expert", layout="random:4x4")
        over = False
        while not over:
            _, _, terminated, truncated, info = env.step(player.act(env.unwrapped.transcript))
            over = terminated or truncated
        assert info["success"]


def test_state_of_a_random_maze_moves_to_another_instance() -> None:
    env, other = gym.make(FO, layout="random:5x5").unwrapped, gym.make(FO, layout="random:5x5").unwrapped
    env.reset(seed=3)
    other.reset(seed=4)
    other.set_state(env.get_state())
    assert other.maze == env.maze
    assert [env.step(a) for a in ACTIONS] == [other.step(a) for a in ACTIONS]


def test_mixed_data_never_leave_their_part() -> None:
    env = gym.make(FO).unwrapped
    for seed in range(60):
        env.reset(seed=seed)
        player = make_policy(FO, "mixed", seed=seed)
        over = False
        while not over and (action := player.act(env.transcript)) is not None:
            over = any(env.step(action)[2:4])
        cells = [read_position(text)[1] for text in env.transcript.observations[:-1]]
        assert len({player.part(cell) for cell in cells}) == 1
        if over and env._reveal()["success"]:
            assert player.part(cells[0]) == "stem"


def test_drawings_must_be_mazes() -> None:
    with pytest.raises(ValueError, match="goal"):
        parse_maze("###\n# #\n###")
    with pytest.raises(ValueError, match="cannot be reached"):
        parse_maze("#####\n# #G#\n#####")


def test_a_drawing_does_not_tell_where_the_player_of_the_partially_observed_maze_is() -> None:
    env = gym.make(PO, render_mode="ansi")
    env.reset(options={"start": (5, 3)})
    assert env.render() == "? ?\n#@ \n?#?"
    full = gym.make(FO, render_mode="ansi")
    full.reset(options={"start": (5, 3)})
    assert full.render() == "? ???\n#@ ??\n?#???\n?????\n????G"  # as far as it has been told


@pytest.mark.parametrize("id", [FO, PO])
@pytest.mark.parametrize("layout", ["double_t", "random:4x5"])
def test_the_last_drawing_is_the_whole_maze_with_the_way_that_was_walked(id: str, layout: str) -> None:
    env = gym.make(id, layout=layout, render_mode="ansi").unwrapped
    player = make_policy(id, "expert", layout=layout)
    env.reset(seed=5)
    cells = [env._position]
    while env._live:
        env.step(player.act(env.transcript))
        cells.append(env._position)
    rows = [list(row.replace("G", " ")) for row in env.maze.rows]
    for r, c in cells:
        rows[r][c] = "."
    rows[env.maze.goal[0]][env.maze.goal[1]] = "@"
    assert env.render() == "\n".join(map("".join, rows))
