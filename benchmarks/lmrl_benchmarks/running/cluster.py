"""Jobs of a run done on a Ray cluster whose machines share no disk: folders travel as archives.

A job is sent with the folders that it reads, and with what is there of its own; what it made comes back when it is over. So a
run that is killed loses what was under way on the cluster, and keeps every job that was done.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.evaluation import PARTS
from lmrl_benchmarks.running.jobs import Watch, hangs, run_job
from lmrl_benchmarks.running.plan import Job, Plan
from lmrl_benchmarks.running.scheduler import WorkerLost
from lmrl_datasets.cluster import refuse_other_versions
from lmrl_datasets.schema import DatasetError
from lmrl_datasets.store import provenance

Archive = tuple[str, bytes]
"""A folder's place in the run, and its files."""


class ClusterWorkers:
    """Workers of a Ray cluster (see `lmrl_benchmarks.running.scheduler.Workers`).

    Args:
        ray: the module, connected.
        plan: of the run; says what a job reads.
        patience: as of `run_suite`; an agent that hangs is ended on its machine.
    """

    def __init__(self, ray: Any, plan: Plan, patience: float) -> None:
        self.ray, self.plan, self.patience = ray, plan, patience
        self._sent: dict[str, Any] = {}

    @property
    def capacity(self) -> int:
        """One job for each CPU of the cluster as it is now."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def submit(self, out: Path, job: Job) -> Future:
        """See `Workers`."""
        gpus = 1 if job.device.startswith("cuda") and job.kind in ("train", "eval") else 0
        # Agents from outside may hang, or leave something behind: a process of the cluster serves them once.
        foreign = job.kind == "eval" and not job.needs
        remote = self.ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0, max_calls=int(foreign))(do_job)
        inputs = []
        for folder in self.plan.folders(job):
            if folder not in self._sent:
                self._sent[folder] = self.ray.put((folder, pack(out / folder)))
            inputs.append(self._sent[folder])
        if (out / job.folder).is_dir():
            inputs.append((job.folder, pack(out / job.folder)))
        return remote.remote(job, self.patience, *inputs).future()

    def result(self, out: Path, job: Job, future: Future) -> str:
        """See `Workers`.

        Raises:
            WorkerLost: the job's worker, or its machine, is gone.
            DatasetError: a machine has other versions of packages.
        """
        try:
            versions, problem, content = future.result()
        except self.ray.exceptions.RayTaskError as problem:
            raise problem.as_instanceof_cause() from None
        except self.ray.exceptions.RayError as problem:
            raise WorkerLost(f"a Ray worker was lost ({str(problem).strip().splitlines()[0]})") from None
        refuse_other_versions(versions)
        replace_folder(out / job.folder, content)
        return problem

    def end(self, future: Future, pid: int) -> bool:
        """Nothing hangs here: see `do_job`."""
        return False

    def close(self, kill: bool = False) -> None:
        """See `Workers`: the connection is its owner's to close."""


def do_job(job: Job, patience: float, *inputs: Archive) -> tuple[dict[str, str], str, bytes]:
    """On a machine of the cluster: do a job on copies.

    Returns:
        versions of packages here; "" or what went wrong; the job's folder.
    """
    with tempfile.TemporaryDirectory(prefix="lmrl-", ignore_cleanup_errors=True) as place:
        out = Path(place)
        for folder, content in inputs:
            unpack(out / folder, content)
        found: list[str] = []
        # In a thread, so that an agent that hangs can be told of: its process is not used again (`submit`).
        thread = threading.Thread(target=lambda: found.append(run_job(out, job)), daemon=True)
        thread.start()
        watch = Watch(out, patience)
        while thread.is_alive():
            thread.join(1.0)
            if thread.is_alive() and watch.stalled(job) is not None:
                found.append(hangs(patience))
                break
        return provenance(), found[0], pack(out / job.folder)


def pack(folder: Path) -> bytes:
    """The files of a folder, without parts that are played and locks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            place = path.relative_to(folder)
            if path.is_file() and PARTS not in place.parts and not path.name.startswith("."):
                archive.add(path, arcname=str(place), recursive=False)
    return buffer.getvalue()


def unpack(folder: Path, content: bytes) -> None:
    """Write the files of `pack` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = folder / member.name
            source = archive.extractfile(member)
            if source is None or not path.resolve().is_relative_to(folder.resolve()):
                raise DatasetError(
                    f"what a machine of the cluster sent holds {member.name!r}, which is no file of its folder"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read())


def replace_folder(folder: Path, content: bytes) -> None:
    """Put what came back in the place of a folder. Killed between, the folder is gone, and its job is done again."""
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    unpack(new, content)
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
