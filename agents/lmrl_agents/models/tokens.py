"""Transcripts to tokens: episodes as ids, the rows a model sees, and batches of them.

A conversation is written as ``<obs> text <act> action <eoa> <obs> text ...``. ``<eoa>`` ends an action and is part of
it: the model learns when to stop. Sampled ids are kept as they are and never encoded again from text.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_envs import Transcript, task
from lmrl_envs.surface import PLAIN, View

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """A stretch of an episode that is read as one row: the conversation from turn ``start`` on, of which the actions of the
    turns ``first`` to ``last`` are the agent's to choose; the turns before ``first`` are context."""

    start: int
    first: int
    last: int


@dataclass
class TokenEpisode:
    """An episode as ids. Sampled actions keep the ids they were sampled as."""

    observations: list[Ids] = field(default_factory=list)
    """Each ``<obs> text <act>``; a finished episode has one more observation than actions."""
    actions: list[Ids] = field(default_factory=list)
    """Each ``text <eoa>``; without ``<eoa>`` when it was cut."""
    rewards: list[float] = field(default_factory=list)
    """One per action."""
    logprobs: list[tuple[float, ...]] = field(default_factory=list)
    """Of each action's ids under the policy that sampled them; empty for episodes of a dataset."""
    terminated: bool = False
    truncated: bool = False
    group: int = 0
    """Episodes of one group started from the same seed."""

    @classmethod
    def from_transcript(
        cls, transcript: Transcript, terminated: bool, truncated: bool, tokenizer: TaskTokenizer, form: TextFormat
    ) -> TokenEpisode:
        """Encode the texts of an episode."""
        texts = form.reading.texts(transcript)
        return cls(
            [form.observation(text, tokenizer) for text in texts[::2]],
            [form.action(text, tokenizer) for text in texts[1::2]],
            list(transcript.rewards),
            [],
            terminated,
            truncated,
        )


@dataclass(frozen=True)
class TextFormat:
    """How a task's conversation becomes tokens; saved with the model."""

    view: str = "plain"
    """How conversations are read: a name among the task's `lmrl_envs.surface.Surface.views`."""
    context_turns: int | None = None
    """How many of the latest observations are shown (1: the last alone); None shows the whole conversation."""
    max_tokens: int = 512
    """Longest row. A longer conversation is read in several rows that overlap by up to half of it."""
    max_action_tokens: int = 64
    """Longest action; it is cut there."""
    env_id: str = ""
    """The task whose view it is; "plain" is every task's."""

    def __post_init__(self) -> None:
        if self.max_tokens < 2 * self.max_action_tokens:
            raise ValueError(
                f"max_tokens={self.max_tokens} leaves no room for observations beside actions of up to "
                f"max_action_tokens={self.max_action_tokens}; it must be at least twice as many"
            )

    @cached_property
    def reading(self) -> View:
        """The view of that name.

        Raises:
            ValueError: the task has no such view.
        """
        views = (task(self.env_id).surface if self.env_id and self.view != "plain" else PLAIN).views
        if self.view not in views:
            raise ValueError(f"{self.env_id or 'no task'} has no view {self.view!r}; there are {', '.join(views)}")
        return views[self.view]

    def observation(self, text: str, tokenizer: TaskTokenizer) -> Ids:
        """Ids of an observation; of a very long one, the end."""
        ids = tokenizer.encode(text)
        return (tokenizer.obs, *ids[-(self.max_tokens - self.max_action_tokens - 2) :], tokenizer.act)

    def last_observation(self, transcript: Transcript, tokenizer: TaskTokenizer) -> Ids:
        """Ids of the observation that an unfinished episode waits with."""
        return self.observation(self.reading.texts(transcript)[-1], tokenizer)

    def env_action(self, text: str, transcript: Transcript) -> str:
        """The action for the environment when the model answers a conversation with ``text``."""
        return self.reading.action(text, transcript)

    def action(self, text: str, tokenizer: TaskTokenizer) -> Ids:
        """Ids of an action with its end token."""
        return (*tokenizer.encode(text), tokenizer.eoa)[: self.max_action_tokens]

    def segments(self, episode: TokenEpisode, turns: int | None = None) -> list[Segment]:
        """The rows that the actions of the first ``turns`` turns are read from (default: as many as were taken).

        An action's row depends on what was said before it alone, so that a model in play sees what it was trained on.
        """
        turns = len(episode.actions) if turns is None else turns
        actions = episode.actions
        lengths = [len(a) + len(b) for a, b in zip(episode.observations, actions, strict=False)]
        needs = [len(observation) + self.max_action_tokens for observation in episode.observations[:turns]]

        def earliest(turn: int, limit: int, room: int) -> int:
            k, size = turn, needs[turn]
            while k > limit and size + lengths[k - 1] <= room:
                k -= 1
                size += lengths[k]
            return k

        if self.context_turns is not None:
            starts = [earliest(k, max(0, k - self.context_turns + 1), self.max_tokens) for k in range(turns)]
            return [Segment(start, k, k) for k, start in enumerate(starts)]
        found: list[Segment] = []
        start, first, size = 0, 0, 0
        for k in range(turns):
            if k > first and size + needs[k] > self.max_tokens:
                found.append(Segment(start, first, k - 1))
                start, first = earliest(k, 0, self.max_tokens // 2), k
                size = sum(lengths[start:k])
            size += lengths[k] if k < len(lengths) else 0
        if turns:
            found.append(Segment(start, first, turns - 1))
        return found

    def context(self, episode: TokenEpisode) -> list[int]:
        """Ids that a model is given before it takes the next action of an unfinished episode."""
        turn = len(episode.actions)
        segment = self.segments(episode, turn + 1)[-1]
        return join(episode, segment.start, turn)[0] + list(episode.observations[turn])


def join(episode: TokenEpisode, start: int, stop: int) -> tuple[list[int], list[int]]:
    """Ids of the turns ``start`` to ``stop - 1``, and where each turn's action begins among them."""
    ids: list[int] = []
    begins = []
    for k in range(start, stop):
        ids += episode.observations[k]
        begins.append(len(ids))
        ids += episode.actions[k]
    return ids, begins


@dataclass(frozen=True)
class Row:
    """One training row: tokens, which of them the agent is to learn, and the turn each belongs to."""

    tokens: np.ndarray
    """int32 [T]"""
    action_mask: np.ndarray
    """bool [T]: tokens produced by the agent, <eoa> included."""
    rewards: np.ndarray
    """float32 [T]: on the last token of each action."""
    turn: np.ndarray
    """int32 [T]: agent turn that a token belongs to (the observation before it included)."""
    terminated: bool
    """The episode's own end is in this row; a row with neither flag goes on in another row."""
    truncated: bool


def episode_rows(episode: TokenEpisode, form: TextFormat, turns: Container[int] | None = None) -> list[Row]:
    """The rows of an episode: one when the whole conversation is shown and fits, else several with their contexts.

    Args:
        episode: the episode.
        form: its layout.
        turns: the turns whose actions are learned; None for all.
    """
    rows = []
    segments = form.segments(episode)
    for segment in segments:
        ids, begins = join(episode, segment.start, segment.last + 1)
        tokens = np.array(ids, np.int32)
        mask = np.zeros(len(ids), bool)
        rewards = np.zeros(len(ids), np.float32)
        turn = np.zeros(len(ids), np.int32)
        end = 0
        for k, begin in zip(range(segment.start, segment.last + 1), begins, strict=True):
            stop = begin + len(episode.actions[k])
            turn[end:stop] = k
            end = stop
            if k >= segment.first and (turns is None or k in turns):
                mask[begin:stop] = True
                rewards[stop - 1] = episode.rewards[k]
        if mask.any():
            last = segment is segments[-1]
            rows.append(Row(tokens, mask, rewards, turn, episode.terminated and last, episode.truncated and last))
    return rows


@dataclass
class TokenBatch:
    """Rows padded on the right. Shapes are [B, T] or [B]; padding is known from ``length``, never from ids."""

    tokens: torch.Tensor
    """int64 [B, T]"""
    action_mask: torch.Tensor
    """bool [B, T]"""
    rewards: torch.Tensor
    """float32 [B, T]"""
    turn: torch.Tensor
    """int32 [B, T]; -1 on padding"""
    terminated: torch.Tensor
    """bool [B]"""
    truncated: torch.Tensor
    """bool [B]"""
    length: torch.Tensor
    """int64 [B]"""
    weight: torch.Tensor
    """float32 [B]: how many equal rows a row stands for."""
    behaviour_logprobs: torch.Tensor | None = None
    """float32 [B, T] when the rows were sampled by a policy; 0 off actions."""

    @property
    def attention_mask(self) -> torch.Tensor:
        """bool [B, T]"""
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return positions[None, :] < self.length[:, None]

    def to(self, device: torch.device | str) -> TokenBatch:
        """The batch on another device."""
        moved = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in vars(self).items()}
        return TokenBatch(**moved)


