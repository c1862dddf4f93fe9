"""Games of a run as a person looks at them: which are shown, and each as a chat or its task's picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import gymnasium
import numpy as np

from lmrl_benchmarks.reporting.results import FinishedCell
from lmrl_benchmarks.reporting.thoughts import Thoughts, shortened, thoughts_of
from lmrl_datasets.replay import make_recorded
from lmrl_envs import Transcript, task
from lmrl_envs.surface import Picture, Surface, board_rows

SHOWN_TURNS = 60
"""Of a long game the first turns; all of it is in the records."""
GAMES_OF_CELL, ALL_GAMES = 4, 360
"""Games shown of a cell and of a run at most."""


@dataclass(frozen=True)
class ShownTurn:
    """An action and what came back."""

    action: str
    reward: float
    answer: str
    thoughts: Thoughts
    optimised: float | None = None
    """What another reward than the task's own gave the action."""


@dataclass(frozen=True)
class ShownGame:
    """A shown game."""

    task: str
    agent: str
    seed: int
    episode: int
    score: float
    success: bool
    error: str | None
    why: str
    """Why this one is shown: worst, median, best, error."""
    length: int
    opening: str
    turns: tuple[ShownTurn, ...]
    picture: Picture | None = None
    """See `lmrl_envs.surface`; None for a chat."""
    info: dict[str, str] = field(default_factory=dict)
    optimised: float | None = None
    """The sum of what was optimised, where that is not the score."""

    @property
    def boards(self) -> list[str]:
        """Of a picture of kind ``board``: the 64 squares after each turn, from a8 to h1, ``.`` for an empty one."""
        return ["".join(board_rows(fen)) for fen in (self.picture or {}).get("fens", ())]

    @property
    def hidden_turns(self) -> int:
        """Turns that are not shown as text."""
        return self.length - len(self.turns)


def choose(played: FinishedCell, most: int) -> list[tuple[int, str]]:
    """Places of the episodes to show of a cell, with the reason: an error, the median, the worst and the best by return."""
    order = np.argsort(played.returns, kind="stable").tolist()
    good = [i for i in order if not played.failed[i]]
    wanted = [(i, "error") for i in order if played.failed[i]][:1]
    if good:
        wanted += [(good[len(good) // 2], "median"), (good[0], "worst"), (good[-1], "best")]
    seen: set[int] = set()
    return [(i, why) for i, why in wanted if not (i in seen or seen.add(i))][:most]


def shown_games(played: Sequence[FinishedCell]) -> list[ShownGame]:
    """The games of the page: of every agent and task those of the first training seed, fewer where there are many cells."""
    first: dict[tuple[str, str], FinishedCell] = {}
    for cell in played:
        first.setdefault((cell.cell.task.slug, cell.cell.agent.name), cell)
    most = max(1, min(GAMES_OF_CELL, ALL_GAMES // max(1, len(first))))
    games = []
    for cell in first.values():
        with closing(_Painter(cell)) as painter:
            for place, why in choose(cell, most):
                games.append(_game(cell, cell.record(place), float(cell.returns[place]), why, painter))
    return games


def _game(played: FinishedCell, record: dict[str, Any], score: float, why: str, painter: _Painter) -> ShownGame:
    observations, actions, rewards = record["observations"], record["actions"], record["rewards"]
    details, optimised = record.get("details") or [], record.get("optimised") or ()
    turns = []
    for k, (action, reward) in enumerate(zip(actions[:SHOWN_TURNS], rewards, strict=False)):
        answer = observations[k + 1] if k + 1 < len(observations) else ""
        thoughts = thoughts_of(action, details[k] if k < len(details) else {})
        given = float(optimised[k]) if k < len(optimised) else None
        turns.append(ShownTurn(shortened(action), float(reward), shortened(answer), thoughts, given))
    hidden = ("turn", "valid", "understood", "success", "moves", "legal_moves")
    info = {
        key: shortened(_words(value), 300) for key, value in (record.get("info") or {}).items() if key not in hidden
    }
    return ShownGame(
        task=played.cell.task.slug,
        agent=played.cell.agent.name,
        seed=played.cell.seed,
        episode=record["episode"],
        score=score,
        success=bool(record["success"]),
        error=record["error"],
        why=why,
        length=len(actions),
        opening=shortened(observations[0]) if observations else "",
        turns=tuple(turns),
        picture=painter.picture(record),
        info=info,
        optimised=float(sum(optimised)) if optimised else None,
    )


def _words(value: Any) -> str:
    """A value of an info as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items())
    return " and ".join(map(_words, value)) if isinstance(value, list) else str(value)


class _Painter:
    """Makes the pictures of a cell's games, by the task's surface."""

    def __init__(self, played: FinishedCell) -> None:
        self.row, self.kwargs = task(played.cell.task.id), played.cell.task.kwargs
        self.env: Any = None

    def close(self) -> None:
        if self.env is not None:
            self.env.close()

    def picture(self, record: dict[str, Any]) -> Picture | None:
        """A game's picture; None for a chat, and for a game that cannot be drawn."""
        try:
            texts = list(chain.from_iterable(zip_longest(record["observations"], record["actions"])))[:-1]
            ended = {**record["info"], **self._layout(record)}
            return self.row.surface.picture(Transcript.from_texts(texts, record["rewards"]), ended)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return None  # damaged records are `verify`'s to name; the page shows what it can

    def _layout(self, record: dict[str, Any]) -> dict[str, Any]:
        """The surface's `layout`, where the task has one: of an environment that is reset as it was for this game."""
        surface = self.row.surface
        if type(surface).layout is Surface.layout or self.row.is_live(self.kwargs):
            return {}
        try:
            if self.env is None:
                self.env = make_recorded(self.row, self.kwargs, "page").unwrapped
            self.env.reset(seed=record["seed"], options=dict(record.get("options") or {}))
            return surface.layout(self.env)
        except (gymnasium.error.Error, ValueError, RuntimeError):
            return {}  # a package that is missing
