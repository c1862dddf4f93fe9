"""`--fuzz-minutes`: how long `make fuzz` plays; what it played is told at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fuzz-minutes", type=float, default=0.0, help="play hostile games for so long, all tests together"
    )


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Iterator[int] | None:
    """Seeds of rounds, until the test's share of `--fuzz-minutes` is over; None in the quick suite."""
    config = request.config
    minutes = config.getoption("--fuzz-minutes", default=0.0)
    if not minutes:
        return None
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    until = time.monotonic() + minutes * 60 * workers / len(request.session.items)
    first = int(config.getoption("--hypothesis-seed") or 0) * 1_000_000

    def seeds() -> Iterator[int]:
        number = first
        while number == first or time.monotonic() < until:
            yield number
            number += 1

    return seeds()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--fuzz-minutes", default=0.0):
        return
    total = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            played = dict(report.user_properties)
            if report.when == "call" and "actions" in played:
                total += played["actions"]
                terminalreporter.write_line(
                    f"{played['actions']:>12,} actions in {played['cases']:>8,} cases: {report.nodeid.partition('[')[2][:-1]} {outcome}"
                )
    terminalreporter.write_line(f"{total:>12,} actions in all")
