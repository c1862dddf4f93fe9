"""Conversations seen from the partner's side: episodes of a dataset replayed, or games of a policy, with the scripted
partner listened to."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from lmrl_agents.partners.pairs import PartnerEpisode
from lmrl_datasets import Dataset
from lmrl_envs import Partner, PartnerTextEnv, make_policy, task
from lmrl_envs.contract import HOSTILE_ACTIONS
from lmrl_envs.seeding import episode_seed


@dataclass(frozen=True)
class PartnerPreset:
    """What trains a usable partner of a task from scratch in a few minutes on one CPU core."""

    policy: str
    """Whose games are listened to."""
    episodes: int
    """Games."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of `lmrl_agents.partners.training.PartnerTraining`."""


def partner_preset(env_id: str) -> PartnerPreset | None:
    """The ``partner`` table of the task's ``presets.toml``; None for tasks without a partner that a language model could play."""
    row = task(env_id)
    tables = row.toml("presets").get("partner", {})
    found = tables.get(row.id, tables.get(row.family))
    return PartnerPreset(**found) if found else None


class _Listener:
    """Passes requests on and keeps what was asked and answered."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.heard: list[tuple[Any, Any]] = []

    def reply(self, requests: Sequence[Any]) -> list[Any]:
        replies = self.partner.reply(requests)
        self.heard += zip(requests, replies, strict=True)
        return replies

    def close(self) -> None:
        self.partner.close()


class _PartnerRecorder:
    """Notes the partner's side of one game after the other."""

    def __init__(self, env: Any) -> None:
        if not isinstance(env, PartnerTextEnv) or env.partner_prompt is None:
            spec = getattr(env, "spec", None)
            raise ValueError(
                f"{type(env).__name__ if spec is None else spec.id} has no partner that a language model could play"
            )
        self.env = env
        self.listener = _Listener(env.partner)
        env.partner = self.listener
        self._begin()

    def _begin(self) -> None:
        self._hidden: dict[str, Any] = {}
        self._states: list[dict[str, Any]] = []
        self._outcomes: list[dict[str, Any]] = []

    def step(self, action: str) -> bool:
        """Play an action; returns whether the game is over."""
        self.listener.heard.clear()
        _, _, terminated, truncated, _ = self.env.step(action)
        asked = self.listener.heard[-1] if self.listener.heard else None
        self._states.append(dict(asked[0].state) if asked else {})
        self._outcomes.append(dict(asked[1].outcome) if asked else {})
        self._hidden = dict(asked[0].hidden) if asked else self._hidden
        return bool(terminated or truncated)

    def episode(self) -> PartnerEpisode | None:
        """The game so far, if the partner was asked at all; then a new one may begin."""
        heard = None
        if self._hidden:
            texts = [turn.text for turn in self.env.transcript]
            heard = PartnerEpisode(self._hidden, texts, states=self._states, outcomes=self._outcomes)
        self._begin()
        return heard


def _noise(rng: random.Random, action: str) -> str:
    """A hostile text of `lmrl_envs.contract`, letters of anywhere, or the action with its words in any order."""
    kind = rng.random()
    if kind < 0.4:
        return HOSTILE_ACTIONS[int(rng.random() * len(HOSTILE_ACTIONS))][:400]
    if kind < 0.7:
        first = (0x21, 0x430, 0x4E00, 0x1F600)[int(rng.random() * 4)]
        return "".join(chr(first + int(rng.random() * 80)) for _ in range(1 + int(rng.random() * 60)))
    words = action.split()
    rng.shuffle(words)
    return " ".join(words)


def partner_episodes(data: Dataset) -> Iterator[PartnerEpisode]:
    """The partner's side of every episode in which it was asked at all.

    Raises:
        ValueError: the dataset's task has no partner that a language model could play.
    """
    env: Any = data.recover_environment().unwrapped
    recorder = _PartnerRecorder(env)
    for episode in data:
        env.reset(seed=episode.seed, options=dict(episode.options))
        for action in episode.actions:
            recorder.step(action)
        if (heard := recorder.episode()) is not None:
            yield heard
    env.close()


NOISE = 0.04
"""Share of actions that are no sensible text: a partner has to answer those in its format, too."""


def played_episodes(env_id: str, policy: str, episodes: int, seed: int = 0) -> Iterator[PartnerEpisode]:
    """The partner's side of games of one of the task's own policies, with a little `NOISE`.

    Raises:
        ValueError: an unknown policy, or a task without a partner that a language model could play.
    """
    env: Any = gymnasium.make(task(env_id).id).unwrapped
    recorder = _PartnerRecorder(env)
    for k in range(episodes):
        env.reset(seed=episode_seed("train", seed, k))
        player = make_policy(env_id, policy, seed=episode_seed("policy", seed, k))
        rng = random.Random(episode_seed("policy", seed, k))
        over = False
        while not over and (action := player.act(env.transcript)) is not None:
            over = recorder.step(_noise(rng, action) if rng.random() < NOISE else action)
        if (heard := recorder.episode()) is not None:
            yield heard
    env.close()
