"""Online training by another reward than the task's own, and the record of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmrl_agents.learning.session import Session
from lmrl_agents.models.distributed import gathered, rank
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_agents.rewards.loading import load_reward
from lmrl_agents.rewards.protocol import TASK, Reward, Trajectory, scored
from lmrl_envs.files import JsonLines

GAMES = "games.jsonl"
"""In a run's folder: every game that was learned from, ``gold`` and ``optimised`` for each action."""


class Rewarding:
    """What a run optimises in place of the task's own reward, and the games with both.

    Args:
        reward: gives the rewards.
        run: its reward's spec, task and folder.
        first: number of the first game that is still to be played; a resumed run forgets the later ones.
    """

    def __init__(self, reward: Reward, session: Session, first: int) -> None:
        self.reward, self.run = reward, session.run
        self._lines: JsonLines | None = None
        if rank() == 0:
            self._lines = JsonLines(Path(session.run.out) / GAMES)
            kept = self._lines.read(dict[str, Any]) if first else []
            self._lines.rewrite(json.dumps(game) for game in kept if game["episode"] < first)

    @classmethod
    def of(cls, session: Session, games: int) -> Rewarding | None:
        """Of a run with so many games a round; None where the task's own reward is learned from."""
        if session.run.reward == TASK:
            return None
        return cls(load_reward(session.run.reward), session, session.done * games)

    def apply(self, games: Sequence[Played], episodes: Mapping[int, TokenEpisode]) -> None:
        """Put the reward in the place of the task's own, which is kept beside it and in the record.

        Args:
            games: that were played.
            episodes: the same by number, as ids.

        Raises:
            RewardError: the reward failed.
        """
        run = self.run
        blind = [
            Trajectory.of(run.env_id, played.transcript, played.terminated, played.truncated, run.env_kwargs)
            for played in games
        ]
        given = scored(self.reward, run.reward, blind)
        lines = []
        for played, rewards in zip(games, given, strict=True):
            episode = episodes[played.episode]
            episode.gold, episode.rewards = episode.rewards, list(rewards)
            transcript = played.transcript
            lines.append(
                json.dumps(
                    {
                        "episode": played.episode,
                        "seed": played.seed,
                        "observations": transcript.observations,
                        "actions": transcript.actions,
                        "gold": episode.gold,
                        "optimised": rewards,
                    }
                )
            )
        lines = gathered(lines)
        if self._lines is not None:
            self._lines.append(lines)
