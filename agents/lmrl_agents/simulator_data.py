"""Episodes of a dataset seen from the partner's side: replayed with the scripted partner listened to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lmrl_agents.simulator_pairs import PartnerEpisode
from lmrl_datasets import Dataset
from lmrl_envs import SimulatedTextEnv, Simulator


class _Listener:
    """Passes requests on and keeps what was asked and answered."""

    def __init__(self, partner: Simulator) -> None:
        self.partner = partner
        self.heard: list[tuple[Any, Any]] = []

    def reply(self, requests: Sequence[Any]) -> list[Any]:
        replies = self.partner.reply(requests)
        self.heard += zip(requests, replies, strict=True)
        return replies

    def close(self) -> None:
        self.partner.close()


def partner_episodes(data: Dataset) -> Iterator[PartnerEpisode]:
    """The partner's side of every episode in which it was asked at all.

    Raises:
        ValueError: the dataset's task has no partner that a language model could play.
    """
    env: Any = data.recover_environment().unwrapped
    if not isinstance(env, SimulatedTextEnv) or env.role is None:
        raise ValueError(f"{data.env_id} has no partner that a language model could play")
    listener = _Listener(env.simulator)
    env.simulator = listener
    for episode in data:
        env.reset(seed=episode.seed, options=dict(episode.options))
        hidden: dict[str, Any] = {}
        states, outcomes = [], []
        for action in episode.actions:
            listener.heard.clear()
            env.step(action)
            asked = listener.heard[-1] if listener.heard else None
            states.append(dict(asked[0].state) if asked else {})
            outcomes.append(dict(asked[1].outcome) if asked else {})
            hidden = dict(asked[0].hidden) if asked else hidden
        if hidden:
            texts = [turn.text for turn in episode.transcript]
            yield PartnerEpisode(hidden, texts, states=states, outcomes=outcomes)
    env.close()
