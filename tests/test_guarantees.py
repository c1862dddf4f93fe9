"""The pages of promises name tests that exist, and every row names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGES = [TESTS.parent / "docs" / f"{name}.md" for name in ("guarantees", "faults", "security", "reproducibility")]
CITED = re.compile(r"`(?:tests/)?((?:attacks/)?test_\w+\.py)(?:::(\w+))?`")


def _functions(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((TESTS / file).read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def _missing(text: str) -> list[str]:
    cited = sorted(set(CITED.findall(text)))
    there = {file: _functions(file) for file, _ in cited if (TESTS / file).is_file()}
    return [f"{file}::{name}" for file, name in cited if file not in there or (name and name not in there[file])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_cited_tests_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    assert CITED.search(text) and _missing(text) == []


def test_a_wrong_citation_is_found() -> None:
    assert _missing("`test_guarantees.py::test_cited_tests_exist` and `tests/test_guarantees.py`") == []
    assert _missing("`test_guarantees.py::test_nothing`, `test_nowhere.py`") == [
        "test_guarantees.py::test_nothing",
        "test_nowhere.py::",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_row_is_held_by_a_test_or_says_that_none_does(page: Path) -> None:
    column = None
    for line in page.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = next((k for k, cell in enumerate(cells) if cell in ("test", "held by")), -1)
        elif column >= 0 and not set(line) <= set("|- "):
            held = cells[column]
            assert CITED.search(held) or held.startswith("no test") or re.search(r"the rows of \[", held), line
