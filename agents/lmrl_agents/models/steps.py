"""Episodes as action tokens in order: what cloning, value methods and policy gradients all learn from.

A step is one action token. Its state is a place in a row of tokens: everything before the token. Rows are kept once, so
that a batch runs the network over each distinct row once, however many of its steps start from it; this changes neither
loss nor gradient. The successor of a step may stand in another row (tasks that show the last observation only have a row
per action), and after an episode that was cut off it is the state that the next action would have been taken in.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from lmrl_agents.models.tokens import Ids, TextFormat, TokenEpisode

NONE = -1
"""Row of a successor that does not exist: the episode terminated."""

UNITS = ("decision", "turn", "token")
"""What a discount can be counted in."""

ARRAYS = {
    "tokens": np.int32,  # of all rows, one after the other
    "row_end": np.int64,  # where each row ends among the tokens
    "group_end": np.int64,  # where each group ends among the steps
    "row": np.int32,  # one for each step, as the next six
    "column": np.int32,
    "token": np.int32,
    "reward": np.float64,
    "logprob": np.float64,
    "turn": np.int32,
    "episode": np.int32,
    "end_row": np.int32,  # of each episode: the state after its last step
    "end_column": np.int32,
}
"""What a `StepStore` is made of."""


def decisions(actions: Iterable[Ids]) -> dict[Ids, list[int]]:
    """The positions in each action at which the data knows more than one way on.

    The end token after a complete move, say, is no decision. Value methods leave such tokens out: their backups become
    shorter by them, and the values of the tokens that decide stay what they are.
    """
    ordered = sorted(set(actions))
    found: dict[Ids, set[int]] = {action: set() for action in ordered}
    # Actions that begin alike are neighbours; those on both sides of one show all ways that leave it.
    for order in (ordered, ordered[::-1]):
        left: set[int] = set()
        for before, action in pairwise(order):
            shorter = min(len(before), len(action))
            alike = next((i for i in range(shorter) if before[i] != action[i]), shorter)
            left = {i for i in left if i <= alike} | ({alike} if alike < shorter else set())
            found[action] |= {i for i in left if i < len(action)}
    return {action: sorted(positions) for action, positions in found.items()}


class StepEncoder:
    """Writes episodes as the arrays of a `StepStore`, part by part.

    Args:
        form: layout of the rows.
        deciding: for each action the positions of the tokens that are steps, from `decisions`; None: all are. The reward
            of an action in which nothing is decided goes to the step before.
    """

    def __init__(self, form: TextFormat, deciding: Mapping[Ids, Sequence[int]] | None = None) -> None:
        self.form, self.deciding = form, deciding
        self._rows: dict[bytes, int] = {}
        self._episodes = self._steps = self._tokens = 0
        self._new: dict[str, list] = {name: [] for name in ARRAYS}

    def take(self) -> dict[str, np.ndarray]:
        """What was added since the last call. Such parts, joined array by array, are the whole."""
        part = {name: np.array(values, ARRAYS[name]) for name, values in self._new.items()}
        self._new = {name: [] for name in ARRAYS}
        return part

    def add(self, episode: TokenEpisode) -> None:
        """Append an episode's steps."""
        new, begun, turns = self._new, self._steps, len(episode.actions)
        final = self.form.segments(episode, turns + 1)[-1] if episode.truncated else None
        end: tuple[int, int] | None = None
        for segment in self.form.segments(episode):
            ids, begins = self.form.join(episode, segment.start, segment.last + 1)
            before = self._steps
            for k in range(segment.first, segment.last + 1):
                self._add_action(episode, k, begins[k - segment.start], paid=self._steps > begun)
            if self._steps == before:
                continue
            stop = new["column"][-1] + 1
            goes_on = final is not None and (final.start, turns - 1) == (segment.start, segment.last)
            if goes_on and self.form.grows:
                ids = self.form.join(episode, segment.start, turns, waits=True)[0]
                stop = len(ids)
            row = self._row(ids[:stop])
            if goes_on and self.form.grows:
                end = (row, stop - 1)
            new["row"] += [row] * (self._steps - before)
            new["group_end"].append(self._steps)
        if final is not None and end is None:
            context = self.form.join(episode, final.start, turns, waits=True)[0]
            end = (self._row(context), len(context) - 1)
        end_row, end_column = end or (NONE, 0)
        new["end_row"].append(end_row)
        new["end_column"].append(end_column)
        new["episode"] += [self._episodes] * (self._steps - begun)
        self._episodes += 1

    def _add_action(self, episode: TokenEpisode, turn: int, begin: int, paid: bool) -> None:
        """Append the steps of an action that begins at column ``begin``; ``paid``: there is a step before it."""
        new, action, reward = self._new, episode.actions[turn], episode.rewards[turn]
        places = range(len(action)) if self.deciding is None else self.deciding.get(action, range(len(action)))
        if not places:
            if paid:
                new["reward"][-1] += reward
            return
        new["column"] += [begin + i - 1 for i in places]
        new["token"] += [action[i] for i in places]
        new["reward"] += [0.0] * (len(places) - 1) + [reward]
        new["logprob"] += [episode.logprobs[turn][i] for i in places] if episode.logprobs else [0.0] * len(places)
        new["turn"] += [turn] * len(places)
        self._steps += len(places)

    def _row(self, tokens: Sequence[int]) -> int:
        """The number of a row; one that is new is appended."""
        key = hashlib.blake2b(array("i", tokens).tobytes(), digest_size=16).digest()
        if key not in self._rows:
            self._rows[key] = len(self._rows)
            self._tokens += len(tokens)
            self._new["tokens"] += tokens
            self._new["row_end"].append(self._tokens)
        return self._rows[key]


