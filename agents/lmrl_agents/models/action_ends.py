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
        used, local = np.unique(self.row[ends], return_inverse=True)
        # An episode that is asked for twice has its states once: no place stands twice.
        states, which_state = np.unique(local * 65536 + self.column[ends], return_inverse=True)
        lengths = np.array([len(self.rows[row]) for row in used])
        tokens = np.full((len(used), lengths.max()), self.pad, np.int64)
        for place, row in enumerate(used):
            tokens[place, : lengths[place]] = self.rows[row]
        nothing = torch.zeros(len(ends), dtype=torch.int64)
        numbers: dict[str, Any] = {
            "tokens": torch.from_numpy(tokens), "length": torch.from_numpy(lengths),
            "state_row": torch.from_numpy(states // 65536), "state_column": torch.from_numpy(states % 65536),
            "state": torch.from_numpy(which_state), "token": nothing, "next_state": nothing,
            "goes_on": torch.zeros(len(ends)), "reward": torch.zeros(len(ends)), "weight": torch.ones(len(ends)),
            "time": torch.ones(len(ends)),
        }  # fmt: skip
        return StepBatch(**numbers), torch.from_numpy(np.repeat(np.arange(len(which)), counts))
