"""Whole utterances as what is learned from: each with what was said before it and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from lmrl_agents.models.action_ends import read_at
from lmrl_agents.models.critic import Critic
from lmrl_agents.models.sampling import Generated
from lmrl_agents.models.steps import NONE, StepBatch, StepStore
from lmrl_agents.models.tokens import Ids, TextFormat, TokenEpisode

UTTERANCE_HEADS = ("value", "value2", "after", "after2")
"""V before an utterance and Q after it, twice each."""
CHOICE_HEADS = ("value", "value2", "q1", "q2")
"""Where an utterance is one token that rows do not hold: Q of each."""


@dataclass(frozen=True)
class Turn:
    """An utterance of a game."""

    context: Ids
    """What the policy was given."""
    action: Ids
    """What it said, its end token included unless it was cut."""
    reward: float
    after: Ids | None
    """What it was given next; None where the game terminated."""

    def saying(self, drawn: Generated) -> Turn:
        """The same position with something else said, of which nothing further is known."""
        return replace(self, action=drawn.ids, reward=0.0, after=None)


def turns_of(episode: TokenEpisode, form: TextFormat) -> list[Turn]:
    """The turns of a game. One that was cut off goes on to the position after its last turn."""
    count, contexts = len(episode.actions), list[Ids]()
    for segment in form.segments(episode, count + 1 if episode.truncated else count):
        waits = segment.last == count
        ids, begins = form.join(episode, segment.start, segment.last + (not waits), waits=waits)
        contexts += [tuple(ids[: begins[k - segment.start]]) for k in range(segment.first, segment.last + 1)]
    nexts = [*contexts[1:], None][:count]
    return [Turn(*turn) for turn in zip(contexts, episode.actions, episode.rewards, nexts, strict=False)]


def passes(turns: Sequence[Turn], indices: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, bool]]:
    """These turns in order, in parts of at most ``most`` tokens (0: all at once), and of each whether more follow."""
    sizes = np.array([len(turns[i].context) + len(turns[i].action) for i in indices])
    places, room, part = np.zeros(len(indices), np.int64), most, 0
    for k, size in enumerate(sizes.tolist()):
        if most and size > room and k:
            part, room = part + 1, most
        places[k], room = part, room - size
    yield from ((indices[places == k], k < part) for k in range(part + 1))


def contexts_batch(contexts: Sequence[Ids], pad: int) -> StepBatch:
    """The positions at which these contexts end; one state each."""
    ends = np.array([len(context) - 1 for context in contexts])
    return read_at([np.array(context) for context in contexts], np.arange(len(contexts)), ends, pad)


def utterances_batch(turns: Sequence[Turn], pad: int, choice: bool) -> StepBatch:
    """The positions before all these utterances, then those after them; ``choice``: the former alone, with the tokens."""
    before = np.array([len(turn.context) - 1 for turn in turns])
    if choice:
        batch = contexts_batch([turn.context for turn in turns], pad)
        return replace(batch, token=torch.tensor([turn.action[0] for turn in turns]))
    rows = [np.array(turn.context + turn.action) for turn in turns]
    ends = np.array([len(row) - 1 for row in rows])
    numbers = np.tile(np.arange(len(turns)), 2)
    return read_at(rows, numbers, np.concatenate([before, ends]), pad)


def judged(critic: Critic, batch: StepBatch, count: int, choice: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """V before and Q after ``count`` utterances by both pairs of heads: float [2, count] each."""
    states, heads = critic.states(batch)[batch.state], critic.heads
    before, after = states[:count], states[count:]
    values = torch.stack([heads[name](before)[:, 0] for name in ("value", "value2")])
    if choice:
        return values.float(), torch.stack(critic.values_of(before, batch.token))
    return values.float(), torch.stack([heads[name](after)[:, 0] for name in ("after", "after2")]).float()


def steps_of_turns(turns: Sequence[Turn], drawn: Sequence[Generated], choice: bool, pad: int) -> StepStore:
    """The tokens of utterances that were drawn at these positions, one episode each."""
    rows = [turn.context if choice else turn.context + said.ids[:-1] for turn, said in zip(turns, drawn, strict=True)]
    lengths = np.array([len(said.ids) for said in drawn])
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    numbers = np.repeat(np.arange(len(turns)), lengths).astype(np.int32)
    arrays = {
        "tokens": np.concatenate([np.array(row, np.int32) for row in rows]),
        "row_end": np.cumsum([len(row) for row in rows]),
        "group_end": np.cumsum(lengths),
        "row": numbers,
        "column": np.repeat([len(turn.context) - 1 for turn in turns], lengths) + places,
        "token": np.concatenate([np.array(said.ids, np.int32) for said in drawn]),
        "reward": np.zeros(len(numbers)),
        "logprob": np.concatenate([np.array(said.logprobs) for said in drawn]),
        "turn": np.zeros(len(numbers), np.int32),
        "episode": numbers,
        "end_row": np.full(len(turns), NONE, np.int32),
        "end_column": np.zeros(len(turns), np.int32),
    }
    return StepStore(arrays, pad)
