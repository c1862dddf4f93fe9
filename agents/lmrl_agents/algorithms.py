"""The table of training algorithms: a new one is its file and one line here."""

from __future__ import annotations

import importlib
from pathlib import Path

from lmrl_agents.training import FINAL, TrainingRun
from lmrl_datasets.store import locked
from lmrl_envs import task

ALGORITHMS: dict[str, str] = {
    "bc": "Behaviour cloning of the dataset.",
}
"""Name (of the module in this package, too) -> one line about it. The module has ``train(run) -> Path``."""


def train(run: TrainingRun) -> Path:
    """Train with the algorithm that the run names; returns the folder of the model.

    Raises:
        ValueError: no such algorithm.
    """
    if run.algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm {run.algorithm!r} is not known; choose one of {', '.join(ALGORITHMS)}")
    task(run.env_id)
    with locked(run.out / ".lock", "training"):
        run.claim()
        final = run.out / FINAL
        if (final / "lmrl.json").is_file():  # resumed after its end
            return final
        return importlib.import_module(f"lmrl_agents.{run.algorithm}").train(run)
