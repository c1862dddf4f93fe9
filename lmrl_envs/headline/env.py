"""Headlines from notes as an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmrl_envs.core import Outcome, TextEnv, check_choice, draw_index
from lmrl_envs.headline.rules import (
    FULL,
    HYPE,
    LEVELS,
    MAX_LENGTH,
    PLACES,
    PRINTED,
    SILENT,
    SPLITS,
    TINY,
    Fact,
    Split,
    as_fact,
    best_facts,
    drawn_notes,
    in_split,
    is_best,
    judge,
    opening,
    written,
)
from lmrl_envs.vector import vector_of

_WANTED = {FULL.most: "the three most severe of them", TINY.most: "the most severe of them"}
_INSTRUCTIONS = """You are given notes: facts of two words each. Write one headline that gives {wanted} and nothing else.
Answer with the headline alone: one line of at most {length} characters that ends with a full stop, such as "{example}"
A fact is a level word just before its subject; commas and "and" join facts. One of {hype} may stand first.
The levels, from mild to severe, are worth 1, 2, 5 and 10:
{scales}
You earn what your true facts are worth together, as a share of the most that the notes allow.
Each fact that is not in the notes costs .4, each subject named again .2.
Each of these costs .1: a true fact more than {most}, a second word of hype, any other word or mark, no full stop at the end."""


class HeadlineEnv(TextEnv):
    """One headline from notes; nothing is hidden, and every headline's worth is exact.

    **Action**: ``Breaking: record crowds, endless queues and violent wind.`` A fact is a level word just before its subject.
    **Observation**: ``Notes from Harwick: violent wind; ... . Write one headline.``; ``Printed.`` afterwards, whatever it is worth.
    **Reward**: gold in [-1, 1], see `lmrl_envs.headline.rules.judge`; 0 for silence.
    **End**: terminated after one action. ``success``: nothing better could have been said.
    **Options**: ``{"notes": ["record crowds", ...], "place": "Harwick"}``, whatever the split.

    Args:
        tiny: two notes of three subjects and one fact wanted: 48 sets of notes, 26 sensible headlines
            (`lmrl_envs.headline.rules.tiny_answers`).
        split: sets of notes to draw from: "all", "train", or "test" (one in five, by hash).

    Version history: v0, initial.
    """

    option_keys = frozenset({"notes", "place"})

    def __init__(self, tiny: bool = False, split: Split = "all", render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        self.desk = TINY if check_choice("tiny", tiny, (False, True)) else FULL
        self.split = check_choice("split", split, SPLITS)
        scales = "\n".join(f"{subject}: {', '.join(LEVELS[subject])}" for subject in self.desk.subjects)
        example = written(
            [(LEVELS[subject][-1], subject) for subject in self.desk.subjects[: self.desk.most]], HYPE[:1]
        )
        self.instructions = _INSTRUCTIONS.format(
            wanted=_WANTED[self.desk.most], length=MAX_LENGTH, example=example, hype=", ".join(HYPE),
            scales=scales, most=self.desk.most,
        )  # fmt: skip
        self._place, self._notes = "", ()

    def _begin(self, options: Mapping[str, Any]) -> str:
        place = options["place"] if "place" in options else PLACES[draw_index(self.np_random, len(PLACES))]
        if place not in PLACES:
            raise ValueError(f"place={place!r} is not one of {', '.join(PLACES)}")
        notes = self._pinned(options["notes"]) if "notes" in options else self._drawn()
        self._place, self._notes = place, notes
        return opening(place, notes)

    def _drawn(self) -> tuple[Fact, ...]:
        while True:
            notes = drawn_notes(self.np_random.random(2 * self.desk.noted).tolist(), self.desk)
            if in_split(notes, self.split):
                return notes

    def _pinned(self, notes: Any) -> tuple[Fact, ...]:
        if (
            not isinstance(notes, Sequence)
            or isinstance(notes, str)
            or not all(isinstance(note, str) for note in notes)
        ):
            raise ValueError(f"notes={notes!r} is not a list of facts such as 'record crowds'")
        facts = tuple(map(as_fact, notes))
        subjects = {subject for _, subject in facts}
        if len(facts) != self.desk.noted or len(subjects) != len(facts) or not subjects <= set(self.desk.subjects):
            raise ValueError(
                f"notes={notes!r} must be {self.desk.noted} facts of different subjects: {self.desk.subjects}"
            )
        return facts

    def _play(self, action: str) -> Outcome:
        verdict = judge(action, self._notes, self.desk)
        info = {
            "valid": verdict.headline.valid,
            "true": len(verdict.true),
            "wrong": len(verdict.wrong),
            "repeated": verdict.repeated,
        }
        return SILENT if verdict.headline.empty else PRINTED, verdict.gold, True, False, info

    def _reveal(self) -> dict[str, Any]:
        return {"success": is_best(self._rewards[-1]), "best": written(best_facts(self._notes, self.desk))}

    game_fields = {"place": str, "notes": list[str]}

    def _check_game(self, game: Mapping[str, Any]) -> None:
        super()._check_game(game)
        self._pinned(game["notes"])
        if game["place"] not in PLACES:
            raise ValueError("game: place is not known")

    def _get_game(self) -> dict[str, Any]:
        return {"place": self._place, "notes": [" ".join(fact) for fact in self._notes]}

    def _set_game(self, state: Mapping[str, Any]) -> None:
        self._place, self._notes = state["place"], tuple(map(as_fact, state["notes"]))

    def _draw(self) -> str:
        from lmrl_envs.headline.surface import SURFACE

        return SURFACE.draw(self)


HeadlineVectorEnv = vector_of(HeadlineEnv)
