"""docs/methods.md: every method of learning from people has a section with all four parts, its commands and experiments exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lmrl_benchmarks.experiments import grid
from lmrl_envs import doors

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "methods.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", PAGE, re.M))
PARTS = ("Equation", "Published", "Measured", "Not reproduced")


def trained(text: str) -> set[str]:
    """Algorithms that a text tells how to train."""
    return set(re.findall(r"lmrl train (\w+)", text))


def test_no_method_is_missing() -> None:
    table = (DOCS / "preferences.md").read_text("utf-8").split("| method | what |")[1].split("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[2:]]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told and told <= trained(PAGE) <= doors.installed("lmrl.algorithms").keys()


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_has_its_parts(name: str) -> None:
    heads = re.findall(r"^\*\*([\w ]+)\.\*\* \S", SECTIONS[name], re.M)
    assert tuple(heads) == PARTS and "`lmrl " in SECTIONS[name].split("**")[0]


def test_experiments_that_are_named_ship() -> None:
    cited = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE)) - {"mean-variance"}
    assert cited and cited <= set(grid.names())
