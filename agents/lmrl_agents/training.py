"""What all trainers share: data to rows, model from a preset, checkpoints that are whole or not there, metrics."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from lmrl_agents.critic import Critic
from lmrl_agents.model import LanguageModel, ModelConfig
from lmrl_agents.presets import load_preset
from lmrl_agents.sampling import Policy
from lmrl_agents.token_cache import cached_rows
from lmrl_agents.tokens import RowStore, TextFormat, TokenEpisode, adopt_tokenizer, episode_rows, train_tokenizer
from lmrl_agents.views import view_texts
from lmrl_datasets import Dataset, load_dataset
from lmrl_datasets.store import sha256_of, write_atomically

C = TypeVar("C")

FINAL, START, CHECKPOINT, METRICS, RUN, FACTS = (
    "final",
    "start",
    "checkpoint",
    "metrics.jsonl",
    "train.json",
    "facts.json",
)


class TrainingError(RuntimeError):
    """Training cannot start or go on; the message says why."""


@dataclass
class TrainingRun:
    """Where and what is trained."""

    algorithm: str
    env_id: str
    data: str
    out: Path
    preset: str = "nano"
    seed: int = 0
    device: str = "cpu"
    dtype: str = "float32"
    resume: bool = False
    sample: bool = False
    """Train on the sample that ships with the package, not on a generated dataset."""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment that is played in training and validation."""
    start: Path | None = None
    """Folder of a trained model to start from; None trains one by behaviour cloning first, where one is needed."""
    overrides: dict[str, Any] = field(default_factory=dict)
    """Settings in place of the preset's, as ``table.name``."""
    threads: int = 1
    """CPU threads of torch. Models of the nano preset are faster with one, and one makes training reproducible bit for bit."""
    show_progress: bool = True

    def settings(self) -> dict[str, Any]:
        """The part that determines the result; a resumed run must have the same."""
        kept = {key: getattr(self, key) for key in ("algorithm", "env_id", "env_kwargs", "preset", "seed", "dtype")}
        return {**kept, "data": self.data_fingerprint(), "tables": self.tables(), "start": self._start_fingerprint()}

    def data_fingerprint(self) -> str:
        """Name and content of the dataset, wherever it lies."""
        manifest = load_dataset(self.data, sample=self.sample).manifest
        digests = "".join(shard["sha256"] for shard in manifest["shards"])
        return f"{manifest['name']} {hashlib.sha256(digests.encode()).hexdigest()[:16]}"

    def _start_fingerprint(self) -> str | None:
        if self.start is None:
            return None
        for folder in (self.start, self.start / FINAL):
            if (folder / "weights.safetensors").is_file():
                return sha256_of(folder / "weights.safetensors")[:16]
        raise TrainingError(f"{self.start} holds no trained model to start from")

    def tables(self) -> dict[str, dict[str, Any]]:
        """The preset as it stands for this task, with the overrides."""
        tables = load_preset(self.preset, self.env_id)
        for key, value in self.overrides.items():
            table, _, name = key.partition(".")
            if table not in tables or not name:
                raise ValueError(f"--set {key}: write table.name=value; tables: {', '.join(tables)}")
            tables[table] = {**tables[table], name: value}
        return tables

    def config(self, kind: type[C]) -> C:
        """The algorithm's hyperparameters.

        Raises:
            ValueError: the preset or an override names a hyperparameter that the algorithm does not have.
        """
        table = self.tables().get(self.algorithm, {})
        known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
        for name in table:
            if name not in known:
                raise ValueError(f"{self.algorithm} has no hyperparameter {name!r}; it has {', '.join(known)}")
        return kind(**table)

    def claim(self) -> None:
        """Take the output folder.

        Raises:
            TrainingError: it holds another run, or this one and ``resume`` was not asked for.
        """
        record = self.out / RUN
        settings = json.loads(json.dumps(self.settings()))
        if record.is_file():
            there = json.loads(record.read_text("utf-8"))
            if there != settings:
                differing = sorted(key for key in settings if there.get(key) != settings[key])
                raise TrainingError(
                    f"{self.out} holds a run with other settings ({', '.join(differing)}); choose another folder"
                )
            if not self.resume:
                raise TrainingError(f"{self.out} holds this run already; go on with --resume, or choose another folder")
            return
        if self.out.is_dir() and any(not entry.name.startswith(".") for entry in self.out.iterdir()):
            raise TrainingError(f"{self.out} is not empty and holds no training run; choose another folder")
        self.out.mkdir(parents=True, exist_ok=True)
        write_atomically(record, json.dumps(settings, indent=1, sort_keys=True) + "\n")

    def load_data(self) -> Dataset:
        """The training episodes, worded for the task."""
        return load_dataset(self.data, split="train", sample=self.sample, env_id=self.env_id)


