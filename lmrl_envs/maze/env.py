"""The two Maze tasks as environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from lmrl_envs.core import Outcome, TextEnv, check_choice, draw_index
from lmrl_envs.language.lists import toml
from lmrl_envs.maze import rules
from lmrl_envs.maze.rules import GOAL_REWARD, INVALID_REWARD, MAX_MOVES, STEP_REWARD, Cell, Maze

_TEXTS = toml(__file__, "instructions.toml")

Move = dict[str, tuple[Cell, str, float, bool]]


class MazeEnv(TextEnv):
    """A maze of text.

    **Action**: ``move up``, ``move down``, ``move left``, ``move right`` (surrounding white space ignored).
    **Observation**: walls around the player; with ``observability="full"`` also goal and position.
    **Reward**: 0 for the move that reaches the goal, -1 for any other move (bumps too), -4 for an action that is none.
    **End**: terminated at the goal, truncated after 100 actions.
    **Options**: ``{"start": (row, column)}``.

    Args:
        observability: "full" or "partial".
        layout: "double_t" (LMRL-Gym's), "umaze", "medium", "large", or "random:<rows>x<cols>": a new perfect maze of
            that many rooms at every reset.
        max_moves: actions until truncation.

    Version history: v0, initial.
    """

    option_keys = frozenset({"start"})

    def __init__(
        self,
        observability: Literal["full", "partial"] = "full",
        layout: str = "double_t",
        max_moves: int = MAX_MOVES,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode=render_mode)
        check_choice("observability", observability, _TEXTS["views"])
        rules.check_layout(layout)
        if max_moves < 1:
            raise ValueError(f"max_moves={max_moves} must be at least 1")
        self.observability, self.layout, self.max_moves = observability, layout, max_moves
        self.instructions = _TEXTS["instructions"].format(view=_TEXTS["views"][observability], limit=max_moves)
        self._random_size = rules.random_size(layout)
        self._maze_seed: int | None = None
        if self._random_size is None:
            self._use(rules.named_maze(layout))

    def _use(self, maze: Maze) -> None:
        self.maze = maze
        self._view = maze.position_text if self.observability == "full" else maze.walls_text
        self._next = maze.next_cell

    def _begin(self, options: Mapping[str, Any]) -> str:
        if self._random_size is not None:
            self._maze_seed = draw_index(self.np_random, 2**31)
            self._use(rules.random_maze(*self._random_size, seed=self._maze_seed))
        starts = self.maze.starts
        if "start" in options:
            self._position = self._start_from(options["start"])
        else:
            self._position = starts[draw_index(self.np_random, len(starts))]
        return self._view[self._position]

    def _start_from(self, value: Any) -> Cell:
        start = tuple(value) if isinstance(value, list | tuple) else ()
        if start not in self.maze.starts or not all(type(x) is int for x in start):
            raise ValueError(f"start={value!r} is not a free cell (row, column) off the goal; free: {self.maze.starts}")
        return start  # type: ignore[return-value]

    def _play(self, action: str) -> Outcome:
        # Not len(transcript): this runs once per move, and the count includes the move being played.
        truncated = len(self._rewards) + 1 >= self.max_moves
        step = self._next.get(action) or self._next.get(action.strip())
        if step is None:
            return self._view[self._position], INVALID_REWARD, False, truncated, {"valid": False}
        position = self._position = step[self._position]
        if position == self.maze.goal:
            return "Success", GOAL_REWARD, True, False, {"valid": True}
        return self._view[position], STEP_REWARD, False, truncated, {"valid": True}

    def _reveal(self) -> dict[str, Any]:
        return {"success": self._position == self.maze.goal, "position": self._position}

    game_fields = {"position": tuple[int, int], "maze_seed": int | None}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        if (game["maze_seed"] is None) != (self._random_size is None):
            raise ValueError("game: maze_seed is there if mazes are drawn")

    def _get_game(self) -> dict[str, Any]:
        return {"position": list(self._position), "maze_seed": self._maze_seed}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        if state["maze_seed"] is not None and state["maze_seed"] != self._maze_seed and self._random_size:
            self._use(rules.random_maze(*self._random_size, seed=state["maze_seed"]))
        self._maze_seed = state["maze_seed"]
        self._position = tuple(state["position"])
        if self._position not in self._view:
            raise ValueError(f"game: position {self._position} is no free cell")

    def _draw(self) -> str:
        from lmrl_envs.maze.surface import SURFACE

        return SURFACE.draw(self)
