"""The bookkeeping of a training loop, and checkpoints that are whole or not there."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from lmrl_agents.learning.metrics import Metrics, Ticker
from lmrl_agents.learning.run import CHECKPOINT, FINAL, METRICS, TrainingError, TrainingRun
from lmrl_agents.models.critic import Critic
from lmrl_agents.models.distributed import backward, clip_gradients, distributed, gather_to_first, shard_like, unsharded
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Policy
from lmrl_agents.playing.policy_agent import mean_return
from lmrl_datasets.store import write_atomically


class Session:
    """The bookkeeping of a training loop: where it goes on, updates, metrics, checkpoints, progress, validation.

    Args:
        run: what is trained.
        policy: the model that is trained or started from; its tokenizer is held against the checkpoint's.
        steps: number of steps of the loop.
        modules: everything with weights that change.
        optimizers: by name.
        checkpoint_every: steps between checkpoints.
        log_every: steps between lines of metrics.
        state: JSON-able numbers that change besides; restored in place.
    """

    def __init__(
        self,
        run: TrainingRun,
        policy: LanguageModel,
        steps: int,
        modules: Mapping[str, torch.nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        *,
        checkpoint_every: int,
        log_every: int = 20,
        state: dict[str, Any] | None = None,
    ) -> None:
        self.run, self.policy, self.steps = run, policy, steps
        self.modules, self.optimizers, self.state = modules, optimizers, state if state is not None else {}
        self.log_every, self.checkpoint_every = log_every, checkpoint_every
        torch.manual_seed(run.seed)
        self.done = self._restore() if run.resume else 0
        self.metrics = Metrics(run.out / METRICS, self.done, silent=distributed()[0] != 0)
        self.ticker = Ticker(f"{run.algorithm} {run.env_id} seed {run.seed}", steps, self.done, run.show_progress)
        self.seconds = float(self.state.get("seconds", 0.0))
        self.note = ""

    def __iter__(self) -> Iterator[int]:
        """The steps that are left; metrics, checkpoints and progress happen in between."""
        with self.ticker, closing(self.metrics):
            for step in range(self.done, self.steps):
                self._now: dict[str, float] = {}
                started = time.process_time()
                yield step
                number = step + 1
                self.seconds += time.process_time() - started
                self.ticker.tick(number, self.note)
                if self._now and (
                    number % self.log_every == 0 or number == self.steps or "evaluation_return" in self._now
                ):
                    self.metrics.log(
                        number,
                        **self._now,
                        cpu_seconds=round(self.seconds, 2),
                        tokens_per_second=round(self.ticker.tokens_per_second),
                    )
                if number % self.checkpoint_every == 0 and number < self.steps:
                    self.state["seconds"] = self.seconds
                    save_checkpoint(self.run, self.policy, self.modules, self.optimizers, number, self.state)

    def shard(self, indices: np.ndarray) -> np.ndarray:
        """The part of a batch that this process takes when several train together."""
        rank, world = distributed()
        return indices[rank::world]

    def update(
        self, name: str, loss: torch.Tensor, rate: float, clip: float = 1.0, weight: float = 1.0, tokens: int = 0
    ) -> float:
        """One optimizer step on a loss; returns the gradient's norm before clipping.

        Args:
            name: of the optimizer.
            loss: scalar.
            rate: learning rate; groups with a ``scale`` of their own take that much of it.
            clip: largest norm.
            weight: sum of the weights that the loss is a mean over; several processes join their means by it.
            tokens: how many the network read for it.

        Raises:
            TrainingError: the loss is no finite number.
        """
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} after {self.ticker.ticks} steps; lower the learning rate (preset {self.run.preset})"
            )
        optimizer = self.optimizers[name]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        optimizer.zero_grad(set_to_none=True)
        backward(loss, parameters, weight)
        norm = clip_gradients(parameters, clip)
        optimizer.step()
        self.ticker.tokens += tokens
        return float(norm)

    def log(self, **values: float) -> None:
        """Metrics of the step under way."""
        self._now.update(values)

    def validate(self, policy: Policy, episodes: int, temperatures: Sequence[float] = (1.0, 0.0)) -> float:
        """Mean return on validation seeds, logged; returns the first temperature's."""
        form, run = self.policy.form, self.run
        with unsharded(cast(torch.nn.Module, policy)):
            found = [mean_return(policy, form, run.env_id, episodes, t, run.env_kwargs) for t in temperatures]
        names = [
            "evaluation_return" if t == 1 else "evaluation_return_greedy" if t == 0 else f"evaluation_return_t{t}"
            for t in temperatures
        ]
        self.log(**dict(zip(names, found, strict=True)))
        return found[0]

    def _restore(self) -> int:
        return load_checkpoint(self.run, self.policy, self.modules, self.optimizers, self.state)


