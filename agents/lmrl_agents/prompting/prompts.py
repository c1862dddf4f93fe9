"""The chat in which a language model plays: instructions, examples of good games, the conversation so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lmrl_agents.playing.protocol import AgentError, Request
from lmrl_datasets import Dataset, DatasetError, Episode, load_dataset
from lmrl_datasets.schema import UnknownDataset
from lmrl_envs import Transcript, task
from lmrl_envs.partners.backend import Messages
from lmrl_envs.partners.prompting import encodable

PROMPT_VERSION = 1
"""Raised when equal arguments come to word another prompt, or another reading of answers."""
GOOD_SHARE = 0.5
NEW_GAME = "--- A new game begins. ---"


def reasoning_note(tokens: int) -> str:
    """What is added to the instructions when the model may think aloud."""
    return (
        f"Before you answer, think about the situation in at most {max(10, tokens * 2 // 3)} words. Then give your answer "
        'on a line of its own, after "Answer:". What is said above about the form of an answer holds for what follows '
        '"Answer:"; only that is read.'
    )


def messages_of(
    request: Request, examples: Sequence[Transcript] = (), reasoning: int = 0, history: int | None = None
) -> Messages:
    """The chat for a request: system, then user (the environment) and assistant (the agent) strictly in turn.

    Args:
        request: what is asked.
        examples: games that come before, as chats.
        reasoning: tokens that the model may think aloud before it answers; 0: it is to answer at once.
        history: latest actions that are shown, the opening text always; None for all.
    """
    system = request.instructions
    if reasoning:
        system = f"{system}\n\n{reasoning_note(reasoning)}".strip()
    messages = [{"role": "system", "content": system}] if system else []
    for game in (*examples, _shortened(request.transcript, history)):
        for message in game.as_messages():
            if message["role"] == "assistant" and reasoning:
                message["content"] = f"Answer: {message['content']}"
            if message["role"] == "user" and messages and messages[-1]["role"] == "user":
                message["content"] = f"{messages.pop()['content']}\n\n{NEW_GAME}\n\n{message['content']}"
            messages.append(message)
    return encodable(messages)


def _shortened(transcript: Transcript, history: int | None) -> Transcript:
    left_out = len(transcript) // 2 - history if history is not None else 0
    if left_out <= 0:
        return transcript
    opening = transcript[0]
    note = f"[{left_out} earlier {'turn is' if left_out == 1 else 'turns are'} left out here]"
    if history == 0:  # the opening and the latest text, as one message
        return Transcript((opening._replace(text=f"{opening.text}\n\n{note}\n\n{transcript[-1].text}"),))
    kept = transcript[1 + 2 * left_out :]
    return Transcript((opening._replace(text=f"{opening.text}\n\n{note}"), *kept))


def without_examples(messages: Messages) -> Messages:
    """The chat of `messages_of` without the games that come before."""
    for k in range(len(messages) - 1, -1, -1):
        before, mark, opening = messages[k]["content"].rpartition(f"{NEW_GAME}\n\n")
        if messages[k]["role"] == "user" and mark and before:
            system = [message for message in messages[:1] if message["role"] == "system"]
            return [*system, {"role": "user", "content": opening}, *messages[k + 1 :]]
    return messages


def fitting(messages: Messages, fits: Callable[[Messages], bool]) -> Messages:
    """The chat, or where it is too long without its examples, then without the oldest exchanges after the opening."""
    if fits(messages):
        return messages
    messages = without_examples(messages)
    first = 2 if messages[0]["role"] == "system" else 1
    low, high = 0, (len(messages) - first) // 2  # exchanges to leave out
    while low < high:
        middle = (low + high) // 2
        if fits([*messages[:first], *messages[first + 2 * middle :]]):
            high = middle
        else:
            low = middle + 1
    return [*messages[:first], *messages[first + 2 * low :]]


def good_games(
    env_id: str, env_kwargs: Mapping[str, Any], count: int, data: str | None = None, seed: int = 0
) -> list[Transcript]:
    """Examples: whole games out of a dataset, drawn from the better half of its successful ones. Datasets have seeds of their own, so no game that is evaluated is among them.

    Args:
        env_id: the task that is going to be played; observations are worded as it words them.
        env_kwargs: its arguments.
        count: how many.
        data: name or folder of the dataset; the task's ``mixed`` by default. Where it was not generated, the sample that
            ships with the package is taken.
        seed: of the choice.

    Raises:
        AgentError: no such dataset, one of another family of tasks, or too few successful games in it.
    """
    name = data or f"{task(env_id).family}/mixed-v{task(env_id).id.rpartition('-v')[2]}"
    try:
        try:
            found = load_dataset(name, split="train")
        except UnknownDataset:
            found = load_dataset(name, split="train", sample=True)
        if task(found.env_id).family != task(env_id).family:
            raise AgentError(f"few_shot: {name} holds games of {found.env_id}; {env_id} is another family of tasks")
        wins = np.flatnonzero(found.success)
        if len(wins) < count:
            raise AgentError(f"few_shot={count}: {name} has only {len(wins)} successful games")
        order = sorted(wins.tolist(), key=lambda i: -found.returns[i])
        best = order[: max(count, int(len(order) * GOOD_SHARE))]
        chosen = np.random.default_rng(seed).choice(len(best), size=count, replace=False)
        return [episode.transcript for episode in _worded(found, [best[i] for i in chosen], env_id, env_kwargs)]
    except DatasetError as problem:
        raise AgentError(f"few_shot: {problem}") from problem


def _worded(data: Dataset, rows: list[int], env_id: str, env_kwargs: Mapping[str, Any]) -> list[Episode]:
    """The games as the task words them; arguments that make another game of it (another word list, say) are left out."""
    chosen = data.take(np.array(rows, np.int64))
    games, arguments = chosen.reword(env_id).fetch(range(len(rows))), {}
    for key, value in env_kwargs.items():
        if key in task(env_id).surface.partner_arguments:
            continue
        try:
            games = chosen.reword(env_id, **arguments, **{key: value}).fetch(range(len(rows)))
        except (DatasetError, TypeError, ValueError):
            continue  # the recorded moves do not fit that game
        arguments[key] = value
    return games
