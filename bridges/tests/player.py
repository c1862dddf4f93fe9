"""A player for the tests of bridges: a function of the conversation alone, so that it plays alike wherever it is asked."""

from __future__ import annotations

from collections.abc import Sequence

import lmrl_envs
from lmrl_envs import Transcript


def action(env_id: str, transcript: Transcript, name: str = "expert", **kwargs: object) -> str:
    """What a policy does that has seen this conversation from its beginning."""
    policy, said = lmrl_envs.make_policy(env_id, name, seed=0, **kwargs), ""
    for turn in range(0, len(transcript), 2):
        said = policy.act(Transcript(transcript[: turn + 1])) or ""
    return said


class Expert:
    """The same as an agent of this suite."""

    def act(self, requests: Sequence[object]) -> list[str]:
        return [action(request.env_id, request.transcript) for request in requests]  # type: ignore[attr-defined]


def chat(messages: Sequence[tuple[str, str]]) -> Transcript:
    """A chat of (role, text) as a transcript; rewards are not told in chats."""
    texts = [text for role, text in messages if role != "system"]
    return Transcript.from_texts(texts, [0.0] * (len(texts) // 2))
