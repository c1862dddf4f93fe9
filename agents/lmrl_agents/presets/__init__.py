"""Hyperparameters by size: nano (CPU, minutes), small (GPT-2 small from random weights), paper (LMRL-Gym's), instruct (a
checkpoint with a chat template, named by model.source).

A preset is a TOML file with the tables ``model``, ``text`` and one per algorithm. What differs for a task stands in its own
folder, in ``presets.toml``: the same tables again under ``<preset>.<family>`` and ``<preset>."<id>"``.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

from lmrl_envs import task

NAMES = ("nano", "small", "paper", "instruct")


def load_preset(name: str, env_id: str) -> dict[str, dict[str, Any]]:
    """The tables of a preset as they stand for a task: those of all, its family's, its own.

    Raises:
        ValueError: no preset of that name.
    """
    if name not in NAMES:
        raise ValueError(f"preset {name!r} is not known; choose one of {', '.join(NAMES)}")
    text = resources.files("lmrl_agents.presets").joinpath(f"{name}.toml").read_text("utf-8")
    whole = tomllib.loads(text)
    row = task(env_id)
    whole["text"] = {"context_turns": 1 if row.context == "last" else None, **whole.get("text", {})}
    own = row.toml("presets").get(name, {})
    for key in (row.family, row.id):
        for table, values in own.get(key, {}).items():
            whole[table] = {**whole.get(table, {}), **values}
    return whole
