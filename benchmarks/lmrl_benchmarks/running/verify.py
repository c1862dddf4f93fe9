"""Verify a leaderboard run from its records alone.

What is replayed is certain: returns, success, validity, turns, and that the games are the suite's. What is claimed is not: who
played, seconds, tokens, cost, curves, commit (docs/leaderboard.md lists both, and what no verification can find).
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from lmrl_benchmarks.running.cells import PART, Cell, cells, evaluation_of, read_part, read_problems, read_suite
from lmrl_benchmarks.running.manifest import damaged_files, unreadable_files
from lmrl_benchmarks.running.records import (
    EPISODES,
    PARTNER,
    SUMMARY,
    WRITTEN,
    Record,
    RecordFile,
    is_partner_recorded,
    read_run,
    read_summary,
    recorded_version,
)
from lmrl_benchmarks.running.sealing import why_not_playable
from lmrl_benchmarks.running.suite import HUMAN, NAME, Suite, SuiteAgent, borrowed_name
from lmrl_benchmarks.running.summary import summary_of
from lmrl_datasets import DatasetError
from lmrl_datasets.replay import make_recorded
from lmrl_datasets.schema import plain
from lmrl_envs import SimulatorError, Task, __version__, task
from lmrl_envs.files import untrusted
from lmrl_envs.files.untrusted import shown
from lmrl_envs.partners.replay import replayed_kwargs
from lmrl_envs.seeding import episode_seed
from lmrl_envs.work import process_pool

CLAIMED = frozenset({"agent_fingerprint", "task_fingerprint", "reward_fingerprint"})
"""Keys of a recorded spec that say whose code played: no replay can tell."""


LONG = 1e-3
"""Seconds of a game whose equality in all six digits is no chance; games that are played side by side share their time."""


@dataclass
class Checked:
    """What checking a cell found."""

    breaches: list[str] = field(default_factory=list)
    games: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    """Episode -> a hash of its actions, and the seconds that the agent took."""
    fingerprint: str | None = None
    is_sampled: bool = False
    """The agent's actions are drawn, by a temperature above 0."""

    def copy_of(self, other: Checked, same_agent: bool) -> bool:
        """Whether these are the other cell's games and not games that came out alike: greedy agents that learned the same
        do play the same, but not in the same microseconds, nor with the same weights.
        """
        same = [self.games[k] == other.games[k] for k in self.games if k in other.games and self.games[k][1] > 0]
        # Agents that take microseconds do come out alike: in some games, and two seeds of one that learned the same in all.
        slow = sum(seconds > LONG for _, seconds in self.games.values())
        if sum(same) > len(self.games) / 2 and (slow > len(self.games) / 2 or (all(same) and not same_agent)):
            return True
        if not same_agent or [game for game, _ in self.games.values()] != [game for game, _ in other.games.values()]:
            return False
        return self.is_sampled or (self.fingerprint or "") == other.fingerprint


def verify_run(out: Path, workers: int = 1, salt: str = "", every: int = 1) -> Iterator[tuple[str, list[str]]]:
    """For every cell that the run must have: its name and the breaches (none when all holds).

    A run may leave agents of the suite out, but an agent that plays one task has to play all: nobody picks the easy ones.
    (People may.) A part of a run (``part.json``) names what it lacks, every cell; those are not yielded.

    Args:
        out: folder of the run.
        workers: processes that replay; the order of what is yielded does not depend on them.
        salt: of a sealed suite.
        every: replay one game of so many only; specs, seeds, options and sums are checked of all.
    """
    suite, record = read_suite(out)
    version = recorded_version(record)
    expected, strangers = expected_cells(suite, out)
    about = [f"{shown(name)}: the suite has no such cell" for name in strangers]
    if record["digest"] != suite.digest:
        about.append("suite.json has been changed: its digest does not fit")
    if borrowed := borrowed_name(suite):
        about.append(f"the suite {borrowed}")
    if version != __version__:
        about.append(f"recorded with lmrl {shown(version)}, this is {__version__}: verify with that version")
    if not expected:
        about.append("there are no cells")
    if why := why_not_playable(suite, salt):
        about.append(why)
    with contextlib.suppress(OSError, untrusted.Refused):  # told by unreadable_files
        lacking = read_part(out)
        about += [
            f"{PART} names {shown(name)}, which is no cell that is not there"
            for name in sorted(lacking - _absent(expected, out))
        ]
        expected = [cell for cell in expected if cell.records_folder not in lacking or cell.folder(out).is_dir()]
    yield "suite", about + damaged_files(out) + unreadable_files(out)
    check = partial(_verify_cell, out, suite, version, read_problems(out), "" if why else salt, every)
    seen: dict[str, list[tuple[Cell, Checked]]] = {}
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(process_pool(workers)).map(check, expected) if workers > 1 else map(check, expected)
        for cell, checked in zip(expected, found, strict=True):
            earlier = seen.setdefault(cell.task.slug, [])
            copied = next((c for c, other in earlier if checked.copy_of(other, c.agent.name == cell.agent.name)), None)
            if copied:
                checked.breaches.append(f"these are the games of {_name(copied)}, action for action")
            earlier.append((cell, checked))
            yield _name(cell), checked.breaches


