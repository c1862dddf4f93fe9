"""Games of an agent with what a person said of them while it played: plus and minus, with their moments.

A line a game in ``feedback.jsonl``, another where more was said after its end; a kill loses the games under way. `lmrl_agents.learning.feedback` learns from it
(``--set tamer.feedback=person:DIR``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lmrl_agents.learning.coached_games import FEEDBACK, CoachedGame
from lmrl_datasets.schema import to_json
from lmrl_envs.files import JsonLines

if TYPE_CHECKING:
    from lmrl_benchmarks.serve.game import LiveGame


class Coaching:
    """The journal of a person who coaches.

    Args:
        folder: of the journal; games of earlier days stay in it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = JsonLines(folder / FEEDBACK)
        games: list[CoachedGame] = self._lines.read(CoachedGame)
        if self._lines.damaged:
            self._lines.rewrite(to_json(msgspec.to_builtins(game)) for game in games)

    def add(self, game: LiveGame) -> None:
        """Append a game that is over; of one that was appended before the later line counts."""
        transcript, began = game.env.transcript, game.acted[0]
        line = CoachedGame(
            game=game.key, env_id=game.entry.id, env_kwargs=dict(game.entry.kwargs), seed=game.seed, agent=game.agent_name,
            observations=transcript.observations, actions=transcript.actions, rewards=transcript.rewards,
            terminated=game.terminated, shown=tuple(round(at - began, 3) for at in game.acted),
            signals=tuple((round(at - began, 3), value) for at, value in game.signals),
        )  # fmt: skip
        self._lines.append([to_json(msgspec.to_builtins(line))], sync=True)
