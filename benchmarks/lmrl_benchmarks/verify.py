"""Verify a leaderboard run from its records alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmrl_benchmarks.records import RecordError, installed_version, read_run, recorded_version, verify_records
from lmrl_benchmarks.runner import Cell, cells, eval_name, evaluation_of, found_cells, read_problems, read_suite
from lmrl_benchmarks.suite import Suite, SuiteAgent

PARTIAL = frozenset({"human"})
"""Agents that need not play every task."""


def _expected(suite: Suite, found: list[Cell]) -> list[Cell]:
    """The cells of all agents that have any, and what was found beside them."""
    present = {cell.agent.name for cell in found}
    known = {agent.name for agent in suite.agents}
    agents = [agent for agent in suite.agents if agent.name in present]
    agents += [SuiteAgent(name=name) for name in sorted(present - known - PARTIAL)]
    expected = cells(suite, agents)
    return [*expected, *(cell for cell in found if cell not in expected)]


def verify_run(out: Path) -> Iterator[tuple[str, list[str]]]:
    """For every cell that the run must have, and every other one found: its name and the breaches (none when all holds).

    A run may leave agents of the suite out, but an agent that plays one task has to play all: nobody picks the easy ones.
    (People may: see `PARTIAL`.)
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
    problems = read_problems(out)
    known = cells(suite, suite.agents)
    for cell in _expected(suite, found):
        folder = cell.folder(out)
        name = f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"
        if not folder.is_dir():
            why = problems.get(eval_name(cell))
            yield name, ["missing: the suite has this cell, the run has not" + (f" ({why})" if why else "")]
            continue
        try:
            run = read_run(folder)
            spec = run["spec"]
            wanted = evaluation_of(suite, cell).as_dict()
            if cell not in known:  # an agent added by name: what it was made from is in its own spec
                wanted |= {key: spec[key] for key in ("agent", "agent_kwargs")}
            breaches = [
                f"run.json: {key} is {spec.get(key)!r}, the suite says {value!r}"
                for key, value in wanted.items()
                if spec.get(key) != value
            ]
            if recorded_version(run) != version:
                breaches.append(f"run.json: recorded with lmrl {recorded_version(run)}, the run with {version}")
            breaches += verify_records(folder)
        except (RecordError, KeyError, ValueError) as problem:
            breaches = [str(problem)]
        yield name, breaches
