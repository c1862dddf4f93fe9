"""Episodes as action tokens in order: what value methods and policy gradients learn from.

A step is one action token. Its state is a place in a row of tokens: everything before the token. Rows are kept once, so
that a batch runs the network over each distinct row once, however many of its steps start from it; this changes neither
loss nor gradient. The successor of a step may stand in another row (tasks that show the last observation only have a row
per action), and after an episode that was cut off it is the state that the next action would have been taken in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from lmrl_agents.models.tokens import Ids, TextFormat, TokenEpisode, join

NONE = -1
"""Row of a successor that does not exist: the episode terminated."""


class ActionTree:
    """The actions of a dataset, token by token. Where only one token ever follows, nothing is decided.

    The end token after a complete move, say, is no decision. Value methods leave such tokens out: their backups become
    shorter by them, and the values of the tokens that decide stay what they are.
    """

    def __init__(self, actions: Iterable[Ids]) -> None:
        self._next: dict[Ids, set[int]] = {}
        for action in set(actions):
            for i, token in enumerate(action):
                self._next.setdefault(action[:i], set()).add(token)

    def decisions(self, action: Ids) -> list[int]:
        """Positions of an action's tokens at which the data knows more than one way on."""
        return [i for i in range(len(action)) if len(self._next.get(action[:i], ())) != 1]


