"""What people play is kept, as evaluation records.

Layout, within the folder of a leaderboard run::

    human/<task>/                          every finished game, appended; `lmrl data import` makes a dataset of it
    cells/<task>/human/seed-<s>/           the games that count, in the order of their numbers

The first folder is what is true; the second is derived from it, and derived again when the server starts. A kill loses the
games under way and nothing else. Games that count are the suite's evaluation episodes in their order: a cell holds the
episodes 0 to n - 1, and one that is finished while an earlier one is still being played waits. The others have numbers below 0.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from lmrl_benchmarks.running.cells import SUITE, Cell, evaluation_of, read_suite
from lmrl_benchmarks.running.evaluation import EvaluationSpec
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import (
    EPISODES,
    RUN,
    SCHEMA_VERSION,
    SUMMARY,
    Record,
    RecordError,
    RecordFile,
    claim_records,
    read_run,
)
from lmrl_benchmarks.running.sealing import check_salt
from lmrl_benchmarks.running.suite import HUMAN, Suite, SuiteAgent, SuiteTask
from lmrl_benchmarks.running.summary import summary_of
from lmrl_benchmarks.serve.environments import name_of
from lmrl_envs import task
from lmrl_envs.files import provenance, write_atomically, write_json
from lmrl_envs.seeding import episode_seed

EPISODES_OF_A_TASK, SUITE_SEED = 1000, 20262
"""Of the suite that is made where there is no run to join."""


class HumanRecords:
    """Keeps the games of people; safe to call from many threads.

    Args:
        out: folder of a leaderboard run, which people then join, or a folder for a new one.
        tasks: what is played: id and arguments.
        salt: of a sealed suite.

    Raises:
        SuiteError, RecordError, FolderError: the folder holds something else, or the suite's games need another salt.
    """

    def __init__(self, out: Path, tasks: Sequence[SuiteTask], salt: str = "") -> None:
        self.out, self.salt = out, salt
        self.suite = _join(out, tasks)
        check_salt(self.suite, salt)
        self._lock = threading.Lock()
        self._records: dict[str, list[Record]] = {}
        self._playing: dict[str, set[int]] = {}
        for entry in tasks:
            name = name_of(entry)
            self._records[name], self._playing[name] = RecordFile(self._journal(entry)).repair(), set()
            if self._records[name]:
                self._write_cell(entry)

    # -- which game is the next one that counts

    def cell(self, entry: SuiteTask) -> Cell | None:
        """Where the task's games count; None when the suite lacks the task or its simulator may not answer so again."""
        if task(entry.id).is_live(entry.kwargs) or "elo" in entry.kwargs or name_of(entry) != entry.slug:
            return None
        own = next((x for x in self.suite.tasks if (x.id, x.kwargs) == (entry.id, entry.kwargs)), None)
        return Cell(own, SuiteAgent(HUMAN), self.suite.training_seeds[0]) if own else None

    def progress(self, entry: SuiteTask) -> dict[str, int] | None:
        """Games of this task that count: ``played`` and ``of``; None where none can."""
        cell = self.cell(entry)
        if cell is None:
            return None
        with self._lock:
            return {"played": len(self._counting(entry)), "of": evaluation_of(self.suite, cell).episodes}

    def take(self, entry: SuiteTask) -> tuple[int, int] | None:
        """Reserve the next episode that counts: (its number, the game's seed); None when all are taken."""
        cell = self.cell(entry)
        if cell is None:
            return None
        spec = evaluation_of(self.suite, cell)
        with self._lock:
            busy = self._counting(entry).keys() | self._playing[name_of(entry)]
            episode = next((i for i in range(spec.episodes) if i not in busy), None)
            if episode is None:
                return None
            self._playing[name_of(entry)].add(episode)
            return episode, episode_seed("evaluation", spec.seed, episode, self.salt)

    def release(self, entry: SuiteTask, episode: int) -> None:
        """Give an episode back that was not played."""
        with self._lock:
            self._playing[name_of(entry)].discard(episode)

    # -- keeping games

    def add(self, entry: SuiteTask, record: Record) -> None:
        """Keep a finished game; on return it is on disk. One with a number below 0 gets the next of those."""
        with self._lock:
            records, folder = self._records[name_of(entry)], self._journal(entry)
            if record.episode < 0:
                record = replace(record, episode=-1 - sum(other.episode < 0 for other in records))
            claim_records(folder, EvaluationSpec(entry.id, HUMAN, 0, 0, entry.kwargs).as_dict())
            RecordFile(folder).append([record], sync=True)
            records.append(record)
            if record.episode >= 0:
                self._playing[name_of(entry)].discard(record.episode)
                self._write_cell(entry)

    def _journal(self, entry: SuiteTask) -> Path:
        return self.out / HUMAN / name_of(entry)

    def _counting(self, entry: SuiteTask) -> dict[int, Record]:
        return {record.episode: record for record in self._records[name_of(entry)] if record.episode >= 0}

    def _write_cell(self, entry: SuiteTask) -> None:
        cell, found = self.cell(entry), self._counting(entry)
        if cell is None or 0 not in found:
            return
        folder = cell.folder(self.out)
        count = next(i for i in range(len(found) + 1) if i not in found)
        records = [found[i] for i in range(count)]
        spec = dataclasses.replace(evaluation_of(self.suite, cell), episodes=count).as_dict() | {
            "agent_fingerprint": None
        }
        if not (folder / RUN).is_file():
            claim_records(folder, spec)
        run = read_run(folder)
        if run["spec"]["agent"] != HUMAN:
            raise RecordError(f"{folder} holds records of another agent")
        write_atomically(folder / EPISODES, "".join(f"{record.line()}\n" for record in records))
        write_json(folder / RUN, {"schema_version": SCHEMA_VERSION, "spec": spec, "provenance": run["provenance"]})
        write_json(folder / "agent.json", {"kind": "people, through lmrl serve"})
        write_json(folder / SUMMARY, summary_of(spec, records))
        write_manifest(self.out, folder.iterdir())


def _join(out: Path, tasks: Sequence[SuiteTask]) -> Suite:
    """The suite of the run in ``out``; a new one, or one made here before, has all the tasks that are served."""
    path = out / SUITE
    own = Suite(HUMAN, 1, EPISODES_OF_A_TASK, SUITE_SEED, (0,), (), ())
    there: tuple[SuiteTask, ...] = ()
    if path.is_file():
        suite, _ = read_suite(out)
        if (suite.name, suite.agents) != (HUMAN, ()):
            return suite
        there = suite.tasks
    elif out.is_dir() and any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise RecordError(f"{out} is not empty and holds no leaderboard run; choose another folder with --out")
    new = [entry for entry in tasks if entry not in there and name_of(entry) == entry.slug]
    suite = replace(own, tasks=(*there, *new))
    if suite.tasks != there:
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()})
        write_manifest(out, [path])
    return suite