@dataclass
class StepBatch:
    """Steps with the distinct rows and states that they need.

    R rows, T tokens, S states, N steps.
    """

    tokens: torch.Tensor
    """int64 [R, T], padded on the right."""
    length: torch.Tensor
    """int64 [R]: tokens up to the last state that is asked for."""
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
    time: torch.Tensor
    """float32 [N]: what passes up to the state after a step, in units of the discount, see `StepStore.count_time`."""

    def to(self, device: torch.device | str) -> StepBatch:
        """The batch on another device."""
        return StepBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


class StepStore:
    """Steps of many episodes, one after the other; steps of one row stand together and are a group, drawn as a whole.

    Args:
        arrays: as `ARRAYS` has them, in memory or mapped from a file; ``logprob`` may be left out.
        pad: id of padding.

    Raises:
        ValueError: there are no steps.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], pad: int) -> None:
        if not len(arrays.get("row", ())):
            raise ValueError("there are no actions to learn from")
        self.arrays, self.pad = arrays, pad
        self.tokens, self.row_end = arrays["tokens"], arrays["row_end"]
        self.row, self.column, self.token = arrays["row"], arrays["column"], arrays["token"]
        self.reward, self.turn, self.episode = arrays["reward"], arrays["turn"], arrays["episode"]
        self.logprob = arrays.get("logprob", np.zeros(len(self.row)))
        """Under the policy that sampled the token; 0 for episodes of a dataset."""
        self.last = np.append(self.episode[1:] != self.episode[:-1], True)
        """bool [N]: no step of the same episode follows."""
        self.group_start = np.concatenate([[0], arrays["group_end"]])
        self.cut_off = arrays["end_row"][self.episode] != NONE if "end_row" in arrays else np.zeros(len(self.row), bool)
        """bool [N]: the step's episode was cut off and has a state after its last step."""
        self.time = np.ones(len(self.row))
        """float [N]: what passes between a step and the state after it, in units of the discount."""
        self.pass_tokens, self.dtype = 0, "float32"
        """Most tokens of rows that a network reads at once, see `parts` (0: all); and what it computes in, `TrainingRun.dtype`."""

    @classmethod
    def of(
        cls,
        episodes: Iterable[TokenEpisode],
        form: TextFormat,
        pad: int,
        deciding: Mapping[Ids, Sequence[int]] | None = None,
    ) -> StepStore:
        """The steps of some episodes, see `StepEncoder`."""
        encoder = StepEncoder(form, deciding)
        for episode in episodes:
            encoder.add(episode)
        return cls(encoder.take(), pad)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def groups(self) -> int:
        """Number of groups of steps."""
        return len(self.group_start) - 1

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return len(self.arrays["end_row"])

    @property
    def rows(self) -> int:
        """Number of distinct rows."""
        return len(self.row_end)

    def row_tokens(self, row: int) -> np.ndarray:
        """Ids of a row, int [T]."""
        return self.tokens[self.row_end[row - 1] if row else 0 : self.row_end[row]]

    def count_time(self, unit: str) -> StepStore:
        """Count the discount by steps ("decision"; "token" where every token is a step) or by "turn": the steps of an action are at
        one time then. Returns the store.

        Raises:
            ValueError: an unknown unit.
        """
        if unit not in UNITS:
            raise ValueError(f"discount_unit={unit!r} is not known; choose one of {', '.join(UNITS)}")
        self.time = np.where(self.last, 1.0, np.append(self.turn[1:], 0) - self.turn if unit == "turn" else 1.0)
        return self

    def turn_number(self) -> np.ndarray:
        """Which turn each step belongs to, the turns of all episodes counted through: int [N]."""
        is_new = (np.diff(self.episode, prepend=-1) != 0) | (np.diff(self.turn, prepend=-1) != 0)
        return np.cumsum(is_new) - 1

    def steps_of(self, groups: np.ndarray) -> np.ndarray:
        """The steps of these groups, in their order."""
        starts, ends = self.group_start[groups], self.group_start[groups + 1]
        sizes = ends - starts
        offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
        return np.arange(int(sizes.sum())) + offsets

    def parts(self, groups: np.ndarray) -> list[np.ndarray]:
        """These groups, in order, in parts whose rows have at most ``pass_tokens`` together (a longer row is a part by itself)."""
        if not self.pass_tokens:
            return [groups]
        found: list[list[int]] = []
        room = 0
        for group, size in zip(
            groups.tolist(), (self.column[self.group_start[groups + 1] - 1] + 1).tolist(), strict=True
        ):
            if size > room:
                found.append([])
                room = self.pass_tokens
            found[-1].append(group)
            room -= size
        return [np.array(part) for part in found]

    def successors(self, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the states after these steps, int [N] each; row `NONE` where the episode terminated."""
        last, after = self.last[steps], np.minimum(steps + 1, len(self) - 1)
        episode = self.episode[steps]
        rows = np.where(last, self.arrays["end_row"][episode], self.row[after])
        return rows, np.where(last, self.arrays["end_column"][episode], self.column[after])

    def distinct(
        self, steps: np.ndarray, successors: bool = True, label: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Equal steps once: those of the same state and token.

        Args:
            steps: positions int [N].
            successors: tell them apart by reward and successor, too.
            label: int, of all steps of the store; tell them apart by this, too.

        Returns:
            one position for each kind int [K], how many steps it stands for float [K], and the kind of each step int [N].
        """
        keys = [self.row[steps], self.column[steps], self.token[steps]]
        if successors:
            keys += [*self.successors(steps), self.reward[steps].view(np.int64)]
        if label is not None:
            keys.append(label[steps])
        order = np.lexsort(keys[::-1])
        is_new = np.ones(len(steps), bool)
        is_new[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
        kind = np.empty(len(steps), np.int64)
        kind[order] = np.cumsum(is_new) - 1
        return steps[order[is_new]], np.bincount(kind).astype(np.float32), kind

    def batch(self, steps: np.ndarray, weights: np.ndarray | None = None, successors: bool = True) -> StepBatch:
        """These steps with the rows they need.

        Args:
            steps: positions [N].
            weights: float [N]; default 1.
            successors: whether the states after the steps are needed.
        """
        rows, columns = self.row[steps], self.column[steps]
        next_rows, next_columns = self.successors(steps)
        goes_on = next_rows != NONE
        if successors:
            rows = np.concatenate([rows, next_rows[goes_on]])
            columns = np.concatenate([columns, next_columns[goes_on]])
        used, local = np.unique(rows, return_inverse=True)
        length = np.zeros(len(used), np.int64)
        np.maximum.at(length, local, columns + 1)
        size = int(length.max())
        states, which = np.unique(local * size + columns, return_inverse=True)
        after = np.zeros(len(steps), np.int64)
        if successors:
            after[goes_on] = which[len(steps) :]
        return StepBatch(
            tokens=torch.from_numpy(self._padded(used, length, size)),
            length=torch.from_numpy(length),
            state_row=torch.from_numpy(states // size),
            state_column=torch.from_numpy(states % size),
            state=torch.from_numpy(which[: len(steps)].copy()),
            token=torch.from_numpy(self.token[steps].astype(np.int64)),
            next_state=torch.from_numpy(after),
            goes_on=torch.from_numpy(goes_on.astype(np.float32)),
            reward=torch.from_numpy(self.reward[steps].astype(np.float32)),
            weight=torch.from_numpy(np.ones(len(steps), np.float32) if weights is None else weights.astype(np.float32)),
            time=torch.from_numpy(self.time[steps].astype(np.float32)),
        )

    def _padded(self, rows: np.ndarray, length: np.ndarray, size: int) -> np.ndarray:
        """The beginnings of rows, int64 [R, size]."""
        starts = np.where(rows > 0, self.row_end[rows - 1], 0)
        real = np.arange(size) < length[:, None]
        tokens = np.full(real.shape, self.pad, np.int64)
        tokens[real] = self.tokens[(starts[:, None] + np.arange(size))[real]]
        return tokens

    def clone_batch(self, groups: np.ndarray) -> StepBatch:
        """The action tokens of these groups for cloning: equal ones once, their number as weight, no successors."""
        steps, counts, _ = self.distinct(self.steps_of(groups), successors=False)
        return self.batch(steps, counts, successors=False)

    def select(self, kept: np.ndarray) -> StepStore:
        """The steps where ``kept``, bool [N], to be cloned: their successors are no longer known."""
        sizes = np.add.reduceat(kept.astype(np.int64), self.group_start[:-1])
        own = {name: self.arrays[name][kept] for name in ("row", "column", "token", "reward", "turn", "episode")}
        return StepStore(
            {**self.arrays, **own, "logprob": self.logprob[kept], "group_end": np.cumsum(sizes[sizes > 0])}, self.pad
        )

    def returns(self) -> np.ndarray:
        """Undiscounted return of each episode that has steps, by episode number."""
        return np.bincount(self.episode, self.reward, minlength=self.episodes)
