"""The scale of normalised scores: references of a task as it is played, variants included.

The task table holds the references of the default game. Another layout, split or opponent is another game with another
random and another best return: `references.toml` has those that were computed, and how. A variant that is not in it has no
normalised score; nothing is scored by the references of a game that was not played.

``python -m lmrl_benchmarks.scores.references`` computes the file again.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from lmrl_datasets.store import write_atomically
from lmrl_envs import task

WORDING = frozenset({"feedback", "spaced", "legal_moves", "render_mode", "pool_size", "simulator_options"})
"""Arguments that change how a game is told or run, not what can be won."""
DEFAULTS: dict[str, tuple[Any, ...]] = {
    "layout": ("double_t", "default"),
    "split": ("all",),
    "positions": ("random",),
    "simulator": ("scripted", "builtin"),
    "strength": (None, 3),
    "duplicates": ("standard",),
    "reward": ("fancy",),
    "reveal_country": (False,),
    "elo": (None,),
    "nodes": (None,),
}
"""Values that mean the default game."""


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
    own = task(env_id).kwargs
    return {
        key: value
        for key, value in env_kwargs.items()
        if key not in WORDING and own.get(key) != value and value not in DEFAULTS.get(key, ())
    }


def scale_of(env_id: str, env_kwargs: dict[str, Any]) -> Scale | None:
    """The scale of a game; None where nobody computed it."""
    variant = variant_of(env_id, env_kwargs)
    if not variant:
        reference = task(env_id).reference
        return reference and Scale(reference.random, reference.optimum, reference.optimum_is, "task table")
    for entry in _bundled():
        if entry["id"] == task(env_id).id and entry["kwargs"] == variant:
            return Scale(
                float(entry["random"]), float(entry["optimum"]), entry["optimum_is"], f"this variant: {entry['how']}"
            )
    return None


@lru_cache(maxsize=1)
def _bundled() -> list[dict[str, Any]]:
    text = resources.files("lmrl_benchmarks.scores").joinpath("references.toml").read_text("utf-8")
    return tomllib.loads(text)["variant"]


def lmrl_applies(env_id: str, env_kwargs: dict[str, Any]) -> bool:
    """Whether LMRL-Gym's own scale is one for this game: its partners may be others, its layouts and objects may not."""
    reference = task(env_id).reference
    if reference is None or reference.lmrl is None:
        return False
    others = variant_of(env_id, env_kwargs).keys() - {"simulator", "elo", "nodes", "strength", "duplicates"}
    return not others or (task(env_id).id == "lmrl/ChessEndgames-v0" and others == {"positions"})


# -- computing the file


VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        (f"lmrl/Maze{view}Observed-v0", {"layout": layout})
        for layout in ("umaze", "medium", "large", "random:4x4")
        for view in ("Fully", "Partially")
    ),
    ("lmrl/MazeFullyObserved-v0", {"layout": "random:6x6"}),
    *((f"lmrl/TextNav{view}Observed-v0", {"layout": "random:8"}) for view in ("Fully", "Partially")),
    *(
        (f"lmrl/{name}-v0", {"split": split})
        for name in ("TwentyQuestions", "GuessMyCity")
        for split in ("train", "test")
    ),
    ("lmrl/Wordle-v0", {"duplicates": "independent"}),
    ("lmrl/ChessEndgames-v0", {"positions": "evaluation"}),
    ("lmrl/ChessEndgames-v0", {"positions": "evaluation", "simulator": "stockfish", "elo": 1350}),
    ("lmrl/Chess-v0", {"simulator": "stockfish", "elo": 1350}),
)
GAMES = 5_000
"""Games of the scripted policies, on seeds of the validation stream; against engines fewer."""


def _played(env_id: str, kwargs: dict[str, Any], policy: str, games: int) -> tuple[float, float]:
    """Mean return of a scripted policy and its standard error."""
    import numpy as np

    from lmrl_agents.playing.rollout import Rollout
    from lmrl_agents.playing.scripted import ScriptedAgent

    rollout = Rollout(ScriptedAgent(policy), env_id, kwargs, slots=256)
    returns = [played.transcript.episode_return for played in rollout.play(range(games), 0, "validation")]
    return float(np.mean(returns)), float(np.std(returns) / len(returns) ** 0.5)


def _optimum(env_id: str, kwargs: dict[str, Any]) -> tuple[float, str, str]:
    """(best mean return, "exact" or "best known", how it was found)."""
    layout, split = str(kwargs.get("layout", "")), kwargs.get("split")
    if layout and not layout.startswith("random:"):
        from lmrl_envs.maze.belief import planner
        from lmrl_envs.maze.rules import named_maze

        maze = named_maze(layout)
        if "Fully" in env_id:
            return -sum(maze.distance[start] - 1 for start in maze.starts) / len(maze.starts), "exact", "shortest paths"
        return planner(maze).mean_return, "exact", "belief-state planning"
    if kwargs.get("positions") == "evaluation":
        return 1.0, "exact", "every position is won (retrograde analysis)"
    if env_id == "lmrl/Chess-v0":
        return 1.0, "best known", "no game is worth more than a win"
    if split and "Twenty" in env_id:
        from lmrl_envs.twenty_questions.policies import least_questions
        from lmrl_envs.twenty_questions.rules import split_indices

        n = len(split_indices(split))
        bound = -least_questions(n)[0] / n
        found, _ = _played(env_id, kwargs, "expert", GAMES)
        return bound, "best known", f"no strategy can do better; the scripted expert has {found:.4f}"
    found, error = _played(env_id, kwargs, "expert", GAMES)
    return found, "best known", f"the scripted expert over {GAMES} games, standard error {error:.2g}"


def _entry(env_id: str, kwargs: dict[str, Any]) -> str:
    games = 100 if env_id == "lmrl/Chess-v0" else 300 if "Endgames" in env_id else GAMES
    random, error = _played(env_id, kwargs, "random", games)
    optimum, kind, how = _optimum(env_id, kwargs)
    inline = ", ".join(f"{key} = {json.dumps(value)}" for key, value in kwargs.items())
    return f"""
[[variant]]
id = "{env_id}"
kwargs = {{ {inline} }}
random = {random:.5g}
optimum = {optimum:.6g}
optimum_is = "{kind}"
how = "optimum: {how}; random: {games} games, standard error {error:.2g}"
"""


def write(path: Path) -> None:
    """Compute the references that the file lacks and add them; delete an entry to have it computed again."""
    text = (
        path.read_text("utf-8")
        if path.is_file()
        else (
            "# Written by python -m lmrl_benchmarks.scores.references; the default games are in the task table of lmrl_envs.\n"
        )
    )
    for env_id, kwargs in VARIANTS:
        there = tomllib.loads(text).get("variant", [])
        if not any(entry["id"] == env_id and entry["kwargs"] == kwargs for entry in there):
            text += _entry(env_id, kwargs)
            write_atomically(path, text)


if __name__ == "__main__":
    write(Path(str(resources.files("lmrl_benchmarks.scores").joinpath("references.toml"))))
