"""Verify a leaderboard run from its records alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lmrl_benchmarks.records import RecordError, read_run, verify_records
from lmrl_benchmarks.runner import found_cells, read_suite


def verify_run(out: Path) -> Iterator[tuple[str, list[str]]]:
    """For every cell: its name and the breaches found (an empty list when all holds)."""
    suite, record = read_suite(out)
    yield "suite", [] if record["digest"] == suite.digest else ["suite.json has been changed: its digest does not fit"]
    for cell in found_cells(suite, out):
        folder = cell.folder(out)
        name = f"{cell.agent.name} on {cell.task.slug}, seed {cell.seed}"
        try:
            spec = read_run(folder)["spec"]
            breaches = [
                f"run.json: {key} is {spec[key]!r}, the suite says {wanted!r}"
                for key, wanted in (
                    ("env_id", cell.task.id),
                    ("env_kwargs", cell.task.kwargs),
                    ("episodes", cell.task.episodes or suite.episodes),
                    ("seed", suite.seed),
                )
                if spec[key] != wanted
            ]
            breaches += verify_records(folder)
        except (RecordError, KeyError) as problem:
            breaches = [str(problem)]
        yield name, breaches
