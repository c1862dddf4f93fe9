"""The cells of a run: one agent on one task with one training seed, and where in the run's folder everything is.

Layout of a run: ``suite.json``; ``problems.json`` (what could not be run, and why); ``data/<dataset>/``;
``training/<task>/<algorithm>-<preset>/seed-<s>/``; ``cells/<task>/<agent>/seed-<s>/`` with the records of one evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_benchmarks.running.evaluation import EvaluationSpec
from lmrl_benchmarks.running.suite import NAME, Suite, SuiteAgent, SuiteError, SuiteTask, suite_from

SUITE, PROBLEMS = "suite.json", "problems.json"


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


def evaluation_of(suite: Suite, cell: Cell) -> EvaluationSpec:
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
        each=cell.task.each,
    )


def eval_name(cell: Cell) -> str:
    """Name of the job that plays a cell."""
    return f"eval {cell.agent.name} {cell.task.slug} seed {cell.seed}"


def read_suite(out: Path) -> tuple[Suite, dict[str, Any]]:
    """The suite of a run, and the whole ``suite.json``.

    Raises:
        SuiteError: the folder holds no run.
    """
    try:
        record = json.loads((out / SUITE).read_text("utf-8"))
        suite = suite_from(record["suite"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise SuiteError(f"{out} holds no leaderboard run: {problem}") from None
    return suite, record


def read_problems(out: Path) -> dict[str, str]:
    """Why jobs of a run came to nothing, job -> reason."""
    try:
        found = json.loads((out / PROBLEMS).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def found_cells(suite: Suite, out: Path) -> list[Cell]:
    """The suite's cells that are there, and those of agents that were added to the run by name."""
    known = {agent.name for agent in suite.agents}
    found = [cell for cell in cells(suite, suite.agents) if cell.folder(out).is_dir()]
    for task in suite.tasks:
        for folder in sorted((out / "cells" / task.slug).glob("*/seed-*")):
            name, seed = folder.parent.name, folder.name.removeprefix("seed-")
            if name not in known and NAME.fullmatch(name) and seed.isdecimal() and folder.is_dir():
                found.append(Cell(task, SuiteAgent(name=name), int(seed)))
    return found
