"""Players of the mazes. On named layouts the map is common knowledge; on random ones it is drawn while walking."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from lmrl_envs.core import ScriptedPolicy, Transcript
from lmrl_envs.maze import rules
from lmrl_envs.maze.belief import Belief, planner
from lmrl_envs.maze.rules import _WALL_PHRASES, ACTIONS, MOVES, Cell, Maze

_POSITION = re.compile(r"goal is at position (\d+), (\d+)\. Your current position is at position (\d+), (\d+)\.")


def read_position(text: str) -> tuple[Cell, Cell] | None:
    """(goal, position) of a fully observed text; None for other texts."""
    match = _POSITION.search(text)
    if match is None:
        return None
    a, b, c, d = map(int, match.groups())
    return (a, b), (c, d)


def walls(text: str) -> str:
    """The sentence about walls of either kind of observation."""
    return text[text.rindex("There ") :] if "There " in text else text


class RandomPolicy(ScriptedPolicy):
    """A uniform move."""

    def act(self, transcript: Transcript) -> str | None:
        return self.pick(ACTIONS)


class ExpertPolicy(RandomPolicy):
    """Shortest paths when the position is told, optimal belief planning when it is not, exploration without a map."""

    def __init__(self, seed: int = 0, layout: str = "double_t", **_: Any) -> None:
        super().__init__(seed)
        rules.check_layout(layout)
        self.maze: Maze | None = None if rules.random_size(layout) else rules.named_maze(layout)

    def act(self, transcript: Transcript) -> str | None:
        return self.best(transcript)

    def best(self, transcript: Transcript) -> str:
        """The best move known for this conversation."""
        if self.maze is None:
            return explore(transcript)
        seen = read_position(transcript[-1].text)
        if seen is not None:
            distance, here = self.maze.distance, seen[1]
            return min(ACTIONS, key=lambda action: distance[self.maze.next_cell[action][here]])  # type: ignore[union-attr]
        return self._from_walls(transcript)

    def is_best(self, transcript: Transcript, action: str) -> bool | None:
        """Whether a move is a best one; None without a map, or after steps that no map explains."""
        seen = read_position(transcript[-1].text)
        action = action.strip()
        if self.maze is None or action not in MOVES:
            return None if self.maze is None else False
        if seen is not None:
            distance = self.maze.distance
            return distance[self.maze.next_cell[action][seen[1]]] < distance[seen[1]]
        belief, plan = self._belief(transcript), planner(self.maze)
        if belief not in plan.best:
            return None
        costs = {move: plan.cost_of(belief, move) for move in plan.branches[belief]}
        return action in costs and costs[action] <= min(costs.values()) + 1e-9

    def _from_walls(self, transcript: Transcript) -> str:
        belief, plan = self._belief(transcript), planner(self.maze)  # type: ignore[arg-type]
        return plan.best[belief] if belief in plan.best else explore(transcript)

    def _belief(self, transcript: Transcript) -> Belief | None:
        plan = planner(self.maze)  # type: ignore[arg-type]
        belief = plan.opening.get(transcript[0].text)
        for i in range(1, len(transcript) - 1, 2):
            action = transcript[i].text.strip()
            if belief is not None and action in MOVES:
                belief = plan.after(belief, action).get(transcript[i + 1].text)
        return belief


class SuboptimalPolicy(ExpertPolicy):
    """The best move with probability .15, else a uniform one (the actions of LMRL-Gym's maze data, appendix C.1)."""

    expert_share = 0.15

    def act(self, transcript: Transcript) -> str | None:
        return self.best(transcript) if self.random.random() < self.expert_share else self.pick(ACTIONS)


class MixedPolicy(SuboptimalPolicy):
    """The stitching data of LMRL-Gym (appendix C.1) on ``double_t``: each trajectory stays in one of three parts.

    The parts are the left T, the right T and the stem. A step out of a T is played and recorded, and recording stops
    there: no false transition enters the data, and the goal is reached only by trajectories that began in the stem.
    In the stem, moves into a T are drawn again. Recording in a T also stops at random, in ``hasty`` trajectories more
    often, so that lengths have the published mean and spread.
    """

    hasty_share, hasty_stop = 0.5, 0.12

    def __init__(self, seed: int = 0, layout: str = "double_t", **kwargs: Any) -> None:
        if layout != "double_t":
            raise ValueError(f"the mixed recipe is made for layout 'double_t', not {layout!r}")
        super().__init__(seed, layout=layout, **kwargs)
        self.stop = self.hasty_stop if self.random.random() < self.hasty_share else 0.0

    @staticmethod
    def part(cell: Cell) -> str:
        """Which of the three parts a cell belongs to."""
        return "stem" if cell[1] == 6 else "left" if cell[1] < 6 else "right"

    def move(self, transcript: Transcript) -> str:
        """A move, before it is held to the part."""
        return self.best(transcript) if self.random.random() < self.expert_share else self.pick(ACTIONS)

    def act(self, transcript: Transcript) -> str | None:
        first, last = read_position(transcript[0].text), read_position(transcript[-1].text)
        if first is None or last is None:
            raise ValueError("the mixed recipe is recorded on the fully observed maze; reword the data at loading")
        part = self.part(first[1])
        if part != self.part(last[1]):
            return None
        if part != "stem" and len(transcript) > 1 and self.random.random() < self.stop:
            return None
        while True:
            action = self.move(transcript)
            if part != "stem" or last[1] != (5, 6) or action not in ("move left", "move right"):
                return action


class StitchPolicy(MixedPolicy):
    """Data whose most frequent action is wrong, though every best one is in it: several policies, none of them good.

    As in `MixedPolicy` a trajectory keeps to one part of ``double_t``, and in a T recording may stop after any turn.
    Each trajectory has one manner (`manners`): *strayers* mostly walk away from the goal, *pacers* go to and fro,
    *wanderers* move at random, *solvers* mostly take the best move. So a copy of the majority strays, and the way to the
    goal has to be put together from solvers of different parts by their rewards.
    """

    manners = {"stray": 0.42, "pace": 0.13, "wander": 0.2, "solve": 0.25}
    faithful = {"stray": 0.7, "pace": 0.7, "wander": 0.0, "solve": 0.7}
    """With what probability a move is of the manner; else it is uniform."""
    stops = {"stray": 0.06, "pace": 0.06, "wander": 0.06, "solve": 0.06}

    def __init__(self, seed: int = 0, layout: str = "double_t", **kwargs: Any) -> None:
        super().__init__(seed, layout=layout, **kwargs)
        self.manner = self.random.choices(list(self.manners), list(self.manners.values()))[0]
        self.stop = self.stops[self.manner]

    def move(self, transcript: Transcript) -> str:
        if self.random.random() >= self.faithful[self.manner]:
            return self.pick(ACTIONS)
        if self.manner == "solve":
            return self.best(transcript)
        here = read_position(transcript[-1].text)[1]  # type: ignore[index]
        if self.manner == "stray":
            distance = self.maze.distance  # type: ignore[union-attr]
            return max(ACTIONS, key=lambda action: distance[self.maze.next_cell[action][here]])  # type: ignore[union-attr]
        back = {"move up": "move down", "move down": "move up", "move left": "move right", "move right": "move left"}
        actions = transcript.actions
        return back[actions[-1]] if actions else self.pick(ACTIONS)


def explore(transcript: Transcript) -> str:
    """A move in a maze without a map: the way to the goal if its place is told, else to the nearest new cell.

    What has not been seen is taken to be open, so the way is never longer than it has to be as far as one can know.
    """
    seen = read_position(transcript[0].text)
    goal, here = seen if seen is not None else (None, (0, 0))
    visited, blocked = {here}, _walls_at(here, transcript[0].text)
    for i in range(1, len(transcript) - 1, 2):
        delta = MOVES.get(transcript[i].text.strip())
        if delta is not None and (here, delta) not in blocked:
            here = (here[0] + delta[0], here[1] + delta[1])
        visited.add(here)
        blocked |= _walls_at(here, transcript[i + 1].text)
    first_move: dict[Cell, str] = {here: ""}
    queue = deque([here])
    while queue:
        cell = queue.popleft()
        if cell == goal or (goal is None and cell not in visited):
            return first_move[cell]
        for action, delta in MOVES.items():
            there = (cell[0] + delta[0], cell[1] + delta[1])
            near = max(abs(there[0] - here[0]), abs(there[1] - here[1])) <= 2 * rules.MAX_SIDE + 1
            if there not in first_move and near and (cell, delta) not in blocked:
                first_move[there] = first_move[cell] or action
                queue.append(there)
    return ACTIONS[0]


def _walls_at(cell: Cell, text: str) -> set[tuple[Cell, Cell]]:
    sentence = walls(text)
    return {(cell, delta) for phrase, delta in _WALL_PHRASES if phrase in sentence}


POLICIES = {
    "random": RandomPolicy,
    "suboptimal": SuboptimalPolicy,
    "expert": ExpertPolicy,
    "mixed": MixedPolicy,
    "stitch": StitchPolicy,
}
