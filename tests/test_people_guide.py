"""docs/learn-from-people.md and docs/add-a-labeller.md, their files and commands as written."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmrl_datasets.preferences import load_preferences

DOCS = Path(__file__).parent.parent / "docs"


def run_as_written(page: str, place: Path) -> str:
    """Write the page's files, run its commands; returns what they printed."""
    text = (DOCS / page).read_text("utf-8")
    for body in re.findall(r"^```(?:toml|python)\n(.*?)^```", text, re.M | re.S):
        (place / body.split("\n")[0].removeprefix("# ")).write_text(body)
    (place / "bin").mkdir()
    install = f'-m pip install -q --no-deps --no-build-isolation --target "{place / "site"}"'
    for name, command in (("lmrl", "-m lmrl_benchmarks.commands.cli"), ("pip", install)):
        tool = place / "bin" / name
        first = "shift; " if name == "pip" else ""  # pip's own "install"; into a folder, with what is there already
        tool.write_text(f'#!/bin/sh\n{first}exec "{sys.executable}" {command} "$@"\n')
        tool.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(place / "site"), *(p for p in sys.path if p)]),
    }
    script = "\n".join(["set -ex", *re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)])
    result = subprocess.run(["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def test_a_labeller_from_outside_works_by_its_name(tmp_path: Path) -> None:
    told = run_as_written("add-a-labeller.md", tmp_path)
    found = load_preferences(tmp_path / "runs" / "pairs")
    own = [label for label in found.labels if label.annotator == "polite:strict"]
    assert len(own) == 40 and {label.label for label in own} <= {0.0, 0.5, 1.0} and all(label.critique for label in own)
    assert "polite:strict" in told and "runs/pairs holds" in told


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_from_a_pair_to_the_hump(tmp_path: Path) -> None:
    told = run_as_written("learn-from-people.md", tmp_path)
    runs = tmp_path / "runs"
    assert "agrees with gold" in told
    assert json.loads((runs / "reward" / "final" / "lmrl.json").read_text())["accuracy"] > 0.4
    many, one = (json.loads((runs / f"best-of-{n}" / "summary.json").read_text()) for n in (16, 1))
    assert many["optimised_mean"] > one["optimised_mean"]
    cells = [json.loads(path.read_text()) for path in (runs / "hump" / "cells").iterdir()]
    told_by = {cell["cell"]["reader"]: cell["result"]["numbers"] for cell in cells}
    assert told_by["lazy:check=0"]["end"] < told_by["lazy:check=0"]["peak"] - 0.1 < told_by["gold"]["end"] - 0.1
    for name in ("rlhf", "dpo", "online-dpo", "self", "revised", "tamer"):
        assert (runs / name / "final" / "lmrl.json").is_file()
