"""Verify a leaderboard run from its records alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmrl_benchmarks.records import RecordError, read_run, verify_records
from lmrl_benchmarks.runner import cells, evaluation_of, found_cells, read_suite
from lmrl_benchmarks.suite import HUMAN


def verify_run(out: Path) -> Iterator[tuple[str, list[str]]]:
    """For every cell of the suite, and every other one found: its name and the breaches (none when all holds)."""
    suite, record = read_suite(out)
    yield "suite", [] if record["digest"] == suite.digest else ["suite.json has been changed: its digest does not fit"]
    expected = cells(suite, suite.agents)
    for cell in [*expected, *(cell for cell in found_cells(suite, out) if cell not in expected)]:
        folder = cell.folder(out)
        name = f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"
        if not folder.is_dir():
            yield name, ["missing: the suite has this cell, the run has not"]
            continue
        try:
            spec = read_run(folder)["spec"]
            wanted = evaluation_of(suite, cell).as_dict()
            if cell not in expected:  # an agent added by name: what it was made from is in its own spec
                wanted |= {key: spec[key] for key in ("agent", "agent_kwargs")}
            if spec["agent"] == HUMAN:  # people play the first episodes of the list, as many as they like
                wanted["episodes"] = min(wanted["episodes"], spec["episodes"])
            breaches = [
                f"run.json: {key} is {spec.get(key)!r}, the suite says {value!r}"
                for key, value in wanted.items()
                if spec.get(key) != value
            ]
            breaches += verify_records(folder)
        except (RecordError, KeyError, ValueError) as problem:
            breaches = [str(problem)]
        yield name, breaches
