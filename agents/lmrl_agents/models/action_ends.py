"""The places where actions end: where a reward model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from lmrl_agents.models.steps import StepBatch
from lmrl_agents.models.tokens import TextFormat, TokenEpisode


class ActionEnds:
    """The states after the last token of each action, of many episodes: where a reward model reads.

    Args:
        episodes: as ids.
        form: layout of the rows.
        pad: id of padding.

    Raises:
        ValueError: actions are a choice among utterances, which rows do not hold.
    """

    def __init__(self, episodes: Sequence[TokenEpisode], form: TextFormat, pad: int) -> None:
        if form.choice:
            raise ValueError("rows that hold no actions cannot be judged by them: text.choice must be off")
        self.pad, self.rows = pad, []
        places: list[tuple[int, int]] = []
        counts: list[int] = []
        for episode in episodes:
            before = len(places)
            for segment in form.segments(episode):
                ids, begins = form.join(episode, segment.start, segment.last + 1)
                for turn in range(segment.first, segment.last + 1):
                    end = begins[turn - segment.start] + len(episode.actions[turn]) - 1
                    places.append((len(self.rows), end))
                self.rows.append(np.array(ids[: places[-1][1] + 1], np.int64))
            counts.append(len(places) - before)
        self.row, self.column = np.array(places, np.int64).reshape(-1, 2).T
        self.start = np.concatenate([[0], np.cumsum(counts)])

    def batch(self, which: np.ndarray) -> tuple[StepBatch, torch.Tensor]:
        """The states of these episodes, one after the other, and the place of each one's episode in ``which``: int64 [A]."""
        counts = self.start[which + 1] - self.start[which]
        ends = np.repeat(self.start[which] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(
            counts.sum()
        )
        batch = read_at(self.rows, self.row[ends], self.column[ends], self.pad)
        return batch, torch.from_numpy(np.repeat(np.arange(len(which)), counts))


def read_at(rows: Sequence[np.ndarray], row: np.ndarray, column: np.ndarray, pad: int) -> StepBatch:
    """The states at these places of rows, as steps of no action and no reward.

    Args:
        rows: ids, int [T] each.
        row: int [N]; a place may stand twice, and is read once.
        column: int [N].
        pad: id of padding.
    """
    used, local = np.unique(row, return_inverse=True)
    lengths = np.array([len(rows[k]) for k in used])
    size = int(lengths.max())
    states, which = np.unique(local * size + column, return_inverse=True)
    tokens = np.full((len(used), size), pad, np.int64)
    for place, k in enumerate(used):
        tokens[place, : lengths[place]] = rows[k]
    nothing = torch.zeros(len(row), dtype=torch.int64)
    numbers: dict[str, Any] = {
        "tokens": torch.from_numpy(tokens), "length": torch.from_numpy(lengths),
        "state_row": torch.from_numpy(states // size), "state_column": torch.from_numpy(states % size),
        "state": torch.from_numpy(which), "token": nothing, "next_state": nothing,
        "goes_on": torch.zeros(len(row)), "reward": torch.zeros(len(row)), "weight": torch.ones(len(row)),
        "time": torch.ones(len(row)),
    }  # fmt: skip
    return StepBatch(**numbers)
