"""The cells of a run (one agent on one task with one training seed), their jobs, and where in the run's folder everything is.

Layout of a run: ``suite.json``; ``problems.json`` (what could not be run, and why); ``part.json`` (of a part that was submitted: which
cells it lacks); ``data/<dataset>/``;
``training/<task>/<algorithm>-<preset>/seed-<s>/``; ``cells/<task>/<agent>/seed-<s>/`` with the records of one evaluation.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.learning.trackers import AUTO
from lmrl_agents.playing.room import DEFAULT, RoomSettings
from lmrl_agents.rewards.protocol import TASK
from lmrl_benchmarks.running.evaluation import EvaluationSpec
from lmrl_benchmarks.running.formats import Provenance
from lmrl_benchmarks.running.suite import NAME, Suite, SuiteAgent, SuiteError, SuiteTask, suite_from
from lmrl_envs import doors, task
from lmrl_envs.files import remedy
from lmrl_envs.files.untrusted import Schema, checked, read

SUITE, PROBLEMS, PART = "suite.json", "problems.json", "part.json"


class SuiteFile(Schema, frozen=True):
    """A ``suite.json``."""

    digest: str
    suite: Suite
    provenance: Provenance


class PartFile(Schema, frozen=True):
    """A ``part.json``: of the agents that are there, the cells that are not, by their folders."""

    not_run: list[str]


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

    @property
    def records_folder(self) -> str:
        """Where the cell's records are, within the run."""
        return f"cells/{self.task.slug}/{self.agent.name}/seed-{self.seed}"

    @property
    def job_name(self) -> str:
        """Name of the job that plays the cell."""
        return f"eval {self.agent.name} {self.task.slug} seed {self.seed}"

    def folder(self, out: Path) -> Path:
        """Where the cell's records are."""
        return out / self.records_folder


def cells(suite: Suite, agents: Sequence[SuiteAgent]) -> list[Cell]:
    """All cells; agents that are not trained have one seed, the first, and trained ones play the tasks that have data."""
    return [
        Cell(task, agent, seed)
        for task in suite.tasks
        for agent in agents
        if (task.data or not agent.train) and (not agent.tasks or task.id in agent.tasks)
        for seed in (suite.training_seeds if agent.train else suite.training_seeds[:1])
    ]


def evaluation_of(suite: Suite, cell: Cell, salt: str = "") -> EvaluationSpec:
    """What a cell's records are of. Models are named by their place within the run, so that runs can be moved."""
    spec = cell.agent.spec or cell.agent.name
    capped = suite.max_cost_usd is not None and spec.startswith("openai:")
    return EvaluationSpec(
        env_id=cell.task.id,
        agent=cell.training_folder if cell.agent.train else spec,
        episodes=cell.task.episodes or suite.episodes,
        seed=suite.seed,
        env_kwargs=cell.task.kwargs,
        agent_kwargs={"max_cost_usd": suite.max_cost_usd, **cell.agent.agent_kwargs}
        if capped
        else cell.agent.agent_kwargs,
        reward=cell.agent.reward or TASK,
        each=cell.task.each,
        commitment=suite.commitment,
        salt=salt,
    )


def read_suite(out: Path) -> tuple[Suite, dict[str, Any]]:
    """The suite of a run, and the whole ``suite.json``.

    Raises:
        SuiteError: the folder holds no run.
    """
    try:
        record = checked(read(out / SUITE, dict[str, Any]), SuiteFile, out / SUITE)
        suite = suite_from(record["suite"])
    except (OSError, ValueError) as problem:
        raise SuiteError(f"{out} holds no leaderboard run: {problem}") from None
    return suite, record


def read_problems(out: Path) -> dict[str, str]:
    """Why jobs of a run came to nothing, job -> reason."""
    try:
        return read(out / PROBLEMS, dict[str, str])
    except (OSError, ValueError):
        return {}


def read_part(out: Path) -> frozenset[str]:
    """The cells that a part of a run says it lacks, by their folders; none where it is no part.

    Raises:
        Refused: the file is damaged.
    """
    return frozenset(read(out / PART, PartFile).not_run if (out / PART).is_file() else ())


def found_cells(suite: Suite, out: Path) -> list[Cell]:
    """The suite's cells that are there, and those of agents that were added to the run by name."""
    known = {agent.name for agent in suite.agents}
    found = [cell for cell in cells(suite, suite.agents) if cell.folder(out).is_dir()]
    for entry in suite.tasks:
        for folder in sorted((out / "cells" / entry.slug).glob("*/seed-*")):
            name, seed = folder.parent.name, folder.name.removeprefix("seed-")
            if name not in known and NAME.fullmatch(name) and seed.isdecimal() and folder.is_dir():
                found.append(Cell(entry, SuiteAgent(name=name), int(seed)))
    return found


# -- jobs


@dataclass(frozen=True)
class Job:
    """A unit of work: ``data``, ``train`` or ``eval``; it runs when the jobs that it needs are done.

    It reads the folders of the jobs that it needs and writes its own, all within the run: so it can be done elsewhere, on
    copies.
    """

    kind: str
    name: str
    folder: str
    arguments: tuple[Any, ...] = ()
    needs: tuple[str, ...] = ()
    device: str = "cpu"


