"""Optimal play of a partially observed maze with a known map: dynamic programming over beliefs.

Moves are certain, so a belief is how many of the equally likely starts would stand at each cell now. A move carries
all of them along, and the walls seen next split them. The reachable beliefs are finite; the least expected number of
moves from each is found by value iteration (the cost of a belief counts every start it holds).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from lmrl_envs.maze.rules import ACTIONS, Cell, Maze

Belief = tuple[tuple[Cell, int], ...]
MAX_BELIEFS = 200_000


class BeliefPlanner:
    """Best moves of a maze whose walls alone are told.

    Raises:
        ValueError: more than `MAX_BELIEFS` beliefs are reachable.
    """

    def __init__(self, maze: Maze) -> None:
        self.maze = maze
        self.opening = self._split(Counter(maze.starts))
        self.branches: dict[Belief, dict[str, tuple[Belief, ...]]] = {}
        frontier = list(self.opening.values())
        while frontier:
            belief = frontier.pop()
            if belief in self.branches:
                continue
            if len(self.branches) >= MAX_BELIEFS:
                raise ValueError(f"more than {MAX_BELIEFS} beliefs can be reached in this maze")
            self.branches[belief] = {}
            for action in ACTIONS:
                after = tuple(self.after(belief, action).values())
                if after != (belief,):  # a move that changes and tells nothing
                    self.branches[belief][action] = after
                    frontier += after
        self.cost = self._solve()
        self.best = {
            belief: min(branches, key=lambda a: self.cost_of(belief, a)) for belief, branches in self.branches.items()
        }

    @property
    def mean_return(self) -> float:
        """Expected return of optimal play over uniform starts: minus the moves before the last one."""
        starts = len(self.maze.starts)
        return -(sum(self.cost[belief] for belief in self.opening.values()) - starts) / starts

    def after(self, belief: Belief, action: str) -> dict[str, Belief]:
        """The beliefs that a move can lead to, by the text seen then; starts that reach the goal drop out."""
        moved: Counter[Cell] = Counter()
        for cell, count in belief:
            there = self.maze.next_cell[action][cell]
            if there != self.maze.goal:
                moved[there] += count
        return self._split(moved)

    def _split(self, cells: Counter[Cell]) -> dict[str, Belief]:
        parts: dict[str, dict[Cell, int]] = {}
        for cell, count in cells.items():
            parts.setdefault(self.maze.walls_text[cell], {})[cell] = count
        return {text: tuple(sorted(part.items())) for text, part in parts.items()}

    def cost_of(self, belief: Belief, action: str) -> float:
        """Moves that all starts of a belief still make, if this is the next one."""
        return sum(count for _, count in belief) + sum(self.cost[after] for after in self.branches[belief][action])

    def _solve(self) -> dict[Belief, float]:
        # From below: every start still has to walk its own shortest path. Costs only rise, and stop at the optimum.
        self.cost = {
            belief: float(sum(count * self.maze.distance[cell] for cell, count in belief)) for belief in self.branches
        }
        order = sorted(self.branches, key=len)
        changed = True
        while changed:
            changed = False
            for belief in order:
                cost = min(self.cost_of(belief, action) for action in self.branches[belief])
                if cost > self.cost[belief] + 1e-9:
                    self.cost[belief] = cost
                    changed = True
        return self.cost


@lru_cache(maxsize=8)
def planner(maze: Maze) -> BeliefPlanner:
    """The planner of a maze, computed once."""
    return BeliefPlanner(maze)