def prepare(run: TrainingRun, data: Dataset) -> LanguageModel:
    """A fresh model with the tokenizer of its data."""
    tables = run.tables()
    text = dict(tables["text"])
    units, vocabulary = text.pop("units"), text.pop("vocabulary", 50_000)
    form = TextFormat(**text)
    config = ModelConfig(**tables["model"])
    if units == "pretrained":
        from transformers import AutoTokenizer

        tokenizer = adopt_tokenizer(AutoTokenizer.from_pretrained(config.source, trust_remote_code=False))
    else:
        texts = (piece for episode in data for piece in view_texts(form.view, episode.transcript))
        tokenizer = train_tokenizer(texts, units=units, max_size=vocabulary)
    model = LanguageModel.create(config, tokenizer, form, run.seed)
    return model.to(run.device)


def encode(data: Dataset, model: LanguageModel) -> list[TokenEpisode]:
    """The episodes that have at least one action, as ids of the model's tokenizer."""
    return [
        TokenEpisode.from_transcript(
            episode.transcript, episode.terminated, episode.truncated, model.tokenizer, model.form
        )
        for episode in data
        if episode.transcript.rewards
    ]


def rows_of(data: Dataset, model: LanguageModel) -> RowStore:
    """All rows of a dataset, tokenised at the first use and mapped from a cache afterwards."""
    pad = model.tokenizer.pad
    try:
        return cached_rows(data, model.tokenizer, model.form).store(pad)
    except OSError:  # a full disk or a read-only home is no reason not to train
        return RowStore((row for e in encode(data, model) for row in episode_rows(e, model.form)), pad)


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
    from lmrl_agents.algorithms import train

    inner = replace(run, algorithm="bc", out=run.out / START, resume=True, overrides=run.overrides)
    return LanguageModel.load(train(inner), run.device)


def save_facts(run: TrainingRun, **facts: Any) -> None:
    """Write what was found about the data before training, beside the run's settings."""
    write_atomically(run.out / FACTS, json.dumps(facts, indent=1) + "\n")


def batch_indices(seed: int, step: int, size: int, batch: int) -> np.ndarray:
    """Positions of the rows of a step: drawn with replacement, a function of seed and step alone."""
    return np.random.default_rng((seed, step)).integers(size, size=batch)


def learning_rate(step: int, steps: int, peak: float, warmup: int = 50, floor: float = 0.05) -> float:
    """Linear warm-up, then a cosine down to ``floor`` times the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def optimizer_for(model: torch.nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW with decay on matrices only (arXiv 2311.18232, appendix: betas .9, .95)."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    fused = bool(matrices) and matrices[0].is_cuda
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=fused)


@contextmanager
def precision(run: TrainingRun) -> Iterator[None]:
    """Automatic mixed precision when the run asks for bfloat16."""
    if run.dtype in ("bf16", "bfloat16"):
        with torch.autocast(torch.device(run.device).type, dtype=torch.bfloat16):
            yield
    else:
        yield


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
        self.metrics = Metrics(run.out / METRICS, self.done)
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
        loss.backward()
        join_gradients(parameters, weight)
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()
        self.ticker.tokens += tokens
        return float(norm)

    def log(self, **values: float) -> None:
        """Metrics of the step under way."""
        self._now.update(values)

    def validate(self, policy: Policy, episodes: int, temperatures: Sequence[float] = (1.0, 0.0)) -> float:
        """Mean return on validation seeds, logged; returns the first temperature's."""
        from lmrl_agents.lm_agent import mean_return

        form, run = self.policy.form, self.run
        found = [mean_return(policy, form, run.env_id, episodes, t, run.env_kwargs) for t in temperatures]
        names = [
            "evaluation_return" if t == 1 else "evaluation_return_greedy" if t == 0 else f"evaluation_return_t{t}"
            for t in temperatures
        ]
        self.log(**dict(zip(names, found, strict=True)))
        return found[0]

    def _restore(self) -> int:
        return load_checkpoint(self.run, self.policy, self.modules, self.optimizers, self.state)


# -- several processes