@dataclass(frozen=True)
class Part:
    """A part of a suite: the cells of some tasks, and of some training seeds. Parts of one run make the whole, in any order."""

    tasks: tuple[str, ...] = ()
    """Ids, or names of folders (`SuiteTask.slug`); none named: all."""
    seeds: tuple[int, ...] = ()
    """Training seeds; none named: all. Agents that are not trained have one and are always in."""

    def check(self, suite: Suite) -> None:
        """Hold what is named against the suite.

        Raises:
            SuiteError: it has no such task or training seed.
        """
        known = {name for entry in suite.tasks for name in (entry.id, entry.slug)}
        for what, lost in (
            ("task", [name for name in self.tasks if name not in known]),
            ("training seed", [seed for seed in self.seeds if seed not in suite.training_seeds]),
        ):
            if lost:
                raise SuiteError(f"suite {suite.name!r} has no {what} {lost[0]!r}")

    def holds(self, cell: Cell) -> bool:
        """Whether a cell is of this part."""
        of_task = not self.tasks or not {cell.task.id, cell.task.slug}.isdisjoint(self.tasks)
        return of_task and (not self.seeds or not cell.agent.train or cell.seed in self.seeds)


class Plan:
    """The jobs of some cells, by name.

    Args:
        suite: what is run.
        agents: those of it that are run.
        device: where models are trained and played.
        salt: of a sealed suite.
        room: how agents that do not come with this package are run.
        retry_errors: play episodes that ended in an error once more.
        part: which cells; all by default.
        report_to: trackers that trainings are told to, see `lmrl_agents.learning.run.TrainingRun`.

    Attributes:
        jobs: name -> job, each after what it needs.
        lacking: the jobs of cells that cannot be run here -> what they need.
    """

    def __init__(
        self,
        suite: Suite,
        agents: Sequence[SuiteAgent],
        device: str,
        salt: str = "",
        room: RoomSettings | None = None,
        retry_errors: bool = False,
        part: Part | None = None,
        report_to: str = AUTO,
    ) -> None:
        self.suite, self.device, self.salt, self.report_to = suite, device, salt, report_to
        self.room, self.retry_errors = room or DEFAULT, retry_errors
        self.jobs: dict[str, Job] = {}
        self.lacking: dict[str, str] = {}
        for cell in filter((part or Part()).holds, cells(suite, agents)):
            agent = cell.agent
            need = missing_need(cell.task.id, cell.task.kwargs, agent.spec or agent.name, agent.train, agent.reward)
            if need is None and cell.agent.train:
                need = missing_need(cell.task.id, cell.task.train_kwargs, "", "")
            if need is None:
                self._add(cell)
            else:
                self.lacking[cell.job_name] = need

    def folders(self, job: Job) -> list[str]:
        """Folders of the run that a job reads, directly or by way of what it needs."""
        found = {self.jobs[name].folder: None for name in job.needs}
        for name in job.needs:
            if job.kind == "train" and self.jobs[name].kind == "train":
                found |= dict.fromkeys(self.folders(self.jobs[name]))
        return list(found)

    def _add(self, cell: Cell) -> None:
        trained = bool(cell.agent.train)
        needs = (self._training(cell),) if trained else ()
        arguments = (evaluation_of(self.suite, cell, self.salt), trained, self.device, self.room, self.retry_errors)
        device = self.device if trained else "cpu"
        self.jobs[cell.job_name] = Job("eval", cell.job_name, cell.records_folder, arguments, needs, device)

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
            "reward": agent.reward or TASK, "report_to": self.report_to,
            "cell": {"suite": f"{self.suite.name}-v{self.suite.version}", "task": cell.task.slug, "agent": agent.training_key},
            # Mixed precision where it is made for: larger models on a GPU.
            "dtype": "bf16" if self.device.startswith("cuda") and agent.preset != "nano" else "float32",
        }  # fmt: skip
        self.jobs[name] = Job(
            "train", name, cell.training_folder, (settings, source, start), tuple(needs), device=self.device
        )
        return name


# -- what this machine may lack


def missing_need(env_id: str, env_kwargs: dict[str, Any], agent: str, train: str, reward: str = "") -> str | None:
    """The first thing that is missing to train and evaluate an agent on a task, with the remedy; None if nothing is."""
    simulator = str(env_kwargs.get("simulator", ""))
    modules = [task(env_id).extra or ""]
    for name in (simulator, agent):
        modules.append({"openai": "httpx", "transformers": "transformers"}.get(name.partition(":")[0], ""))
    if train:
        modules += ["torch", "transformers", "pyarrow"]
    for module in modules:
        if module and importlib.util.find_spec(module) is None:
            return f"needs {module}: {remedy(module)}"
    if any(name.startswith("openai:") for name in (simulator, agent)) and not (
        os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    ):
        return "needs a server: set $OPENAI_API_KEY, or $OPENAI_BASE_URL for one of your own"
    if simulator == "stockfish":
        from gymnasium.error import DependencyNotInstalled

        from lmrl_envs.partners.uci import find_engine

        try:
            find_engine()
        except DependencyNotInstalled as problem:
            return f"needs Stockfish: {problem}"
    try:
        if reward:
            doors.check("lmrl.rewards", reward)
        if train:
            doors.check("lmrl.algorithms", train)
    except doors.DoorError as problem:
        return f"needs what is not installed: {problem}"
    return None
