"""``lmrl train``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from lmrl_benchmarks.commands.arguments import KeyValues, key_values


def train(
    algorithm: Annotated[str, tyro.conf.Positional],
    env: str,
    data: str,
    out: Path,
    preset: Literal["nano", "small", "paper"] = "nano",
    seed: int = 0,
    device: str = "cpu",
    dtype: Literal["float32", "bf16"] = "float32",
    sample: bool = False,
    resume: bool = False,
    threads: int = 1,
    shard: bool = False,
    start: Path | None = None,
    set: KeyValues = (),
    env_arg: KeyValues = (),
) -> int:
    """Train an agent. The folder OUT then is an agent: lmrl eval --agent OUT.

    Args:
        algorithm: Name of the algorithm (lmrl agents list).
        env: Task id.
        data: Dataset name or folder; it must be of the task's family.
        out: Folder of the run: metrics, checkpoints, the final model.
        preset: Hyperparameters and model size.
        seed: Seed of weights and batches.
        device: Where to train: cpu, cuda, cuda:1, ...
        dtype: bf16 trains with automatic mixed precision.
        sample: Train on the dataset's sample that ships with the package.
        resume: Go on with a run that was stopped.
        start: Folder of a trained model to start from. Without it, algorithms that need a start clone the data first.
        set: Settings in place of the preset's, as table.name=value (ppo.iterations=20, model.width=128).
        env_arg: Arguments of the environment that is played in training, as key=value.
        shard: Spread the transformer's weights over torchrun's processes, for models too large for one device (offline algorithms).
        threads: CPU threads; one is fastest for small models and makes training reproducible bit for bit.
    """
    from lmrl_agents.learning.run import TrainingRun
    from lmrl_agents.learning.train import train as train_algorithm

    run = TrainingRun(
        algorithm,
        env,
        data,
        out,
        preset,
        seed,
        device,
        dtype,
        resume,
        sample,
        threads=threads,
        shard=shard,
        start=start,
        overrides=key_values(set),
        env_kwargs=key_values(env_arg),
        show_progress=sys.stderr.isatty(),
    )
    print(f"model in {train_algorithm(run)}")
    return 0
