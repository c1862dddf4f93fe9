"""The maze: layouts, moves, and what each cell looks like. Positions are (row, column) from 0."""

from __future__ import annotations

import random
import re
from collections import deque
from dataclasses import dataclass
from functools import cached_property, lru_cache

from lmrl_envs.language.lists import toml

Cell = tuple[int, int]

MOVES: dict[str, Cell] = {"move up": (-1, 0), "move down": (1, 0), "move left": (0, -1), "move right": (0, 1)}
ACTIONS = tuple(MOVES)
MAX_MOVES = 100
STEP_REWARD, GOAL_REWARD, INVALID_REWARD = -1.0, 0.0, -4.0

_WALL_PHRASES = (("to your right", (0, 1)), ("to your left", (0, -1)), ("above you", (-1, 0)), ("below you", (1, 0)))

_DRAWINGS = toml(__file__, "layouts.toml")


@dataclass(frozen=True)
class Maze:
    """A layout: which cells are free, and where the goal is."""

    rows: tuple[str, ...]
    goal: Cell

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All free cells, the goal among them, row by row."""
        return tuple((r, c) for r, row in enumerate(self.rows) for c, mark in enumerate(row) if mark != "#")

    @cached_property
    def starts(self) -> tuple[Cell, ...]:
        """Free cells other than the goal."""
        return tuple(cell for cell in self.cells if cell != self.goal)

    @cached_property
    def next_cell(self) -> dict[str, dict[Cell, Cell]]:
        """``next_cell[action][cell]``: where a move ends; a bump stays."""
        free = set(self.cells)
        return {
            action: {cell: there if (there := (cell[0] + dr, cell[1] + dc)) in free else cell for cell in self.cells}
            for action, (dr, dc) in MOVES.items()
        }

    @cached_property
    def distance(self) -> dict[Cell, int]:
        """Moves on a shortest path to the goal."""
        distance, queue = {self.goal: 0}, deque([self.goal])
        while queue:
            cell = queue.popleft()
            for action in ACTIONS:
                there = self.next_cell[action][cell]  # moves are reversible
                if there not in distance:
                    distance[there] = distance[cell] + 1
                    queue.append(there)
        return distance

    @cached_property
    def walls_text(self) -> dict[Cell, str]:
        """The sentence about walls, for every free cell."""
        return {cell: self._walls(cell) for cell in self.cells}

    @cached_property
    def position_text(self) -> dict[Cell, str]:
        """Goal, position and walls, for every free cell."""
        goal = f"The goal is at position {self.goal[0]}, {self.goal[1]}."
        return {
            (r, c): f"{goal} Your current position is at position {r}, {c}. {self.walls_text[r, c]}"
            for r, c in self.cells
        }

    def _walls(self, cell: Cell) -> str:
        free = set(self.cells)
        where = [phrase for phrase, (dr, dc) in _WALL_PHRASES if (cell[0] + dr, cell[1] + dc) not in free]
        if not where:
            return "There are no walls near you."
        return f"There is a wall {where[0]}." if len(where) == 1 else f"There are walls {', '.join(where)}."


def parse_maze(drawing: str) -> Maze:
    """Read a drawing with ``#`` walls and one ``G``.

    Raises:
        ValueError: rows of different length, no or several goals, or a free cell from which the goal is out of reach.
    """
    rows = tuple(drawing.strip("\n").split("\n"))
    goals = [(r, row.index("G")) for r, row in enumerate(rows) if "G" in row]
    if len(goals) != 1 or drawing.count("G") != 1 or len({len(row) for row in rows}) != 1:
        raise ValueError("a maze needs rows of equal length and exactly one goal G")
    maze = Maze(rows, goals[0])
    if set(maze.distance) != set(maze.cells):
        raise ValueError(f"the goal cannot be reached from {sorted(set(maze.cells) - set(maze.distance))}")
    return maze


def random_size(layout: str) -> tuple[int, int] | None:
    """``"random:<rows>x<cols>"`` -> (rows, cols); None for other names."""
    match = re.fullmatch(r"random:(\d{1,3})x(\d{1,3})", layout)
    return (int(match[1]), int(match[2])) if match else None


@lru_cache(maxsize=16)
def named_maze(layout: str) -> Maze:
    """A bundled layout."""
    return parse_maze(_DRAWINGS[layout])


LAYOUTS = tuple(_DRAWINGS)
MAX_SIDE = 20


def check_layout(layout: str) -> None:
    """Raise a ValueError that says what is allowed unless ``layout`` is known."""
    size = random_size(layout) if isinstance(layout, str) else None
    if layout in LAYOUTS or (size and all(2 <= side <= MAX_SIDE for side in size)):
        return
    raise ValueError(
        f"layout={layout!r} is not known; choose one of {', '.join(LAYOUTS)} or random:<rows>x<cols> "
        f"with 2 to {MAX_SIDE} rooms a side"
    )


def random_maze(rows: int, cols: int, seed: int) -> Maze:
    """A perfect maze (one path between any two rooms) of rows x cols rooms, cut by a seeded depth-first walk.

    The drawing has 2 * rows + 1 lines: rooms at odd positions, walls or openings between. The goal is a random room.
    """
    rng = random.Random(seed)
    grid = [["#"] * (2 * cols + 1) for _ in range(2 * rows + 1)]
    room = (rng.randrange(rows), rng.randrange(cols))
    grid[2 * room[0] + 1][2 * room[1] + 1] = " "
    path = [room]
    while path:
        r, c = path[-1]
        closed = [
            (r + dr, c + dc)
            for dr, dc in MOVES.values()
            if 0 <= r + dr < rows and 0 <= c + dc < cols and grid[2 * (r + dr) + 1][2 * (c + dc) + 1] == "#"
        ]
        if not closed:
            path.pop()
            continue
        nr, nc = closed[rng.randrange(len(closed))]
        grid[r + nr + 1][c + nc + 1] = " "
        grid[2 * nr + 1][2 * nc + 1] = " "
        path.append((nr, nc))
    goal = (2 * rng.randrange(rows) + 1, 2 * rng.randrange(cols) + 1)
    return Maze(tuple("".join(row) for row in grid), goal)
