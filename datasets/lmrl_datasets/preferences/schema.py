"""Rows of preference data: a pair of games or of segments of games, and a label of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from lmrl_datasets.schema import DatasetError
from lmrl_envs import Transcript
from lmrl_envs.core import iterate_turns
from lmrl_envs.files.untrusted import Amount, Count, Integer, Number, Schema

PREFERENCES_VERSION = 1
Probability = Annotated[float, Meta(ge=0, le=1)]
Side = Literal["first", "second"]


class Fragment(Schema, frozen=True):
    """One side of a pair: a game, and the stretch of it that is shown."""

    observations: tuple[str, ...]
    """Of the whole game up to the end of the stretch: one more than actions."""
    actions: tuple[str, ...]
    start: Count = 0
    """The first action of the stretch; it goes to the last."""
    terminated: bool = False
    """The game ended with the stretch."""
    truncated: bool = False
    policy: str = ""
    temperature: Number | None = None

    @property
    def shown(self) -> Transcript:
        """What a labeller sees: the stretch, with the observation before it. It holds no rewards."""
        texts = iterate_turns(self.observations[self.start :], self.actions[self.start :])
        return Transcript.from_texts(texts, [0.0] * (len(self.actions) - self.start))

    @property
    def whole(self) -> Transcript:
        """The game up to the end of the stretch, without rewards."""
        return Transcript.from_texts(iterate_turns(self.observations, self.actions), [0.0] * len(self.actions))


class Pair(Schema, frozen=True):
    """Two fragments to be compared."""

    pair_id: Count
    env_id: str
    """"" for pairs that were imported as text."""
    env_kwargs: dict[str, Any]
    seed_first: Integer
    seed_second: Integer
    shared: Count
    """Texts that both have at their beginning: one where a task is one turn, the notes or question."""
    unit: str
    """``game``, ``turn``, or ``segment:K``."""
    first: Fragment
    second: Fragment


class Label(Schema, frozen=True):
    """What one annotator says of one pair."""

    pair_id: Count
    annotator: str
    """The labeller's spec; ``person:NAME`` for people."""
    label: Probability | None
    """Probability that the first is better: 1, 0, .5 for a tie, anything between; None: skipped."""
    shown_first: Side = "first"
    """Which of the two was shown first (or on the left)."""
    both_orders: bool = False
    label_seed: Integer = 0
    """With the pair, it determines a scripted label."""
    principle: str = ""
    critique: str = ""
    votes: Count = 1
    agreement: Probability = 1.0
    """Share of the majority of the votes."""
    seconds: Amount = 0.0
    mark: Literal["", "repeat", "void"] = ""
    """``repeat``: the pair was shown again, sides swapped, to see whether the annotator agrees with himself; ``void``: takes back the
    annotator's last line that stands, whichever it is (a person's undo: nothing is rewritten)."""


class Gold(Schema, frozen=True):
    """What the fragments of a pair are worth by the task itself: the side file, which training never opens."""

    pair_id: Count
    first: tuple[Number, ...]
    """One per action of the stretch."""
    second: tuple[Number, ...]


class Hidden(Schema, frozen=True):
    """What stands behind a scripted label, and no annotator would tell: the utilities, and the group."""

    pair_id: Count
    annotator: str
    first: Number
    second: Number
    group: str = ""


class PreferenceError(DatasetError):
    """Preference data is missing, damaged, or of another kind; the message says what and where."""