# -- checkpoints


def save_checkpoint(
    run: TrainingRun,
    policy: LanguageModel,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    step: int,
    state: dict[str, Any],
) -> None:
    """Replace the run's checkpoint; a kill at any moment leaves the old or the new one whole."""
    from safetensors.torch import save_file

    # Every process gives its part of what is spread; the first one writes.
    files = {name: gather_to_first(module.state_dict()) for name, module in modules.items()}
    for name, optimizer in optimizers.items():
        states = optimizer.state_dict()["state"]
        files[f"{name}.optimizer"] = gather_to_first(
            {f"{index}.{key}": value for index, values in states.items() for key, value in values.items()}
        )
    if distributed()[0] != 0:
        return
    target, old = run.out / CHECKPOINT, run.out / f".{CHECKPOINT}.old"
    with _fresh(run.out / f".{CHECKPOINT}.new") as fresh:
        for name, tensors in files.items():
            save_file(tensors, fresh / f"{name}.safetensors")
        save_file({"cpu": torch.get_rng_state()}, fresh / "random.safetensors")
        facts = {"step": step, "tokenizer": policy.tokenizer.fingerprint(), "state": state}
        write_atomically(fresh / "state.json", json.dumps(facts))
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """An empty folder to write a model into; one that could not be written whole takes no room on a disk that is full.

    Raises:
        TrainingError: it could not be written.
    """
    from safetensors import SafetensorError

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except (OSError, SafetensorError) as problem:
        shutil.rmtree(folder, ignore_errors=True)
        raise TrainingError(
            f"{folder.parent} cannot be written ({problem}); the last checkpoint stands, go on from it with --resume"
        ) from problem


def load_checkpoint(
    run: TrainingRun,
    policy: LanguageModel,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    state: dict[str, Any],
) -> int:
    """Restore the run's checkpoint in place; returns the number of steps done (0: there is none)."""
    from safetensors.torch import load_file

    folder = run.out / CHECKPOINT
    if not folder.is_dir():  # killed between the two renames: the old one is whole
        folder = run.out / f".{CHECKPOINT}.old"
    if not folder.is_dir():
        return 0
    facts = json.loads((folder / "state.json").read_text("utf-8"))
    if facts["tokenizer"] != policy.tokenizer.fingerprint():
        raise TrainingError(f"the checkpoint in {folder} was trained with another tokenizer (other data or preset)")
    for name, module in modules.items():
        there = module.state_dict()
        kept_weights = load_file(folder / f"{name}.safetensors")
        module.load_state_dict({key: shard_like(value, there[key]) for key, value in kept_weights.items()})
    for name, optimizer in optimizers.items():
        kept: dict[int, dict[str, torch.Tensor]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for key, value in load_file(folder / f"{name}.optimizer.safetensors").items():
            index, inner = key.split(".", 1)
            like = parameters[int(index)]
            kept.setdefault(int(index), {})[inner] = shard_like(value, like) if value.shape == like.shape else value
        optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(load_file(folder / "random.safetensors")["cpu"])
    state.update(facts["state"])
    return int(facts["step"])


def save_final(run: TrainingRun, model: LanguageModel, facts: dict[str, Any], critic: Critic | None = None) -> Path:
    """Write the trained model where agents are loaded from, with its critic."""
    target = run.out / FINAL
    weights = gather_to_first(model.state_dict())
    values = {} if critic is None else gather_to_first(critic.state_dict())
    if distributed()[0] != 0:
        return target
    extra = {
        "algorithm": run.algorithm,
        "env_id": run.env_id,
        "data": run.claimed_data(),
        "preset": run.preset,
        "overrides": run.overrides,
        "seed": run.seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **facts,
    }
    with _fresh(run.out / f".{FINAL}.new") as fresh:
        model.save(fresh, extra, weights)
        if critic is not None:
            critic.save(fresh, values)
    shutil.rmtree(target, ignore_errors=True)
    os.rename(fresh, target)
    return target
