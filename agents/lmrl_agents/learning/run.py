"""What all trainers share: data to steps, model from a preset, checkpoints that are whole or not there, metrics."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from tyro.conf import Positional, Suppress, arg

from lmrl_agents.models.distributed import by_sharding, distributed, shard
from lmrl_agents.models.model import LanguageModel, ModelConfig
from lmrl_agents.models.step_cache import cached_steps
from lmrl_agents.models.steps import StepStore
from lmrl_agents.models.tokenizer import adopt_tokenizer, train_tokenizer
from lmrl_agents.models.tokens import TextFormat
from lmrl_agents.presets import load_preset
from lmrl_agents.settings import KeyValues
from lmrl_datasets import Dataset, load_dataset
from lmrl_envs.doors import short_name
from lmrl_envs.files import claim, sha256_of, write_json

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

    algorithm: Positional[str]
    """Name of the algorithm (lmrl agents list), module:train or file.py:train."""
    env_id: Annotated[str, arg(name="env")]
    """Task id, module:id or file.py:id."""
    data: str
    """Dataset name or folder; it must be of the task's family."""
    out: Path
    """Folder of the run: metrics, checkpoints, the final model."""
    preset: Literal["nano", "small", "paper"] = "nano"
    """Hyperparameters and model size."""
    seed: int = 0
    """Seed of weights and batches."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1, ..."""
    dtype: Literal["float32", "bf16"] = "float32"
    """bf16 trains with automatic mixed precision."""
    resume: bool = False
    """Go on with a run that was stopped."""
    sample: bool = False
    """Train on the dataset's sample that ships with the package."""
    env_kwargs: Annotated[KeyValues, arg(name="env-arg")] = field(default_factory=dict)
    """Arguments of the environment that is played in training and validation, as key=value."""
    start: Path | None = None
    """Folder of a trained model to start from. Without it, algorithms that need a start clone the data first."""
    overrides: Annotated[KeyValues, arg(name="set")] = field(default_factory=dict)
    """Settings in place of the preset's, as table.name=value (ppo.iterations=20, model.width=128)."""
    threads: int = 1
    """CPU threads; one is fastest for small models and makes training reproducible bit for bit."""
    shard: bool = False
    """Spread the transformer's weights over the processes, for models too large for one device."""
    show_progress: Suppress[bool] = True

    @property
    def table(self) -> str:
        """Name of the algorithm's table in presets and settings."""
        return short_name(self.algorithm)

    def settings(self) -> dict[str, Any]:
        """The part that determines the result; a resumed run must have the same."""
        kept = {key: getattr(self, key) for key in ("algorithm", "env_id", "env_kwargs", "preset", "seed", "dtype")}
        # Optimizers number spread weights in another order: a checkpoint is gone on from as it was made.
        kept |= {"shard": True} if self.shard else {}
        return {**kept, "data": self.data_fingerprint(), "tables": self.tables(), "start": self._start_fingerprint()}

    def data_fingerprint(self) -> str:
        """Name and content of the dataset, wherever it lies."""
        manifest = load_dataset(self.data, sample=self.sample).manifest
        digests = "".join(shard["sha256"] for shard in manifest["shards"])
        return f"{manifest['name']} {hashlib.sha256(digests.encode()).hexdigest()[:16]}"

    def claimed_data(self) -> str:
        """`data_fingerprint` as it was when the run began: the dataset may be gone by now, and where it lay is nobody's affair."""
        record = self.out / RUN
        return json.loads(record.read_text("utf-8"))["data"] if record.is_file() else self.data_fingerprint()

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
        tables.setdefault(self.table, {})
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
        table = self.tables()[self.table]
        known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
        for name in table:
            if name not in known:
                raise ValueError(f"{self.table} has no hyperparameter {name!r}; it has {', '.join(known)}")
        return kind(**table)

    def claim(self) -> None:
        """Take the output folder.

        Raises:
            FolderError: it holds another run, or something else.
            TrainingError: it holds this run, and ``resume`` was not asked for.
        """
        settings = json.loads(json.dumps(self.settings()))

        def differing(there: dict[str, Any]) -> list[str]:
            return [key for key in {**there, **settings} if there.get(key) != settings.get(key)]

        if claim(self.out, RUN, settings, "training run", differing) is not None and not self.resume:
            raise TrainingError(f"{self.out} holds this run already; go on with --resume, or choose another folder")

    def load_data(self) -> Dataset:
        """The training episodes, worded for the task."""
        return load_dataset(self.data, split="train", sample=self.sample, env_id=self.env_id)


def prepare(run: TrainingRun, data: Dataset) -> LanguageModel:
    """A fresh model with the tokenizer of its data."""
    tables = run.tables()
    text = dict(tables["text"])
    units, vocabulary = text.pop("units"), text.pop("vocabulary", 50_000)
    form = TextFormat(**text, env_id=run.env_id)
    config = ModelConfig(**tables["model"])
    if units == "pretrained":
        from transformers import AutoTokenizer

        tokenizer = adopt_tokenizer(AutoTokenizer.from_pretrained(config.source, trust_remote_code=False))
    else:
        texts = (piece for episode in data for piece in form.reading.texts(episode.transcript))
        tokenizer = train_tokenizer(texts, units=units, max_size=vocabulary)
    model = LanguageModel.create(config, tokenizer, form, run.seed)
    return model.to(run.device)


def shard_if_asked(run: TrainingRun, *networks: torch.nn.Module) -> None:
    """Spread networks over the processes if the run asks for it; before their optimizer is made."""
    if run.shard:
        shard(networks)


def steps_of(data: Dataset, model: LanguageModel, deciding: bool = False) -> StepStore:
    """The steps of a dataset for this model, see `cached_steps`."""
    return cached_steps(data, model.tokenizer, model.form, deciding)


def save_facts(run: TrainingRun, **facts: Any) -> None:
    """Write what was found about the data before training, beside the run's settings."""
    if distributed()[0] == 0:
        write_json(run.out / FACTS, facts)


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
    groups = [{"params": own, "weight_decay": weight_decay} for own in by_sharding(matrices)]
    groups += [{"params": own, "weight_decay": 0.0} for own in by_sharding(others)]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


@contextmanager
def precision(run: TrainingRun) -> Iterator[None]:
    """Automatic mixed precision when the run asks for bfloat16."""
    if run.dtype in ("bf16", "bfloat16"):
        with torch.autocast(torch.device(run.device).type, dtype=torch.bfloat16):
            yield
    else:
        yield
