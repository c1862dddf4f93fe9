"""A training run: what is trained, on what, where its files are; its folder is taken by one run alone."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from tyro.conf import Positional, Suppress, arg

from lmrl_agents.models.chunks import AT_ONCE
from lmrl_agents.models.distributed import rank
from lmrl_agents.playing.identity import reward_identity
from lmrl_agents.presets import load_preset
from lmrl_agents.rewards.offline import rewarded
from lmrl_agents.rewards.protocol import TASK
from lmrl_agents.settings import KeyValues
from lmrl_datasets import Dataset, load_dataset
from lmrl_datasets.preferences.store import is_preferences, load_preferences
from lmrl_envs.doors import short_name
from lmrl_envs.files import claim, sha256_of, write_json
from lmrl_envs.files.untrusted import decode, read

C = TypeVar("C")

FINAL, START, CHECKPOINT = "final", "start", "checkpoint"
METRICS, RUN, FACTS, ROLLOUT = "metrics.jsonl", "train.json", "facts.json", "rollout"


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
    """Dataset name or folder; it must be of the task's family. Methods that learn from pairs: folder of preference data."""
    out: Path
    """Folder of the run: metrics, checkpoints, the final model."""
    preset: Literal["nano", "small", "paper", "instruct"] = "nano"
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
    reward: str = TASK
    """What is optimised: task (the task's own reward), learned:DIR, text:NAME, module:factory, file.py:factory."""
    overrides: Annotated[KeyValues, arg(name="set")] = field(default_factory=dict)
    """Settings in place of the preset's, as table.name=value (ppo.iterations=20, model.width=128)."""
    pass_tokens: int = 0
    """Most tokens of rows that are read at once in training; a batch's gradients add up over as many passes as it takes. 0: all."""
    logits_at_once: int = AT_ONCE
    """Most logits, or values of tokens, that there are at once in training: what is more is computed in pieces, twice. 0: all."""
    threads: int = 1
    """CPU threads; one is fastest for small models and makes training reproducible bit for bit."""
    shard: bool = False
    """Shard the transformer's weights over the processes, for models too large for one device."""
    report_to: str = "auto"
    """Trackers that are told of the run: tensorboard, wandb, mlflow, trackio, some with commas, or none; auto: tensorboard without games."""
    cell: Suppress[dict[str, str]] = field(default_factory=dict)
    """What trackers call it by: ``suite``, ``task`` and ``agent`` of a suite's cell; else the folder's name is told."""
    show_progress: Suppress[bool] = True
    began: float = field(default_factory=time.process_time, init=False, compare=False)
    """CPU time of the process then: what is told of a run's time counts the encoding of its data and the choice of its temperature."""

    @property
    def table(self) -> str:
        """Name of the algorithm's table in presets and settings."""
        return short_name(self.algorithm)

    def settings(self) -> dict[str, Any]:
        """The part that determines the result; a resumed run must have the same."""
        kept = {key: getattr(self, key) for key in ("algorithm", "env_id", "env_kwargs", "preset", "seed", "dtype")}
        kept |= {"shard": True} if self.shard else {}  # sums round differently: what is resumed would not equal one run
        kept |= {"reward": [self.reward, reward_identity(self.reward)]} if self.reward != TASK else {}
        tables = {name: table for name, table in self.tables().items() if name != ROLLOUT}  # where games are played
        return {**kept, "data": self.data_fingerprint(), "tables": tables, "start": self._start_fingerprint()}

    def data_fingerprint(self) -> str:
        """Name and content of the dataset, wherever it lies; of preference data pairs and labels, never gold."""
        if is_preferences(self.data):
            return f"preferences {load_preferences(self.data).fingerprint()}"
        manifest = load_dataset(self.data, sample=self.sample).manifest
        digests = "".join(shard["sha256"] for shard in manifest["shards"])
        return f"{manifest['name']} {hashlib.sha256(digests.encode()).hexdigest()[:16]}"

    def claimed_data(self) -> str:
        """`data_fingerprint` as it was when the run began: the dataset may be gone by now. Records carry it; it names no path."""
        record = self.out / RUN
        return read(record, dict[str, Any])["data"] if record.is_file() else self.data_fingerprint()

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
            if table not in (*tables, ROLLOUT) or not name:
                raise ValueError(f"--set {key}: write table.name=value; tables: {', '.join(tables)}")
            tables[table] = {**tables.get(table, {}), name: value}
        return tables

    def config(self, kind: type[C], base: str = "") -> C:
        """The algorithm's hyperparameters; those of the table ``base`` where its own says nothing.

        Raises:
            ValueError: the preset or an override names a hyperparameter that the algorithm does not have.
        """
        table = {**(tables := self.tables()).get(base, {}), **tables[self.table]}
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
        settings = decode(json.dumps(self.settings()))

        def differing(there: dict[str, Any]) -> list[str]:
            return [key for key in {**there, **settings} if there.get(key) != settings.get(key)]

        if claim(self.out, RUN, settings, "training run", differing) is not None and not self.resume:
            raise TrainingError(f"{self.out} holds this run already; go on with --resume, or choose another folder")

    def save_facts(self, **facts: Any) -> None:
        """Write what was found about the data before training, beside the run's settings."""
        if rank() == 0:
            write_json(self.out / FACTS, facts)

    def load_data(self) -> Dataset:
        """The training episodes, worded for the task, and paid by the run's reward."""
        data = load_dataset(self.data, split="train", sample=self.sample, env_id=self.env_id)
        return data if self.reward == TASK else rewarded(data, self.reward, self.out / "rewarded")
