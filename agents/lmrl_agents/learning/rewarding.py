"""Online training by another reward than the task's own, and the record of both."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmrl_agents.learning.run import TrainingRun
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
    """What a run learns from in place of the task's own reward, and the games with both.

    Args:
        session: the loop.
        size: games a round; a resumed run forgets those of rounds that are still to be played.
    """

    def __init__(self, session: Session, size: int) -> None:
        self.session, self.run = session, session.run
        self._lines: JsonLines | None = None
        if rank() == 0:
            self._lines = JsonLines(Path(session.run.out) / GAMES)
            kept = self._lines.read(dict[str, Any]) if session.done else []
            self._lines.rewrite(json.dumps(game) for game in kept if game["episode"] < session.done * size)

    @staticmethod
    def of(session: Session, size: int) -> Rewarding | None:
        """Of a run with so many games a round; None where the task's own reward is learned from."""
        return None if session.run.reward == TASK else OtherReward(load_reward(session.run.reward), session, size)

    def give(self, games: Sequence[Played]) -> Sequence[Sequence[float]]:
        """What is learned from, one number for each action of each game of the round under way (``session.done``)."""
        raise NotImplementedError

    def apply(self, games: Sequence[Played], episodes: Mapping[int, TokenEpisode]) -> None:
        """Put what is given in the place of the task's own reward, which is kept beside it and in the record.

        Args:
            games: that were played.
            episodes: the same by number, as ids.

        Raises:
            RewardError: the reward failed.
        """
        given = self.give(games)
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


class OtherReward(Rewarding):
    """Another reward, which sees no gold."""

    def __init__(self, reward: Reward, session: Session, size: int) -> None:
        super().__init__(session, size)
        self.reward = reward

    def give(self, games: Sequence[Played]) -> Sequence[Sequence[float]]:
        """See `Rewarding.give`."""
        return scored(self.reward, self.run.reward, [blind(played, self.run) for played in games])


def blind(played: Played, run: TrainingRun) -> Trajectory:
    """A game as a reward reads it."""
    return Trajectory.of(run.env_id, played.transcript, played.terminated, played.truncated, run.env_kwargs)
