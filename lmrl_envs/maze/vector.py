"""Many mazes at once: positions as indices, moves as one table look-up."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmrl_envs.core import draw_index
from lmrl_envs.maze.env import MazeEnv
from lmrl_envs.maze.rules import ACTIONS, GOAL_REWARD, INVALID_REWARD, STEP_REWARD
from lmrl_envs.vector import ArrayTextVectorEnv, TextVectorEnv

_INVALID = len(ACTIONS)
_CODES = {action: code for code, action in enumerate(ACTIONS)}


class _MazeArrays(ArrayTextVectorEnv):
    """Mazes of one named layout."""

    env_class = MazeEnv
    _prototype: MazeEnv

    def _build(self) -> None:
        super()._build()
        maze = self._prototype.maze
        index = {cell: i for i, cell in enumerate(maze.cells)}
        # One row more than there are moves: the invalid action stays where it is.
        self._table = np.array(
            [[index[maze.next_cell[action][cell]] for cell in maze.cells] for action in ACTIONS]
            + [list(range(len(maze.cells)))]
        )
        self._goal = index[maze.goal]
        self._texts_of = np.array([self._prototype._view[cell] for cell in maze.cells], dtype=object)
        self._texts_of[self._goal] = "Success"
        self._starts = [index[cell] for cell in maze.starts]
        self._index = index
        self._positions = np.zeros(self.num_envs, np.int64)
        self._cells = np.empty(len(maze.cells), dtype=object)
        self._cells[:] = maze.cells

    def _begin_game(self, slot: int, rng: np.random.Generator, options: dict[str, Any]) -> str:
        if "start" in options:
            position = self._index[self._prototype._start_from(options["start"])]
        else:
            position = self._starts[draw_index(rng, len(self._starts))]
        self._positions[slot] = position
        return self._texts_of[position]

    def _play_arrays(self, actions, slots):  # type: ignore[no-untyped-def]
        codes = list(map(_CODES.get, actions))
        if None in codes:
            codes = [
                _CODES.get(action.strip(), _INVALID) if code is None else code
                for code, action in zip(codes, actions, strict=True)
            ]
        codes = np.array(codes, np.int64)
        where = slice(None) if slots is None else slots
        positions = self._table[codes, self._positions[where]]
        self._positions[where] = positions
        valid = codes != _INVALID
        terminated = positions == self._goal
        rewards = np.where(terminated, GOAL_REWARD, np.where(valid, STEP_REWARD, INVALID_REWARD))
        truncated = (self._turns[where] >= self._prototype.max_moves) & ~terminated
        revealed = {"success": terminated, "position": self._cells[positions]}
        return self._texts_of[positions].tolist(), rewards, terminated, truncated, valid, revealed

    def _game_state(self, slot: int) -> dict[str, Any]:
        return {"position": list(self._cells[self._positions[slot]]), "maze_seed": None}


class _MazeLoop(TextVectorEnv):
    """Mazes that differ from slot to slot (random layouts)."""

    env_class = MazeEnv


def MazeVectorEnv(num_envs: int = 1, **kwargs: Any) -> TextVectorEnv:
    """Vector entry point of both Maze ids."""
    random_layout = str(kwargs.get("layout", "")).startswith("random:")
    return (_MazeLoop if random_layout else _MazeArrays)(num_envs, **kwargs)
