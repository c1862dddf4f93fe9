"""The scale of normalised scores: references of a task as it is played, variants included.

The task table holds the references of the default game. Another layout, split or opponent is another game with another
random and another best return: ``references.toml`` in the task's folder has those that were computed, and how. A variant that
is not in it has no normalised score; nothing is scored by the references of a game that was not played.

``python -m lmrl_benchmarks.scores.references`` computes what these files lack.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gymnasium.envs.registration import load_env_creator

from lmrl_envs import Task, task, task_ids
from lmrl_envs.files import write_atomically


@dataclass(frozen=True)
class Scale:
    """What 0 and 100 mean for a game."""

    random: float
    optimum: float
    optimum_is: str
    """``exact``, or ``best known``."""
    source: str
    """Where the two come from."""

    def score(self, mean_return: float) -> float:
        """A mean return on this scale."""
        return 100.0 * (mean_return - self.random) / (self.optimum - self.random)


def variant_of(env_id: str, env_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments that make the game another one than the table's."""
    row = task(env_id)
    default = _defaults(row.entry_point) | row.kwargs
    same = row.surface.same_game
    return {
        key: value
        for key, value in env_kwargs.items()
        if key not in same and not (key in default and default[key] == value) and row.surface.equals.get(key) != value
    }


@cache
def _defaults(entry_point: Any) -> dict[str, Any]:
    """The values that the environment's own arguments have when nobody gives them."""
    found: dict[str, Any] = {}
    made_by: Any = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    for kind in reversed(inspect.getmro(made_by)):
        parameters = inspect.signature(kind.__init__).parameters if "__init__" in vars(kind) else {}
        found |= {key: p.default for key, p in parameters.items() if p.default is not inspect.Parameter.empty}
    return found


def scale_of(env_id: str, env_kwargs: dict[str, Any]) -> Scale | None:
    """The scale of a game; None where nobody computed it."""
    row, variant = task(env_id), variant_of(env_id, env_kwargs)
    own = row.reference
    if not variant and own is not None:
        return Scale(own.random, own.optimum, own.optimum_is, "task table")
    for entry in variants(row.id):
        if entry["kwargs"] == variant and "random" in entry:
            return Scale(
                float(entry["random"]),
                float(entry["optimum"]),
                entry["optimum_is"],
                f"{'this variant: ' if variant else ''}{entry['how']}",
            )
    return None


@cache
def variants(env_id: str) -> list[dict[str, Any]]:
    """The entries of a task's ``references.toml``: other games than the default one."""
    return [entry for entry in task(env_id).toml("references").get("variant", []) if entry["id"] == env_id]


def lmrl_applies(env_id: str, env_kwargs: dict[str, Any]) -> bool:
    """Whether LMRL-Gym's own scale is one for this game: its partners may be others, its layouts and objects may not."""
    row = task(env_id)
    if row.reference is None or row.reference.lmrl is None:
        return False
    surface, variant = row.surface, variant_of(env_id, env_kwargs)
    if any(variant.get(key) != value for key, value in surface.lmrl_needs.items()):
        return False
    return not variant.keys() - surface.partner_arguments - surface.lmrl_also - surface.lmrl_needs.keys()


# -- computing the files


GAMES = 5_000
"""Games of the scripted policies, on seeds of the validation stream, where an entry (of a slow game) does not say ``games``."""


def _played(env_id: str, kwargs: dict[str, Any], policy: str, games: int) -> tuple[float, float]:
    """Mean return of a scripted policy and its standard error."""
    import numpy as np

    from lmrl_agents.playing.rollout import Rollout
    from lmrl_agents.playing.scripted import ScriptedAgent

    rollout = Rollout(ScriptedAgent(policy), env_id, kwargs, slots=256)
    returns = [played.transcript.episode_return for played in rollout.play(range(games), 0, "validation")]
    return float(np.mean(returns)), float(np.std(returns) / len(returns) ** 0.5)


def computed(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry with its figures."""
    id, kwargs, games = entry["id"], entry["kwargs"], entry.get("games", GAMES)
    random, error = _played(id, kwargs, "random", games)
    best = task(id).surface.optimum(id, kwargs)
    if best is None:
        optimum, spread = _played(id, kwargs, "expert", games)
        kind, how = "best known", f"the scripted expert over {games} games, standard error {spread:.2g}"
    else:
        optimum, kind, how = best
    how = f"optimum: {how}; random: {games} games, standard error {error:.2g}"
    return {
        **entry,
        "random": float(f"{random:.5g}"),
        "optimum": float(f"{optimum:.6g}"),
        "optimum_is": kind,
        "how": how,
    }


def write(row: Task) -> None:
    """Compute the figures that the ``references.toml`` of a task's folder lacks; delete those of an entry to have them anew."""
    entries = row.toml("references").get("variant", [])
    path = Path(str(resources.files(row.folder).joinpath("references.toml"))) if entries else Path()
    for k, entry in enumerate(entries):
        if entry["id"] == row.id and "random" not in entry:
            entries[k] = computed(entry)
            head = path.read_text("utf-8").partition("[[variant]]")[0]
            write_atomically(path, head + "\n".join(map(as_toml, entries)))


def as_toml(entry: dict[str, Any]) -> str:
    """An entry of a ``references.toml``."""
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry["kwargs"].items())
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items() if key not in ("id", "kwargs")]
    return "\n".join(["[[variant]]", f"id = {json.dumps(entry['id'])}", f"kwargs = {{ {inline} }}", *lines]) + "\n"


if __name__ == "__main__":
    for id in task_ids():
        write(task(id))
