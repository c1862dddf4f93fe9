"""Run a suite: data, training, evaluation, each cell once, in parallel processes, resumable at any moment.

Layout of a run: ``suite.json``; ``problems.json`` (what could not be run, and why); ``data/<dataset>/``; ``training/<task>/<algorithm>-<preset>/seed-<s>/``;
``cells/<task>/<agent>/seed-<s>/`` with the records of one evaluation.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_benchmarks.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.needs import missing_need
from lmrl_benchmarks.records import provenance, refuse_other_version
from lmrl_benchmarks.suite import NAME, Suite, SuiteAgent, SuiteError, SuiteTask, suite_from
from lmrl_datasets import generate
from lmrl_datasets.store import end_with_parent, locked, write_atomically

PATIENCE = 3600.0
"""Seconds without a finished episode after which an agent is taken to hang."""
SUITE, PROBLEMS, PROGRESS = "suite.json", "problems.json", ".progress"


@dataclass(frozen=True)
class Job:
    """A unit of work: ``data``, ``train`` or ``eval``; it runs when the jobs that it needs are done."""

    kind: str
    name: str
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One agent on one task with one training seed."""

    task: SuiteTask
    agent: SuiteAgent
    seed: int

    @property
    def training_folder(self) -> str:
        """Where the cell's model is, within the run."""
        return f"training/{self.task.slug}/{self.agent.training_key}/seed-{self.seed}"

    def folder(self, out: Path) -> Path:
        """Where the cell's records are."""
        return out / "cells" / self.task.slug / self.agent.name / f"seed-{self.seed}"


def cells(suite: Suite, agents: Sequence[SuiteAgent]) -> list[Cell]:
    """All cells; agents that are not trained have one seed, the first, and trained ones play the tasks that have data."""
    return [
        Cell(task, agent, seed)
        for task in suite.tasks
        for agent in agents
        if (task.data or not agent.train) and (not agent.tasks or task.id in agent.tasks)
        for seed in (suite.training_seeds if agent.train else suite.training_seeds[:1])
    ]


def evaluation_of(suite: Suite, cell: Cell) -> EvaluationSpec:
    """What a cell's records are of. Models are named by their place within the run, so that runs can be moved."""
    spec = cell.agent.spec or cell.agent.name
    capped = suite.max_cost_usd is not None and spec.startswith("openai:")
    return EvaluationSpec(
        env_id=cell.task.id,
        agent=cell.training_folder if cell.agent.train else spec,
        episodes=cell.task.episodes or suite.episodes,
        seed=suite.seed,
        env_kwargs=cell.task.kwargs,
        agent_kwargs={"max_cost_usd": suite.max_cost_usd, **cell.agent.agent_kwargs}
        if capped
        else cell.agent.agent_kwargs,
        each=cell.task.each,
    )


def eval_name(cell: Cell) -> str:
    """Name of the job that plays a cell."""
    return f"eval {cell.agent.name} {cell.task.slug} seed {cell.seed}"


class _Plan:
    """The jobs of some cells, and the cells that cannot be run here (job -> what they need)."""

    def __init__(self, suite: Suite, agents: Sequence[SuiteAgent], out: Path, device: str) -> None:
        self.suite, self.out, self.device = suite, out, device
        self.jobs: dict[str, Job] = {}
        self.lacking: dict[str, str] = {}
        for cell in cells(suite, agents):
            spec = cell.agent.spec or cell.agent.name
            need = missing_need(cell.task.id, cell.task.kwargs, spec, cell.agent.train)
            if need is None:
                self._add(cell, spec)
            else:
                self.lacking[eval_name(cell)] = need

    def _add(self, cell: Cell, spec: str) -> None:
        needs: tuple[str, ...] = ()
        if cell.agent.train:
            needs = (self._training(cell),)
            spec = str(self.out / cell.training_folder)
        evaluation = evaluation_of(self.suite, cell)
        arguments = (evaluation, str(cell.folder(self.out)), spec, self.device)
        self.jobs[eval_name(cell)] = Job("eval", eval_name(cell), arguments, needs)

    def _training(self, cell: Cell) -> str:
        """Add the training of a cell's model, and what it starts from; returns the job's name."""
        agent, data = cell.agent, cell.task.data
        name = f"train {agent.training_key} {cell.task.slug} seed {cell.seed}"
        if name in self.jobs:
            return name
        needs: list[str] = []
        sample, source = bool(data.get("sample")), data["name"]
        if not sample:
            job = f"data {data['name']} {data['episodes']}"
            source = str(self.out / "data" / f"{data['name'].replace('/', '--')}-{data['episodes']}")
            self.jobs[job] = Job("data", job, (data["name"], source, data["episodes"]))
            needs.append(job)
        start = ""
        if agent.start:
            first = Cell(cell.task, self.suite.agent(agent.start), cell.seed)
            needs.append(self._training(first))
            start = str(self.out / first.training_folder)
        folder = str(self.out / cell.training_folder)
        settings = {
            "algorithm": agent.train, "env_id": cell.task.id, "data": source, "preset": agent.preset, "seed": cell.seed,
            "sample": sample, "device": self.device, "overrides": agent.settings,
            # Mixed precision where it is made for: larger models on a GPU.
            "dtype": "bf16" if self.device.startswith("cuda") and agent.preset != "nano" else "float32",
        }  # fmt: skip
        self.jobs[name] = Job("train", name, (settings, folder, start), tuple(needs))
        return name


