"""What people play is kept: a journal of finished games, and from it a dataset and evaluation records.

Layout, within the folder of a leaderboard run::

    human/<task>.jsonl                     the journal: one line per finished game, appended
    data/<task>--human-v0/                 the games as a dataset (`lmrl_datasets.load_dataset`)
    cells/<task>/human/seed-<s>/           the games that count, as records of the agent ``human``

The journal is what is true; the rest is derived from it, and derived again when the server starts. A kill loses the games
under way and nothing else. Games that count are the suite's evaluation episodes in their order. The records hold the
episodes 0 to n - 1; one that is finished while an earlier one is still being played waits in the journal.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lmrl_benchmarks.running.cells import SUITE, Cell, evaluation_of, read_suite
from lmrl_benchmarks.running.evaluation import summary_of
from lmrl_benchmarks.running.records import (
    EPISODES,
    RUN,
    SCHEMA_VERSION,
    SUMMARY,
    Record,
    RecordError,
    claim_records,
    read_run,
)
from lmrl_benchmarks.running.suite import HUMAN, Suite, SuiteAgent, SuiteTask
from lmrl_datasets import Episode, Recipe
from lmrl_datasets.append import append_episodes
from lmrl_datasets.schema import to_json
from lmrl_datasets.store import MANIFEST, read_manifest, require_pyarrow
from lmrl_envs import task
from lmrl_envs.files import append_whole, provenance, write_atomically
from lmrl_envs.partners import LIVE

EPISODES_OF_A_TASK, SUITE_SEED = 1000, 20262
"""Of the suite that is made where there is no run to join."""
LONGEST_NAME = 60


def name_of(entry: SuiteTask) -> str:
    """A task's name on pages and in files: its slug, unless its arguments are too much for that (and nobody's business)."""
    if len(entry.slug) <= LONGEST_NAME and all(isinstance(value, str | int | float) for value in entry.kwargs.values()):
        return entry.slug
    digest = hashlib.sha256(to_json(entry.kwargs).encode()).hexdigest()[:8]
    return f"{SuiteTask(entry.id).slug}-{digest}"


@dataclass(frozen=True)
class GameRecord:
    """A finished game of a person."""

    record: Record
    """``episode`` is the place in the evaluation's list, or 0 for games that do not count."""
    counts: bool
    hints: int = 0
    finished: str = ""
    """When, ISO 8601."""

    def line(self) -> str:
        """One line of JSON."""
        values = {**vars(self), "record": json.loads(self.record.line())}
        return to_json(values)

    @classmethod
    def from_line(cls, line: str) -> GameRecord:
        """Read a line.

        Raises:
            ValueError, TypeError, KeyError: not a whole game.
        """
        values = json.loads(line)
        return cls(**{**values, "record": Record.from_line(json.dumps(values["record"]))})


