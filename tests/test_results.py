"""The accepted runs in benchmarks/results: what is published there holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmrl_benchmarks.reporting.submission import run_folder
from lmrl_benchmarks.running.cells import cells, read_part, read_suite
from lmrl_benchmarks.running.verify import verify_run

ARCHIVES = sorted((Path(__file__).parents[1] / "benchmarks" / "results").glob("*.tar.xz"))
SHARE = 20
"""Of how many games one is replayed here; `make attacks` replays all. Specs, seeds, options and sums are those of all."""


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name.split("-v")[0])
def test_committed_archives_hold(archive: Path, request: pytest.FixtureRequest) -> None:
    every = 1 if request.config.getoption("--every-game", default=False) else SHARE
    with run_folder(archive) as folder:
        found, suite = dict(verify_run(folder, every=every)), read_suite(folder)[0]
        planned, lacking = cells(suite, suite.agents), read_part(folder)
    assert (
        (lacking or len(found) >= len(planned)) and len(planned) > 5 and len(found) > 5 and not any(found.values())
    ), {name: breaches for name, breaches in found.items() if breaches}


def test_there_are_archives() -> None:
    assert len(ARCHIVES) >= 8
