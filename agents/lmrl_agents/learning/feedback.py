"""Feedback of somebody who watches: numbers at moments, and which of the actions before each moment they are credited to.

Time runs in seconds from a game's beginning; an action takes ``step_seconds``. Feedback on an action comes ``delay`` seconds after its end, and
is credited to what was done from ``latest`` to ``earliest`` seconds before it came, in proportion to the time (Knox and Stone, 2009; the window of
.2 to 4 s is Deep TAMER's, Warnell et al., arXiv 1709.10163).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmrl_agents.learning.coached_games import load_coached
from lmrl_agents.learning.online import OnlineConfig, rounds
from lmrl_agents.learning.rewarding import Rewarding
from lmrl_agents.learning.run import ROLLOUT
from lmrl_agents.learning.session import Session
from lmrl_agents.models.tokens import TokenEpisode
from lmrl_agents.playing.rollout import Played
from lmrl_envs import Transcript, make_policy

KINDS = ("action", "task")


@dataclass(frozen=True)
class FeedbackConfig(OnlineConfig):
    """Hyperparameters of what learns from feedback."""

    feedback: str = "action"
    """"action": +1 for what the task's expert would do, -1 for anything else, 0 where he cannot say; "task": what the task pays;
    "person:DIR": a person's, of games that `lmrl serve --coach` kept there: they are learned from in place of fresh ones."""
    wrong: float = 0.0
    """Share of the feedback whose sign is wrong."""
    step_seconds: float = 1.0
    """Time of an action."""
    delay: float = 0.0
    """How late feedback comes, seconds."""
    earliest: float = 0.0
    """Feedback is credited from so long before it, seconds, ..."""
    latest: float = 1.0
    """... back to so long before it: with the default delay, to the action that it follows."""


class Trainer:
    """A scripted trainer.

    Args:
        kind: one of `KINDS`.
        env_id: the task.
        env_kwargs: arguments of its environment.
        wrong: share of wrong signs.
        seed: of these.

    Raises:
        ValueError: no such kind.
    """

    def __init__(
        self, kind: str, env_id: str, env_kwargs: Mapping[str, Any], wrong: float = 0.0, seed: int = 0
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"feedback={kind!r} is not known; choose {' or '.join(KINDS)}")
        self.kind, self.env_id, self.env_kwargs = kind, env_id, dict(env_kwargs)
        self.wrong, self.seed = wrong, seed

    def feedback(self, played: Played) -> list[float]:
        """One number for each action of a game."""
        rng = random.Random(f"{self.seed}/{played.episode}")
        given = list(played.transcript.rewards) if self.kind == "task" else self._judged(played)
        return [-value if rng.random() < self.wrong else value for value in given]

    def _judged(self, played: Played) -> list[float]:
        expert: Any = make_policy(self.env_id, "expert", seed=played.seed, **self.env_kwargs)
        found = []
        for k, action in enumerate(played.transcript.actions):
            before = Transcript(played.transcript[: 2 * k + 1])
            is_best = getattr(expert, "is_best", lambda before, action: expert.act(before) == action)
            best = is_best(before, action)
            found.append(0.0 if best is None else 1.0 if best else -1.0)
        return found


class Coached(Rewarding):
    """A trainer's feedback on each action, as it is learned from: see `credited`."""

    def __init__(self, session: Session, config: FeedbackConfig, size: int) -> None:
        super().__init__(session, size)
        run = session.run
        self.trainer = Trainer(config.feedback, run.env_id, run.env_kwargs, config.wrong, run.seed)

    def give(self, games: Sequence[Played]) -> list[list[float]]:
        """See `Rewarding.give`."""
        return [self.trainer.feedback(played) for played in games]


@dataclass(frozen=True)
class Told:
    """All feedback on one game."""

    values: np.ndarray
    """float [signals]"""
    shares: np.ndarray
    """float [signals, actions]: how much of each is each action's."""

    @property
    def own(self) -> np.ndarray:
        """Feedback that is each action's, float [actions]."""
        return self.values @ self.shares


def told_of(feedback: Sequence[float], config: FeedbackConfig) -> Told:
    """Scripted feedback, one number an action."""
    return Told(np.asarray(feedback, float), credits_of(len(feedback), config))


PERSON = "person:"
Coaches = Iterator[tuple[int, list[tuple[TokenEpisode, Told]]]]


def coached_rounds(session: Session, config: FeedbackConfig) -> Coaches:
    """The rounds that are left, each with its games and what was said of them: fresh ones of the acting policy, or all that a person coached.

    Raises:
        ValueError: the window is empty, there is no such feedback, or none of a person's.
    """
    credits_of(1, config)
    if not config.feedback.startswith(PERSON):
        coached = Coached(session, config, config.episodes)
        for round_, episodes in rounds(session, config, 1, coached):
            yield round_, [(episode, told_of(episode.rewards, config)) for episode in episodes]
        return
    if ROLLOUT in session.run.tables():
        raise ValueError(f"a person's games are played already: there is nothing for {ROLLOUT}.server to play")
    games = load_coached(config.feedback.removeprefix(PERSON), session.run.env_id)
    model, known = session.policy, []
    for game in games:
        episode = TokenEpisode.from_transcript(game.transcript, game.terminated, False, model.tokenizer, model.form)
        values = np.array([value for _, value in game.signals], float)
        known.append((episode, Told(values, game.shares(config.earliest, config.latest))))
    for round_ in session:
        yield round_, known


def credit(actions: int, at: float, config: FeedbackConfig) -> np.ndarray:
    """How much of the feedback at a moment is each action's, float [actions]: shares of the window, which sum to at most 1."""
    begins = np.arange(actions) * config.step_seconds
    low, high = at - config.latest, at - config.earliest
    overlap = np.minimum(begins + config.step_seconds, high) - np.maximum(begins, low)
    return np.maximum(overlap, 0.0) / (config.latest - config.earliest)


def credits_of(actions: int, config: FeedbackConfig) -> np.ndarray:
    """Of the feedback on each action of a game its shares for all actions: float [signals, actions]; what comes after the end of the
    game counts, too."""
    if not config.latest > config.earliest >= 0:
        raise ValueError(f"earliest={config.earliest}, latest={config.latest}: a window is from 0 on, and not empty")
    moments = (np.arange(actions) + 1) * config.step_seconds + config.delay
    return np.array([credit(actions, at, config) for at in moments])
