"""Run a suite: data, training, evaluation, each cell once, in parallel processes, resumable at any moment.

Layout of a run: ``suite.json``; ``data/<dataset>/``; ``training/<task>/<algorithm>-<preset>/seed-<s>/``;
``cells/<task>/<agent>/seed-<s>/`` with the records of one evaluation.
"""

from __future__ import annotations

import json
import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_benchmarks.evaluation import EvaluationSpec, evaluate
from lmrl_benchmarks.records import provenance
from lmrl_benchmarks.suite import Suite, SuiteAgent, SuiteError, SuiteTask
from lmrl_datasets import generate
from lmrl_datasets.store import end_with_parent, locked, write_atomically

SUITE = "suite.json"


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
        if task.data or not agent.train
        for seed in (suite.training_seeds if agent.train else suite.training_seeds[:1])
    ]


def evaluation_of(suite: Suite, cell: Cell) -> EvaluationSpec:
    """What a cell's records are of. Models are named by their place within the run, so that runs can be moved."""
    return EvaluationSpec(
        env_id=cell.task.id,
        agent=cell.training_folder if cell.agent.train else cell.agent.spec or cell.agent.name,
        episodes=cell.task.episodes or suite.episodes,
        seed=suite.seed,
        env_kwargs=cell.task.kwargs,
        agent_kwargs=cell.agent.agent_kwargs,
    )


def _jobs(suite: Suite, agents: Sequence[SuiteAgent], out: Path) -> list[Job]:
    jobs: dict[str, Job] = {}
    for cell in cells(suite, agents):
        needs: tuple[str, ...] = ()
        spec = cell.agent.spec or cell.agent.name
        if cell.agent.train:
            data = cell.task.data
            sample = bool(data.get("sample"))
            if sample:
                data_job, data_source = None, data["name"]
            else:
                data_job = f"data {data['name']} {data['episodes']}"
                data_source = str(out / "data" / f"{data['name'].replace('/', '--')}-{data['episodes']}")
                jobs[data_job] = Job("data", data_job, (data["name"], data_source, data["episodes"]))
            folder = out / cell.training_folder
            train_job = f"train {cell.agent.training_key} {cell.task.slug} seed {cell.seed}"
            arguments = (cell.agent.train, cell.task.id, data_source, str(folder), cell.agent.preset, cell.seed, sample)
            jobs[train_job] = Job("train", train_job, arguments, (data_job,) if data_job else ())
            spec, needs = str(folder), (train_job,)
        evaluation = evaluation_of(suite, cell)
        name = f"eval {cell.agent.name} {cell.task.slug} seed {cell.seed}"
        jobs[name] = Job("eval", name, (evaluation, str(cell.folder(out)), spec), needs)
    return list(jobs.values())


def _run_job(job: Job) -> str:
    """Run one job in a worker process; returns "" or what went wrong."""
    try:
        _DO[job.kind](*job.arguments)
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}\n{traceback.format_exc()}"
    return ""


def _do_data(name: str, folder: str, episodes: int) -> None:
    generate(name, folder, episodes=episodes)


def _do_train(algorithm: str, env_id: str, data: str, folder: str, preset: str, seed: int, sample: bool) -> None:
    from lmrl_agents.algorithms import train
    from lmrl_agents.training import FINAL, TrainingRun

    if (Path(folder) / FINAL / "lmrl.json").is_file():
        return
    train(
        TrainingRun(
            algorithm, env_id, data, Path(folder), preset, seed, sample=sample, resume=True, show_progress=False
        )
    )


def _do_eval(spec: EvaluationSpec, folder: str, agent_spec: str) -> None:
    from lmrl_agents.api import load_agent

    path = Path(folder)
    if (path / "summary.json").is_file():
        return
    if spec.agent != agent_spec:
        import torch

        torch.set_num_threads(1)
    evaluate(spec, path, agent=load_agent(agent_spec, **spec.agent_kwargs), slots=128)


_DO: dict[str, Callable[..., None]] = {"data": _do_data, "train": _do_train, "eval": _do_eval}

Progress = Callable[[int, int, list[str]], None]
"""Called with (jobs done, jobs in all, names of the running ones)."""


def run_suite(
    suite: Suite,
    out: Path,
    *,
    agents: Sequence[SuiteAgent] | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Train and evaluate what is missing; returns the jobs that failed, name -> error.

    Raises:
        SuiteError: the folder holds a run of another suite.
    """
    with locked(out / ".lock", "running a suite"):
        _claim(suite, out)
        return _Run(_jobs(suite, agents or suite.agents, out), workers, progress).run()


class _Run:
    """Jobs in dependency order over worker processes. A job whose process dies is tried once more."""

    def __init__(self, jobs: Sequence[Job], workers: int, progress: Progress | None) -> None:
        self.waiting = {job.name: job for job in jobs}
        self.total, self.workers, self.progress = len(self.waiting), workers, progress
        self.finished: set[str] = set()
        self.failed: dict[str, str] = {}
        self.deaths: dict[str, int] = {}
        self.running: dict[Any, Job] = {}

    def run(self) -> dict[str, str]:
        self.pool = self._new_pool()
        try:
            while self.waiting or self.running:
                self._start()
                self._tell()
                if self.running:
                    self._collect()
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

    def _collect(self) -> None:
        done, _ = wait(self.running, return_when=FIRST_COMPLETED)
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

    def _recover(self) -> None:
        """A worker died and took the pool with it; nobody can tell whose job it was."""
        for job in self.running.values():
            self.deaths[job.name] = self.deaths.get(job.name, 0) + 1
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
            self.progress(done, self.total, [job.name for job in self.running.values()])


def _claim(suite: Suite, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / SUITE
    if path.is_file():
        there = json.loads(path.read_text("utf-8"))
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
        values = dict(record["suite"])
        suite = Suite(
            **{
                **values,
                "training_seeds": tuple(values["training_seeds"]),
                "tasks": tuple(SuiteTask(**entry) for entry in values["tasks"]),
                "agents": tuple(SuiteAgent(**entry) for entry in values["agents"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SuiteError(f"{out} holds no leaderboard run: {problem}") from None
    return suite, record


def found_cells(suite: Suite, out: Path) -> list[Cell]:
    """The suite's cells, and those of agents that were added to the run by name."""
    known = {agent.name for agent in suite.agents}
    added = sorted({path.name for path in (out / "cells").glob("*/*") if path.is_dir()} - known)
    extra = [SuiteAgent(name=name) for name in added]
    return [cell for cell in cells(suite, [*suite.agents, *extra]) if cell.folder(out).is_dir()]
