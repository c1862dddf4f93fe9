"""Verify a leaderboard run from its records alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import gymnasium

from lmrl_benchmarks.cells import Cell, cells, eval_name, evaluation_of, found_cells, read_problems, read_suite
from lmrl_benchmarks.records import SUMMARY, RecordError, installed_version, read_run, recorded_version, verify_records
from lmrl_benchmarks.suite import Suite, SuiteAgent
from lmrl_datasets.store import end_with_parent

PARTIAL = frozenset({"human"})
"""Agents that need not play every task, nor every episode."""


def _expected(suite: Suite, found: list[Cell]) -> list[Cell]:
    """The cells of all agents that have any, and what was found beside them."""
    present = {cell.agent.name for cell in found}
    known = {agent.name for agent in suite.agents}
    agents = [agent for agent in suite.agents if agent.name in present]
    agents += [SuiteAgent(name=name) for name in sorted(present - known - PARTIAL)]
    expected = cells(suite, agents)
    return [*expected, *(cell for cell in found if cell not in expected)]


def verify_run(out: Path, workers: int = 1) -> Iterator[tuple[str, list[str]]]:
    """For every cell that the run must have, and every other one found: its name and the breaches (none when all holds).

    A run may leave agents of the suite out, but an agent that plays one task has to play all: nobody picks the easy ones.
    (People may: see `PARTIAL`.)

    Args:
        out: folder of the run.
        workers: processes that replay; the order of what is yielded does not depend on them.
    """
    suite, record = read_suite(out)
    version, installed = recorded_version(record), installed_version()
    about = [] if record["digest"] == suite.digest else ["suite.json has been changed: its digest does not fit"]
    if version != installed:
        about.append(f"recorded with lmrl {version}, this is {installed}: verify with that version")
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
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        yield from zip(map(_name, expected), pool.map(check, expected), strict=True)


def _name(cell: Cell) -> str:
    return f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"


def _verify_cell(out: Path, suite: Suite, version: str, problems: dict[str, str], cell: Cell) -> list[str]:
    """The breaches of one cell."""
    folder, why = cell.folder(out), problems.get(eval_name(cell))
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
        if spec["agent"] in PARTIAL:  # people play the first episodes of the list, as many as they like
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
