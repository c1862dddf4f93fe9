"""Episodes as pandas data frames: a row for each episode, or for each turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from lmrl_envs import Transcript
from lmrl_envs.core import check_choice
from lmrl_envs.files import needs

if TYPE_CHECKING:
    import pandas as pd

    from lmrl_datasets.schema import Episode

By = Literal["episode", "turn"]


def frame(episodes: Iterable[Episode], by: By = "episode") -> pd.DataFrame:
    """Episodes as a data frame.

    Args:
        episodes: in any order, which is kept.
        by: ``episode``: ``episode_id``, ``env_id``, ``seed``, ``policy``, ``return``, ``turns``, ``success``, ``terminated``,
            ``truncated``, ``stopped``. ``turn``: ``episode_id``, ``turn`` (from 0), ``observation`` (that was answered), ``action``,
            ``reward``, ``return_to_go`` (undiscounted, this reward included), ``last``, ``next_observation``.

    Raises:
        ValueError: another ``by``.
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    check_choice("by", by, ("episode", "turn"))
    needs("a data frame", "pandas")
    import pandas as pd

    rows = _episodes(episodes) if by == "episode" else _turns(episodes)
    return pd.DataFrame.from_records(list(rows), columns=EPISODE if by == "episode" else TURN)


EPISODE = [
    "episode_id", "env_id", "seed", "policy", "return", "turns", "success", "terminated", "truncated", "stopped",
]  # fmt: skip
TURN = ["episode_id", "turn", "observation", "action", "reward", "return_to_go", "last", "next_observation"]


def _episodes(episodes: Iterable[Episode]) -> Iterable[tuple[Any, ...]]:
    for e in episodes:
        yield (
            e.episode_id, e.env_id, e.seed, e.policy, e.episode_return, len(e), e.success, e.terminated, e.truncated,
            e.stopped,
        )  # fmt: skip


def _turns(episodes: Iterable[Episode]) -> Iterable[tuple[Any, ...]]:
    for e in episodes:
        left = e.episode_return
        for turn, (action, reward) in enumerate(zip(e.actions, e.rewards, strict=True)):
            last = turn + 1 == len(e)
            yield e.episode_id, turn, e.observations[turn], action, reward, left, last, e.observations[turn + 1]
            left -= reward


def chat_line(episode: Episode, instructions: str) -> dict[str, Any]:
    """An episode as trainers on chats take it (TRL's SFTTrainer as it is): ``messages``, beside what filters ask for."""
    return {
        "messages": episode.transcript.as_messages(instructions),
        "return": episode.episode_return,
        "success": episode.success,
        "env_id": episode.env_id,
        "seed": episode.seed,
        "episode_id": episode.episode_id,
    }


def step_lines(transcript: Transcript, instructions: str) -> Iterable[dict[str, Any]]:
    """A line for each action: ``prompt``, the chat up to it, and ``completion``, the action (TRL's conversational form)."""
    messages = transcript.as_messages(instructions)
    for k, message in enumerate(messages):
        if message["role"] == "assistant":
            yield {"prompt": messages[:k], "completion": [message]}
