"""The matrix of results: parts of its suite, its page, and archives tied to the code that made them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from lmrl_agents.learning.train import algorithms, code_of
from lmrl_benchmarks.reporting import matrix
from lmrl_benchmarks.running.cells import Part, Plan
from lmrl_benchmarks.running.suite import SuiteError, load_suite

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ARCHIVES = sorted(RESULTS.glob("*.tar.xz"))
SMALL = min(RESULTS.glob("learning-online-*.tar.xz"))
"""A small one with a clone in it."""


def test_parts_of_a_suite_are_the_whole() -> None:
    suite = load_suite("matrix")

    def jobs(part: Part | None) -> set[str]:
        return {job.name for job in Plan(suite, suite.agents, "cpu", part=part).jobs.values() if job.kind == "eval"}

    whole = jobs(None)
    parts = [jobs(Part((task.id,), (seed,))) for task in suite.tasks for seed in suite.training_seeds]
    assert set().union(*parts) == whole
    trained = jobs(Part(("lmrl/Wordle-v0",), (1,)))
    assert "eval ilql Wordle seed 1" in trained and "eval random Wordle seed 0" in trained
    assert not [name for name in trained if "Maze" in name or "ilql Wordle seed 0" in name]
    for part, what in ((Part(("lmrl/None-v0",)), "task 'lmrl/None-v0'"), (Part(seeds=(7,)), "training seed 7")):
        with pytest.raises(SuiteError, match=f"no {what}"):
            part.check(suite)


def test_the_matrix_has_every_task_and_every_algorithm_or_says_why_not() -> None:
    suite, empty = load_suite(matrix.SUITE), tomllib.loads((RESULTS / matrix.EMPTY).read_text("utf-8"))
    assert {agent.train for agent in suite.agents if agent.train} == set(matrix.ALGORITHMS) <= set(algorithms())
    assert {task.id for task in suite.tasks} == set(empty) and all(reasons["all"] for reasons in empty.values())


def test_the_page_is_made_of_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(matrix.entries_of(SMALL))
    id, data, entry = next(one for one in found if one[2].agent.name == "bc")
    task = next(t for t in load_suite(matrix.SUITE).tasks if (t.id, t.data["name"]) == (id, data))
    assert matrix.chosen(found, task, "bc") == entry
    empty = {t.id: {"all": "because"} for t in load_suite(matrix.SUITE).tasks}
    text = matrix.page([SMALL], empty)
    row = next(line for line in text.splitlines() if line.startswith(f"| {id} | bc |"))
    assert f"| {entry.row.returns:.2f} |" in row and SMALL.name.removesuffix(".tar.xz") in row
    told = sum(line.count(",") for line in text.splitlines() if line.endswith(": because."))
    assert told + len(re.findall(r"^\| lmrl/\S+ \| [a-z_]+ \| -?\d+\.", text, re.M)) == 11 * 9
    with pytest.raises(KeyError):
        matrix.page([SMALL], {})
    assert "†" not in row and f"{entry.row.score:.0f}*" in text
    alone = replace(entry, row=replace(entry.row, seeds=1))
    assert (
        matrix._cell(alone) == f"{entry.row.score:.0f}†*"
        and matrix.chosen([(id, data, alone), (id, data, entry)], task, "bc") == entry
    )
    assert entry.changed, "archives made before tell no code"
    monkeypatch.setattr(matrix, "code_of", lambda spec: None)
    assert not entry.changed


def test_what_was_trained_tells_its_code(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("def train(run):\n    return run.out\n")
    first = code_of(f"{own}:train")
    assert first == code_of(f"{own}:train") != code_of("bc")
    own.write_text("def train(run):\n    return run.out / 'final'\n")
    assert code_of(f"{own}:train") != first


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.name)
def test_the_page_says_what_has_changed_since_an_archive(archive: Path) -> None:
    text = (ROOT / "docs" / "matrix.md").read_text("utf-8")
    told = re.search(rf"^\| `{re.escape(archive.name.removesuffix('.tar.xz'))}` \| (.*) \|$", text, re.M)
    assert told is not None, (
        "make docs/matrix.md again: lmrl leaderboard matrix benchmarks/results --out docs/matrix.md"
    )
    assert told[1] == (", ".join(matrix.changed_since(archive)) or "none")
