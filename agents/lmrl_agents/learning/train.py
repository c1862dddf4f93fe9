"""The table of training algorithms: a new one is its file and one line here."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from lmrl_agents.learning.curves import draw_curves
from lmrl_agents.learning.run import FINAL, METRICS, TrainingError, TrainingRun
from lmrl_agents.models.distributed import distributed
from lmrl_datasets.store import locked
from lmrl_envs import task

ALGORITHMS: dict[str, str] = {
    "bc": "Behaviour cloning of the dataset.",
    "filtered_bc": "Behaviour cloning of the best part of the dataset.",
    "mc": "Monte-Carlo returns: values of the data's policy tilt it.",
    "ilql": "Implicit language Q-learning.",
    "cql": "Conservative Q-learning (backup by the data's next action, the best one, or an expectile).",
    "ppo": "Proximal policy optimisation with a KL penalty to the starting policy.",
    "reinforce": "Policy gradient with a baseline.",
    "grpo": "Group-relative policy optimisation: episodes of the same seed are compared.",
    "online_filtered_bc": "Imitation of the best of one's own episodes.",
}
"""Name (of the module in this package, too) -> one line about it. The module has ``train(run) -> Path``."""

SHARDED = ("bc", "filtered_bc", "mc", "ilql", "cql")
"""Those whose weights can be spread over processes: the others play while they train, each process at its own pace."""


def train(run: TrainingRun) -> Path:
    """Train with the algorithm that the run names; returns the folder of the model.

    Raises:
        ValueError: no such algorithm.
    """
    if run.algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm {run.algorithm!r} is not known; choose one of {', '.join(ALGORITHMS)}")
    if run.shard and run.algorithm not in SHARDED:
        raise ValueError(f"the weights of {run.algorithm} cannot be sharded, only those of {', '.join(SHARDED)}")
    task(run.env_id)
    torch.set_num_threads(run.threads)
    with process_group(run), locked(run.out / ".lock", "training") if distributed()[0] == 0 else nullcontext():
        if distributed()[0] == 0:
            run.claim()
        if distributed()[1] > 1:
            torch.distributed.barrier()  # the folder is there for all
        final = run.out / FINAL
        if (final / "lmrl.json").is_file():  # resumed after its end
            return final
        try:
            final = importlib.import_module(f"lmrl_agents.algorithms.{run.algorithm}").train(run)
        except torch.OutOfMemoryError as problem:
            raise TrainingError(
                f"{run.device} has no memory left ({str(problem).splitlines()[0]}); lower batch_size "
                f"(--set {run.algorithm}.batch_size=...) or take --dtype bf16"
            ) from problem
        if distributed()[1] > 1:
            torch.distributed.barrier()  # the model is on disk for all
        if distributed()[0] == 0:
            draw_curves(run.out / METRICS, run.out / "curves.svg")
        return final


@contextmanager
def process_group(run: TrainingRun) -> Iterator[None]:
    """Join the processes that torchrun started, if it did.

    Raises:
        TrainingError: not all of them came.
    """
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if run.shard and wanted == 1:
        raise TrainingError("there is one process: sharding needs several, started by torchrun")
    if wanted == 1 or distributed()[1] > 1:  # alone, or joined already (training the policy to start from)
        yield
        return
    if run.device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if run.device.startswith("cuda") else "gloo")
    try:
        if distributed()[1] != wanted:
            raise TrainingError(f"{distributed()[1]} processes joined, {wanted} were asked for")
        yield
    finally:
        torch.distributed.destroy_process_group()
