"""Jobs in dependency order over workers: processes of this machine, or what else takes jobs (`lmrl_benchmarks.running.cluster`)."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from lmrl_benchmarks.running.jobs import PROGRESS, Watch, hangs, how_far, is_done, run_job
from lmrl_benchmarks.running.plan import Job
from lmrl_datasets.cluster import WorkerLost
from lmrl_envs.files import process_pool

Progress = Callable[[int, int, list[str]], None]
"""Called about once a second with (jobs done, jobs in all, names of the running ones and how far they are)."""


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
        """
        ...

    def end(self, future: Future, pid: int) -> bool:
        """Kill the worker that has a job, if its process id is this; whether it was. Its result is not asked for then."""
        ...

    def close(self, kill: bool = False) -> None:
        """Release the workers; with ``kill`` at once, whatever they do."""
        ...


class Processes:
    """Worker processes of this machine. They end with this process, however it ends.

    Each is a pool of one: a process that dies takes no other's job with it, and nobody has to guess whose fault it was.
    """

    def __init__(self, workers: int) -> None:
        self.capacity = workers
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Future, ProcessPoolExecutor] = {}

    def submit(self, out: Path, job: Job) -> Future:
        """See `Workers`."""
        pool = self._idle.pop() if self._idle else process_pool(1)
        try:
            future = pool.submit(run_job, out, job)
        except BrokenProcessPool:  # killed while it had nothing to do
            pool.shutdown(wait=False)
            return self.submit(out, job)
        self._busy[future] = pool
        return future

    def result(self, out: Path, job: Job, future: Future) -> str:
        """See `Workers`."""
        pool = self._busy.pop(future)
        try:
            told = future.result()
        except BrokenProcessPool:
            pool.shutdown(wait=False)
            raise WorkerLost("its process died") from None
        self._idle.append(pool)
        return told

    def end(self, future: Future, pid: int) -> bool:
        """See `Workers`."""
        if pid not in _pids(self._busy[future]):
            return False  # what it told is an earlier process's
        pool = self._busy.pop(future)
        _kill(pool)
        pool.shutdown(wait=False)
        return True

    def close(self, kill: bool = False) -> None:
        """See `Workers`."""
        pools = [*self._idle, *self._busy.values()]
        for pool in pools if kill else ():
            _kill(pool)
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._idle, self._busy = [], {}


def _pids(pool: ProcessPoolExecutor) -> list[int]:
    return list(getattr(pool, "_processes", None) or ())


def _kill(pool: ProcessPoolExecutor) -> None:
    for pid in _pids(pool):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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
