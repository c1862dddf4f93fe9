"""States of games that come from elsewhere: what every task's holds, and the types of what a task adds."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

KEYS = frozenset({"version", "task", "random", "random_seed", "texts", "rewards", "live", "game"})


def check_envelope(state: Mapping[str, Any], task: str, version: int) -> None:
    """Check what the states of all tasks hold.

    Raises:
        ValueError: it is no state, or of another task or version.
    """
    if not isinstance(state, Mapping) or set(state) != KEYS:
        raise ValueError(f"it must have the keys {', '.join(sorted(KEYS))}")
    if state["task"] != task or state["version"] != version:
        raise ValueError(
            f"it is of {state['task']!r:.80} version {state['version']!r:.80}, not of {task!r} version {version}"
        )
    texts, rewards, live, game = (state[key] for key in ("texts", "rewards", "live", "game"))
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("texts must be a list of str")
    if not isinstance(rewards, list) or not all(type(r) in (int, float) and abs(r) < 1e100 for r in rewards):
        raise ValueError("rewards must be a list of finite numbers")
    if len(texts) != (2 * len(rewards) + 1 if texts else 0) or (rewards and not texts):
        raise ValueError(f"{len(texts)} texts and {len(rewards)} rewards")
    if type(live) is not bool or (live and not texts) or (game is None) != (not texts):
        raise ValueError("live must be a bool, and game be there if the game has begun")
    if state["random_seed"] is not None and type(state["random_seed"]) is not int:
        raise ValueError("random_seed must be an int or None")


def check_fields(game: Any, fields: Mapping[str, Any]) -> None:
    """Check that a mapping has these keys, with values of these types (a NamedTuple: a mapping of its fields).

    Raises:
        ValueError: it has not.
    """
    from lmrl_envs.files.untrusted import convert  # not needed to make or play a game

    if not isinstance(game, Mapping) or set(game) != set(fields):
        raise ValueError(f"game must have the fields {', '.join(fields)}")
    for name, kind in fields.items():
        convert(game[name], _schema_of(kind) if hasattr(kind, "_fields") else kind, f"game: {name}")


@cache
def _schema_of(kind: Any) -> Any:
    import msgspec

    return msgspec.defstruct(kind.__name__, list(typing.get_type_hints(kind).items()), forbid_unknown_fields=True)
