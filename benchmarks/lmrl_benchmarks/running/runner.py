"""Run a suite: data, training, evaluation, each cell once, in parallel, resumable at any moment."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

from lmrl_agents.learning.trackers import AUTO, names_of
from lmrl_agents.playing.identity import identity_of
from lmrl_agents.playing.room import RoomSettings
from lmrl_benchmarks.running.cells import PART, PROBLEMS, SUITE, Job, Part, Plan, read_problems
from lmrl_benchmarks.running.evaluation import EvaluationSpec, task_code
from lmrl_benchmarks.running.jobs import PROGRESS, Watch, hangs, how_far, is_done, problem_of
from lmrl_benchmarks.running.manifest import write_manifest
from lmrl_benchmarks.running.records import RUN, other_version, read_run
from lmrl_benchmarks.running.sealing import check_salt
from lmrl_benchmarks.running.suite import Suite, SuiteAgent, SuiteError
from lmrl_benchmarks.running.workers import ClusterWorkers, Processes, Workers
from lmrl_datasets.cluster import WorkerLost, joined
from lmrl_envs.files import FolderError, claim, locked, provenance, write_json
from lmrl_envs.files.untrusted import shown

JobProgress = Callable[[int, int, list[str]], None]
"""Called about once a second with (jobs done, jobs in all, names of the running ones and how far they are)."""
STALLED = 12.0
"""Without a finished episode for so many times the patience, a worker is taken to hang: what is slow is not the agent's process."""


def run_suite(
    suite: Suite,
    out: Path,
    *,
    agents: Sequence[SuiteAgent] | None = None,
    workers: int = 2,
    device: str = "cpu",
    room: RoomSettings | None = None,
    retry_errors: bool = False,
    ray: str | None = None,
    salt: str = "",
    part: Part | None = None,
    report_to: str = AUTO,
    progress: JobProgress | None = None,
) -> dict[str, str]:
    """Train and evaluate what is missing; returns the jobs that failed or could not be run, name -> reason.

    Args:
        suite: what is run.
        out: folder of the run; one that was stopped is gone on with.
        agents: those of the suite (and others) that are run; by default the suite's.
        workers: processes, or CPUs of a local Ray cluster. Records do not depend on them.
        device: where models are trained and played.
        room: how agents that do not come with this package are run, each in a process of its own.
        retry_errors: play episodes that ended in an error once more.
        ray: address of a Ray cluster that does the work, "local" for one on this machine.
        salt: of a sealed suite.
        part: the cells that are run; all by default.
        report_to: trackers that trainings are told to.
        progress: told about once a second.

    The reasons stand in ``problems.json`` too, from where the report takes them.

    Raises:
        SuiteError: there are no agents, no such part, or the salt is not the suite's.
        FolderError: the folder holds something else, or another process runs there.
        DatasetError: there is no such cluster.
        TrackerError: there is no such tracker.
    """
    names_of(report_to)
    agents = suite.agents if agents is None else agents
    if not agents:
        raise SuiteError(f"suite {suite.name!r} has no agents of its own; name yours (--agents openai:<model>)")
    check_salt(suite, salt)
    (part or Part()).check(suite)
    with locked(out / ".lock", "running a suite"):
        _claim(suite, out)
        (out / PART).unlink(missing_ok=True)  # what it lacked is run now
        plan = Plan(suite, agents, device, salt, room, retry_errors, part, report_to)
        patience = STALLED * plan.room.patience
        for job in plan.jobs.values():
            if job.kind == "eval":
                _refuse_another(out / job.folder, job.arguments[0])
        with _workers(plan, workers, patience, ray) as who:
            failed = Scheduler(out, list(plan.jobs.values()), who, patience, progress).run()
        problems = plan.lacking | dict(failed)
        for job in plan.jobs.values():
            if job.kind == "eval" and job.name not in problems and (why := problem_of(out / job.folder)):
                problems[job.name] = why
        asked = plan.lacking.keys() | plan.jobs.keys()
        told = {name: text for name, text in read_problems(out).items() if name not in asked}
        told |= {name: text.splitlines()[0][:1_000] for name, text in problems.items()}
        write_json(out / PROBLEMS, told)
        write_manifest(out)
        return problems


@contextlib.contextmanager
def _workers(plan: Plan, count: int, patience: float, ray: str | None) -> Iterator[Workers]:
    if ray is None:
        yield Processes(count)
        return
    with joined(ray, count) as cluster:
        yield ClusterWorkers(cluster, plan, patience)


