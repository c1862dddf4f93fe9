"""The policy that an algorithm starts from."""

from __future__ import annotations

import json
from dataclasses import replace

from lmrl_agents.learning.run import FINAL, START, TrainingError, TrainingRun
from lmrl_agents.learning.train import train
from lmrl_agents.models.model import LanguageModel


def start_policy(run: TrainingRun) -> LanguageModel:
    """The policy that an algorithm starts from: the one in ``run.start``, else behaviour cloning of the run's own data.

    The latter is trained with the preset's ``bc`` table in the folder ``start`` of the run, once.
    """
    if run.start is not None:
        folder = run.start if (run.start / "lmrl.json").is_file() else run.start / FINAL
        model = LanguageModel.load(folder, run.device)
        trained = json.loads((folder / "lmrl.json").read_text("utf-8")).get("env_id")
        if trained != run.env_id:
            raise TrainingError(f"the model in {folder} was trained on {trained}, not on {run.env_id}")
        return model
    inner = replace(run, algorithm="bc", out=run.out / START, resume=True, overrides=run.overrides)
    return LanguageModel.load(train(inner), run.device)
