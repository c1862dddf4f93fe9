"""Experiment trackers, through their own libraries: where a run's metrics go besides its folder, and ten of its games at the end.

Nothing leaves the machine unless the library is told so in its own way: wandb writes offline runs (``WANDB_MODE``), mlflow a database
in the run's folder (``MLFLOW_TRACKING_URI``), trackio its local store (``TRACKIO_DIR``, ``TRACKIO_SPACE_ID``).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lmrl_envs.doors import short_name
from lmrl_envs.files import provenance

if TYPE_CHECKING:
    from lmrl_agents.learning.run import TrainingRun

PROJECT, AUTO = "lmrl", "auto"
SAMPLES = 10
"""Games that are shown of a trained policy."""


class TrackerError(ValueError):
    """There is no such tracker, or it is not installed; the message says what to do."""


class Tracker(Protocol):
    """One run in one tracker."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Metrics of a step."""
        ...

    def text(self, name: str, texts: Sequence[str]) -> None:
        """Texts for people to read."""
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


class TensorBoard:
    """Events in the folder ``tensorboard``, written by the thread that logs: tensorboardX's `SummaryWriter` writes in a thread of its own,
    which dies at the first write that fails (a full disk), and the next call blocks forever. What is written is what its ``add_scalar`` and
    ``add_text`` write.
    """

    def __init__(self, out: Path, first_step: int | None, config: Mapping[str, Any], id: str) -> None:
        import tensorboardX.proto.event_pb2  # pyright: ignore[reportMissingImports]
        from tensorboardX.event_file_writer import EventsWriter  # pyright: ignore[reportMissingImports]
        from tensorboardX.summary import scalar, text  # pyright: ignore[reportMissingImports]

        folder = out / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        events: Any = tensorboardX.proto.event_pb2  # its classes are made when it is imported
        self._event, self._scalar, self._text = events.Event, scalar, text
        self._writer = EventsWriter(str(folder / "events"))
        if first_step:  # what was shown of later steps is not shown any more
            start = events.SessionLog(status=events.SessionLog.START)
            self._writer.write_event(self._event(step=first_step, wall_time=time.time(), session_log=start))
        elif first_step == 0:
            self._add(0, text("config", f"```\n{json.dumps(config, indent=1)}\n```"))
        self._writer.flush()

    def _add(self, step: int, summary: Any) -> None:
        self._writer.write_event(self._event(step=step, wall_time=time.time(), summary=summary))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._add(step, self._scalar(name, value))
        self._writer.flush()

    def text(self, name: str, texts: Sequence[str]) -> None:
        for k, one in enumerate(texts):
            self._add(k, self._text(name, f"```\n{one}\n```"))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """wandb; offline unless ``WANDB_MODE`` says otherwise: ``wandb sync OUT/wandb/offline-run-*`` sends it."""

    def __init__(self, out: Path, first_step: int | None, config: Mapping[str, Any], id: str) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        self._library = wandb
        self._run = wandb.init(
            project=PROJECT,
            name=config.get("name", out.name),
            group=config.get("group"),
            id=id,
            resume="allow",
            dir=str(out),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=dict(config),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def text(self, name: str, texts: Sequence[str]) -> None:
        self._run.log({name: self._library.Table(columns=["game", "text"], data=list(map(list, enumerate(texts))))})

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """mlflow; a database in the run's folder unless ``MLFLOW_TRACKING_URI`` says otherwise."""

    def __init__(self, out: Path, first_step: int | None, config: Mapping[str, Any], id: str) -> None:
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports]

        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(out / 'mlflow.db').resolve()}"
        self._client = MlflowClient(place)
        found = self._client.get_experiment_by_name(PROJECT)
        artifacts = None if "MLFLOW_TRACKING_URI" in os.environ else (out / "mlflow").resolve().as_uri()
        experiment = found.experiment_id if found else self._client.create_experiment(PROJECT, artifacts)
        runs = self._client.search_runs([experiment], f"tags.lmrl = '{id}'")
        self._run = (
            runs[0]
            if runs
            else self._client.create_run(
                experiment, tags={"lmrl": id, "group": config.get("group", "")}, run_name=config.get("name", out.name)
            )
        ).info.run_id
        if not runs:
            for key, value in config.items():
                self._client.log_param(self._run, key, json.dumps(value)[:500])

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def text(self, name: str, texts: Sequence[str]) -> None:
        for k, one in enumerate(texts):
            self._client.log_text(self._run, one, f"{name}/{k}.txt")

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackio:
    """trackio's local store, shown by ``trackio show``."""

    def __init__(self, out: Path, first_step: int | None, config: Mapping[str, Any], id: str) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self._library = trackio
        name, group = f"{config.get('name', out.name)}-{id}", config.get("group")
        self._run = trackio.init(PROJECT, name, group=group, config=dict(config), resume="allow", embed=False)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def text(self, name: str, texts: Sequence[str]) -> None:
        import pandas

        self._run.log({name: self._library.Table(dataframe=pandas.DataFrame({"text": list(texts)}))})

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, int | None, Mapping[str, Any], str], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
    "trackio": Trackio,
}


def place_of(run: TrainingRun) -> dict[str, str]:
    """What runs that differ in their seed alone have in common: the suite's cell, or task and agent."""
    return run.cell or {"task": short_name(run.env_id), "agent": f"{run.table}-{run.preset}"}


def told_of(run: TrainingRun) -> dict[str, Any]:
    """What trackers are told of a run: its settings, its cell, and what to call it."""
    place = place_of(run)
    group = " ".join(place.values())
    name = f"{group} seed {run.seed}" if run.cell else run.out.name
    return {**run.settings(), "cell": {**place, "seed": run.seed}, "name": name, "group": group}


def identity(out: Path, config: Mapping[str, Any]) -> str:
    """Of a run in its folder: a resumed one is gone on with."""
    told = json.dumps([str(out.resolve()), dict(config)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def names_of(spec: str) -> list[str]:
    """The trackers of ``tensorboard``, ``wandb,mlflow``, ``none``, ...; of ``auto`` tensorboard.

    Raises:
        TrackerError: there is none of this name.
    """
    if spec == AUTO:
        return ["tensorboard"]
    names = [name.strip() for name in spec.split(",") if name.strip() not in ("", "none")]
    for name in names:
        if name not in TRACKERS:
            raise TrackerError(f"report_to={spec!r}: {name!r} is not known; choose of {', '.join(TRACKERS)}, none")
    return names


def open_trackers(spec: str, out: Path, first_step: int | None, config: Mapping[str, Any]) -> list[Tracker]:
    """The trackers that a run reports to, from a step on, or (None) to add to what is there. That of ``auto`` is left out where its
    library is missing.

    Raises:
        TrackerError: there is none of this name, or its library is missing.
    """
    found: list[Tracker] = []
    for name in names_of(spec):
        try:
            found.append(TRACKERS[name](out, first_step, {**config, **provenance()}, identity(out, config)))
        except ImportError:
            if spec != AUTO:
                package = {"tensorboard": "tensorboardX"}.get(name, name)
                raise TrackerError(f"report_to={spec!r}: pip install {package}") from None
    return found
