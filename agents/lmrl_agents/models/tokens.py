"""Transcripts to tokens: episodes as ids, and the stretches of them that a model reads as one row.

A conversation is written as ``<obs> text <act> action <eoa> <obs> text ...``. ``<eoa>`` ends an action and is part of
it: the model learns when to stop. Sampled ids are kept as they are and never encoded again from text. With a `ChatLayout` it is
written as the model's own chat template has it instead, and every row begins with the instructions.

Where actions are a choice among the utterances of the data (`TextFormat.choice`), one token each, a row is what was observed and
nothing else: one token a turn, in a view whose observations tell the action that they answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lmrl_agents.models.chat import ChatLayout, ChatRows, observe, past_of, rows_of
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
    """One per action: what is optimised."""
    logprobs: list[tuple[float, ...]] = field(default_factory=list)
    """Of each action's ids under the policy that sampled them; empty for episodes of a dataset."""
    terminated: bool = False
    truncated: bool = False
    group: int = 0
    """Episodes of one group started from the same seed."""
    gold: list[float] | None = None
    """The task's own, one per action, where ``rewards`` are others."""
    chat: ChatRows | None = None
    """What a chat has beside these."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TokenEpisode:
        """The episode of which these are the fields, written as JSON and read again."""
        ids = {key: [tuple(one) for one in values[key]] for key in ("observations", "actions", "logprobs")}
        chat = values.get("chat")
        return cls(**{**values, **ids, "chat": None if chat is None else ChatRows.from_json(chat, cls.from_json)})

    @classmethod
    def from_transcript(
        cls, transcript: Transcript, terminated: bool, truncated: bool, tokenizer: TaskTokenizer, form: TextFormat
    ) -> TokenEpisode:
        """Encode the texts of an episode."""
        episode = form.begin()
        for k, text in enumerate(form.reading.texts(transcript)):
            if k % 2:
                episode.actions.append(form.action(text, tokenizer))
            else:
                form.observe(episode, text, tokenizer)
        episode.rewards, episode.terminated, episode.truncated = list(transcript.rewards), terminated, truncated
        return episode


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
    choice: bool = False
    """Whether an action is one token, chosen among the actions of the data, and rows are observations alone."""
    chat: ChatLayout | None = None
    """The layout of the tokenizer's chat template, where conversations are chats."""
    instructions: str = ""
    """What a chat begins with."""

    def __post_init__(self) -> None:
        if isinstance(self.chat, dict):  # out of a file
            object.__setattr__(self, "chat", ChatLayout(**self.chat))
        if self.max_tokens < 2 * self.max_action_tokens:
            raise ValueError(
                f"max_tokens={self.max_tokens} leaves no room for observations beside actions of up to "
                f"max_action_tokens={self.max_action_tokens}; it must be at least twice as many"
            )
        if self.choice and self.max_action_tokens != 1:
            raise ValueError(f"max_action_tokens={self.max_action_tokens}: a choice among utterances is one token")

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

    @property
    def grows(self) -> bool:
        """Whether a conversation is one row as long as there is room; else there is a row for every action."""
        return self.context_turns is None and not (self.chat is not None and self.chat.rewrites)

    def begin(self, instructions: str = "") -> TokenEpisode:
        """An episode in which nothing was said; ``instructions`` are a chat's, the format's by default."""
        rows = rows_of(self.chat, instructions or self.instructions, TokenEpisode) if self.chat else None
        return TokenEpisode(chat=rows)

    def observe(self, episode: TokenEpisode, text: str, tokenizer: TaskTokenizer) -> None:
        """Append what the environment said; of a very long text, the end."""
        if episode.chat is not None:
            assert tokenizer.chat is not None
            observe(self, episode, text, tokenizer.chat)
            return
        episode.observations.append(self.observation(text, tokenizer))

    def observation(self, text: str, tokenizer: TaskTokenizer) -> Ids:
        """Ids of an observation that is no part of a chat; of a very long one, the end."""
        ids = tokenizer.encode(text)[-(self.max_tokens - self.max_action_tokens - 2) :]
        if self.choice:
            return ids or (tokenizer.obs,)  # an action is predicted from something
        return (tokenizer.obs, *ids, tokenizer.act)

    def action(self, text: str, tokenizer: TaskTokenizer) -> Ids:
        """Ids of an action with its end token.

        Raises:
            ValueError: an action is a choice, and this one is none of the utterances that the tokenizer knows.
        """
        if tokenizer.chat is not None:
            return tokenizer.chat.action(text)[: self.max_action_tokens]
        ids = tokenizer.encode(text)
        if self.choice and len(ids) != 1:
            raise ValueError(f"{text[:80]!r} is none of the utterances that the model chooses from")
        return (*ids, tokenizer.eoa)[: self.max_action_tokens]

    def segments(self, episode: TokenEpisode, turns: int | None = None) -> list[Segment]:
        """The rows that the actions of the first ``turns`` turns are read from (default: as many as were taken).

        An action's row depends on what was said before it alone, so that a model in play sees what it was trained on.
        """
        turns = len(episode.actions) if turns is None else turns
        spare = 0 if episode.chat is None else episode.chat.spare
        told = past_of(episode)
        closing = int(episode.chat is not None)
        lengths = [len(a) + self.shown(b) + closing for a, b in zip(told.observations, told.actions, strict=False)]
        needs = [len(observation) + self.max_action_tokens for observation in episode.observations[:turns]]

        def earliest(turn: int, limit: int, room: int) -> int:
            k, size = turn, needs[turn]
            while k > limit and size + lengths[k - 1] <= room:
                k -= 1
                size += lengths[k]
            return k

        most = self.max_tokens - spare
        if not self.grows:
            shown = turns if self.context_turns is None else self.context_turns
            starts = [earliest(k, max(0, k - shown + 1), most) for k in range(turns)]
            return [Segment(start, k, k) for k, start in enumerate(starts)]
        found: list[Segment] = []
        start, first, size = 0, 0, 0
        for k in range(turns):
            if k > first and size + needs[k] > self.max_tokens:
                found.append(Segment(start, first, k - 1))
                start, first = earliest(k, 0, self.max_tokens // 2 - spare), k
                size = sum(lengths[start:k]) + (spare if start else 0)
            size += lengths[k] if k < len(lengths) else 0
        if turns:
            found.append(Segment(start, first, turns - 1))
        return found

    def context(self, episode: TokenEpisode) -> list[int]:
        """Ids that a model is given before it takes the next action of an unfinished episode."""
        turn = len(episode.actions)
        return self.join(episode, self.segments(episode, turn + 1)[-1].start, turn, waits=True)[0]

    def shown(self, action: Ids) -> int:
        """How many tokens of a row an action takes."""
        return 0 if self.choice else len(action)

    def join(self, episode: TokenEpisode, start: int, stop: int, waits: bool = False) -> tuple[list[int], list[int]]:
        """Ids of the turns ``start`` to ``stop - 1``, and where each turn's action begins among them; ``waits`` adds the observation
        of the turn ``stop``.
        """
        ids: list[int] = []
        begins = []
        chat, told, last = episode.chat, past_of(episode), stop - 1 + waits
        for k in range(start, stop + waits):
            own = episode if k == last else told
            if chat is not None and ids and ids[-1] != chat.end:
                ids.append(chat.end)  # of an action that was cut
            ids += own.chat.openings[k] if own.chat is not None and k == start else own.observations[k]
            begins.append(len(ids))
            if k < stop and not self.choice:
                ids += own.actions[k]
        return ids, begins
