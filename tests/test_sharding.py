"""Online algorithms with sharded weights: two gloo processes take the step of one, with whole weights and with adapters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from test_chat_training import LORA, instruct, run_of  # noqa: F401  (a fixture)

from lmrl_agents.learning.train import train

_SCRIPT = """
import sys
from pathlib import Path
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.train import train
algorithm, source, data, start, out, adapters, shard = sys.argv[1:]
settings = {"iterations": 1, "episodes": 6, "slots": 4, "batch_size": 100_000, "epochs": 1, "warmup": 0, "clip": 1e9, "kl_limit": 0.0,
            "learning_rate": 1e-3}
settings |= {"episodes": 4, "group_size": 2, "scale_rewards": "batch", "kl_weight": 0.01} if algorithm == "grpo" else {}
if algorithm == "reinforce":
    del settings["epochs"]
overrides = {"model.source": source, "text.max_tokens": 320, "text.max_action_tokens": 8}
overrides |= {"model.lora_rank": 4, "model.lora_alpha": 8.0} if adapters == "lora" else {}
overrides |= {f"{algorithm}.{key}": value for key, value in settings.items()}
train(TrainingRun(algorithm, "lmrl/Wordle-v0", data, Path(out), preset="instruct", start=Path(start), shard=shard == "shard",
                  overrides=overrides, show_progress=False, report_to="none", reward=sys.argv[0].replace("run.py", "lengths.py:Lengths")))
"""
_REWARD = '''
class Lengths:
    """Games differ in it, which those of Wordle that are lost do not."""

    def score(self, trajectories):
        return [[float(len(text) % 5) for text in one.transcript.actions] for one in trajectories]
'''


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "adapters"), [("ppo", "lora"), ("grpo", "whole"), ("reinforce", "whole")])
def test_sharded_weights_take_the_step_of_whole_ones(algorithm, adapters, instruct, wordle_data, tmp_path) -> None:  # noqa: F811
    folder = train(run_of("bc", instruct, wordle_data, tmp_path / "start", **(LORA if adapters == "lora" else {})))
    script, found = tmp_path / "run.py", {}
    script.write_text(_SCRIPT)
    (tmp_path / "lengths.py").write_text(_REWARD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    for how, command in (
        ("whole", [sys.executable]),
        ("shard", [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]),
    ):
        arguments = [algorithm, instruct, wordle_data, folder, tmp_path / how, adapters, how]
        done = subprocess.run(
            [*command, str(script), *map(str, arguments)],
            env=environment, timeout=300, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found[how] = load_file(tmp_path / how / "final" / "weights.safetensors")
    before = load_file(folder / "weights.safetensors")
    assert found["whole"].keys() == found["shard"].keys() == before.keys()
    moved = [torch.cat([(after[key] - before[key]).flatten() for key in before]).double() for after in found.values()]
    assert moved[0].norm() > 0
    # Adam's first step is the sign of each gradient: those near 0 may round to either side.
    assert torch.nn.functional.cosine_similarity(*moved, dim=0).item() > 0.99
