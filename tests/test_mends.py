"""The mends that `make mutants` takes back stand in the code, each with a test that there is."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tools.mutants.mends import taken_back

ROOT = Path(__file__).parents[1]
MENDS = tomllib.loads((ROOT / "tools/mutants/mends.toml").read_text("utf-8"))["mend"]


@pytest.mark.parametrize("mend", MENDS, ids=lambda mend: f"{mend['row']} {mend['what']}")
def test_a_mend_can_be_taken_back(mend: dict[str, str]) -> None:
    assert ast.dump(ast.parse(text := (ROOT / mend["file"]).read_text("utf-8"))) != ast.dump(
        ast.parse(taken_back(text, mend))
    )
    file, _, name = mend["test"].partition("::")
    assert f"def {name}(" in (ROOT / file).read_text("utf-8")
    assert mend["test"].removeprefix("tests/") in (ROOT / "docs/security.md").read_text("utf-8")
