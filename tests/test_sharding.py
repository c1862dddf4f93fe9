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
algorithm, source, data, start, out, adapters, shard, rounds, last = sys.argv[1:]
if int(last):  # as if killed when this round was done
    import os
    import torch
    import lmrl_agents.learning.session as session
    save = session.save_checkpoint
    def save_and_die(run, policy, modules, optimizers, step, state):
        save(run, policy, modules, optimizers, step, state)
        if step >= int(last):
            torch.distributed.barrier()
            os._exit(9)
    session.save_checkpoint = save_and_die
settings = {"iterations": int(rounds), "checkpoint_every": 1, "episodes": 6, "slots": 4, "batch_size": 100_000, "epochs": 1, "warmup": 0, "clip": 1e9, "kl_limit": 0.0,
            "learning_rate": 1e-3}
settings |= {"episodes": 4, "group_size": 2, "scale_rewards": "batch", "kl_weight": 0.01} if algorithm == "grpo" else {}
if algorithm == "reinforce":
    del settings["epochs"]
overrides = {"model.source": source, "text.max_tokens": 320, "text.max_action_tokens": 8}
overrides |= {"model.lora_rank": 4, "model.lora_alpha": 8.0} if adapters == "lora" else {}
overrides |= {f"{algorithm}.{key}": value for key, value in settings.items()}
train(TrainingRun(algorithm, "lmrl/Wordle-v0", data, Path(out), preset="instruct", start=Path(start), shard=shard == "shard", resume=True,
                  overrides=overrides, show_progress=False, report_to="none", reward=sys.argv[0].replace("run.py", "lengths.py:Lengths")))
"""
_REWARD = '''
class Lengths:
    """Games differ in it, which those of Wordle that are lost do not."""

    def score(self, trajectories):
        return [[float(len(text) % 5) for text in one.transcript.actions] for one in trajectories]
'''


@pytest.fixture
def begun(instruct, wordle_data, tmp_path):  # noqa: F811
    """Trains on from a clone in processes of their own: ``run(out, algorithm, adapters, how, ...)``, and the clone's folder."""
    script = tmp_path / "run.py"
    script.write_text(_SCRIPT)
    (tmp_path / "lengths.py").write_text(_REWARD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}

    def clone(adapters):
        return train(run_of("bc", instruct, wordle_data, tmp_path / "start", **(LORA if adapters == "lora" else {})))

    def run(out, folder, algorithm, adapters, how, rounds=1, last=0):
        command = [sys.executable]
        if how == "shard":
            command += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        arguments = [algorithm, instruct, wordle_data, folder, tmp_path / out, adapters, how, rounds, last]
        return subprocess.run(
            [*command, str(script), *map(str, arguments)],
            env=environment, timeout=300, capture_output=True, encoding="utf-8",
        )  # fmt: skip

    return clone, run


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "adapters"), [("ppo", "lora"), ("grpo", "whole"), ("reinforce", "whole")])
def test_sharded_weights_take_the_step_of_whole_ones(algorithm, adapters, begun, tmp_path) -> None:
    clone, run = begun
    folder, found = clone(adapters), {}
    for how in ("whole", "shard"):
        done = run(how, folder, algorithm, adapters, how)
        assert done.returncode == 0, done.stderr[-3000:]
        found[how] = load_file(tmp_path / how / "final" / "weights.safetensors")
    before = load_file(folder / "weights.safetensors")
    assert found["whole"].keys() == found["shard"].keys() == before.keys()
    moved = [torch.cat([(after[key] - before[key]).flatten() for key in before]).double() for after in found.values()]
    assert moved[0].norm() > 0
    # Adam's first step is the sign of each gradient: those near 0 may round to either side.
    assert torch.nn.functional.cosine_similarity(*moved, dim=0).item() > 0.99


@pytest.mark.slow
def test_a_sharded_run_that_was_killed_goes_on_as_if_it_had_not_been(begun, tmp_path) -> None:
    clone, run = begun
    folder = clone("lora")
    done = run("never", folder, "ppo", "lora", "shard", rounds=3)
    assert done.returncode == 0, done.stderr[-3000:]
    assert run("killed", folder, "ppo", "lora", "shard", rounds=3, last=1).returncode != 0
    assert not (tmp_path / "killed" / "final").exists()
    done = run("killed", folder, "ppo", "lora", "shard", rounds=3)
    assert done.returncode == 0, done.stderr[-3000:]
    one, other = (load_file(tmp_path / out / "final" / "weights.safetensors") for out in ("never", "killed"))
    before = load_file(folder / "weights.safetensors")
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert any(not torch.equal(one[key], before[key]) for key in before)
