"""Recipes: which policy plays which environment for a dataset. One TOML file each, in this folder or a plug-in's ``recipes``.

``<family>/random-vN``, ``suboptimal-vN`` and ``expert-vN`` need no file: they are the policies of that name of the task's version N.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from lmrl_datasets.schema import UnknownDataset
from lmrl_envs import task, task_ids
from lmrl_envs.files import near
from lmrl_envs.tasks import load_tasks, plugin_folders

PLAIN_POLICIES = ("random", "suboptimal", "expert")


@dataclass(frozen=True)
class Recipe:
    """How a dataset is made."""

    name: str
    env: str
    policy: str
    episodes: int
    """Size of the full dataset."""
    description: str = ""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    policy_kwargs: dict[str, Any] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    """The row of LMRL-Gym's Table 1 that the dataset is to reproduce."""
    notes: str = ""
    """What of the published row cannot be reproduced, and why."""
    shard_size: int | None = None
    """Episodes per file, for games so slow that a lost file matters; None: by the size of the dataset."""
    candidates: dict[str, Any] = field(default_factory=dict)
    """Arguments of `lmrl_envs.wrappers.Candidates`: the policy's own line is said where it is among what is offered, else one of these
    at random, and the last info holds what was offered at each turn. Empty: the policy says what it likes."""
    revision: int = 1
    """Raised whenever a change, of the policy or of the game, changes the episodes that a recipe makes."""

    def makes(self) -> dict[str, Any]:
        """The part that determines the episodes; a recipe may be described anew without becoming another one."""
        kept = (
            "name",
            "env",
            "policy",
            "env_kwargs",
            "policy_kwargs",
            "revision",
            *(["candidates"] if self.candidates else []),
        )
        return {key: getattr(self, key) for key in kept}


def _files() -> dict[str, Any]:
    folders = [*plugin_folders("recipes"), resources.files("lmrl_datasets.recipes")]
    entries = (entry for folder in folders for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {entry.name[: -len(".toml")]: entry for entry in entries}


def _families() -> dict[str, str]:
    """Family -> the id its data are recorded on (the first of the family in the task table)."""
    families: dict[str, str] = {}
    for id in task_ids():
        families.setdefault(task(id).family, task(id).spec)
    return families


def _plain() -> dict[str, tuple[str, str]]:
    """Dataset name -> (environment, policy) for the policies that every task has; a dataset's version is its task's."""
    return {
        f"{family}/{policy}-v{env.rpartition('-v')[2]}": (env, policy)
        for family, env in _families().items()
        for policy in PLAIN_POLICIES
    }


def dataset_names() -> list[str]:
    """Names of all datasets that can be generated."""
    return sorted({name.replace("--", "/") for name in _files()} | _plain().keys())


def load_recipe(name: str) -> Recipe:
    """The recipe of a dataset name; ``module:name`` or ``file.py:name`` for tasks that no package registers.

    Raises:
        UnknownDataset: no such dataset; the message suggests the nearest name.
    """
    place, _, name = name.rpartition(":")
    if place:
        load_tasks(place)
    files = _files()
    file = files.get(name.replace("/", "--"))
    if file is not None:
        return Recipe(name=name, **tomllib.loads(file.read_text("utf-8")))
    plain = _plain().get(name)
    if plain is None:
        raise UnknownDataset(f"no dataset {name!r}; {near(name, dataset_names())}")
    env, policy = plain
    return Recipe(name, env, policy, 10_000, f"The {policy} policy of {env}.")
