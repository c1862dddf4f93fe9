"""What has to be done for some cells: jobs with what they need, and the parts that long evaluations are played in."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.cells import Cell, cells, eval_name, evaluation_of
from lmrl_benchmarks.running.evaluation import PARTS
from lmrl_benchmarks.running.needs import missing_need
from lmrl_benchmarks.running.suite import Suite, SuiteAgent

DIVISIBLE = ("random", "suboptimal", "expert")
"""Agents whose cells are played in parts. Others may be dear to load twice, or count what they spend."""
MOST_PARTS, LEAST_PART = 8, 16
"""Parts of a cell, and episodes of a part."""


@dataclass(frozen=True)
class Job:
    """A unit of work: ``data``, ``train``, ``part`` or ``eval``; it runs when the jobs that it needs are done.

    It reads the folders of the jobs that it needs and writes its own, all within the run: so it can be done elsewhere, on
    copies.
    """

    kind: str
    name: str
    folder: str
    arguments: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    device: str = "cpu"


def parts_of(episodes: int) -> list[range]:
    """The episodes of a cell in parts of about equal size: a function of their number alone, not of that of workers."""
    count = max(1, min(MOST_PARTS, episodes // LEAST_PART))
    bounds = [episodes * k // count for k in range(count + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(bounds)]


class Plan:
    """The jobs of some cells, by name.

    Args:
        suite: what is run.
        agents: those of it that are run.
        device: where models are trained and played.

    Attributes:
        jobs: name -> job, each after what it needs.
        lacking: the jobs of cells that cannot be run here -> what they need.
        parts: job that plays a part of a cell -> job of the cell.
    """

    def __init__(self, suite: Suite, agents: Sequence[SuiteAgent], device: str) -> None:
        self.suite, self.device = suite, device
        self.jobs: dict[str, Job] = {}
        self.lacking: dict[str, str] = {}
        self.parts: dict[str, str] = {}
        for cell in cells(suite, agents):
            need = missing_need(cell.task.id, cell.task.kwargs, cell.agent.spec or cell.agent.name, cell.agent.train)
            if need is None and cell.agent.train:
                need = missing_need(cell.task.id, cell.task.train_kwargs, "", "")
            if need is None:
                self._add(cell)
            else:
                self.lacking[eval_name(cell)] = need

    def folders(self, job: Job) -> list[str]:
        """Folders of the run that a job reads, directly or by way of what it needs."""
        found = {self.jobs[name].folder: None for name in job.needs}
        for name in job.needs:
            if job.kind == "train" and self.jobs[name].kind == "train":
                found |= dict.fromkeys(self.folders(self.jobs[name]))
        return list(found)

    def _add(self, cell: Cell) -> None:
        name, evaluation = eval_name(cell), evaluation_of(self.suite, cell)
        if cell.agent.train:
            needs: tuple[str, ...] = (self._training(cell),)
        else:
            needs = self._parts(cell, name) if evaluation.agent in DIVISIBLE else ()
        trained = cell.agent.train
        device = self.device if trained else "cpu"
        self.jobs[name] = Job(
            "eval", name, cell.records_folder, (evaluation, bool(trained), self.device), needs, device
        )

    def _parts(self, cell: Cell, name: str) -> tuple[str, ...]:
        evaluation = evaluation_of(self.suite, cell)
        ranges = parts_of(evaluation.episodes)
        if len(ranges) == 1:
            return ()
        jobs = []
        for k, episodes in enumerate(ranges, start=1):
            folder = f"{cell.records_folder}/{PARTS}/{episodes.start}-{episodes.stop}"
            job = Job("part", f"{name} part {k} of {len(ranges)}", folder, (evaluation, episodes))
            self.jobs[job.name] = job
            self.parts[job.name] = name
            jobs.append(job.name)
        return tuple(jobs)

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
            source = f"data/{data['name'].replace('/', '--')}-{data['episodes']}"
            self.jobs[job] = Job("data", job, source, (data["name"], data["episodes"]))
            needs.append(job)
        start = ""
        if agent.start:
            first = Cell(cell.task, self.suite.agent(agent.start), cell.seed)
            needs.append(self._training(first))
            start = first.training_folder
        settings = {
            "algorithm": agent.train, "env_id": cell.task.id, "env_kwargs": cell.task.train_kwargs, "preset": agent.preset,
            "seed": cell.seed, "sample": sample, "device": self.device, "overrides": agent.settings,
            # Mixed precision where it is made for: larger models on a GPU.
            "dtype": "bf16" if self.device.startswith("cuda") and agent.preset != "nano" else "float32",
        }  # fmt: skip
        self.jobs[name] = Job(
            "train", name, cell.training_folder, (settings, source, start), tuple(needs), device=self.device
        )
        return name


def cell_of_part(folder: Path) -> Path:
    """The folder of the cell that a part's folder belongs to."""
    return folder.parent.parent
