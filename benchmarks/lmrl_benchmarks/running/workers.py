"""Who does the jobs of a run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol

from lmrl_benchmarks.running.cells import Job, Plan
from lmrl_benchmarks.running.jobs import Watch, hangs, run_job
from lmrl_datasets.cluster import Cluster, WorkerLost, archive, replace_folder
from lmrl_envs.work import kill_workers, pids_of, process_pool


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

    Each is a pool of one: a process that dies takes no other's job with it, and it is plain whose job killed it.
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
        if pid not in pids_of(self._busy[future]):
            return False  # what it told is an earlier process's
        pool = self._busy.pop(future)
        kill_workers(pool)
        pool.shutdown(wait=False)
        return True

    def close(self, kill: bool = False) -> None:
        """See `Workers`."""
        pools = [*self._idle, *self._busy.values()]
        for pool in pools if kill else ():
            kill_workers(pool)
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self._idle, self._busy = [], {}


class ClusterWorkers:
    """Workers of a Ray cluster (see `Workers`).

    A job is sent with the folders that it reads, and with what is there of its own; what it made comes back when it is over. So
    a run that is killed loses what was under way on the cluster, and keeps every job that was done.

    Args:
        cluster: that is joined.
        plan: of the run; says what a job reads.
        patience: as of `run_suite`; an agent that hangs is ended on its machine.
    """

    def __init__(self, cluster: Cluster, plan: Plan, patience: float) -> None:
        self.cluster, self.plan, self.patience = cluster, plan, patience
        self._sent: dict[str, Any] = {}

    @property
    def capacity(self) -> int:
        """One job for each CPU of the cluster as it is now."""
        return self.cluster.cpus

    def submit(self, out: Path, job: Job) -> Future:
        """See `Workers`."""
        inputs = []
        for folder in self.plan.folders(job):
            if folder not in self._sent:
                self._sent[folder] = self.cluster.send((folder, archive(out / folder)))
            inputs.append(self._sent[folder])
        if (out / job.folder).is_dir():
            inputs.append((job.folder, archive(out / job.folder)))
        return self.cluster.start(
            do_job,
            (job, self.patience),
            job.folder,
            inputs,
            gpus=1 if job.device.startswith("cuda") and job.kind in ("train", "eval") else 0,
            # Agents from outside may hang, or leave something behind: a process of the cluster serves them once.
            once=job.kind == "eval" and not job.needs,
        )

    def result(self, out: Path, job: Job, future: Future) -> str:
        """See `Workers`.

        Raises:
            WorkerLost: the job's worker, or its machine, is gone.
            DatasetError: a machine has other versions of packages.
        """
        problem, content = self.cluster.result(future)
        replace_folder(out / job.folder, content)
        return problem

    def end(self, future: Future, pid: int) -> bool:
        """Nothing hangs here: see `do_job`."""
        return False

    def close(self, kill: bool = False) -> None:
        """See `Workers`: the connection is its owner's to close."""


def do_job(out: Path, job: Job, patience: float) -> str:
    """On a machine of the cluster: do a job on copies; returns "" or what went wrong."""
    found: list[str] = []
    # In a thread, so that an agent that hangs can be told of: its process is not used again (`submit`).
    thread = threading.Thread(target=lambda: found.append(run_job(out, job)), daemon=True)
    thread.start()
    watch = Watch(out, patience)
    while thread.is_alive():
        thread.join(1.0)
        if thread.is_alive() and watch.stalled(job) is not None:
            return hangs(patience)
    return found[0]
