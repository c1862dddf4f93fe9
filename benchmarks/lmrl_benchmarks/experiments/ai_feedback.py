"""Feedback of a judge in people's place: labels in one order or both, hard or soft; and answers mended or voted on without any label.

The judge reads with noise and prefers what it is shown first, as language models do (Lee et al., arXiv 2309.00267). Ways with labels tell what a reward model
learns of them: how often its order of two fresh answers is gold's, and gold of the best of n by it. Ways without train the cloned policy: critique and
revision by a reviser who notices half of the faults (Bai et al., arXiv 2212.08073), a vote on the parts of sixteen answers (Huang et al., arXiv 2210.11610),
and as a control a vote of one, which imitates the policy's own answers. A policy is told by gold of its games.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_benchmarks.experiments.shared import (
    Curves,
    Settings,
    agreements,
    data_of,
    held_out,
    labelled,
    learned_scores,
    played_by,
    played_by_start,
    reward_model,
    samples_of,
    start_of,
    trained,
    won,
)
from lmrl_benchmarks.scores.comparison import wins
from lmrl_benchmarks.scores.overoptimisation import best_of_n_means, standings
from lmrl_datasets.preferences.store import load_preferences
from lmrl_envs.files.untrusted import Schema, convert

JUDGES = {
    "one order, hard": "",
    "one order, soft": ",soft=1",
    "both orders, hard": ",both=1",
    "both orders, soft": ",soft=1,both=1",
}
"""Way -> what is added to the judge's knobs."""
WITHOUT: dict[str, dict[str, Any]] = {
    "critique and revise": {"constitutional.reviser": "scripted:notices=.5"},
    "vote on parts": {"self_training.vote": "parts"},
    "own answers": {"self_training.vote": "text", "self_training.group_size": 1},
}
"""Way -> settings of the algorithm that their names begin with."""


class Feedback(Schema, frozen=True):
    """Settings of `run`."""

    env: str
    way: str
    """One of `JUDGES` or `WITHOUT`."""
    judge: str = "biased:k=4,e=0,noise=.3,order=1.2"
    data: str = ""
    """Dataset that the policy is cloned from, for the ways without labels."""
    episodes: int = 40_000
    """Of it."""
    writer: str = "suboptimal"
    prompts: int = 64
    samples: int = 16
    pairs: int = 4000
    width: int = 32
    model: dict[str, Any] = {}
    start: dict[str, Any] = {}
    """Settings of the cloned policy."""
    policy: dict[str, Any] = {}
    """Settings of the ways without labels."""
    seed: int = 0


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One way: see `lmrl_benchmarks.experiments.grid`.

    Raises:
        ValueError: settings that are none.
    """
    s = convert(dict(settings), Feedback, "settings")
    if s.way not in (*JUDGES, *WITHOUT):
        raise ValueError(f"way={s.way!r} is not one of {', '.join((*JUDGES, *WITHOUT))}")
    if s.way in JUDGES:
        numbers, curves = _judged(s)
        return {"numbers": numbers, "curves": curves}
    with tempfile.TemporaryDirectory() as folder:
        return {"numbers": _taught(s, Path(folder))}


def _judged(s: Feedback) -> tuple[dict[str, float], Curves]:
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.samples,
                   reader=s.judge + JUDGES[s.way], pairs=s.pairs, width=s.width, model=s.model, seed=s.seed)  # fmt: skip
    model, samples = reward_model(lab), samples_of(lab)
    scores = learned_scores(lab, f"learned:{model}", samples)
    said = [(label.label, label.shown_first == "first")
            for _, label in load_preferences(labelled(lab)).labelled() if label.label is not None]  # fmt: skip
    numbers, curves = held_out(model)
    return {
        "shown first preferred": float(np.mean([value if first else 1 - value for value, first in said])),
        **numbers,
        **agreements(lab, scores, samples),
        "gold at the start": float(samples.gold.mean()),
        "gold": float(best_of_n_means(scores, samples.gold, [s.samples]).mean()),
        **won(best_of_n_means(scores, standings(samples.gold), [s.samples])[:, 0]),
    }, curves


def _taught(s: Feedback, out: Path) -> dict[str, float]:
    lab = Settings(s.env, "rl", data=s.data, episodes=s.episodes, start=s.start, prompts=s.prompts, seed=s.seed)
    start = start_of(lab)
    own = WITHOUT[s.way]
    algorithm = next(iter(own)).partition(".")[0]
    more = {key: value for key, value in s.policy.items() if key.startswith(f"{algorithm}.")}
    policy = trained(lab, algorithm, data_of(lab), out / "policy", {**more, **own}, start=start)
    before, after = ([game.episode_return for game in own] for own in (played_by_start(lab), played_by(lab, policy)))
    return {"gold at the start": float(np.mean(before)), "gold": float(np.mean(after)), **won(wins(after, before))}
