"""What the fuzzer knows of the tasks beside the contract: arguments worth trying, rewards, limits.

A task that is not here (a plug-in's) is played with its default arguments and held to its row of the table alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lmrl_envs import task

Range = tuple[float, float]


@dataclass(frozen=True)
class Rules:
    """Of one task with certain arguments."""

    returns: Range
    """Least and greatest return, of a whole game and of any beginning of one."""
    limit: int | None = None
    """Most actions of a game."""
    cut: bool = False
    """Whether the limit is a cap on length (truncated) and no rule of the game (terminated)."""
    rewards: frozenset[float] | None = None
    """All rewards there are; None: any number that fits the returns."""
    only_at_end: bool = False
    """Rewards before the end are 0."""


@dataclass(frozen=True)
class Variant:
    """Arguments of a task, and how often they are played."""

    kwargs: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0


_FAMILY: dict[str, Rules] = {
    "maze": Rules((-400.0, 0.0), 100, cut=True, rewards=frozenset({0.0, -1.0, -4.0})),
    "text_nav": Rules((0.0, 1.0), 50, cut=True, rewards=frozenset({0.0, 1.0})),
    "wordle": Rules((-6.0, 0.0), 6, rewards=frozenset({0.0, -1.0})),
    "wordle_full": Rules((-6.0, 0.0), 6, rewards=frozenset({0.0, -1.0})),
    "chess": Rules((-400.0, 1.0), 400, cut=True, rewards=frozenset({0.0, 1.0, -1.0})),
    "chess_endgames": Rules((-400.0, 1.0), 400, cut=True, rewards=frozenset({0.0, 1.0, -1.0})),
    "twenty_questions": Rules((-20.0, 0.0), 20, rewards=frozenset({0.0, -1.0})),
    "guess_my_city": Rules((-20.0, 0.0), 20, rewards=frozenset({0.0, -1.0})),
    "car_dealer": Rules((-9.0, 1.0), 25, only_at_end=True),
}

_DEFAULT = Variant(weight=4.0)
_MAZE = (_DEFAULT, *(Variant({"layout": name}) for name in ("umaze", "medium", "large", "random:3x4")))
_WORDLE = (_DEFAULT, Variant({"feedback": "paired"}), Variant({"duplicates": "independent"}))
_CHESS = (
    Variant({"simulator": "random"}, 6.0),
    Variant({"simulator": "random", "spaced": False, "legal_moves": True, "max_moves": 12}, 2.0),
    Variant({"strength": 0}, 1.0),
    Variant({}, 0.5),
)
_VARIANTS: dict[str, tuple[Variant, ...]] = {
    "maze": (*_MAZE, Variant({"max_moves": 3})),
    "text_nav": (_DEFAULT, Variant({"max_moves": 7}), Variant({"layout": "random:5"}, 0.2)),
    "wordle": (*_WORDLE, Variant({"vocabulary": ["crane", "crank", "eerie", "mamma"]})),
    "wordle_full": _WORDLE,
    "chess": _CHESS,
    "chess_endgames": (*_CHESS, Variant({"simulator": "random", "positions": "evaluation"}, 2.0)),
    "twenty_questions": (_DEFAULT, Variant({"split": "test"})),
    "guess_my_city": (_DEFAULT, Variant({"split": "test", "reveal_country": True})),
    "car_dealer": (_DEFAULT, Variant({"reward": "revenue"})),
}
_STOCKFISH = Variant({"simulator": "stockfish", "nodes": 20, "pool_size": 1, "max_moves": 8}, 0.05)


def variants(id: str, engine: bool = False) -> tuple[Variant, ...]:
    """Arguments to play a task with; with ``engine`` Stockfish too, seldom."""
    row = task(id)
    found = _VARIANTS.get(row.family, (_DEFAULT,))
    return (*found, _STOCKFISH) if engine and "stockfish" in row.partners else found


def rules_of(id: str, kwargs: dict[str, Any]) -> Rules:
    """What a game with these arguments must keep to."""
    row = task(id)
    found = _FAMILY.get(row.family, Rules(row.return_range))
    low, high = row.return_range
    if kwargs.get("reward") == "revenue":
        low, high = 0.0, 100.0
    limit = kwargs.get("max_moves", found.limit)
    return Rules((low, high), limit, found.cut, found.rewards, found.only_at_end)
