"""Suites: which agents play which tasks, with which seeds. TOML files, versioned and hashed."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from lmrl_envs import task

HUMAN = "human"
"""The agent under whose name the games of people stand (`lmrl serve`); it may have played fewer episodes than others."""


class SuiteError(ValueError):
    """A suite file is missing or wrong; the message says where."""


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite."""

    id: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    episodes: int | None = None
    """Evaluation episodes, if other than the suite's."""
    data: dict[str, Any] = field(default_factory=dict)
    """``name`` of the dataset that agents are trained on, and ``episodes`` to generate or ``sample = true``."""

    @property
    def slug(self) -> str:
        """A name for folders and anchors."""
        extra = "".join(f"-{value}" for _, value in sorted(self.kwargs.items()))
        name = self.id.removeprefix("lmrl/").removesuffix("-v0") + extra
        return "".join(c if c.isalnum() or c in "-." else "-" for c in name)


@dataclass(frozen=True)
class SuiteAgent:
    """An agent of a suite: one that is there (``spec``), or one that is trained first (``train``)."""

    name: str
    spec: str = ""
    agent_kwargs: dict[str, Any] = field(default_factory=dict)
    train: str = ""
    preset: str = "nano"

    @property
    def training_key(self) -> str:
        """Agents with the same key share one training run (they only decode differently)."""
        return f"{self.train}-{self.preset}"


@dataclass(frozen=True)
class Suite:
    """A whole suite."""

    name: str
    version: int
    episodes: int
    seed: int
    training_seeds: tuple[int, ...]
    tasks: tuple[SuiteTask, ...]
    agents: tuple[SuiteAgent, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        return json.loads(json.dumps(self, default=lambda value: vars(value)))

    @property
    def digest(self) -> str:
        """Hash of everything that determines the runs."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def only(self, names: list[str]) -> list[SuiteAgent]:
        """The agents of these names; a name that the suite lacks is taken as the spec of an agent.

        Raises:
            SuiteError: no names.
        """
        if not names:
            raise SuiteError("name at least one agent")
        known = {agent.name: agent for agent in self.agents}
        return [
            known.get(name) or SuiteAgent(name=Path(name).name if "/" in name else name, spec=name) for name in names
        ]


def suite_names() -> list[str]:
    """Suites that ship with the package."""
    folder = resources.files("lmrl_benchmarks.suites")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_suite(name: str) -> Suite:
    """A suite by name, or from a TOML file.

    Raises:
        SuiteError: no such suite, or a file that is none.
    """
    if name.endswith(".toml"):
        path: Any = Path(name)
    else:
        path = resources.files("lmrl_benchmarks.suites").joinpath(f"{name}.toml")
    if not path.is_file():
        raise SuiteError(f"no suite {name!r}; there are {', '.join(suite_names())}, or give a .toml file")
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        tasks = tuple(SuiteTask(**entry) for entry in values.pop("tasks"))
        agents = tuple(SuiteAgent(**entry) for entry in values.pop("agents"))
        suite = Suite(tasks=tasks, agents=agents, **{**values, "training_seeds": tuple(values["training_seeds"])})
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as problem:
        raise SuiteError(f"suite {name!r} is not well formed: {problem}") from None
    for entry in suite.tasks:
        task(entry.id)
    slugs = [entry.slug for entry in suite.tasks]
    if len(set(slugs)) < len(slugs):
        raise SuiteError(f"suite {name!r} names a task twice")
    names = [agent.name for agent in suite.agents]
    if len(set(names)) < len(names):
        raise SuiteError(f"suite {name!r} names an agent twice")
    return suite