class Recorder:
    """Keeps the games of people; safe to call from many threads.

    Args:
        out: folder of a leaderboard run, which people then join, or a folder for a new one.
        tasks: what is played: id and arguments.

    Raises:
        SuiteError: the folder holds something else.
        DatasetError: pyarrow is missing.
    """

    def __init__(self, out: Path, tasks: Sequence[SuiteTask]) -> None:
        require_pyarrow()
        self.out = out
        self.suite = _join(out, tasks)
        self._lock = threading.Lock()
        self._games: dict[str, list[GameRecord]] = {}
        self._playing: dict[str, set[int]] = {}
        for entry in tasks:
            name = name_of(entry)
            self._games[name], self._playing[name] = _read_journal(self._journal(name)), set()
            if self._games[name]:
                self._derive(entry)

    # -- which game is the next one that counts

    def cell(self, entry: SuiteTask) -> Cell | None:
        """Where the task's games count; None when the suite lacks the task or its simulator may not answer so again."""
        simulator = str(entry.kwargs.get("simulator", ""))
        if simulator.startswith(LIVE) or "elo" in entry.kwargs or name_of(entry) != entry.slug:
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
        """Reserve the next episode that counts: (its number, the suite's evaluation seed); None when all are taken."""
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
            return episode, spec.seed

    def release(self, entry: SuiteTask, episode: int) -> None:
        """Give an episode back that was not played."""
        with self._lock:
            self._playing[name_of(entry)].discard(episode)

    # -- keeping games

    def add(self, entry: SuiteTask, game: GameRecord) -> None:
        """Keep a finished game; on return it is on disk."""
        with self._lock:
            journal = self._journal(name_of(entry))
            journal.parent.mkdir(parents=True, exist_ok=True)
            append_whole(journal, f"{game.line()}\n", sync=True)
            self._games[name_of(entry)].append(game)
            if game.counts:
                self._playing[name_of(entry)].discard(game.record.episode)
            self._derive(entry)

    def _journal(self, name: str) -> Path:
        return self.out / HUMAN / f"{name}.jsonl"

    def _counting(self, entry: SuiteTask) -> dict[int, Record]:
        return {game.record.episode: game.record for game in self._games[name_of(entry)] if game.counts}

    def _derive(self, entry: SuiteTask) -> None:
        self._write_records(entry)
        self._write_dataset(entry)

    def _write_dataset(self, entry: SuiteTask) -> None:
        games = [game for game in self._games[name_of(entry)] if game.record.actions]
        folder = self.out / "data" / f"{name_of(entry)}--{HUMAN}-v0"
        there = read_manifest(folder)["episodes"] if (folder / MANIFEST).is_file() else 0
        if len(games) > there:
            title = f"{task(entry.id).family}/{HUMAN}-v0"
            recipe = Recipe(title, entry.id, HUMAN, 0, "People, through lmrl serve.", env_kwargs=entry.kwargs)
            append_episodes(folder, recipe, [_episode(entry, game) for game in games[there:]])

    def _write_records(self, entry: SuiteTask) -> None:
        cell, found = self.cell(entry), self._counting(entry)
        if cell is None or 0 not in found:
            return
        folder = cell.folder(self.out)
        count = next(i for i in range(len(found) + 1) if i not in found)
        records = [found[i] for i in range(count)]
        spec = replace(evaluation_of(self.suite, cell), episodes=count).as_dict() | {"agent_fingerprint": None}
        if not (folder / RUN).is_file():
            claim_records(folder, spec)
        elif read_run(folder)["spec"]["agent"] != HUMAN:
            raise RecordError(f"{folder} holds records of another agent")
        write_atomically(folder / EPISODES, "".join(f"{record.line()}\n" for record in records))
        run = {"schema_version": SCHEMA_VERSION, "spec": spec, "provenance": read_run(folder)["provenance"]}
        write_atomically(folder / RUN, json.dumps(run, indent=1, sort_keys=True) + "\n")
        write_atomically(folder / "agent.json", json.dumps({"kind": "people, through lmrl serve"}) + "\n")
        write_atomically(folder / SUMMARY, json.dumps(summary_of(spec, records), indent=1, sort_keys=True) + "\n")


def _episode(entry: SuiteTask, game: GameRecord) -> Episode:
    record = game.record
    stopped = record.error is not None
    return Episode(
        episode_id=0,
        env_id=entry.id,
        seed=record.seed,
        policy=f"{HUMAN}, {game.hints} hints" if game.hints else HUMAN,
        observations=record.observations,
        actions=record.actions,
        rewards=record.rewards,
        terminated=record.terminated,
        truncated=record.truncated or stopped,
        stopped=stopped,
        success=record.success,
        env_kwargs=entry.kwargs,
        info=record.info,
    )


def _read_journal(path: Path) -> list[GameRecord]:
    """All whole games; a last line that a kill cut is dropped from the file.

    Raises:
        RecordError: a damaged line that is not the last.
    """
    if not path.is_file():
        return []
    text = path.read_text("utf-8", errors="replace")
    whole, _, cut = text.rpartition("\n")
    games = []
    for number, line in enumerate(whole.split("\n") if whole else [], start=1):
        try:
            games.append(GameRecord.from_line(line))
        except (ValueError, TypeError, KeyError) as problem:
            raise RecordError(f"{path}, line {number} is damaged: {problem}") from None
    if cut:
        write_atomically(path, whole + "\n" if whole else "")
    return games


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
        record = {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()}
        write_atomically(path, json.dumps(record, indent=1, sort_keys=True) + "\n")
    return suite
