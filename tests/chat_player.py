"""A chat-completion server that plays: behind a real HTTP endpoint a task's policy reads the chat and answers it."""

from __future__ import annotations

import json
from collections.abc import Callable

from faulty_server import FaultyServer

from lmrl_agents.prompting.prompts import without_examples
from lmrl_envs import Transcript, make_policy

STYLES: dict[str, Callable[[str], str]] = {
    "bare": lambda action: action,
    "thoughtful": lambda action: (
        f"<think>move up? crane? Is it a dog? e4?</think>\nI have thought.\n\n**Answer:** {action}"
    ),
    "json": lambda action: "```json\n" + json.dumps({"reason": "it seems best", "answer": action}) + "\n```",
}


def player(env_id: str, policy: str = "expert", style: str = "bare") -> Callable[[list[dict[str, str]]], str]:
    """The answer of a policy to a chat, as a model would word it."""

    def answer(messages: list[dict[str, str]]) -> str:
        texts = [m["content"].removeprefix("Answer: ") for m in messages if m["role"] != "system"]
        actor = make_policy(env_id, policy, seed=0)
        action = ""
        for end in range(1, len(texts) + 1, 2):
            action = actor.act(Transcript.from_texts(texts[:end], [0.0] * (end // 2))) or ""
        return STYLES[style](action)

    return answer


def playing(env_id: str, style: str = "bare", **options) -> FaultyServer:
    """A server that plays a task well."""
    return FaultyServer(answer=player(env_id, style=style), **options)


def any_player(env_ids: dict[str, dict]) -> Callable[[list[dict[str, str]]], str]:
    """Plays several tasks (id -> arguments), and knows by the instructions which."""
    import gymnasium

    instructions = {id: gymnasium.make(id, **kwargs).unwrapped.instructions for id, kwargs in env_ids.items()}

    def answer(messages: list[dict[str, str]]) -> str:
        env_id = next(id for id, text in instructions.items() if messages[0]["content"].startswith(text))
        return player(env_id)(without_examples(messages))

    return answer