def expected_cells(suite: Suite, out: Path) -> tuple[list[Cell], list[str]]:
    """The cells of all agents that have any; folders that are those of no cell."""
    folders = [path for path in out.glob("cells/*/*/*") if path.is_dir()]
    present = {path.parent.name for path in folders}
    known = {agent.name for agent in suite.agents}
    agents = [agent for agent in suite.agents if agent.name in present]
    agents += [SuiteAgent(name=name) for name in sorted(present - known - {HUMAN}) if NAME.fullmatch(name)]
    expected = cells(suite, agents)
    if HUMAN in present - known:
        expected += [cell for cell in cells(suite, [SuiteAgent(name=HUMAN)]) if cell.folder(out).is_dir()]
    places = {cell.records_folder for cell in expected}
    names = (path.relative_to(out).as_posix() for path in folders)
    return expected, sorted(name for name in names if name not in places)


def _absent(expected: Sequence[Cell], out: Path) -> set[str]:
    return {cell.records_folder for cell in expected if not cell.folder(out).is_dir()}


def _name(cell: Cell) -> str:
    return f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"


def _verify_cell(
    out: Path, suite: Suite, version: str, problems: dict[str, str], salt: str, every: int, cell: Cell
) -> Checked:
    """Check one cell; whatever is wrong with it is a breach of this cell."""
    folder, why = cell.folder(out), problems.get(cell.job_name)
    if not folder.is_dir():
        return Checked(["missing: the suite has this cell, the run has not" + (f" ({shown(why)})" if why else "")])
    if why and not (folder / SUMMARY).is_file():
        return Checked([f"not finished: {shown(why)}"])
    checked = Checked()
    try:
        run = read_run(folder)
        spec = run["spec"]
        checked.breaches += _other_spec(suite, cell, spec, salt)
        if recorded_version(run) != version:
            checked.breaches.append(
                f"run.json: recorded with lmrl {shown(recorded_version(run))}, the run with {version}"
            )
        records = RecordFile(folder).read()
        checked.breaches += _breaches(folder, spec, records, salt, every)
        for record in sorted(records, key=lambda record: record.episode):
            actions = blake2b(json.dumps(record.actions).encode(), digest_size=8)
            checked.games[record.episode] = actions.digest(), record.seconds
        checked.fingerprint = spec.get("agent_fingerprint")
        temperature = spec["agent_kwargs"].get("temperature")
        checked.is_sampled = isinstance(temperature, int | float) and temperature > 0
    except (Exception, RecursionError, MemoryError) as problem:  # of a stranger's files, whatever they lead to
        kind = "" if isinstance(problem, RuntimeError | ValueError) else f"{type(problem).__name__}: "
        checked.breaches.append(kind + shown(str(problem), 300))
    return checked


def _other_spec(suite: Suite, cell: Cell, spec: dict[str, Any], salt: str) -> Iterator[str]:
    """In what the spec of a cell's records is not the suite's; texts are compared, in which 1, 1.0 and true are three things."""
    wanted = evaluation_of(suite, cell, salt).as_dict()
    if all(agent.name != cell.agent.name for agent in suite.agents):
        if (cell.agent.name == HUMAN) != (spec.get("agent") == HUMAN):
            yield f"the games of people stand under the name {HUMAN!r}, and no others"
        if cell.agent.name == HUMAN:  # people play the first episodes of the list, as many as they like
            wanted["episodes"] = min(wanted["episodes"], spec["episodes"])
        # An agent added by name: what it was made from is in its own spec.
        wanted |= {key: spec[key] for key in ("agent", "agent_kwargs")}
    for key in sorted({*wanted, *spec} - CLAIMED):
        theirs, own = (
            json.dumps(values[key], sort_keys=True) if key in values else "not there" for values in (spec, wanted)
        )
        if theirs != own:
            yield f"run.json: {shown(key)} is {shown(theirs)}, the suite says {shown(own)}"


