"""docs/evaluate-an-llm.md, its commands run as written against a local server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chat_player import any_player
from faulty_server import FaultyServer

pytest.importorskip("httpx")
pytest.importorskip("matplotlib")

GUIDE = Path(__file__).parent.parent / "docs" / "evaluate-an-llm.md"
TASKS = {
    "lmrl/Wordle-v0": {},
    "lmrl/MazeFullyObserved-v0": {},
    "lmrl/ChessEndgames-v0": {"positions": "evaluation", "spaced": False},
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
def test_the_guide_runs_as_written(tmp_path: Path) -> None:
    for text in blocks("toml"):
        (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text)
    assert {"prices.toml", "mine.toml"} <= {path.name for path in tmp_path.iterdir()}
    (tmp_path / "bin").mkdir()
    lmrl = tmp_path / "bin" / "lmrl"
    lmrl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lmrl_benchmarks.commands.cli "$@"\n')
    lmrl.chmod(0o755)
    with FaultyServer(answer=any_player(TASKS)) as server:
        environment = {
            **os.environ,
            "PATH": f"{lmrl.parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "MODEL": "toy-model",
            "OPENAI_BASE_URL": server.url,
        }
        environment.pop("OPENAI_API_KEY", None)
        script = "set -ex\n" + "\n".join(blocks("sh"))
        result = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]
    runs = tmp_path / "runs"
    assert json.loads((runs / "wordle" / "summary.json").read_text())["success_rate"] == 1.0
    assert json.loads((runs / "maze" / "summary.json").read_text())["success_rate"] == 1.0
    assert json.loads((runs / "capped" / "summary.json").read_text())["cost_usd"] == 0
    (cell,) = (runs / "mine" / "cells" / "Wordle").glob("openai*toy-model/seed-0")
    assert json.loads((cell / "summary.json").read_text())["episodes"] == 10
    assert (runs / "mine" / "report.html").is_file() and "0 breaches" in result.stdout
