"""What all trainers share: data to rows, model from a preset, checkpoints that are whole or not there, metrics."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmrl_agents.model import LanguageModel, ModelConfig
from lmrl_agents.presets import load_preset
from lmrl_agents.tokens import RowStore, TaskTokenizer, TextFormat, adopt_tokenizer, episode_rows, train_tokenizer
from lmrl_agents.views import view_texts
from lmrl_datasets import Dataset, load_dataset
from lmrl_datasets.store import write_atomically

FINAL, CHECKPOINT, METRICS, RUN = "final", "checkpoint", "metrics.jsonl", "train.json"


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
    threads: int = 1
    """CPU threads of torch. Models of the nano preset are faster with one, and one makes training reproducible bit for bit."""
    show_progress: bool = True

    def settings(self) -> dict[str, Any]:
        """The part that determines the result; a resumed run must have the same."""
        kept = {key: getattr(self, key) for key in ("algorithm", "env_id", "preset", "seed", "dtype")}
        return {**kept, "data": self.data_fingerprint(), "tables": self.tables()}

    def data_fingerprint(self) -> str:
        """Name and content of the dataset, wherever it lies."""
        manifest = load_dataset(self.data, sample=self.sample).manifest
        digests = "".join(shard["sha256"] for shard in manifest["shards"])
        return f"{manifest['name']} {hashlib.sha256(digests.encode()).hexdigest()[:16]}"

    def tables(self) -> dict[str, dict[str, Any]]:
        """The preset as it stands for this task."""
        return load_preset(self.preset, self.env_id)

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


def prepare(run: TrainingRun, data: Dataset) -> tuple[LanguageModel, RowStore]:
    """Tokenizer, model and rows for a run."""
    if torch.device(run.device).type == "cpu":
        torch.set_num_threads(run.threads)
    tables = run.tables()
    text = dict(tables["text"])
    units, vocabulary = text.pop("units"), text.pop("vocabulary", 50_000)
    text.pop("max_action_tokens", None)
    form = TextFormat(**text)
    config = ModelConfig(**tables["model"])
    transcripts = [(episode.transcript, episode.terminated, episode.truncated) for episode in data]
    if units == "pretrained":
        from transformers import AutoTokenizer

        tokenizer = adopt_tokenizer(AutoTokenizer.from_pretrained(config.source, trust_remote_code=False))
    else:
        texts = (piece for transcript, *_ in transcripts for piece in view_texts(form.view, transcript))
        tokenizer = train_tokenizer(texts, units=units, max_size=vocabulary)
    rows = [
        row
        for transcript, terminated, truncated in transcripts
        for row in episode_rows(transcript, terminated, truncated, tokenizer, form)
    ]
    model = LanguageModel.create(config, tokenizer, form, run.seed)
    return model.to(run.device), RowStore(rows, tokenizer.pad)


def batch_indices(seed: int, step: int, size: int, batch: int) -> np.ndarray:
    """Positions of the rows of a step: drawn with replacement, a function of seed and step alone."""
    return np.random.default_rng((seed, step)).integers(size, size=batch)


def learning_rate(step: int, steps: int, peak: float, warmup: int = 50, floor: float = 0.05) -> float:
    """Linear warm-up, then a cosine down to ``floor`` times the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


# -- checkpoints


def save_checkpoint(run: TrainingRun, model: LanguageModel, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Replace the run's checkpoint; a kill at any moment leaves the old or the new one whole."""
    from safetensors.torch import save_file

    fresh = run.out / f".{CHECKPOINT}.new"
    old = run.out / f".{CHECKPOINT}.old"
    shutil.rmtree(fresh, ignore_errors=True)
    model.save(fresh)
    tensors = {
        f"{index}.{name}": value.contiguous()
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    save_file(tensors, fresh / "optimizer.safetensors")
    write_atomically(fresh / "state.json", json.dumps({"step": step}))
    target = run.out / CHECKPOINT
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(run: TrainingRun, model: LanguageModel, optimizer: torch.optim.Optimizer) -> int:
    """Restore the run's checkpoint into model and optimizer; returns the number of steps done (0: there is none)."""
    from safetensors.torch import load_file

    folder = run.out / CHECKPOINT
    if not folder.is_dir():  # killed between the two renames: the old one is whole
        folder = run.out / f".{CHECKPOINT}.old"
    if not folder.is_dir():
        return 0
    tokenizer = TaskTokenizer.load(folder)
    if tokenizer.fingerprint() != model.tokenizer.fingerprint():
        raise TrainingError(f"the checkpoint in {folder} was trained with another tokenizer (other data or preset)")
    step = json.loads((folder / "state.json").read_text("utf-8"))["step"]
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=False)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(step)


def save_final(run: TrainingRun, model: LanguageModel, facts: dict[str, Any]) -> Path:
    """Write the trained model where agents are loaded from."""
    tables = run.tables()
    fresh = run.out / f".{FINAL}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    extra = {
        "algorithm": run.algorithm,
        "env_id": run.env_id,
        "data": run.data,
        "preset": run.preset,
        "seed": run.seed,
        "max_action_tokens": tables["text"].get("max_action_tokens", 64),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        **facts,
    }
    model.save(fresh, extra)
    target = run.out / FINAL
    shutil.rmtree(target, ignore_errors=True)
    os.rename(fresh, target)
    return target


# -- metrics and progress


class Metrics:
    """One JSON line per logged step; a resumed run drops the lines after its checkpoint."""

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

    def log(self, step: int, **values: float) -> None:
        """Append the metrics of a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


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
        self.tokens = 0

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

    def tick(self, step: int, tokens: int, note: str) -> None:
        """One step done."""
        self.tokens += tokens
        self._progress.update(self._task, completed=step, note=f"{note}  {self.tokens_per_second:,.0f} tokens/s")


@contextmanager
def precision(run: TrainingRun) -> Iterator[None]:
    """Automatic mixed precision when the run asks for bfloat16."""
    if run.dtype in ("bf16", "bfloat16"):
        with torch.autocast(torch.device(run.device).type, dtype=torch.bfloat16):
            yield
    else:
        yield


def optimizer_for(model: torch.nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW with decay on matrices only (arXiv 2311.18232, appendix: betas .9, .95)."""
    matrices = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), eps=1e-8)