def _run_job(job: Job) -> str:
    """Run one job in a worker process; returns "" or what went wrong."""
    try:
        _DO[job.kind](*job.arguments)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}\n{traceback.format_exc()}"
    return ""


def _do_data(name: str, folder: str, episodes: int) -> None:
    generate(name, folder, episodes=episodes)


def _do_train(settings: dict[str, Any], folder: str, start: str) -> None:
    from lmrl_agents.algorithms import train
    from lmrl_agents.training import FINAL, TrainingRun

    out = Path(folder)
    if (out / FINAL / "lmrl.json").is_file():
        return
    if start:
        settings = {**settings, "start": Path(start)}
    train(TrainingRun(out=out, resume=True, show_progress=False, **settings))


def _do_eval(spec: EvaluationSpec, folder: str, agent_spec: str, device: str) -> None:
    from lmrl_agents.api import load_agent

    path = Path(folder)
    if (path / "summary.json").is_file():
        return
    trained = spec.agent != agent_spec
    if trained:
        import torch

        torch.set_num_threads(1)
    agent = load_agent(agent_spec, **spec.agent_kwargs, **({"device": device} if trained else {}))
    path.mkdir(parents=True, exist_ok=True)
    note = path / PROGRESS
    write_atomically(note, f"0/{spec.episodes} {os.getpid()}")
    try:
        evaluate(
            spec,
            path,
            agent=agent,
            slots=128,
            progress=lambda done, total: write_atomically(note, f"{done}/{total} {os.getpid()}"),
        )
    finally:
        note.unlink(missing_ok=True)


_DO: dict[str, Callable[..., None]] = {"data": _do_data, "train": _do_train, "eval": _do_eval}

Progress = Callable[[int, int, list[str]], None]
"""Called about once a second with (jobs done, jobs in all, names of the running ones and how far they are)."""


