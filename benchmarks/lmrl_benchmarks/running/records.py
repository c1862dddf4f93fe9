"""Evaluation records: one JSON line per episode, appended as it finishes, and the spec that they belong to.

A folder holds ``run.json`` (what was asked for, and provenance), ``episodes.jsonl`` and, when all episodes are there,
``summary.json``. A line cut by a kill is dropped and played again.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.formats import RunFile, SummaryFile
from lmrl_datasets import DatasetError, Episode, read_jsonl
from lmrl_datasets.replay import replay_episode
from lmrl_datasets.schema import plain, to_json
from lmrl_envs import __version__, load_task
from lmrl_envs.files import JsonLines, claim, provenance, write_atomically
from lmrl_envs.files.untrusted import Amount, Count, Integer, Number, Refused, Schema, checked, decode, raw_lines, read

SCHEMA_VERSION = 1
RUN, EPISODES, SUMMARY = "run.json", "episodes.jsonl", "summary.json"
PARTNER = "partner.jsonl"
"""What a partner answered that is not the task's own (a language model, say): with it the games can be replayed."""
WRITTEN = "records_sha256"
"""Key of a summary: the hash of the episodes' file as it was written. What replay cannot tell (an action with the effect of
another, seconds, what an agent told) is not changed without it."""


class RecordError(RuntimeError):
    """Records are missing, damaged, or of another run; the message says where."""


def is_partner_recorded(env_id: str, env_kwargs: dict[str, Any]) -> bool:
    """Whether the games have a partner from elsewhere, whose answers are kept with the records."""
    name = str(env_kwargs.get("simulator", "")).partition(":")[0]
    return name != "" and name not in load_task(env_id).partners


def recorded_kwargs(env_kwargs: dict[str, Any], path: Path) -> dict[str, Any]:
    """Arguments of an environment whose partner's answers are written to a file, if they name no other one."""
    return {**env_kwargs, "simulator_options": {"record": str(path), **(env_kwargs.get("simulator_options") or {})}}


def keep_last_answers(path: Path) -> None:
    """Leave out of a recording the answers in games that a kill cut off: they were played, and answered, once more."""
    if path.is_file():
        last = {entry.get("key"): line for line, entry in _entries(path)}
        write_atomically(path, b"".join(last.values()))


