"""Jobs in dependency order over workers: processes of this machine, or what else takes jobs (`lmrl_benchmarks.cluster`)."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from lmrl_benchmarks.jobs import PROGRESS, Watch, hangs, how_far, is_done, run_job
from lmrl_benchmarks.plan import Job
from lmrl_datasets.store import end_with_parent

Progress = Callable[[int, int, list[str]], None]
"""Called about once a second with (jobs done, jobs in all, names of the running ones and how far they are)."""


class WorkerLost(RuntimeError):
    """The machine or process that had a job is gone."""


class Workers(Protocol):
    """Who does the jobs."""

    @property
    def capacity(self) -> int:
        """Jobs done at once."""
        ...

    def submit(self, out: Path, job: Job) -> Future:
        """Begin a job."""
        ...

    def result(self, out: Path, job: Job, future: Future) -> str:
        """ "" or what went wrong, of a future that is done.

        Raises:
            WorkerLost: the job's worker is gone.
            BrokenProcessPool: all workers are gone.
        """
        ...

    def end(self, pid: int) -> bool:
        """Kill the worker with this process id; False where there is none."""
        ...

    def renew(self) -> None:
        """Start anew after a `BrokenProcessPool` or `end`."""
        ...

    def close(self, kill: bool = False) -> None:
        """Release the workers; with ``kill`` at once, whatever they do."""
        ...


class Processes:
    """Worker processes of this machine. They end with this process, however it ends."""

    def __init__(self, workers: int) -> None:
        self.capacity = workers
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, out: Path, job: Job) -> Future:
        """See `Workers`."""
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.capacity, mp_context=context, initializer=end_with_parent)
        return self._pool.submit(run_job, out, job)

    def result(self, out: Path, job: Job, future: Future) -> str:
        """See `Workers`."""
        return future.result()

    def end(self, pid: int) -> bool:
        """See `Workers`."""
        if pid not in self._pids():
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def renew(self) -> None:
        """See `Workers`."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def close(self, kill: bool = False) -> None:
        """See `Workers`."""
        if self._pool is not None:
            for pid in self._pids() if kill else ():
                os.kill(pid, signal.SIGKILL)
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _pids(self) -> list[int]:
        return list(getattr(self._pool, "_processes", None) or ())


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
        self, out: Path, jobs: Sequence[Job], workers: Workers, patience: float, progress: Progress | None = None
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
            job = self.running[future]
            try:
                problem = self.workers.result(self.out, job, future)
            except BrokenProcessPool:
                self._recover()
                return
            except WorkerLost as loss:
                del self.running[future]
                self._lost(job, str(loss))
                continue
            del self.running[future]
            if problem:
                self.failed[job.name] = problem
            else:
                self.finished.add(job.name)

    def _end_hanging(self) -> None:
        """Kill the worker of an agent that hangs; the jobs that lose their pool by it begin again where they were."""
        for future, job in list(self.running.items()):
            pid = self.watch.stalled(job)
            if pid is not None and self.workers.end(pid):
                (self.out / job.folder / PROGRESS).unlink(missing_ok=True)
                del self.running[future]
                self.failed[job.name] = hangs(self.patience)
                self._recover(killed=True)
                return

    def _recover(self, killed: bool = False) -> None:
        """A worker died and took the pool with it; nobody can tell whose job it was, unless it was ``killed`` here."""
        jobs = list(self.running.values())
        self.running.clear()
        for job in jobs:
            if killed:
                self.waiting[job.name] = job
            else:
                self._lost(job, "its process died")
        self.workers.renew()

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
