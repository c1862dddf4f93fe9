"""How often a partner is right: its replies to lines whose answers people have judged (``judged.jsonl`` in a task's folder)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NotRequired, Protocol, TypedDict

import gymnasium

from lmrl_envs.core import TextEnv
from lmrl_envs.files.untrusted import lines
from lmrl_envs.partners.base import SimulatorError, SimulatorStopped
from lmrl_envs.tasks import task
from lmrl_envs.vector import TextVectorEnv, slot_info

Verdict = Literal["right", "wrong", "unread", "failed", "skipped"]
"""``unread``: the partner says in words that it did not understand; ``failed``: it gave no usable reply; ``skipped``: the line
could not be said (the game was over before, or there was no offer to answer)."""

VERDICTS: tuple[Verdict, ...] = ("right", "wrong", "unread", "failed", "skipped")
BATCH, PROBE = 64, 4
"""Games under way at the same time, and before: a partner that cannot reply at all is found out soon."""

Row = Mapping[str, Any]
"""A line and what is expected: ``context`` (earlier lines of the agent), a line under the judge's ``line_key``, ``expected``,
what the game is pinned to, and optionally ``kind`` (of speaker)."""


class Judge(Protocol):
    """Judges the replies to a task's rows (`lmrl_envs.surface.Surface.judge`)."""

    row_type: Any
    """The `TypedDict` of a row."""
    line_key: str
    """Where a row keeps the line to be answered."""

    def game(self, row: Row) -> tuple[int, dict[str, Any]]:
        """Seed and reset options of the game in which a row is said."""
        ...

    def wording(self, line: str, env: TextEnv) -> str | None:
        """A line in the words of this game; None where it cannot be said in it."""
        ...

    def verdict(self, row: Row, reply: str, ended: bool, info: Mapping[str, Any]) -> Verdict:
        """What became of the line: ``reply`` and ``info`` are what `TextEnv.step` returned."""
        ...


class QuestionRow(TypedDict):
    """A question about a secret, after others."""

    secret: str
    context: list[str]
    question: str
    expected: Literal["yes", "no", "depends", "win", "not_a_question"]
    kind: NotRequired[str]


class QuestionJudge:
    """Of yes/no questions about a secret.

    ``expected`` is ``yes``, ``no``, ``depends`` ("It depends."), ``win``, or ``not_a_question`` (anything but an answer).
    """

    row_type = QuestionRow
    line_key = "question"

    def game(self, row: Row) -> tuple[int, dict[str, Any]]:
        return 0, {"secret": row["secret"]}

    def wording(self, line: str, env: TextEnv) -> str | None:
        return line

    def verdict(self, row: Row, reply: str, ended: bool, info: Mapping[str, Any]) -> Verdict:
        expected, said = row["expected"], reply.lower()
        understood = bool(info.get("understood", True))
        if expected == "win":
            right = ended and bool(info.get("success"))
        elif expected == "not_a_question":
            right = not understood or not said.startswith(("yes", "no", "it depends"))
        else:
            right = understood and said.startswith("it depends" if expected == "depends" else expected)
        return "right" if right else "wrong" if understood else "unread"


@dataclass(frozen=True)
class Judged:
    """A row and what became of it."""

    row: Row
    line: str
    """As it was said."""
    reply: str
    """The partner's; why there is none for a row that failed."""
    verdict: Verdict


def read_rows(env_id: str, path: Path | None = None) -> list[dict[str, Any]]:
    """The rows that a task brings, or those of a file.

    Raises:
        ValueError: the task brings none; a line is not of the judge's ``row_type``.
    """
    row = task(env_id)
    judge = row.surface.judge()
    place = path if path is not None else resources.files(row.folder or "lmrl_envs") / "judged.jsonl"
    if judge is None or not place.is_file():
        raise ValueError(f"{env_id} has no judged lines" if path is None or judge is None else f"no file {path}")
    return [row for _, row in lines(Path(str(place)), judge.row_type)]


def judge_partner(env_id: str, rows: Sequence[Row], **kwargs: Any) -> Iterator[Judged]:
    """Say every row to a partner, `BATCH` games at a time.

    Args:
        env_id: id of the task.
        rows: of `read_rows`.
        kwargs: arguments of the environment: ``simulator``, ``simulator_options``.

    Raises:
        SimulatorError: the first games have no usable reply at all: no server, another recording.
        ValueError: a row pins a game to what the task does not know.
    """
    judge = task(env_id).surface.judge()
    assert judge is not None
    vector: Any = gymnasium.make_vec(
        env_id, num_envs=min(BATCH, len(rows)), vectorization_mode="vector_entry_point", **kwargs
    )
    try:
        first, size = 0, PROBE
        while first < len(rows):
            found = _judge_batch(vector, judge, rows[first : first + size])
            if first == 0 and all(judged.verdict == "failed" for judged in found):
                raise SimulatorError(found[0].reply)
            yield from found
            first, size = first + size, BATCH
    finally:
        vector.close()


def _judge_batch(vector: TextVectorEnv, judge: Judge, rows: Sequence[Row]) -> list[Judged]:
    vector.reset()
    games: Sequence[TextEnv] = vector.envs
    for game, row in zip(games, rows, strict=False):
        seed, options = judge.game(row)
        game.reset(seed=seed, options=options)
    spoken = [[*row["context"], row[judge.line_key]] for row in rows]
    found: list[Judged | None] = [None] * len(rows)
    for turn in range(max(map(len, spoken))):
        said: dict[int, str] = {}
        for i, own in enumerate(spoken):
            if found[i] is None and turn < len(own):
                wording = judge.wording(own[turn], games[i]) if games[i]._live else None
                if wording is None:
                    found[i] = Judged(rows[i], own[-1], "", "skipped")
                else:
                    said[i] = wording
        for i, result in _say(vector, said).items():
            if isinstance(result, SimulatorError):
                found[i] = Judged(rows[i], said[i], str(result), "failed")
            elif turn + 1 == len(spoken[i]):
                reply, ended, info = result
                found[i] = Judged(rows[i], said[i], reply, judge.verdict(rows[i], reply, ended, info))
    return [judged for judged in found if judged is not None]


def _say(
    vector: TextVectorEnv, said: Mapping[int, str]
) -> dict[int, tuple[str, bool, dict[str, Any]] | SimulatorError]:
    """What each game answers. One request without a usable reply fails its batch, which is then halved."""
    if not said:
        return {}
    try:
        texts, _, terminated, truncated, infos = vector.step([said.get(i) for i in range(vector.num_envs)])
    except SimulatorStopped:
        raise
    except SimulatorError as problem:
        if len(said) == 1:
            return dict.fromkeys(said, problem)
        slots = list(said)
        halves = slots[: len(slots) // 2], slots[len(slots) // 2 :]
        return {slot: answer for half in halves for slot, answer in _say(vector, {i: said[i] for i in half}).items()}
    return {i: (texts[i], bool(terminated[i] or truncated[i]), slot_info(infos, i)) for i in said}
