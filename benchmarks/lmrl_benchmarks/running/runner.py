"""Run a suite: data, training, evaluation, each cell once, in parallel, resumable at any moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.cells import PROBLEMS, SUITE, read_problems
from lmrl_benchmarks.running.plan import Plan
from lmrl_benchmarks.running.records import other_version
from lmrl_benchmarks.running.scheduler import Processes, Progress, Scheduler, Workers
from lmrl_benchmarks.running.suite import Suite, SuiteAgent, SuiteError
from lmrl_envs.files import claim, locked, provenance, write_json

PATIENCE = 3600.0
"""Seconds without a finished episode after which an agent is taken to hang."""


def run_suite(
    suite: Suite,
    out: Path,
    *,
    agents: Sequence[SuiteAgent] | None = None,
    workers: int = 2,
    device: str = "cpu",
    patience: float = PATIENCE,
    ray: str | None = None,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Train and evaluate what is missing; returns the jobs that failed or could not be run, name -> reason.

    Args:
        suite: what is run.
        out: folder of the run; one that was stopped is gone on with.
        agents: those of the suite (and others) that are run; by default the suite's.
        workers: processes, or CPUs of a local Ray cluster. Records do not depend on them.
        device: where models are trained and played.
        patience: an agent that finishes no episode for so many seconds is taken to hang: its process is killed, its cell
            fails.
        ray: address of a Ray cluster that does the work, "local" for one on this machine.
        progress: told about once a second.

    The reasons stand in ``problems.json`` too, from where the report takes them.

    Raises:
        SuiteError: there are no agents.
        FolderError: the folder holds something else, or another process runs there.
        DatasetError: there is no such cluster.
    """
    agents = suite.agents if agents is None else agents
    if not agents:
        raise SuiteError(f"suite {suite.name!r} has no agents of its own; name yours (--agents openai:<model>)")
    with locked(out / ".lock", "running a suite"):
        _claim(suite, out)
        plan = Plan(suite, agents, device)
        jobs = list(plan.jobs.values())
        if ray is None:
            failed = dict(Scheduler(out, jobs, Processes(workers), patience, progress).run())
        else:
            from lmrl_benchmarks.running.cluster import ClusterWorkers
            from lmrl_datasets.cluster import joined

            with joined(ray, workers) as cluster:
                hands: Workers = ClusterWorkers(cluster, plan, patience)
                failed = dict(Scheduler(out, jobs, hands, patience, progress).run())
        for part, whole in plan.parts.items():  # told of the cell
            if part in failed:
                failed[whole] = failed.pop(part)
        problems = plan.lacking | failed
        asked = plan.lacking.keys() | plan.jobs.keys()
        told = {name: text for name, text in read_problems(out).items() if name not in asked}
        told |= {name: text.splitlines()[0] for name, text in problems.items()}
        write_json(out / PROBLEMS, told)
        return problems


def _claim(suite: Suite, out: Path) -> None:
    def differing(there: dict[str, Any]) -> Iterator[str]:
        yield from other_version(there)
        if there.get("digest") != suite.digest:
            name = there.get("suite", {}).get("name")
            yield f"suite: {name!r}, digest {there.get('digest')} there, {suite.name!r}, {suite.digest} here"

    record = {"digest": suite.digest, "suite": suite.as_dict(), "provenance": provenance()}
    claim(out, SUITE, record, "leaderboard run", differing)