def run_suite(
    suite: Suite,
    out: Path,
    *,
    agents: Sequence[SuiteAgent] | None = None,
    workers: int = 2,
    device: str = "cpu",
    patience: float = PATIENCE,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Train and evaluate what is missing; returns the jobs that failed or could not be run, name -> reason.

    An agent that finishes no episode for ``patience`` seconds is taken to hang: its process is killed, its cell fails.
    The reasons stand in ``problems.json`` too, from where the report takes them.

    Raises:
        SuiteError: the folder holds a run of another suite, or there are no agents.
        RecordError: the folder holds a run of another version.
    """
    agents = suite.agents if agents is None else agents
    if not agents:
        raise SuiteError(f"suite {suite.name!r} has no agents of its own; name yours (--agents openai:<model>)")
    with locked(out / ".lock", "running a suite"):
        _claim(suite, out)
        plan = _Plan(suite, agents, out, device)
        problems = plan.lacking | _Run(list(plan.jobs.values()), workers, patience, progress).run()
        asked = plan.lacking.keys() | plan.jobs.keys()
        told = {name: text for name, text in read_problems(out).items() if name not in asked}
        told |= {name: text.splitlines()[0] for name, text in problems.items()}
        write_atomically(out / PROBLEMS, json.dumps(told, indent=1, sort_keys=True) + "\n")
        return problems


def read_problems(out: Path) -> dict[str, str]:
    """Why jobs of a run came to nothing, job -> reason."""
    try:
        found = json.loads((out / PROBLEMS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


class _Run:
    """Jobs in dependency order over worker processes. A job whose process dies is tried once more."""

    def __init__(self, jobs: Sequence[Job], workers: int, patience: float, progress: Progress | None) -> None:
        self.waiting = {job.name: job for job in jobs}
        self.total, self.workers, self.patience, self.progress = len(self.waiting), workers, patience, progress
        self.finished: set[str] = set()
        self.failed: dict[str, str] = {}
        self.deaths: dict[str, int] = {}
        self.told: dict[str, tuple[str, float]] = {}
        """What each evaluation last told of its progress, and since when."""
        self.running: dict[Any, Job] = {}

    def run(self) -> dict[str, str]:
        self.pool = self._new_pool()
        try:
            while self.waiting or self.running:
                self._start()
                self._tell()
                if self.running:
                    self._collect(wait(self.running, timeout=1.0, return_when=FIRST_COMPLETED).done)
                    self._end_hanging()
        finally:
            self.pool.shutdown(wait=True, cancel_futures=True)
        self._tell()
        return self.failed

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, mp_context=context, initializer=end_with_parent)

    def _start(self) -> None:
        for job in list(self.waiting.values()):
            lost = [need for need in job.needs if need in self.failed]
            if lost:
                self.failed[job.name] = f"not run: {lost[0]} failed"
                del self.waiting[job.name]
            elif all(need in self.finished for need in job.needs) and len(self.running) < self.workers:
                self.running[self.pool.submit(_run_job, job)] = job
                del self.waiting[job.name]

    def _collect(self, done: set[Any]) -> None:
        for future in done:
            if isinstance(future.exception(), BrokenProcessPool):
                self._recover()
                return
            job = self.running.pop(future)
            problem = future.result()
            if problem:
                self.failed[job.name] = problem
            else:
                self.finished.add(job.name)

    def _end_hanging(self) -> None:
        """Kill the worker of an agent that hangs; the jobs that lose their pool by it begin again where they were."""
        children = {child.pid for child in multiprocessing.active_children()}
        now = time.monotonic()  # and no times of files: clocks are set while runs last
        for future, job in list(self.running.items()):
            note = Path(job.arguments[1]) / PROGRESS
            try:
                text = note.read_text("utf-8") if job.kind == "eval" else ""
                pid = int(text.split()[1])
            except (OSError, ValueError, IndexError):  # not begun, or over
                continue
            if self.told.get(job.name, ("", 0.0))[0] != text:
                self.told[job.name] = text, now
            if pid in children and now - self.told[job.name][1] >= self.patience:
                os.kill(pid, signal.SIGKILL)
                note.unlink(missing_ok=True)
                del self.running[future]
                self.failed[job.name] = f"no episode was finished for {self.patience:g} s: the agent hangs (--patience)"
                self._recover(killed=True)
                return

    def _recover(self, killed: bool = False) -> None:
        """A worker died and took the pool with it; nobody can tell whose job it was, unless it was ``killed`` here."""
        for job in self.running.values():
            self.deaths[job.name] = self.deaths.get(job.name, 0) + (not killed)
            if self.deaths[job.name] > 1:
                self.failed[job.name] = "its process died twice (killed, or out of memory)"
            else:
                self.waiting[job.name] = job
        self.running.clear()
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = self._new_pool()

    def _tell(self) -> None:
        if self.progress:
            done = len(self.finished) + len(self.failed)
            self.progress(done, self.total, [f"{job.name} {_how_far(job)}".strip() for job in self.running.values()])


def _how_far(job: Job) -> str:
    """What a running job has written of its progress: episodes of an evaluation, the last logged step of a training."""
    try:
        if job.kind == "eval":
            return f"({(Path(job.arguments[1]) / PROGRESS).read_text('utf-8').split()[0]})"
        if job.kind == "train":
            with (Path(job.arguments[1]) / "metrics.jsonl").open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - 4096))
                return f"(step {json.loads(file.read().splitlines()[-1])['step']})"
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return ""


def _claim(suite: Suite, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / SUITE
    if path.is_file():
        there = read_suite(out)[1]
        refuse_other_version(there, out)
        if there.get("digest") != suite.digest:
            raise SuiteError(
                f"{out} holds a run of suite {there.get('suite', {}).get('name')!r} as it was then (digest "
                f"{there.get('digest')}, now {suite.digest}); choose another folder"
            )
        return
    if any(not entry.name.startswith(".") for entry in out.iterdir()):
        raise SuiteError(f"{out} is not empty and holds no run; choose another folder")
    record = {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()}
    write_atomically(path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def read_suite(out: Path) -> tuple[Suite, dict[str, Any]]:
    """The suite of a run, and the whole ``suite.json``.

    Raises:
        SuiteError: the folder holds no run.
    """
    try:
        record = json.loads((out / SUITE).read_text("utf-8"))
        suite = suite_from(record["suite"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SuiteError(f"{out} holds no leaderboard run: {problem}") from None
    return suite, record


def found_cells(suite: Suite, out: Path) -> list[Cell]:
    """The suite's cells that are there, and those of agents that were added to the run by name."""
    known = {agent.name for agent in suite.agents}
    found = [cell for cell in cells(suite, suite.agents) if cell.folder(out).is_dir()]
    for task in suite.tasks:
        for folder in sorted((out / "cells" / task.slug).glob("*/seed-*")):
            name, seed = folder.parent.name, folder.name.removeprefix("seed-")
            if name not in known and NAME.fullmatch(name) and seed.isdecimal() and folder.is_dir():
                found.append(Cell(task, SuiteAgent(name=name), int(seed)))
    return found
