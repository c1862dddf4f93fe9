"""The bookkeeping of a training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from lmrl_agents.learning.checkpoints import load_checkpoint, save_checkpoint, save_final
from lmrl_agents.learning.metrics import Metrics, Ticker
from lmrl_agents.learning.run import METRICS, TrainingError, TrainingRun
from lmrl_agents.models.critic import Critic
from lmrl_agents.models.distributed import backward, clip_gradients, rank, unsharded, world_size
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Policy
from lmrl_agents.playing.policy_agent import mean_return


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
        self.done = load_checkpoint(run, policy, modules, optimizers, self.state) if run.resume else 0
        self.metrics = Metrics(run.out / METRICS, self.done, silent=rank() != 0)
        shown = run.show_progress and rank() == 0
        self.ticker = Ticker(f"{run.algorithm} {run.env_id} seed {run.seed}", steps, self.done, shown)
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
        return indices[rank() :: world_size()]

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

    def validate(self, policy: Policy, episodes: int) -> None:
        """Mean return on validation seeds, sampled and greedy, logged."""
        form, run = self.policy.form, self.run
        with unsharded(cast(torch.nn.Module, policy)):
            for name, temperature in (("evaluation_return", 1.0), ("evaluation_return_greedy", 0.0)):
                self.log(**{name: mean_return(policy, form, run.env_id, episodes, temperature, run.env_kwargs)})

    def finish(self, critic: Critic | None = None, **facts: Any) -> Path:
        """Write the trained policy, with its critic and what is to be known of it; returns the folder."""
        facts = {"steps": self.steps, "cpu_seconds": round(self.seconds, 1), **facts}
        return save_final(self.run, self.policy, facts, critic)
