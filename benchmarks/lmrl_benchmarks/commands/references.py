"""``lmrl references ...``."""

from __future__ import annotations

from tyro.conf import Positional

from lmrl_agents.settings import KeyValues
from lmrl_benchmarks.scores.references import as_toml, computed
from lmrl_envs import load_task


def measure(id: Positional[str], games: int = 5000, env_arg: KeyValues = {}) -> int:
    """Measure what scores 0 and 100 in a task, or in a variant of it: mean returns of its random policy and of its best one. Prints an
    entry for the references.toml of the task's folder; of a row with reference=None it is the reference.

    Args:
        id: Task id, module:id or file.py:id.
        games: Games of each policy.
        env_arg: Arguments of the environment, as key=value.
    """
    entry = computed({"id": load_task(id).id, "kwargs": dict(env_arg), "games": games})
    entry.pop("games")
    print(as_toml(entry), end="")
    return 0
