"""Filtered behaviour cloning: imitate only the best part of the data.

The loss is that of `bc`; what is imitated is chosen by its return (%BC of Chen et al., arXiv 2106.01345, as used
in Abdulhai et al., arXiv 2311.18232, section 5):

- ``unit = "episode"``: the best ``share`` of all episodes;
- ``unit = "start"``: the best ``share`` among the episodes with the same first observation, so that easy starts are not
  all that is left;
- ``unit = "turn"``: the best ``share`` of all actions by the return that followed them. In Wordle the actions followed by
  the least loss are the winning guesses, and those are right answers for everything that was known by then;
- ``unit = "success"``: all episodes that succeeded, as LMRL-Gym filters mazes, text navigation, chess and endgames.

Recordings that were cut off are left out (``cut_offs = "score"`` keeps them): a short one has lost little and won nothing. Ties are broken at random with the run's seed; how many were kept, and from which return on, is in the metrics.

Departures from LMRL-Gym: ties (there: by position in the file); start and turn as units; cut-offs; a discount; the policy is
trained from scratch, or from ``--start``.

    lmrl train filtered_bc --env lmrl/Wordle-v0 --data wordle/mixed-v0 --preset nano --seed 0 --out runs/filtered-bc

Wordle (`nano`, by turns, seeds 0 to 2, sampled): -2.87, -2.87, -2.86; optimum -1.88, cloning -5.3. More: docs/results.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmrl_agents.algorithms import bc
from lmrl_agents.learning.returns import returns_to_go
from lmrl_agents.learning.run import TrainingRun
from lmrl_agents.learning.start import fresh_model, start_policy
from lmrl_agents.models.step_cache import cached_steps
from lmrl_agents.models.steps import StepStore

SHARDABLE = True
TAKES_REWARD = True


@dataclass(frozen=True)
class Config(bc.Config):
    """Hyperparameters; the preset's ``[filtered_bc]`` table."""

    share: float = 0.1
    """Part of the data that is imitated, (0, 1]."""
    unit: str = "episode"
    """What is chosen: "episode", "start", "turn" or "success"."""
    cut_offs: str = "leave out"
    """"leave out", or "score": whether recordings that were cut off are scored by what was seen of them."""
    discount: float = 1.0
    """Per turn, of the returns that decide; below 1, of games that all end in a win the short ones are the best."""


def best(
    scores: Sequence[float] | np.ndarray, share: float, seed: int, groups: Sequence[object] | None = None
) -> np.ndarray:
    """Positions of the best ``share`` (at least one) of each group, in increasing order; ties are broken by the seed.

    Args:
        scores: the higher the better.
        share: (0, 1].
        seed: of the order among equals.
        groups: label of each position; default: all are one group.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share} must be above 0 and at most 1")
    values = np.asarray(scores, float)
    order = np.lexsort((np.random.default_rng((seed, 1)).permutation(len(values)), -values))
    labels = [None] * len(values) if groups is None else list(groups)
    sizes: dict[object, int] = {}
    for label in labels:
        sizes[label] = sizes.get(label, 0) + 1
    room = {label: max(1, round(share * size)) for label, size in sizes.items()}
    kept = []
    for i in order.tolist():
        if room[labels[i]] > 0:
            room[labels[i]] -= 1
            kept.append(i)
    return np.sort(np.array(kept))


def chosen_steps(
    steps: StepStore, config: Config, seed: int, success: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Which steps to imitate, bool [N], and the least return among what was chosen.

    Args:
        steps: of the data.
        config: what is chosen.
        seed: of the order among equals.
        success: bool, of each episode; needed for the unit "success".

    Raises:
        ValueError: an unknown unit, or nothing is left to choose from.
    """
    if config.cut_offs not in ("leave out", "score"):
        raise ValueError(f"cut_offs={config.cut_offs!r} is not known; choose leave out or score")
    if config.unit not in ("episode", "start", "turn", "success"):
        raise ValueError(f"unit={config.unit!r} is not known; choose episode, start, turn or success")
    turn = steps.turn_number()
    _, first = np.unique(turn, return_index=True)
    ahead = returns_to_go(
        np.bincount(turn, steps.reward), np.diff(steps.episode[first], append=-1) != 0, config.discount
    )
    whole = ~steps.cut_off if config.cut_offs == "leave out" and not steps.cut_off.all() else np.ones(len(steps), bool)
    if config.unit == "turn":
        allowed = np.flatnonzero(whole[first])
        kept = allowed[best(ahead[allowed], config.share, seed)]
        return np.isin(turn, kept), float(ahead[kept].min())
    episodes, first = np.unique(steps.episode, return_index=True)
    returns = ahead[turn[first]]
    if config.unit == "success":
        won = np.zeros(len(episodes), bool) if success is None else success[episodes]
        if not won.any():
            raise ValueError("no episode of the data succeeds: there is nothing to imitate with unit='success'")
        return np.isin(steps.episode, episodes[won]), float(returns[won].min())
    allowed = np.flatnonzero(whole[first])
    starts = None
    if config.unit == "start":
        states = zip(steps.row[first[allowed]], steps.column[first[allowed]], strict=True)
        starts = [steps.row_tokens(row)[: column + 1].tobytes() for row, column in states]
    kept = allowed[best(returns[allowed], config.share, seed, starts)]
    return np.isin(steps.episode, episodes[kept]), float(returns[kept].min())


def train(run: TrainingRun) -> Path:
    """Train; returns the folder of the model."""
    config = run.config(Config)
    data = run.load_data()
    model = fresh_model(run, data) if run.start is None else start_policy(run)
    steps = cached_steps(data, model.tokenizer, model.form)
    kept, least = chosen_steps(steps, config, run.seed, data.success if config.unit == "success" else None)
    turn = steps.turn_number()
    run.save_facts(kept_turns=len(np.unique(turn[kept])), of_turns=int(turn[-1]) + 1, least_return=least)
    return bc.imitate(run, config, model, steps.select(kept))
