"""The script for a machine with a GPU: tried here with tiny networks, every part that a CPU can do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/gpu", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_every_row_is_measured_once(tmp_path: Path) -> None:
    order = ("--device", "cpu", "--sizes", "tiny", "--only", "training", "playing", "--json", tmp_path / "gpu.json")
    found = run(*order)
    assert found.returncode == 0, found.stderr
    rows = json.loads((tmp_path / "gpu.json").read_text())["rows"]
    assert len(rows) == 8 and all(row["about"]["sizes"] == "tiny" and row["about"]["device"] == "cpu" for row in rows)
    assert all(0 < row.get("mfu", 0.5) < 1 and row["tokens_a_second"] > 0 for row in rows)
    again = run(*order)
    assert again.returncode == 0 and again.stdout == ""  # what is there is not measured again


def test_without_a_gpu_it_says_so() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    found = run("--only", "training")
    assert found.returncode == 1 and "no CUDA device" in found.stderr and "Traceback" not in found.stderr