def distributed() -> tuple[int, int]:
    """Rank and number of the processes that train together (torchrun), (0, 1) when alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def agree(value: float, how: Literal["mean", "least"] = "mean") -> float:
    """One number for all processes: what they decide by must be the same, or they would wait for each other for ever."""
    _, world = distributed()
    if world == 1:
        return value
    device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
    tensor = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.all_reduce(
        tensor, torch.distributed.ReduceOp.SUM if how == "mean" else torch.distributed.ReduceOp.MIN
    )
    return tensor.item() / world if how == "mean" else tensor.item()


def join_gradients(parameters: Sequence[torch.nn.Parameter], weight: float) -> None:
    """Replace each process's gradient of its mean by the gradient of the mean over all, as one process would have it."""
    _, world = distributed()
    if world == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    total = torch.tensor([weight], dtype=torch.float64, device=parameters[0].device)
    torch.distributed.all_reduce(total)
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad.mul_(weight / total.item())
        torch.distributed.all_reduce(parameter.grad)


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

    if distributed()[0] != 0:
        return
    fresh = run.out / f".{CHECKPOINT}.new"
    old = run.out / f".{CHECKPOINT}.old"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, module in modules.items():
        tensors = {key: value.detach().contiguous().clone() for key, value in module.state_dict().items()}
        save_file(tensors, fresh / f"{name}.safetensors")
    for name, optimizer in optimizers.items():
        tensors = {
            f"{index}.{key}": value.contiguous()
            for index, values in optimizer.state_dict()["state"].items()
            for key, value in values.items()
        }
        save_file(tensors, fresh / f"{name}.optimizer.safetensors")
    save_file({"cpu": torch.get_rng_state()}, fresh / "random.safetensors")
    facts = {"step": step, "tokenizer": policy.tokenizer.fingerprint(), "state": state}
    write_atomically(fresh / "state.json", json.dumps(facts))
    target = run.out / CHECKPOINT
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


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
        module.load_state_dict(load_file(folder / f"{name}.safetensors"))
    for name, optimizer in optimizers.items():
        kept: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in load_file(folder / f"{name}.optimizer.safetensors").items():
            index, inner = key.split(".", 1)
            kept.setdefault(int(index), {})[inner] = value
        optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(load_file(folder / "random.safetensors")["cpu"])
    state.update(facts["state"])
    return int(facts["step"])


def save_final(run: TrainingRun, model: LanguageModel, facts: dict[str, Any], critic: Critic | None = None) -> Path:
    """Write the trained model where agents are loaded from, with the critic that guides it."""
    target = run.out / FINAL
    if distributed()[0] != 0:
        return target
    fresh = run.out / f".{FINAL}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    extra = {
        "algorithm": run.algorithm,
        "env_id": run.env_id,
        "data": run.data,
        "preset": run.preset,
        "overrides": run.overrides,
        "seed": run.seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **facts,
    }
    model.save(fresh, extra)
    if critic is not None:
        critic.save(fresh)
    shutil.rmtree(target, ignore_errors=True)
    os.rename(fresh, target)
    return target


# -- metrics and progress


class Metrics:
    """One JSON line per logged step, and TensorBoard events where tensorboardX is installed.

    A resumed run drops the lines after its checkpoint.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self.path = path
        kept = []
        if path.is_file() and first_step:
            for line in path.read_text("utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:  # cut by a kill
                    continue
                if entry["step"] <= first_step:
                    kept.append(line)
        write_atomically(path, "".join(f"{line}\n" for line in kept))
        try:
            from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(path.parent / "tensorboard"), purge_step=first_step or None)

    def log(self, step: int, **values: float) -> None:
        """Append the metrics of a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard has not written yet."""
        if self._board is not None:
            self._board.close()


class Ticker:
    """Counts tokens and seconds, and shows a progress bar on a terminal."""

    def __init__(self, title: str, total: int, first: int, show: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not show,
        )
        self._task = self._progress.add_task(title, total=total, completed=first, note="")
        self._started = time.monotonic()
        self.ticks = first
        self.tokens = 0
        """Read by the network, equal rows once."""

    def __enter__(self) -> Ticker:
        self._progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._progress.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def tokens_per_second(self) -> float:
        """Tokens trained on per second, equal rows counted once."""
        return self.tokens / max(self.seconds, 1e-9)

    def tick(self, step: int, note: str) -> None:
        """One step done."""
        self.ticks = step
        self._progress.update(self._task, completed=step, note=f"{note}  {self.tokens_per_second:,.0f} tokens/s")
