"""Checkpoints and trained models on disk: whole or not there, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

from lmrl_agents.learning.run import CHECKPOINT, FINAL, TrainingError, TrainingRun
from lmrl_agents.models.adapters import has_adapters, without_base
from lmrl_agents.models.critic import Critic
from lmrl_agents.models.distributed import full_state, rank
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.rewards.protocol import TASK
from lmrl_envs.files import write_json
from lmrl_envs.files.untrusted import LINE, read

Optimizers = Mapping[str, torch.optim.Optimizer]
Modules = Mapping[str, nn.Module]


def save_checkpoint(
    run: TrainingRun, policy: LanguageModel, modules: Modules, optimizers: Optimizers, step: int, state: dict[str, Any]
) -> None:
    """Replace the run's checkpoint; a kill at any moment leaves the old or the new one whole."""
    from safetensors.torch import save_file

    weights, of_optimizers = full_state(nn.ModuleDict(modules), *optimizers.values())
    weights = without_base(weights)
    with _replacing(run.out / CHECKPOINT) as fresh:
        if rank() != 0:
            return
        moments = {f"{name}.{key}": v for name, own in of_optimizers["state"].items() for key, v in own.items()}
        save_file(weights, fresh / "weights.safetensors")
        save_file(moments, fresh / "optimizers.safetensors")
        drawn = {"cuda": torch.cuda.get_rng_state(run.device)} if run.device.startswith("cuda") else {}
        save_file({"cpu": torch.get_rng_state(), **drawn}, fresh / "random.safetensors")
        facts = {"step": step, "tokenizer": policy.tokenizer.fingerprint(), "state": state}
        facts["param_groups"] = of_optimizers["param_groups"]
        write_json(fresh / "state.json", facts)


def load_checkpoint(
    run: TrainingRun, policy: LanguageModel, modules: Modules, optimizers: Optimizers, state: dict[str, Any]
) -> int:
    """Restore the run's checkpoint in place; returns the number of steps done (0: there is none).

    Raises:
        TrainingError: it was trained with another tokenizer, or by a version that wrote other files.
    """
    from safetensors.torch import load_file

    folder = run.out / CHECKPOINT
    if not folder.is_dir():  # killed between the two renames: the old one is whole
        folder = folder.with_name(f".{CHECKPOINT}.old")
    if not folder.is_dir():
        return 0
    facts = read(folder / "state.json", dict[str, Any], LINE)
    if facts["tokenizer"] != policy.tokenizer.fingerprint():
        raise TrainingError(f"the checkpoint in {folder} was trained with another tokenizer (other data or preset)")
    if "param_groups" not in facts:
        raise TrainingError(f"the checkpoint in {folder} is of an older version; start the run again in another folder")
    moments: dict[str, Any] = {}
    for key, value in load_file(folder / "optimizers.safetensors").items():
        name, _, kind = key.rpartition(".")
        moments.setdefault(name, {})[kind] = value
    set_state_dict(
        nn.ModuleDict(modules),
        list(optimizers.values()),
        model_state_dict=load_file(folder / "weights.safetensors"),  # type: ignore[arg-type]
        optim_state_dict={"state": moments, "param_groups": facts["param_groups"]},
        options=StateDictOptions(full_state_dict=True, strict=not any(map(has_adapters, modules.values()))),
    )
    random = load_file(folder / "random.safetensors")
    torch.set_rng_state(random["cpu"])
    if run.device.startswith("cuda") and "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"], run.device)
    state.update(facts["state"])
    return int(facts["step"])


def save_final(run: TrainingRun, model: LanguageModel, facts: dict[str, Any], critic: Critic | None = None) -> Path:
    """Write the trained model where agents are loaded from, with its critic; returns the folder."""
    extra = {
        "algorithm": run.algorithm,
        "env_id": run.env_id,
        "data": run.claimed_data(),
        "preset": run.preset,
        "overrides": run.overrides,
        "seed": run.seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **({"reward": run.reward} if run.reward != TASK else {}),
        **facts,
    }
    with _replacing(run.out / FINAL) as fresh:
        model.save(fresh, extra)
        if critic is not None:
            critic.save(fresh)
    return run.out / FINAL


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """An empty folder for the first process to write into, which takes the target's place when all is written.

    Raises:
        TrainingError: it could not be written; nothing half written is left to take room on a disk that is full.
    """
    from safetensors import SafetensorError

    fresh, old = (target.with_name(f".{target.name}.{which}") for which in ("new", "old"))
    if rank() != 0:
        yield fresh
        return
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    except (OSError, SafetensorError) as problem:
        shutil.rmtree(fresh, ignore_errors=True)
        raise TrainingError(
            f"{target.parent} cannot be written ({problem}); the last checkpoint stands, go on from it with --resume"
        ) from problem
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    shutil.rmtree(old, ignore_errors=True)
