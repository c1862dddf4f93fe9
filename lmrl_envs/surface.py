"""What is known of a task outside the game itself: how it looks, is worded, is limited, is attacked and is scored.

A task's own stands in its folder (``surface.py``, named by its row); everything here is a plain default, so that a task
without a surface is played, shown and scored all the same. Floors above ask for a thing by the task's row, never by its name.
Nothing here is imported to make or play a game.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmrl_envs.core import Transcript

Picture = dict[str, Any]
"""A drawing as JSON-able values. ``kind`` says what draws it (``grid``, ``tiles``, ``board``, ``list``), whatever the task."""


@dataclass(frozen=True)
class Invariants:
    """What holds in every game of a task, whatever is played in it."""

    rewards: frozenset[float] | None = None
    """All rewards there are; None: any that fit the returns."""
    returns: tuple[float, float] | None = None
    """Least and greatest return of a game, and of any beginning of one; None: the row's ``return_range``."""
    only_at_end: bool = False
    """Whether every reward before the end is 0."""
    truncates: bool = True
    """Whether the limit of actions is a cap (truncated), not a rule of the game (terminated)."""
    hidden: tuple[str, ...] | None = None
    """Keys of the last ``info`` whose texts must not show before the end; None: all that are texts."""


class Surface:
    """The plain defaults; a task overrides what it knows better."""

    # -- how it looks: terminal, report and page draw the same picture

    def picture(self, transcript: Transcript, ended: Mapping[str, Any] | None = None) -> Picture | None:
        """The drawing of a game; None for a conversation, whose texts are all there is.

        Args:
            transcript: the conversation so far: a picture knows no more than an agent.
            ended: None while the game runs, then the last ``info``.
        """
        return None

    def doubt(self, transcript: Transcript, action: str, env: Any) -> str | None:
        """Why an action would be wasted, told before it is played; None for one that is in order.

        Says only what anybody can check from the conversation and what is public of the environment.
        """
        return None

    def turn_limit(self, env: Any) -> int | None:
        """Most actions of a game, where the task has a limit; ``env`` is unwrapped."""
        return getattr(env, "max_moves", None)

    # -- what is tried on it, and what must hold then (lmrl_envs.contract, tests/fuzz)

    variants: Sequence[Mapping[str, Any]] = ()
    """Arguments of the environment worth checking beside the defaults."""

    def invariants(self, kwargs: Mapping[str, Any]) -> Invariants:
        """What holds in every game of an environment made with ``kwargs``."""
        return Invariants()

    def breach(self, ended: Mapping[str, Any]) -> str | None:
        """What the last ``info`` of a game breaks of the task's own rules, in a line; None if nothing."""
        return None


PLAIN = Surface()