@dataclass
class StepBatch:
    """Steps with the distinct rows and states that they need.

    R rows, T tokens, S states, N steps.
    """

    tokens: torch.Tensor
    """int64 [R, T], padded on the right."""
    length: torch.Tensor
    """int64 [R]"""
    state_row: torch.Tensor
    """int64 [S]"""
    state_column: torch.Tensor
    """int64 [S]: the last token of the state."""
    state: torch.Tensor
    """int64 [N], among the states."""
    token: torch.Tensor
    """int64 [N]: the action token."""
    next_state: torch.Tensor
    """int64 [N], 0 where there is none."""
    goes_on: torch.Tensor
    """float32 [N]: 0 where the episode terminated with this step, else 1."""
    reward: torch.Tensor
    """float32 [N]"""
    weight: torch.Tensor
    """float32 [N]: how many equal steps a step stands for."""

    @property
    def attention_mask(self) -> torch.Tensor:
        """bool [R, T]"""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device)[None, :] < self.length[:, None]

    def to(self, device: torch.device | str) -> StepBatch:
        """The batch on another device."""
        return StepBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class Trajectories:
    """Steps of many episodes, one after the other.

    Args:
        episodes: episodes with at least one action.
        form: layout of the rows.
        pad: id of padding.
        tree: leave out tokens that decide nothing; their rewards go to the token before.
    """

    def __init__(
        self, episodes: Iterable[TokenEpisode], form: TextFormat, pad: int, tree: ActionTree | None = None
    ) -> None:
        self.pad, self.form, self.tree = pad, form, tree
        self.rows: list[np.ndarray] = []
        self._index: dict[bytes, int] = {}
        self._steps: list[tuple[int, int, int, float, float, int, int]] = []
        self._last: list[bool] = []
        self._ends: list[tuple[int, int]] = []
        groups: list[int] = []
        for number, episode in enumerate(episodes):
            groups += self._add(episode, number)
        if not self._steps:
            raise ValueError("there are no actions to learn from")
        columns = list(zip(*self._steps, strict=True))
        self.row = np.array(columns[0], np.int64)
        self.column = np.array(columns[1], np.int64)
        """Of the state: the place before the action token."""
        self.token = np.array(columns[2], np.int64)
        self.reward = np.array(columns[3], np.float64)
        self.logprob = np.array(columns[4], np.float64)
        """Under the policy that sampled the token; 0 for episodes of a dataset."""
        self.episode = np.array(columns[5], np.int64)
        self.turn = np.array(columns[6], np.int64)
        self.last = np.array(self._last)
        self.group_start = np.array([*groups, len(self.row)], np.int64)
        """Steps of one row stand together; a group is drawn as a whole."""
        end_rows = np.array([row for row, _ in self._ends], np.int64)
        end_columns = np.array([column for _, column in self._ends], np.int64)
        self.next_row = np.where(self.last, end_rows[self.episode], np.roll(self.row, -1))
        self.next_column = np.where(self.last, end_columns[self.episode], np.roll(self.column, -1))
        self._number()

    def __len__(self) -> int:
        return len(self.row)

    @property
    def groups(self) -> int:
        """Number of groups of steps."""
        return len(self.group_start) - 1

    def _row(self, tokens: list[int]) -> int:
        array = np.array(tokens, np.int32)
        position = self._index.setdefault(array.tobytes(), len(self.rows))
        if position == len(self.rows):
            self.rows.append(array)
        return position

    def _add(self, episode: TokenEpisode, number: int) -> list[int]:
        """Append an episode's steps; returns where its groups start."""
        groups = []
        decisions = [
            range(len(action)) if self.tree is None else self.tree.decisions(action) for action in episode.actions
        ]
        turns = len(episode.actions)
        final = self.form.segments(episode, turns + 1)[-1] if episode.truncated else None
        end: tuple[int, int] | None = None
        begun = len(self._steps)
        for segment in self.form.segments(episode):
            ids, begins = join(episode, segment.start, segment.last + 1)
            turns_here = zip(range(segment.start, segment.last + 1), begins, strict=True)
            places = [begin + i for k, begin in turns_here if k >= segment.first for i in decisions[k]]
            extended = final is not None and segment.last == turns - 1 and final.start == segment.start
            if extended and self.form.context_turns is None:
                ids += episode.observations[turns]
                stop = len(ids)
            else:
                extended = False
                stop = places[-1] if places else 0
            row = NONE
            if places:
                row = self._row(ids[:stop])
                groups.append(len(self._steps))
            for k, begin in zip(range(segment.start, segment.last + 1), begins, strict=True):
                if k < segment.first:
                    continue
                for i in decisions[k]:
                    reward = episode.rewards[k] if i == decisions[k][-1] else 0.0
                    logprob = episode.logprobs[k][i] if episode.logprobs else 0.0
                    self._steps.append((row, begin + i - 1, episode.actions[k][i], reward, logprob, number, k))
                if not decisions[k] and len(self._steps) > begun:  # nothing was decided: paid with what was before
                    *before, reward, logprob, _, turn = self._steps[-1]
                    self._steps[-1] = (*before, reward + episode.rewards[k], logprob, number, turn)  # type: ignore[assignment]
            if extended and places:
                end = (row, stop - 1)
        if final is not None and end is None:
            context = join(episode, final.start, turns)[0] + list(episode.observations[turns])
            end = (self._row(context), len(context) - 1)
        self._ends.append(end or (NONE, 0))
        added = len(self._steps) - begun
        self._last += [False] * (added - 1) + [True] if added else []
        return groups

    def _number(self) -> None:
        """Number equal steps and equal state-action pairs alike."""
        pairs = np.stack([self.row, self.column, self.token], axis=1)
        _, self.pair = np.unique(pairs, axis=0, return_inverse=True)
        whole = np.stack([self.pair.ravel(), self.next_row, self.next_column, self.reward.view(np.int64)], axis=1)
        _, self.kind = np.unique(whole, axis=0, return_inverse=True)
        self.pair, self.kind = self.pair.ravel(), self.kind.ravel()

    def steps_of(self, groups: np.ndarray) -> np.ndarray:
        """The steps of these groups, in their order."""
        starts, ends = self.group_start[groups], self.group_start[groups + 1]
        sizes = ends - starts
        offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        return np.arange(int(sizes.sum())) + offsets

    def distinct(self, steps: np.ndarray, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Equal steps once: one position for each kind among ``steps``, and how many it stands for.

        Args:
            steps: positions.
            labels: what makes steps equal; default: same state, token, reward and successor.
        """
        _, first, counts = np.unique(
            (self.kind if labels is None else labels)[steps], return_index=True, return_counts=True
        )
        return steps[first], counts.astype(np.float32)

    def batch(self, steps: np.ndarray, weights: np.ndarray | None = None, successors: bool = True) -> StepBatch:
        """These steps with the rows they need.

        Args:
            steps: positions [N].
            weights: float [N]; default 1.
            successors: whether the states after the steps are needed.
        """
        goes_on = self.next_row[steps] != NONE
        rows = [self.row[steps]]
        columns = [self.column[steps]]
        if successors:
            rows.append(self.next_row[steps][goes_on])
            columns.append(self.next_column[steps][goes_on])
        all_rows, all_columns = np.concatenate(rows), np.concatenate(columns)
        used, local = np.unique(all_rows, return_inverse=True)
        size = max(len(self.rows[i]) for i in used)
        states, which = np.unique(local.ravel() * size + all_columns, return_inverse=True)
        which = which.ravel()
        tokens = np.full((len(used), size), self.pad, np.int64)
        for i, row in enumerate(used):
            tokens[i, : len(self.rows[row])] = self.rows[row]
        after = np.zeros(len(steps), np.int64)
        if successors:
            after[goes_on] = which[len(steps) :]
        return StepBatch(
            tokens=torch.from_numpy(tokens),
            length=torch.tensor([len(self.rows[i]) for i in used]),
            state_row=torch.from_numpy(states // size),
            state_column=torch.from_numpy(states % size),
            state=torch.from_numpy(which[: len(steps)].copy()),
            token=torch.from_numpy(self.token[steps]),
            next_state=torch.from_numpy(after),
            goes_on=torch.from_numpy(goes_on.astype(np.float32)),
            reward=torch.from_numpy(self.reward[steps].astype(np.float32)),
            weight=torch.from_numpy(np.ones(len(steps), np.float32) if weights is None else weights.astype(np.float32)),
        )

    def returns(self) -> np.ndarray:
        """Undiscounted return of each episode that has steps, by episode number."""
        return np.bincount(self.episode, self.reward, minlength=len(self._ends))