def _claim(suite: Suite, out: Path) -> None:
    def differing(there: dict[str, Any]) -> Iterator[str]:
        yield from other_version(there)
        if there.get("digest") != suite.digest:
            name = there.get("suite", {}).get("name")
            yield f"suite: {name!r}, digest {there.get('digest')} there, {suite.name!r}, {suite.digest} here"

    record = {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()}
    claim(out, SUITE, record, "leaderboard run", differing)


def _refuse_another(folder: Path, spec: EvaluationSpec) -> None:
    """Games that another agent played are not shown as this one's.

    Raises:
        FolderError: a cell's folder holds another agent's.
    """
    if not (folder / RUN).is_file():
        return
    there, wanted = read_run(folder)["spec"], spec.as_dict()
    keys = sorted({*wanted, *there} - {"agent_fingerprint", "task_fingerprint"})
    differs = [
        f"{key}: {shown(there.get(key))!r} there, {shown(wanted.get(key))!r} here"
        for key in keys
        if there.get(key) != wanted.get(key)
    ]
    identity = identity_of(spec.agent, spec.agent_kwargs)
    if not differs and identity not in str(there.get("agent_fingerprint")):
        differs = ["its code or weights have changed"]
    if not differs and task_code(spec).get("task_fingerprint") != there.get("task_fingerprint"):
        differs = ["the task's code has changed"]
    if differs:
        raise FolderError(
            f"{folder} holds other games ({'; '.join(differs)}); choose another --out, or delete that folder"
        )


class Scheduler:
    """Runs jobs. A job whose process dies is tried once more; one that hangs is ended.

    Args:
        out: folder of the run.
        jobs: what is to be done; needs that are not among them are taken as met.
        workers: who does it.
        patience: seconds without a finished episode after which an agent is taken to hang.
        progress: told about once a second.
    """

    def __init__(
        self, out: Path, jobs: Sequence[Job], workers: Workers, patience: float, progress: JobProgress | None = None
    ) -> None:
        self.out, self.workers, self.patience, self.progress = out, workers, patience, progress
        self.watch = Watch(out, patience)
        self.total = len(jobs)
        self.finished = {job.name for job in jobs if is_done(out, job)}
        self.waiting = {job.name: job for job in jobs if job.name not in self.finished}
        self.known = {job.name for job in jobs}
        self.failed: dict[str, str] = {}
        self.deaths: dict[str, int] = {}
        self.running: dict[Any, Job] = {}

    def run(self) -> Mapping[str, str]:
        """Do everything; returns the jobs that failed, name -> reason. Interrupted, it ends the workers at once."""
        whole = False
        try:
            while self.waiting or self.running:
                self._start()
                self._tell()
                if self.running:
                    self._collect(wait(self.running, timeout=1.0, return_when=FIRST_COMPLETED).done)
                    self._end_hanging()
            whole = True
        finally:
            self.workers.close(kill=not whole)
        self._tell()
        return self.failed

    def _start(self) -> None:
        capacity = self.workers.capacity
        for job in list(self.waiting.values()):
            lost = [need for need in job.needs if need in self.failed]
            if lost:
                self.failed[job.name] = f"not run: {lost[0]} failed"
                del self.waiting[job.name]
            elif len(self.running) < capacity and all(n in self.finished for n in job.needs if n in self.known):
                self.running[self.workers.submit(self.out, job)] = job
                del self.waiting[job.name]

    def _collect(self, done: set[Any]) -> None:
        for future in done:
            job = self.running.pop(future)
            try:
                problem = self.workers.result(self.out, job, future)
            except WorkerLost as loss:
                self._lost(job, str(loss))
                continue
            if problem:
                self.failed[job.name] = problem
            else:
                self.finished.add(job.name)

    def _end_hanging(self) -> None:
        """Kill the workers of agents that hang."""
        for future, job in list(self.running.items()):
            pid = self.watch.stalled(job)
            if pid is not None and self.workers.end(future, pid):
                (self.out / job.folder / PROGRESS).unlink(missing_ok=True)
                del self.running[future]
                self.failed[job.name] = hangs(self.patience)

    def _lost(self, job: Job, how: str) -> None:
        self.deaths[job.name] = self.deaths.get(job.name, 0) + 1
        if self.deaths[job.name] > 1:
            self.failed[job.name] = f"{how} twice (killed, or out of memory)"
        else:
            self.waiting[job.name] = job

    def _tell(self) -> None:
        if self.progress:
            done = len(self.finished) + len(self.failed)
            names = [f"{job.name} {how_far(self.out, job)}".strip() for job in self.running.values()]
            self.progress(done, self.total, names)
