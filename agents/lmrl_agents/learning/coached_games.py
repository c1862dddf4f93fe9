"""Games that a person coached (`lmrl serve --coach`): the file's lines, and their feedback credited by its moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lmrl_envs import Transcript
from lmrl_envs.core import iterate_turns
from lmrl_envs.files import JsonLines
from lmrl_envs.files.untrusted import Integer, Number, Refused, Schema

FEEDBACK = "feedback.jsonl"


class CoachedGame(Schema, frozen=True):
    """A line of `FEEDBACK`."""

    game: str
    """Its key; of several lines of a game the last counts."""
    env_id: str
    env_kwargs: dict[str, Any]
    seed: Integer
    agent: str
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    rewards: tuple[Number, ...]
    """The task's own: kept, not learned from."""
    terminated: bool
    shown: tuple[Number, ...]
    """When each action was shown, seconds from the first."""
    signals: tuple[tuple[Number, Integer], ...]
    """Moments and values of the feedback, 1 or -1."""

    @property
    def transcript(self) -> Transcript:
        """The game without what it was paid."""
        return Transcript.from_texts(iterate_turns(self.observations, self.actions), [0.0] * len(self.actions))

    def shares(self, earliest: float, latest: float) -> np.ndarray:
        """Of each signal its shares for the actions, float [signals, actions]: an action is judged from when it is shown until the next is."""
        begins = np.array(self.shown)
        ends = np.append(begins[1:], np.inf)
        found = []
        for at, _ in self.signals:
            overlap = np.minimum(ends, at - earliest) - np.maximum(begins, at - latest)
            found.append(np.maximum(overlap, 0.0) / (latest - earliest))
        return np.array(found).reshape(len(self.signals), len(self.actions))


def load_coached(folder: str, env_id: str) -> list[CoachedGame]:
    """The games of a task, of those that somebody said something of.

    Raises:
        ValueError: the file is damaged, or holds no such game.
    """
    try:
        games: list[CoachedGame] = JsonLines(Path(folder) / FEEDBACK).read(CoachedGame, strict=True)
    except (Refused, OSError) as problem:
        raise ValueError(str(problem)) from None
    own = [g for g in {g.game: g for g in games}.values() if g.env_id == env_id and g.signals]
    for game in own:
        sizes = {len(game.observations) - 1, len(game.actions), len(game.shown), len(game.rewards)}
        if len(sizes) != 1 or any(value not in (1, -1) for _, value in game.signals):
            raise ValueError(
                f"{folder}: a coached game has parts of different lengths, or feedback that is neither 1 nor -1"
            )
    if not own:
        raise ValueError(f"{folder} holds no game of {env_id} that somebody gave feedback on (lmrl serve --coach)")
    return own
