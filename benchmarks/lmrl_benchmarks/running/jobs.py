"""The jobs of a run as they are done, in a process of their own: data, training, evaluation."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lmrl_agents.playing.answers import QUIT
from lmrl_agents.playing.room import RoomSettings, close, open_agent
from lmrl_benchmarks.running.cells import Job
from lmrl_benchmarks.running.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.running.records import SUMMARY, RecordError, RecordFile, read_summary
from lmrl_datasets import generate
from lmrl_datasets.store import MANIFEST
from lmrl_envs.doors import told
from lmrl_envs.files import write_atomically
from lmrl_envs.files.untrusted import decode
from lmrl_envs.work import Progress

PROGRESS = ".progress"
SLOTS = 128
TRACED = 20_000
"""Characters of a traceback that are kept."""


def run_job(out: Path, job: Job) -> str:
    """Do one job of the run in ``out``; returns "" or what went wrong."""
    try:
        if not is_done(out, job):
            _DO[job.kind](out, out / job.folder, *job.arguments)
    except BaseException as problem:  # also what an agent raises to end the process: it ends its own cell
        return f"{told(problem)}\n{traceback.format_exc()[-TRACED:]}"
    return ""


def is_done(out: Path, job: Job) -> bool:
    """Whether the files that a job makes are there, as far as their names tell."""
    mark = out / job.folder / {"data": MANIFEST, "train": "final/lmrl.json", "eval": SUMMARY}[job.kind]
    retry_errors = job.kind == "eval" and job.arguments[-1]
    return mark.is_file() and not (retry_errors and read_summary(mark.parent)["errors"])


def problem_of(out: Path) -> str:
    """Why a finished evaluation is none: its agent quit, or every game ended in an error; "" where it is one."""
    try:
        summary = read_summary(out)
    except RecordError:
        return ""
    if not summary["errors"]:
        return ""
    failed = [record for record in RecordFile(out).read() if record.error is not None]
    quits = [record for record in failed if str(record.error).startswith(QUIT)]
    if not quits and len(failed) < summary["episodes"]:
        return ""
    first, count = (quits or failed)[0], f"{len(quits)} of {summary['episodes']}" if quits else f"all {len(failed)}"
    why = " ".join(str(first.error)[:300].split())
    return f"{count} games ended in an error; in game {first.episode}: {why} (--retry-errors plays them again)"


def _do_data(out: Path, folder: Path, name: str, episodes: int) -> None:
    generate(name, folder, episodes=episodes)


def _do_train(out: Path, folder: Path, settings: dict[str, Any], source: str, start: str) -> None:
    from lmrl_agents.learning.run import TrainingRun
    from lmrl_agents.learning.train import train

    data = source if settings["sample"] else str(out / source)
    given = {**settings, "start": out / start} if start else settings
    train(TrainingRun(out=folder, data=data, resume=True, show_progress=False, **given))


def _do_eval(
    out: Path, folder: Path, spec: EvaluationSpec, trained: bool, device: str, room: RoomSettings, retry_errors: bool
) -> None:
    if trained:
        import torch

        torch.set_num_threads(1)
        agent = open_agent(str(out / spec.agent), {**spec.agent_kwargs, "device": device}, room)
    else:
        agent = open_agent(spec.agent, spec.agent_kwargs, room)
    try:
        with _progress_file(folder, spec.episodes) as progress:
            evaluate(spec, folder, agent=agent, slots=SLOTS, retry_errors=retry_errors, progress=progress)
    finally:
        close(agent)


_DO: dict[str, Callable[..., None]] = {"data": _do_data, "train": _do_train, "eval": _do_eval}


@contextlib.contextmanager
def _progress_file(folder: Path, episodes: int) -> Iterator[Progress]:
    """A file with the episodes done and the process that plays them, there while it plays; yields what writes it."""
    path = folder / PROGRESS

    def write(done: int, total: int) -> None:
        write_atomically(path, f"{done}/{total} {os.getpid()}")

    folder.mkdir(parents=True, exist_ok=True)
    write(0, episodes)
    try:
        yield write
    finally:
        path.unlink(missing_ok=True)


class Watch:
    """Finds evaluations that do not go on. It goes by what they tell and its own clock, not by times of files: clocks are set
    while runs last.
    """

    def __init__(self, out: Path, patience: float) -> None:
        self.out, self.patience = out, patience
        self._told: dict[str, tuple[str, float]] = {}
        """What each job last told of its progress, and since when."""

    def stalled(self, job: Job) -> int | None:
        """The process that plays a job and has told nothing new for too long; None if there is none."""
        if job.kind != "eval":
            return None
        try:
            text = (self.out / job.folder / PROGRESS).read_text("utf-8")
            pid = int(text.split()[1])
        except (OSError, ValueError, IndexError):  # not begun, or over
            return None
        now = time.monotonic()
        if self._told.get(job.name, ("", 0.0))[0] != text:
            self._told[job.name] = text, now
        return pid if now - self._told[job.name][1] >= self.patience else None


def hangs(patience: float) -> str:
    """What is told of an agent whose process has stalled."""
    return f"no episode was finished for {patience:g} s: its worker hangs (--patience)"


def how_far(out: Path, job: Job) -> str:
    """What a running job has written of its progress: episodes of an evaluation, the last logged step of a training."""
    folder = out / job.folder
    try:
        if job.kind == "eval":
            return f"({(folder / PROGRESS).read_text('utf-8').split()[0]})"
        if job.kind == "train":
            with (folder / "metrics.jsonl").open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4096))
                return f"(step {decode(file.read().splitlines()[-1], dict[str, Any])['step']})"
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return ""
