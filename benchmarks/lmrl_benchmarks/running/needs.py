"""What a cell needs that this machine may lack: said in one line before anything is run."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from lmrl_envs import task
from lmrl_envs.files import remedy


def missing_need(env_id: str, env_kwargs: dict[str, Any], agent: str, train: str) -> str | None:
    """The first thing that is missing to train and evaluate an agent on a task, with the remedy; None if nothing is."""
    simulator = str(env_kwargs.get("simulator", ""))
    modules = [task(env_id).extra or ""]
    for name in (simulator, agent):
        modules.append({"openai": "openai", "transformers": "transformers"}.get(name.partition(":")[0], ""))
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
    return _missing_algorithm(train) if train else None


def _missing_algorithm(name: str) -> str | None:
    from lmrl_agents.learning.train import ALGORITHMS

    if name in ALGORITHMS:
        return None
    return f"needs the algorithm {name!r}, which this version has not (it has {', '.join(ALGORITHMS)})"
