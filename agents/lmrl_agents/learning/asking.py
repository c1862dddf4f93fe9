"""Labels that are asked for while a policy plays: stretches of its latest games, judged by a labeller, and written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from lmrl_agents.learning.run import TrainingError
from lmrl_agents.learning.session import Session
from lmrl_agents.models.distributed import world_size
from lmrl_agents.playing.collecting import fragment_of
from lmrl_agents.playing.rollout import Played
from lmrl_datasets.preferences.labellers import load_labeller
from lmrl_datasets.preferences.labelling import labels_of
from lmrl_datasets.preferences.schema import Gold, Label, Pair
from lmrl_datasets.schema import to_json
from lmrl_envs.files import JsonLines
from lmrl_envs.files.untrusted import Count, Schema

ASKED = "asked.jsonl"
"""In a run's folder: every pair that was asked about, with its label."""
Stretch = tuple[Played, int, int]
"""A game, its first action that is shown, and the one after the last."""


class Asked(Schema, frozen=True):
    """A line of `ASKED`."""

    round: Count
    pair: Pair
    label: Label


class Asking:
    """A labeller beside a training run; a resumed run forgets what was asked in rounds that are still to be played.

    The labeller alone sees what games are worth: scripted ones stand for people who can tell.

    Args:
        labeller: its spec.
        session: the loop.

    Raises:
        TrainingError: several processes train.
    """

    def __init__(self, labeller: str, session: Session) -> None:
        if world_size() > 1:
            raise TrainingError(f"{session.run.algorithm} asks for labels in one process")
        self.spec, self.session, self.labeller = labeller, session, load_labeller(labeller)
        self._lines = JsonLines(Path(session.run.out) / ASKED)
        rows: list[Asked] = self._lines.read(Asked) if session.done else []
        self.asked = [row for row in rows if row.round < session.done]
        """All that was asked so far."""
        self._lines.rewrite(map(_line, self.asked))

    def ask(self, pairs: Sequence[tuple[Stretch, Stretch]]) -> list[float | None]:
        """Labels of pairs: probabilities that the first is better; None: skipped."""
        run = self.session.run
        gold: dict[int, Gold] = {}
        rows: list[Pair] = []
        for number, (one, other) in enumerate(pairs, len(self.asked)):
            (first, worth), (second, other_worth) = fragment_of(*one), fragment_of(*other)
            gold[number] = Gold(pair_id=number, first=worth, second=other_worth)
            rows.append(
                Pair(
                    pair_id=number, env_id=run.env_id, env_kwargs=dict(run.env_kwargs), seed_first=one[0].seed,
                    seed_second=other[0].seed, shared=1, unit="stretch", first=first, second=second,
                )
            )  # fmt: skip
        said = [label for label, _ in labels_of(self.labeller, self.spec, run.seed, rows, gold)]
        new = [Asked(round=self.session.done, pair=pair, label=label) for pair, label in zip(rows, said, strict=True)]
        self.asked += new
        self._lines.append(map(_line, new))
        return [label.label for label in said]


def _line(row: Asked) -> str:
    return to_json(msgspec.to_builtins(row))
