"""What is known of the task outside the game: see `lmrl_envs.surface`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lmrl_envs.core import Transcript
from lmrl_envs.language.answers import NEGATION, FixedForm, Mention, Tool, plain
from lmrl_envs.maze.belief import planner
from lmrl_envs.maze.policies import read_position, walls
from lmrl_envs.maze.rules import _WALL_PHRASES, MOVES, Cell, named_maze
from lmrl_envs.surface import Invariants, Picture, Surface, quoted
from lmrl_envs.tasks import task


class MazeForm(FixedForm):
    """``move up|down|left|right``."""

    tool = Tool("move", "direction", "Take one step.", "move up, move down, move left or move right")
    bare = re.compile(r"move (?:up|down|left|right)")

    _WHOLE = re.compile(
        r"(?:(?:i|i'll|i will|let's|let me)\s+)?(?:(?:move|go|walk|step|head)\s+)?(?:one (?:step|cell)\s+)?(up|down|left|right)",
        re.I,
    )
    _PLAN = re.compile(
        r"(?:move\s+)?(up|down|left|right)(?:\s*(?:,|->|→|;|then|and)+\s*(?:move\s+)?(?:up|down|left|right))+", re.I
    )
    _MENTION = re.compile(
        r"\b(?:mov(?:e|ing)|go(?:ing)?|head(?:ing)?|walk(?:ing)?|step(?:ping)?)\s+(?:one (?:step|cell)\s+)?(up|down|left|right)\b",
        re.I,
    )

    def whole(self, text: str, observation: str) -> str | None:
        line = plain(text)
        match = self._WHOLE.fullmatch(line) or self._PLAN.fullmatch(line)  # of a plan, the first step is now
        if match is None and len(line) <= 80:
            found = {m.action for m in self.mentions(line, observation)}
            return found.pop() if len(found) == 1 and not NEGATION.search(line) else None
        return f"move {match[1].lower()}" if match else None

    def mentions(self, text: str, observation: str) -> list[Mention]:
        return [Mention(m.start(), f"move {m[1].lower()}") for m in self._MENTION.finditer(text)]


class MazeSurface(Surface):
    """See `lmrl_envs.surface.Surface`."""

    answer_form = MazeForm()

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture:
        """The map as far as it has been told; after the end the whole, where it is known which place was walked."""
        marks, path, goal = _told(transcript)
        last = read_position(transcript[-1].text)
        end = None if ended is None else ended.get("position", last[1] if last else None)
        if ended is not None and end is not None and "rows" in ended:
            by = (end[0] - path[-1][0], end[1] - path[-1][1])
            path, goal = [(r + by[0], c + by[1]) for r, c in path], tuple(ended["goal"])
            marks = {(r, c): mark for r, row in enumerate(ended["rows"]) for c, mark in enumerate(row)}
        marks |= dict.fromkeys(path, ".") | ({goal: "G"} if goal else {}) | {path[-1]: "@"}
        (top, *_, bottom), (left, *_, right) = (sorted({cell[axis] for cell in marks}) for axis in (0, 1))
        rows = ["".join(marks.get((r, c), "?") for c in range(left, right + 1)) for r in range(top, bottom + 1)]
        picture: Picture = {"kind": "grid", "rows": rows, "moves": {move.split()[1]: move for move in MOVES}}
        return picture if ended is None else picture | {"path": [(r - top, c - left) for r, c in path]}

    def layout(self, env: Any) -> dict[str, Any]:
        return {"rows": [row.replace("G", " ") for row in env.maze.rows], "goal": env.maze.goal}

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        if action.strip() in MOVES:
            return None
        return f"{quoted(action)} is no move: it costs 4 points. Moves are {', '.join(MOVES)}."

    def optimum(self, env_id: str, kwargs: Mapping[str, Any]) -> tuple[float, str, str] | None:
        layout = str(kwargs.get("layout", ""))
        if not layout or layout.startswith("random:"):
            return None
        maze = named_maze(layout)
        if task(env_id).kwargs["observability"] == "full":
            return -sum(maze.distance[start] - 1 for start in maze.starts) / len(maze.starts), "exact", "shortest paths"
        return planner(maze).mean_return, "exact", "belief-state planning"

    variants = (
        *({"layout": name} for name in ("umaze", "medium", "large", "random:3x4")),
        {"max_moves": 3},
    )

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        return Invariants(rewards=frozenset({0.0, -1.0, -4.0}))


def _told(transcript: Transcript) -> tuple[dict[Cell, str], list[Cell], Cell | None]:
    """Marks of the cells told so far, the path, and the goal: the walls that were told decide which moves went through.

    Cells are counted from the start where no position is told.
    """
    known = read_position(transcript[0].text)
    goal, position = known if known else (None, (0, 0))
    path: list[Cell] = [position]
    marks: dict[Cell, str] = {}
    told = transcript[0].text
    for action, answer in [*zip(transcript.actions, transcript.observations[1:], strict=True), ("", "")]:
        blocked = {step for phrase, step in _WALL_PHRASES if phrase in walls(told)}
        r, c = position
        marks[position] = " "
        for step in MOVES.values():
            marks.setdefault((r + step[0], c + step[1]), "#" if step in blocked else " ")
        step = MOVES.get(action.strip())
        if step is not None and step not in blocked:
            position = (r + step[0], c + step[1])
        if answer:
            path.append(position)
        told = answer or told
        if answer == "Success":
            return marks, path, goal or position
    return marks, path, goal


SURFACE = MazeSurface()