def verify_records(folder: Path, salt: str = "", every: int = 1) -> Iterator[str]:
    """Check an evaluation's records against its spec, its summary and the environment; yields every breach found.

    Args:
        folder: of the records.
        salt: of a sealed suite.
        every: replay one game of so many only.
    """
    yield from _breaches(folder, read_run(folder)["spec"], RecordFile(folder).read(), salt, every)


def _breaches(folder: Path, spec: dict[str, Any], records: list[Record], salt: str, every: int) -> Iterator[str]:
    # Only ids of the task table: an id may otherwise name a module to import.
    row = task(spec["env_id"])
    yield from _wrong_games(spec, records, salt)
    kwargs = _replay_kwargs(folder, row, spec["env_kwargs"])
    if kwargs is None:
        yield (
            f"played against {shown(spec['env_kwargs']['simulator'])!r}, which cannot be asked again, and {PARTNER}, in which its "
            "replies are recorded, is not there"
        )
    else:
        env: Any = make_recorded(row, kwargs, str(folder), folder=folder).unwrapped
        try:
            for record in records[::every]:
                yield from _replayed(env, row, spec, record)
        finally:
            env.close()
    yield from _wrong_sums(folder, spec, records)


def _wrong_games(spec: dict[str, Any], records: Sequence[Record], salt: str) -> Iterator[str]:
    """In what the games are not those that the spec asks for: numbers, seeds, reset options."""
    from lmrl_agents.playing.rollout import episode_options

    numbers, asked = [record.episode for record in records], range(spec["episodes"])
    for number in sorted({n for n in numbers if numbers.count(n) > 1}) if len(set(numbers)) < len(numbers) else ():
        yield f"episode {number} is recorded more than once"
    missing = sorted(set(asked) - set(numbers))
    if missing:
        yield f"{len(missing)} of {spec['episodes']} episodes are missing, the first is {missing[0]}"
    if any(number not in asked for number in numbers):
        yield "there are episodes that the spec does not ask for"
    is_sealed = bool(spec.get("commitment")) and not salt  # nothing is known of its seeds: told once, of the suite
    for record in records:
        if not is_sealed and record.seed != episode_seed("evaluation", spec["seed"], record.episode, salt):
            yield f"episode {record.episode} was played with another seed than the spec's"
        options = episode_options(spec["options"], spec.get("each", {}), record.episode)
        if plain(record.options) != plain(options):
            yield f"episode {record.episode} was played with other reset options than the spec's"


def _replay_kwargs(folder: Path, row: Task, env_kwargs: dict[str, Any]) -> dict[str, Any] | None:
    """Arguments of the environment in which records are replayed; None where nobody can say what its partner answered."""
    if not is_partner_recorded(row.id, env_kwargs):
        return row.surface.replay_kwargs(env_kwargs)
    return replayed_kwargs(env_kwargs, PARTNER) if (folder / PARTNER).is_file() else None


def _replayed(env: Any, row: Task, spec: dict[str, Any], record: Record) -> Iterator[str]:
    try:
        options = row.surface.replay_options(spec["env_kwargs"], record.options, record.observations, record.actions)
        replace(record, options=options).replay(env, spec["env_id"])
    except DatasetError as problem:
        yield str(problem)
    except (ValueError, SimulatorError) as problem:
        yield f"episode {record.episode} (seed {record.seed}): {shown(str(problem), 300)}"


def _wrong_sums(folder: Path, spec: dict[str, Any], records: Sequence[Record]) -> Iterator[str]:
    """In what the summary is not that of the records."""
    summary = read_summary(folder)
    written = summary.pop(WRITTEN, None)  # older runs and those of people have none
    if written is not None and written != sha256((folder / EPISODES).read_bytes()).hexdigest():
        yield f"{EPISODES} has been changed since it was written: its hash is not the summary's"
    recomputed = plain(summary_of(spec, records)) if records else {}
    for key in sorted({*recomputed, *summary}):
        if not _same(recomputed.get(key), summary.get(key)):
            yield f"summary: {key} is {shown(str(summary.get(key)))}, the records give {recomputed.get(key)}"


def _same(a: Any, b: Any) -> bool:
    """Equal, numbers up to rounding: sums may be taken in another order on another machine."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
