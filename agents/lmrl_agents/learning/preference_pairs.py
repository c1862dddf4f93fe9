"""Preference data as what networks read: both sides as ids, the places where actions end, labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmrl_agents.learning.run import TrainingError, TrainingRun
from lmrl_agents.models.tokenizer import TaskTokenizer
from lmrl_agents.models.tokens import TextFormat, TokenEpisode
from lmrl_datasets.preferences import Fragment, Pair, load_preferences
from lmrl_envs import Transcript

HELD_OUT = 10
"""One pair in ten validates."""


@dataclass(frozen=True)
class LabelledPairs:
    """Labels with their pairs: item k compares the sides 2 p and 2 p + 1 of its pair p."""

    pairs: list[Pair]
    pair: np.ndarray
    """int64 [N]: the pair of each label."""
    label: np.ndarray
    """float64 [N]: probability that the first is better."""

    @property
    def sides(self) -> list[Fragment]:
        """The first and second of every pair, in turn."""
        return [side for pair in self.pairs for side in (pair.first, pair.second)]

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """The labels to train on and those that validate: one pair in ten, with all its labels, unless none would be left; int64 each."""
        held = self.pair % HELD_OUT == HELD_OUT - 1
        held &= not held.all()
        return np.flatnonzero(~held), np.flatnonzero(held)


def labelled_pairs(run: TrainingRun, annotators: Sequence[str] = (), first: int = 0) -> LabelledPairs:
    """The run's preference data, of these annotators and of the ``first`` pairs; the side file of gold stays closed.

    Raises:
        TrainingError: they are of another task, or hold nothing to learn from.
        PreferenceError: they are damaged.
    """
    found = load_preferences(Path(run.data))
    if other := next((pair.env_id for pair in found.pairs if pair.env_id != run.env_id), None):
        raise TrainingError(f"{run.data} holds pairs of {other}, not of {run.env_id}")
    given = [own for own in found.labelled(tuple(annotators)) if not first or own[0].pair_id < first]
    if all(label.label == 0.5 for _, label in given):
        why = "only ties" if given else f"no labels by {', '.join(annotators)}" if annotators else "no labels"
        raise TrainingError(f"{run.data} holds {why}: there is nothing to learn from")
    return LabelledPairs(
        found.pairs[: first or None],
        np.array([pair.pair_id for pair, _ in given]),
        np.array([label.label for _, label in given], float),
    )


def episodes_of(sides: Sequence[Fragment], tokenizer: TaskTokenizer, form: TextFormat) -> list[TokenEpisode]:
    """The shown stretches as ids."""
    return [TokenEpisode.from_transcript(side.shown, side.terminated, False, tokenizer, form) for side in sides]


@dataclass(frozen=True)
class Readable:
    """An object with a transcript, as datasets' episodes have one: what tokenizers are trained on."""

    transcript: Transcript
