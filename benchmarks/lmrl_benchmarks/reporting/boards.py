"""Games of a run as a person looks at them: which are shown, and each as a chat or its task's picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Any

import gymnasium

from lmrl_benchmarks.reporting.results import Played
from lmrl_envs import Transcript, task
from lmrl_envs.surface import Picture, Surface, board_rows

SHOWN_TURNS, SHOWN_CHARACTERS = 60, 1500
"""Of a long game the first turns, of a long text the beginning; all of it is in the records."""
GAMES_OF_CELL, ALL_GAMES = 4, 360
"""Games shown of a cell and of a run at most."""
SHOWN_WAYS = 12


@dataclass(frozen=True)
class Token:
    """A sampled piece of an action."""

    text: str
    probability: float


@dataclass(frozen=True)
class Way:
    """An action that might have been taken, with its value."""

    action: str
    value: float
    taken: bool


@dataclass(frozen=True)
class ShownTurn:
    """An action and what came back."""

    action: str
    reward: float
    answer: str
    tokens: tuple[Token, ...] = ()
    value: float | None = None
    """Of the position, before the action."""
    action_value: float | None = None
    ways: tuple[Way, ...] = ()
    note: str = ""
    """What the model said beside its action."""


@dataclass(frozen=True)
class Game:
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

    @property
    def boards(self) -> list[str]:
        """Of a picture of kind ``board``: the 64 squares after each turn, from a8 to h1, ``.`` for an empty one."""
        return ["".join(board_rows(fen)) for fen in (self.picture or {}).get("fens", ())]

    @property
    def hidden_turns(self) -> int:
        """Turns that are not shown as text."""
        return self.length - len(self.turns)


def choose(played: Played, most: int) -> list[tuple[int, str]]:
    """Places of the episodes to show of a cell, with the reason: an error, the median, the worst and the best by return."""
    order = sorted(range(len(played.returns)), key=lambda i: (played.returns[i], played.numbers[i]))
    good = [i for i in order if not played.failed[i]]
    wanted = [(i, "error") for i in order if played.failed[i]][:1]
    if good:
        wanted += [(good[len(good) // 2], "median"), (good[0], "worst"), (good[-1], "best")]
    seen: set[int] = set()
    return [(i, why) for i, why in wanted if not (i in seen or seen.add(i))][:most]


def shown_games(played: Sequence[Played]) -> list[Game]:
    """The games of the page: of every agent and task those of the first training seed, fewer where there are many cells."""
    first: dict[tuple[str, str], Played] = {}
    for cell in played:
        first.setdefault((cell.cell.task.slug, cell.cell.agent.name), cell)
    most = max(1, min(GAMES_OF_CELL, ALL_GAMES // max(1, len(first))))
    games = []
    for cell in first.values():
        with _Painter(cell) as painter:
            for place, why in choose(cell, most):
                games.append(_game(cell, cell.record(place), float(cell.returns[place]), why, painter))
    return games


def _game(played: Played, record: dict[str, Any], score: float, why: str, painter: _Painter) -> Game:
    observations, actions, rewards = record["observations"], record["actions"], record["rewards"]
    details = record.get("details") or []
    turns = []
    for k, (action, reward) in enumerate(zip(actions[:SHOWN_TURNS], rewards, strict=False)):
        answer = observations[k + 1] if k + 1 < len(observations) else ""
        turns.append(_turn(action, reward, answer, details[k] if k < len(details) else {}))
    hidden = ("turn", "valid", "understood", "success", "moves", "legal_moves")
    info = {key: _cut(_words(value), 300) for key, value in (record.get("info") or {}).items() if key not in hidden}
    return Game(
        task=played.cell.task.slug,
        agent=played.cell.agent.name,
        seed=played.cell.seed,
        episode=record["episode"],
        score=score,
        success=bool(record["success"]),
        error=record["error"],
        why=why,
        length=len(actions),
        opening=_cut(observations[0]) if observations else "",
        turns=tuple(turns),
        picture=painter.picture(record),
        info=info,
    )


def _words(value: Any) -> str:
    """A value of an info as a person writes it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items())
    return " and ".join(map(_words, value)) if isinstance(value, list) else str(value)


def _cut(text: str, most: int = SHOWN_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[:most]} [... {len(text) - most} more characters]"


def _turn(action: str, reward: float, answer: str, details: Any) -> ShownTurn:
    """A turn with what an agent told about it: ``logprobs`` (pairs of token and log-probability), ``value``,
    ``action_value``, ``alternatives`` (pairs of action and value), ``raw``."""
    details = details if isinstance(details, Mapping) else {}
    tokens = []
    for entry in _list(details.get("token_logprobs") or details.get("logprobs"))[:200]:
        if isinstance(entry, Mapping):
            entry = (entry.get("token"), entry.get("logprob"))
        if isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[1], int | float):
            tokens.append(Token(str(entry[0]), math.exp(min(0.0, float(entry[1])))))
    pairs = [
        entry
        for entry in _list(details.get("alternatives"))[:SHOWN_WAYS]
        if isinstance(entry, list) and len(entry) == 2
    ]
    ways = [
        Way(_cut(str(text), 80), number, str(text) == action)
        for text, told in pairs
        if (number := _number(told)) is not None
    ]
    raw = next((details[key] for key in ("raw", "reply", "text") if isinstance(details.get(key), str)), "")
    return ShownTurn(
        action=_cut(action),
        reward=float(reward),
        answer=_cut(answer),
        tokens=tuple(tokens),
        value=_number(details.get("value")),
        action_value=_number(details.get("action_value")),
        ways=tuple(ways),
        note=_cut(raw, 600) if raw.strip() != action.strip() else "",
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class _Painter:
    """Makes the pictures of a cell's games, by the task's surface."""

    def __init__(self, played: Played) -> None:
        self.row, self.kwargs = task(played.cell.task.id), played.cell.task.kwargs
        self.env: Any = None

    def __enter__(self) -> _Painter:
        return self

    def __exit__(self, *_: object) -> None:
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
        if type(surface).layout is Surface.layout:
            return {}
        try:
            if self.env is None:
                self.env = gymnasium.make(self.row.id, **self.kwargs).unwrapped
            self.env.reset(seed=record["seed"], options=dict(record.get("options") or {}))
            return surface.layout(self.env)
        except (gymnasium.error.Error, ValueError, RuntimeError):
            return {}  # a package that is missing
