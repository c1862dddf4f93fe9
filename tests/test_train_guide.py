"""docs/train-your-llm.md, its commands run as written on a tiny model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("peft")

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "train-your-llm.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)


@pytest.mark.slow
def test_the_guide_runs_as_written(tmp_path: Path) -> None:
    for text in blocks("toml"):
        (tmp_path / text.split("\n")[0].removeprefix("# ")).write_text(text)
    (tmp_path / "bin").mkdir()
    lmrl = tmp_path / "bin" / "lmrl"
    lmrl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lmrl_benchmarks.commands.cli "$@"\n')
    lmrl.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{lmrl.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "MODEL": str(tmp_path / "tiny"),
    }
    tiny = f"{sys.executable} {ROOT / 'tools' / 'tiny_instruct.py'} tiny --steps 40 --width 32"
    script = "\n".join(["set -ex", tiny, *blocks("sh")])
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    runs = tmp_path / "runs"
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    assert json.loads((runs / "exported" / "summary.json").read_text())["episodes"] == 4
    assert (runs / "mine" / "report.html").is_file() and "0 breaches" in result.stdout
