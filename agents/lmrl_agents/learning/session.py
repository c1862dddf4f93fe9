"""The bookkeeping of a training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch

from lmrl_agents.learning.checkpoints import load_checkpoint, save_checkpoint, save_final
from lmrl_agents.learning.memory import tell_memory
from lmrl_agents.learning.metrics import Metrics
from lmrl_agents.learning.run import METRICS, TASK, TrainingError, TrainingRun
from lmrl_agents.learning.trackers import told_of
from lmrl_agents.learning.train import code_of
from lmrl_agents.models.critic import Critic
from lmrl_agents.models.distributed import backward, clip_gradients, join_gradients, rank, unsharded, world_size
from lmrl_agents.models.model import LanguageModel
from lmrl_agents.models.sampling import Policy
from lmrl_agents.models.steps import StepBatch, StepStore
from lmrl_agents.playing.policy_agent import mean_return
from lmrl_envs.work import progress_bar


class Loop(Protocol):
    """The hyperparameters that a `Session` goes by."""

    @property
    def steps(self) -> int:
        """Number of steps of the loop."""
        ...

    @property
    def clip(self) -> float:
        """Largest gradient norm."""
        ...

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        ...

    @property
    def log_every(self) -> int:
        """Steps between lines of metrics."""
        ...


class Session:
    """The bookkeeping of a training loop: where it goes on, updates, metrics, checkpoints, progress, validation.

    Args:
        run: what is trained.
        policy: the model that is trained or started from; an algorithm may set another one around it as ``acting``, which plays.
        config: length of the loop, its intervals, and the clipping of gradients.
        modules: everything with weights that change.
        optimizers: by name.
        state: JSON-able numbers that change besides; restored in place.
    """

    def __init__(
        self,
        run: TrainingRun,
        policy: LanguageModel,
        config: Loop,
        modules: Mapping[str, torch.nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        state: dict[str, Any] | None = None,
    ) -> None:
        self.run, self.policy, self.config = run, policy, config
        self.acting: Policy = policy
        self.modules, self.optimizers, self.state = modules, optimizers, state if state is not None else {}
        torch.manual_seed(run.seed)
        tell_memory(run, policy, optimizers, config, run.show_progress and rank() == 0)
        self.done = load_checkpoint(run, policy, modules, optimizers, self.state) if run.resume else 0
        self.metrics = Metrics(run.out / METRICS, self.done, rank() != 0, run.report_to, lambda: told_of(run))
        self.tokens = 0
        """Read by the network since the start or the resumption, equal rows once."""
        self.seconds = float(self.state.get("seconds", 0.0)) + time.process_time() - run.began
        self.note = ""
        self._pending: dict[str, float] = {}

    def __iter__(self) -> Iterator[int]:
        """The steps that are left; metrics, checkpoints and progress happen in between."""
        config, began = self.config, time.monotonic()
        title = f"{self.run.algorithm} {self.run.env_id} seed {self.run.seed}"
        with progress_bar(title, show=self.run.show_progress and rank() == 0) as tell, closing(self.metrics):
            for step in range(self.done, config.steps):
                self._now: dict[str, float] = {}
                started = time.process_time()
                yield step
                self.done = step + 1
                self.seconds += time.process_time() - started
                pace = self.tokens / max(time.monotonic() - began, 1e-9)
                tell(self.done, config.steps, f"{self.note}  {pace:,.0f} tokens/s")
                is_last = self.done == config.steps
                if self._now and (self.done % config.log_every == 0 or is_last or "evaluation_return" in self._now):
                    facts = {"cpu_seconds": round(self.seconds, 2), "tokens_per_second": round(pace)}
                    self.metrics.log(self.done, **self._now, **facts)
                if self.done % config.checkpoint_every == 0 and not is_last:
                    self.state["seconds"] = self.seconds
                    save_checkpoint(self.run, self.policy, self.modules, self.optimizers, self.done, self.state)

    def shard(self, indices: np.ndarray) -> np.ndarray:
        """The part of a batch that this process takes when several train together."""
        return indices[rank() :: world_size()]

    def parts(self, data: StepStore, groups: np.ndarray) -> Iterator[tuple[np.ndarray, bool]]:
        """The passes that a batch is read in, see `StepStore.parts`, and of each whether more follow (for `update`)."""
        parts = data.parts(groups)
        yield from ((part, k + 1 < len(parts)) for k, part in enumerate(parts))

    def update(self, name: str, loss: torch.Tensor, rate: float, batch: StepBatch, more: bool = False) -> float:
        """One optimizer step on a loss; returns the gradient's norm before clipping.

        Args:
            name: of the optimizer.
            loss: scalar, a mean over the batch by its weights: several processes join their means by these.
            rate: learning rate; groups with a ``scale`` of their own take that much of it.
            batch: what the network read for it.
            more: the loss is that of a part of the batch: its gradient is kept, and the step is made with the last part's.

        Raises:
            TrainingError: the loss is no finite number.
        """
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} after {self.done} steps; lower the learning rate (preset {self.run.preset})"
            )
        optimizer = self.optimizers[name]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self.tokens += int(batch.length.sum())
        weight, before = float(batch.weight.sum()), self._pending.pop(name, None)
        if before is None:
            optimizer.zero_grad(set_to_none=True)
        if more or before is not None:
            (loss * weight).backward()
            weight += before or 0.0
            if more:
                self._pending[name] = weight
                return 0.0
            join_gradients(parameters, weight)
        else:
            backward(loss, parameters, weight)
        norm = clip_gradients(parameters, self.config.clip)
        optimizer.step()
        return float(norm)

    def log(self, **values: float) -> None:
        """Metrics of the step under way."""
        self._now.update(values)

    def validate(self, policy: Policy, episodes: int) -> None:
        """Mean return on validation seeds, sampled and greedy, logged."""
        for name, temperature in (("evaluation_return", 1.0), ("evaluation_return_greedy", 0.0)):
            self.log(**{name: self._mean_return(policy, temperature, episodes)})

    def choose(
        self, name: str, values: Sequence[float], playing: Callable[[float], tuple[Policy, float]], episodes: int
    ) -> dict[str, Any]:
        """The value of a setting with the best mean return on validation games, by the run's reward, and what each reached.

        ``playing`` gives for each value the policy and the temperature that are tried.
        """
        began = time.process_time()
        tried = {value: self._mean_return(*playing(value), episodes, self.run.reward) for value in values}
        self.seconds += time.process_time() - began
        return {name: max(tried, key=lambda v: tried[v]), "validation_return": {str(v): r for v, r in tried.items()}}

    def _mean_return(self, policy: Policy, temperature: float, episodes: int, reward: str = TASK) -> float:
        with unsharded(cast(torch.nn.Module, policy)):
            env_id, kwargs, form = self.run.env_id, self.run.env_kwargs, self.policy.form
            return mean_return(policy, form, env_id, episodes, temperature, kwargs, reward=reward)

    def finish(self, critic: Critic | None = None, **facts: Any) -> Path:
        """Write the trained policy, with its critic and what is to be known of it; returns the folder."""
        own = {"steps": self.config.steps, "cpu_seconds": round(self.seconds, 1), "code": code_of(self.run.algorithm)}
        return save_final(self.run, self.policy, own | facts, critic)
