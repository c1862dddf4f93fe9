"""Jobs of a run done on a Ray cluster (`lmrl_datasets.cluster`).

A job is sent with the folders that it reads, and with what is there of its own; what it made comes back when it is over. So a
run that is killed loses what was under way on the cluster, and keeps every job that was done.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.jobs import Watch, hangs, run_job
from lmrl_benchmarks.running.plan import Job, Plan
from lmrl_datasets.cluster import Cluster, archive, replace_folder


class ClusterWorkers:
    """Workers of a Ray cluster (see `lmrl_benchmarks.running.scheduler.Workers`).

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
