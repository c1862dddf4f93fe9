"""Verify a leaderboard run from its records alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import gymnasium
from msgspec.structs import replace

from lmrl_benchmarks.running.cells import Cell, cells, evaluation_of, found_cells, read_problems, read_suite
from lmrl_benchmarks.running.evaluation import summary_of
from lmrl_benchmarks.running.records import (
    EPISODES,
    SUMMARY,
    WRITTEN,
    RecordError,
    RecordFile,
    read_run,
    read_summary,
    recorded_version,
)
from lmrl_benchmarks.running.suite import HUMAN, Suite, SuiteAgent
from lmrl_datasets import DatasetError
from lmrl_datasets.schema import plain
from lmrl_envs import __version__
from lmrl_envs.work import process_pool


def _expected(suite: Suite, found: list[Cell]) -> list[Cell]:
    """The cells of all agents that have any, and what was found beside them."""
    present = {cell.agent.name for cell in found}
    known = {agent.name for agent in suite.agents}
    agents = [agent for agent in suite.agents if agent.name in present]
    agents += [SuiteAgent(name=name) for name in sorted(present - known - {HUMAN})]
    expected = cells(suite, agents)
    return [*expected, *(cell for cell in found if cell not in expected)]


def verify_run(out: Path, workers: int = 1) -> Iterator[tuple[str, list[str]]]:
    """For every cell that the run must have, and every other one found: its name and the breaches (none when all holds).

    A run may leave agents of the suite out, but an agent that plays one task has to play all: nobody picks the easy ones.
    (People may.)

    Args:
        out: folder of the run.
        workers: processes that replay; the order of what is yielded does not depend on them.
    """
    suite, record = read_suite(out)
    version = recorded_version(record)
    about = [] if record["digest"] == suite.digest else ["suite.json has been changed: its digest does not fit"]
    if version != __version__:
        about.append(f"recorded with lmrl {version}, this is {__version__}: verify with that version")
    found = found_cells(suite, out)
    if not found:
        about.append("there are no cells")
    yield "suite", about
    expected = _expected(suite, found)
    check = partial(_verify_cell, out, suite, version, read_problems(out))
    if workers == 1:
        breaches: Iterator[list[str]] = map(check, expected)
        yield from zip(map(_name, expected), breaches, strict=True)
        return
    with process_pool(workers) as pool:
        yield from zip(map(_name, expected), pool.map(check, expected), strict=True)


def _name(cell: Cell) -> str:
    return f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"


def _verify_cell(out: Path, suite: Suite, version: str, problems: dict[str, str], cell: Cell) -> list[str]:
    """The breaches of one cell."""
    folder, why = cell.folder(out), problems.get(cell.job_name)
    if not folder.is_dir():
        return ["missing: the suite has this cell, the run has not" + (f" ({why})" if why else "")]
    if why and not (folder / SUMMARY).is_file():
        return [f"not finished: {why}"]
    breaches: list[str] = []
    try:
        run = read_run(folder)
        spec = run["spec"]
        wanted = evaluation_of(suite, cell).as_dict()
        if all(agent.name != cell.agent.name for agent in suite.agents):
            # An agent added by name: what it was made from is in its own spec.
            wanted |= {key: spec[key] for key in ("agent", "agent_kwargs")}
        if spec["agent"] == HUMAN:  # people play the first episodes of the list, as many as they like
            wanted["episodes"] = min(wanted["episodes"], spec["episodes"])
        breaches += [
            f"run.json: {key} is {spec.get(key)!r}, the suite says {value!r}"
            for key, value in wanted.items()
            if spec.get(key) != value
        ]
        if recorded_version(run) != version:
            breaches.append(f"run.json: recorded with lmrl {recorded_version(run)}, the run with {version}")
        breaches += verify_records(folder)
    except (RecordError, KeyError, ValueError, gymnasium.error.Error) as problem:
        breaches.append(str(problem))
    return breaches


def verify_records(folder: Path) -> Iterator[str]:
    """Check an evaluation's records against its spec, its summary and the environment; yields every breach found."""
    import gymnasium

    from lmrl_agents.playing.rollout import episode_options
    from lmrl_envs import task
    from lmrl_envs.seeding import episode_seed

    spec = read_run(folder)["spec"]
    records = RecordFile(folder).read()
    numbers = [record.episode for record in records]
    for number in sorted({n for n in numbers if numbers.count(n) > 1}) if len(set(numbers)) < len(numbers) else ():
        yield f"episode {number} is recorded more than once"
    missing = sorted(set(range(spec["episodes"])) - set(numbers))
    if missing:
        yield f"{len(missing)} of {spec['episodes']} episodes are missing, the first is {missing[0]}"
    if set(numbers) - set(range(spec["episodes"])):
        yield "there are episodes that the spec does not ask for"
    # Only ids of the task table: an id may otherwise name a module to import.
    row = task(spec["env_id"])
    if row.is_live(spec["env_kwargs"]):
        simulator = spec["env_kwargs"]["simulator"]
        yield f"played against {simulator!r}, which cannot be asked again: run with record=, and verify with replay:<file>"
        return
    surface = row.surface
    env: Any = gymnasium.make(row.id, **surface.replay_kwargs(spec["env_kwargs"])).unwrapped
    try:
        for record in records:
            if record.seed != episode_seed("evaluation", spec["seed"], record.episode):
                yield f"episode {record.episode} was played with another seed than the spec's"
                continue
            options = episode_options(spec["options"], spec.get("each", {}), record.episode)
            if record.options != options:
                yield f"episode {record.episode} was played with reset options {record.options}, the spec has {options}"
                continue
            try:
                options = surface.replay_options(
                    spec["env_kwargs"], record.options, record.observations, record.actions
                )
                replace(record, options=options).replay(env, spec["env_id"])
            except DatasetError as problem:
                yield str(problem)
            except ValueError as problem:
                yield f"episode {record.episode} (seed {record.seed}): {problem}"
    finally:
        env.close()
    try:
        summary = read_summary(folder)
    except RecordError as problem:
        yield str(problem)
        return
    written = summary.pop(WRITTEN, None)  # older runs and those of people have none
    if written is not None and written != sha256((folder / EPISODES).read_bytes()).hexdigest():
        yield f"{EPISODES} has been changed since it was written: its hash is not the summary's"
    recomputed = plain(summary_of(spec, records)) if records else {}
    for key in sorted({*recomputed, *summary}):
        if not _same(recomputed.get(key), summary.get(key)):
            yield f"summary: {key} is {summary.get(key)}, the records give {recomputed.get(key)}"


def _same(a: Any, b: Any) -> bool:
    """Equal, numbers up to rounding: sums may be taken in another order on another machine."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b