def _entries(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for _, line in raw_lines(path):
        with contextlib.suppress(Refused):  # cut by a kill
            yield line.rstrip(b"\n") + b"\n", decode(line, dict[str, Any])


class Record(Schema, frozen=True):
    """One evaluated episode."""

    episode: Integer
    seed: Integer
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    rewards: tuple[Number, ...]
    terminated: bool
    truncated: bool
    success: bool
    valid_actions: Count
    seconds: Amount
    error: str | None = None
    options: dict[str, Any] = {}
    info: dict[str, Any] = {}
    details: tuple[dict[str, Any], ...] = ()
    """What the agent told about its actions (raw text, tokens, cost), one entry per action and, in an episode with an
    error, perhaps one about the action that was not played. Empty, and not written, for agents that tell nothing."""
    optimised: tuple[Number, ...] = ()
    """What another reward than the task's own gave each action; empty, and not written, where there was none."""

    def score(self, minimum: float) -> float:
        """The return, or the task's minimum for an episode that ended in an error."""
        return minimum if self.error is not None else float(sum(self.rewards))

    def line(self) -> str:
        """The record as one line of JSON."""
        optional = ("details", "optimised")
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        values = {name: value for name, value in values.items() if name not in optional or value}
        return to_json(values)  # JSON escapes what UTF-8 cannot hold, and gives it back

    def replay(self, env: Any, env_id: str) -> None:
        """Play the actions again and compare everything.

        Raises:
            DatasetError: texts, rewards, ends, success, validity or what was revealed differ.
        """
        failed = self.error is not None
        if self.optimised and len(self.optimised) != len(self.actions):
            raise DatasetError(
                f"episode {self.episode}: {len(self.optimised)} optimised rewards, {len(self.actions)} actions"
            )
        episode = Episode(
            self.episode, env_id, self.seed, "", self.observations, self.actions, self.rewards, self.terminated,
            self.truncated or failed, stopped=failed, options=self.options,
        )  # fmt: skip
        _, infos = replay_episode(env, episode)
        where = f"episode {self.episode} (seed {self.seed})"
        valid = sum(bool(info["valid"]) for info in infos)
        if valid != self.valid_actions:
            raise DatasetError(f"{where}: {valid} actions are valid, the record says {self.valid_actions}")
        if failed:
            if self.terminated or self.truncated:
                raise DatasetError(f"{where}: an episode that failed is recorded as played to its end")
            if self.success:
                raise DatasetError(f"{where}: an episode that failed is recorded as a success")
            if self.info:
                raise DatasetError(f"{where}: an episode that failed is recorded with what is told at the end")
            return
        if bool(infos[-1]["success"]) != self.success:
            raise DatasetError(f"{where}: success is {infos[-1]['success']}, the record says {self.success}")
        if not _told(infos[-1], self.info):
            raise DatasetError(f"{where}: the last info is not what the environment tells")


def _told(info: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Whether an info is the recorded one, which has been through JSON (tuples are lists there, numpy's numbers plain)."""
    try:
        if info == recorded:
            return True
    except ValueError:  # an array, which does not compare as a whole
        pass
    return plain(info) == plain(recorded)


class RecordFile:
    """The episodes of one evaluation, appended one by one."""

    def __init__(self, folder: Path) -> None:
        self._lines = JsonLines(folder / EPISODES)

    def read(self) -> list[Record]:
        """All whole records, a cut last line left out.

        Raises:
            RecordError: a damaged line that is not the last.
        """
        try:
            return self._lines.read(Record, strict=True)
        except (Refused, OSError) as problem:
            raise RecordError(str(problem)) from None

    def repair(self, retry_errors: bool = False) -> list[Record]:
        """Read, and drop from the file a cut last line, what was written twice (by a Ctrl-C between two steps) and, where they
        are to be played again, episodes that ended in an error.
        """
        records = list({record.episode: record for record in self.read()}.values())
        if retry_errors:
            records = [record for record in records if record.error is None]
        if self._lines.path.is_file():
            self._lines.rewrite(record.line() for record in records)
        return records

    def append(self, records: list[Record], sync: bool = False) -> None:
        """Add records: all of them or, where the disk is full, none; with ``sync`` they are on the disk on return."""
        self._lines.append((record.line() for record in records), sync)


def read_as_dataset(folder: Path, out: Path, name: str) -> Path:
    """Make a dataset of the records of an evaluation, or of the games that people played; returns its folder.

    Games without an action are left out; one that ended in an error is ``stopped``. See `lmrl_datasets.read_jsonl`.

    Raises:
        RecordError, DatasetError: the records are damaged, or the folder holds another dataset.
    """
    spec = read_run(folder)["spec"]
    common = {"env_id": spec["env_id"], "env_kwargs": spec["env_kwargs"]}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{folder.name}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for record in RecordFile(folder).read():
                stopped, hints = record.error is not None, sum(told.get("hints", 0) for told in record.details)
                own = {
                    "policy": f"{spec['agent']}, {hints} hints" if hints else spec["agent"],
                    "truncated": record.truncated or stopped,
                    "stopped": stopped,
                }
                kept = ("seed", "observations", "actions", "rewards", "terminated", "success", "options", "info")
                if record.actions:
                    file.write(to_json({**common, **own, **{key: getattr(record, key) for key in kept}}) + "\n")
        return read_jsonl(path, out, name)


def claim_records(folder: Path, spec: dict[str, Any], operational: Collection[str] = ()) -> None:
    """Take a folder for the records of a spec; an existing run of the same spec is gone on with.

    Args:
        folder: of the records.
        spec: what is run.
        operational: arguments of the agent that may differ (they stay in ``run.json`` as they were first).

    Raises:
        FolderError: the folder holds another run, or something else.
    """
    spec = plain(spec)

    def differing(run: dict[str, Any]) -> Iterator[str]:
        yield from other_version(run)
        there = run["spec"]
        if _essence(there, operational) != _essence(spec, operational):
            for key in {*spec, *there}:
                if there.get(key) != spec.get(key):
                    yield f"the {key.partition('_')[0]}'s code or weights" if key.endswith("_fingerprint") else key

    record = {"schema_version": SCHEMA_VERSION, "spec": spec, "provenance": provenance()}
    claim(folder, RUN, record, "run", differing)


def _essence(spec: dict[str, Any], operational: Collection[str]) -> dict[str, Any]:
    kwargs = spec.get("agent_kwargs") or {}
    return {**spec, "agent_kwargs": {key: value for key, value in kwargs.items() if key not in operational}}


def recorded_version(run: dict[str, Any]) -> str:
    """The version of lmrl that a ``run.json`` or ``suite.json`` was made with."""
    return str(run.get("provenance", {}).get("packages", {}).get("lmrl"))


def other_version(run: dict[str, Any]) -> Iterator[str]:
    """That a run was begun with another version of lmrl, whose results are not mixed with those of this one."""
    theirs = recorded_version(run)
    if theirs != __version__:
        yield f"lmrl: {theirs} there, {__version__} here"


def read_run(folder: Path) -> dict[str, Any]:
    """The ``run.json`` of a folder.

    Raises:
        RecordError: there is none, or it is of a newer schema.
    """
    path = folder / RUN
    try:
        run = read(path, dict[str, Any])
        if isinstance(version := run.get("schema_version"), int) and version > SCHEMA_VERSION:
            raise RecordError(f"{path} has schema version {version}: update lmrl")
        return checked(run, RunFile, path)
    except (OSError, Refused) as problem:
        raise RecordError(f"{folder} holds no run: {problem}") from None


def read_summary(folder: Path) -> dict[str, Any]:
    """The ``summary.json`` of a folder.

    Raises:
        RecordError: there is none, or it is damaged.
    """
    path = folder / SUMMARY
    try:
        return checked(read(path, dict[str, Any]), SummaryFile, path)
    except FileNotFoundError:
        raise RecordError(f"{path} is missing") from None
    except (OSError, Refused) as problem:
        raise RecordError(f"{path} is damaged: {problem}") from None