def collate(rows: Sequence[Row], weights: Sequence[float], pad: int) -> TokenBatch:
    """Rows to a batch, padded to the longest."""
    size = max(len(row.tokens) for row in rows)

    def pack(name: str, fill: Any, dtype: Any) -> torch.Tensor:
        full = np.full((len(rows), size), fill, dtype)
        for i, row in enumerate(rows):
            values = getattr(row, name)
            full[i, : len(values)] = values
        return torch.from_numpy(full)

    return TokenBatch(
        tokens=pack("tokens", pad, np.int64),
        action_mask=pack("action_mask", False, np.bool_),
        rewards=pack("rewards", 0.0, np.float32),
        turn=pack("turn", -1, np.int32),
        terminated=torch.tensor([row.terminated for row in rows]),
        truncated=torch.tensor([row.truncated for row in rows]),
        length=torch.tensor([len(row.tokens) for row in rows]),
        weight=torch.tensor(weights, dtype=torch.float32),
    )


class RowStore:
    """All rows of a dataset; equal rows are kept once and encoded once per batch (same loss, same gradient)."""

    def __init__(self, rows: Iterable[Row], pad: int) -> None:
        self.pad = pad
        index: dict[bytes, int] = {}
        self.rows: list[Row] = []
        which = []
        for row in rows:
            key = (
                row.tokens.tobytes()
                + row.action_mask.tobytes()
                + row.rewards.tobytes()
                + bytes((row.terminated, row.truncated))
            )
            position = index.setdefault(key, len(self.rows))
            if position == len(self.rows):
                self.rows.append(row)
            which.append(position)
        if not which:
            raise ValueError("there are no rows to train on")
        self.which = np.array(which)

    def __len__(self) -> int:
        return len(self.which)

    def batch(self, indices: np.ndarray) -> TokenBatch:
        """A batch of these rows (positions in dataset order), distinct ones once with their counts as weights."""
        distinct, counts = np.unique(self.which[indices], return_counts=True)
        order = np.argsort([len(self.rows[i].tokens) for i in distinct], kind="stable")
        return collate([self.rows[i] for i in distinct[order]], counts[order].tolist(), self.pad)
