"""The offline losses find the fixed points of the maze's data, and the optimal policy, without any language."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lmrl_agents.algorithms.cql import BACKUPS
from lmrl_datasets import load_dataset
from lmrl_envs.maze.rules import ACTIONS, named_maze

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "sanity" / "symbolic_maze.py"
OPTIMUM = -6.84


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("symbolic_maze", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = sys.modules["symbolic_maze"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def steps(script: Any) -> Any:
    return script.Steps.of(load_dataset("maze/mixed-v0", sample=True))


def test_the_moves_are_those_of_the_maze(steps: Any) -> None:
    maze = named_maze("double_t")
    assert {state[:2] for state in steps.states} == {maze.goal} and len(steps.states) == len(maze.starts)
    for k in range(0, len(steps.state), 97):
        here, there = steps.states[steps.state[k]][2:], steps.states[steps.next_state[k]][2:]
        moved = maze.next_cell[ACTIONS[steps.action[k]]][here]
        assert moved == (there if steps.goes_on[k] else maze.goal) and steps.reward[k] == -1.0 * (moved != maze.goal)
    follows = steps.next_action[:-1] >= 0
    assert torch.equal(steps.next_action[:-1][follows], steps.action[1:][follows])


def test_the_fixed_point_of_the_best_backup_is_the_shortest_way(script: Any, steps: Any) -> None:
    maze, discount = named_maze("double_t"), 0.99
    q = script.fixed_point(steps, script.Config("max"))
    for (*_, row, column), values, prior in zip(steps.states, q, steps.prior(), strict=True):
        for action, value in zip(ACTIONS, values, strict=True):
            if prior[ACTIONS.index(action)] > 0:
                far = maze.distance[maze.next_cell[action][row, column]]
                assert value == pytest.approx(-(1 - discount**far) / (1 - discount), abs=1e-6)


@pytest.mark.parametrize("backup", BACKUPS)
def test_every_backup_finds_its_fixed_point_and_the_optimal_policy(script: Any, steps: Any, backup: str) -> None:
    config = script.Config(backup)
    exact = script.fixed_point(steps, config)
    q = script.train(steps, config, seed=0).numpy()
    seen = steps.prior().numpy() > 0
    assert np.abs(q - exact)[seen].max() < 0.02
    assert script.greedy_return(steps, q, config, named_maze("double_t")) == pytest.approx(OPTIMUM)
    # The three are not told apart by these data's best moves, but their values are far from each other.
    others = [script.fixed_point(steps, script.Config(other)) for other in BACKUPS if other != backup]
    assert all(np.abs(q - other)[seen].max() > 1 for other in others)


def test_a_wrong_policy_is_seen(script: Any, steps: Any) -> None:
    config = script.Config("max")
    worst = -script.fixed_point(steps, config)
    assert script.greedy_return(steps, worst, config, named_maze("double_t")) < -50
