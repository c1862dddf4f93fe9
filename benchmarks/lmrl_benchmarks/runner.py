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
from lmrl_datasets.store import write_atomically

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

    def folder(self, out: Path) -> Path:
        """Where the cell's records are."""
        return out / "cells" / self.task.slug / self.agent.name / f"seed-{self.seed}"


def cells(suite: Suite, agents: Sequence[SuiteAgent]) -> list[Cell]:
    """All cells; agents that are not trained have one seed, the first."""
    return [
        Cell(task, agent, seed)
        for task in suite.tasks
        for agent in agents
        for seed in (suite.training_seeds if agent.train else suite.training_seeds[:1])
    ]


def _jobs(suite: Suite, agents: Sequence[SuiteAgent], out: Path) -> list[Job]:
    jobs: dict[str, Job] = {}
    for cell in cells(suite, agents):
        needs: tuple[str, ...] = ()
        spec = cell.agent.spec or cell.agent.name
        if cell.agent.train:
            data = cell.task.data
            if not data:
                raise SuiteError(
                    f"{cell.task.id} has no data in suite {suite.name!r}, but {cell.agent.name} is trained"
                )
            sample = bool(data.get("sample"))
            if sample:
                data_job, data_source = None, data["name"]
            else:
                data_job = f"data {data['name']} {data['episodes']}"
                data_source = str(out / "data" / f"{data['name'].replace('/', '--')}-{data['episodes']}")
                jobs[data_job] = Job("data", data_job, (data["name"], data_source, data["episodes"]))
            folder = out / "training" / cell.task.slug / cell.agent.training_key / f"seed-{cell.seed}"
            train_job = f"train {cell.agent.train} {cell.task.slug} seed {cell.seed}"
            arguments = (cell.agent.train, cell.task.id, data_source, str(folder), cell.agent.preset, cell.seed, sample)
            jobs[train_job] = Job("train", train_job, arguments, (data_job,) if data_job else ())
            spec, needs = str(folder), (train_job,)
        evaluation = EvaluationSpec(
            env_id=cell.task.id,
            agent=Path(spec).relative_to(out).as_posix() if cell.agent.train else spec,
            episodes=cell.task.episodes or suite.episodes,
            seed=suite.seed,
            env_kwargs=cell.task.kwargs,
            agent_kwargs=cell.agent.agent_kwargs,
        )
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
    _claim(suite, out)
    waiting = {job.name: job for job in _jobs(suite, agents or suite.agents, out)}
    total, finished, failed = len(waiting), set(), {}
    running: dict[Any, Job] = {}
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        while waiting or running:
            for job in list(waiting.values()):
                lost = [need for need in job.needs if need in failed]
                if lost:
                    failed[job.name] = f"not run: {lost[0]} failed"
                    del waiting[job.name]
                elif all(need in finished for need in job.needs) and len(running) < workers:
                    running[pool.submit(_run_job, job)] = job
                    del waiting[job.name]
            if progress:
                progress(len(finished) + len(failed), total, [job.name for job in running.values()])
            if not running:
                continue
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                try:
                    problem = future.result()
                except BrokenProcessPool:
                    problem = "its process died (killed, or out of memory)"
                    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
                if problem:
                    failed[job.name] = problem
                else:
                    finished.add(job.name)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if progress:
        progress(len(finished) + len(failed), total, [])
    return failed


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
    if any(out.iterdir()):
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
