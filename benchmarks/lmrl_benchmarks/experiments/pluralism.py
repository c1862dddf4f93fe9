"""Pluralism: what optimising one reward for all does to answers on which people differ (Sorensen et al., arXiv 2402.05070).

Groups of known shares want opposite things of an answer. Four policies answer people who are drawn by those shares: the writer; the best of n by what was
learned from everybody's labels (as RLHF has it); the best of n by what was learned from the labels of the group that is told to it; and one
that is told nothing and draws a group by its share for each answer. Measured are the three kinds: whether several answers hold one for everybody (Overton),
whether a group that is told is served (steerable), whether answers differ as people do (distributional).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lmrl_benchmarks.experiments.people_lab import utilities
from lmrl_benchmarks.experiments.shared import Samples, Settings, samples_of, scores_by
from lmrl_datasets.preferences.labellers import Groups, feature, load_labeller
from lmrl_envs.files.untrusted import Schema, convert

POLICIES = ("writer", "crowd", "told", "drawn")
LEARNERS = ("bradley-terry", "exact")


class Pluralism(Schema, frozen=True):
    """Settings of `run`."""

    env: str
    policy: str
    """One of `POLICIES`."""
    taste: str
    """The feature on which the groups differ: the first wants it, the others do not."""
    groups: str
    """A labeller ``groups:...``."""
    learner: str = "bradley-terry"
    """Or ``exact``: nothing is learned, the best are chosen by what they are worth."""
    writer: str = "suboptimal"
    prompts: int = 64
    answers: int = 16
    """That a policy gives to each prompt."""
    tried: int = 16
    """That each is the best of."""
    pairs: int = 6000
    """Labels in all; a group gives its share of them."""
    width: int = 32
    model: dict[str, Any] = {}
    """Settings of the reward models, as ``table.name``."""
    seed: int = 0


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One policy: see `lmrl_benchmarks.experiments.grid`.

    Raises:
        ValueError: settings that are none.
    """
    s = convert(dict(settings), Pluralism, "settings")
    crowd = load_labeller(s.groups)
    if not isinstance(crowd, Groups) or len(crowd.readers) < 2 or s.policy not in POLICIES or s.learner not in LEARNERS:
        raise ValueError(
            f"groups={s.groups!r}, policy={s.policy!r}, learner={s.learner!r}: a labeller groups:... of two or more, {', '.join(POLICIES)}, {', '.join(LEARNERS)}"
        )
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.answers * s.tried, width=s.width,
                   model=s.model, seed=s.seed)  # fmt: skip
    samples = samples_of(lab)
    worth = [utilities(one, s.env, samples) for one in crowd.readers]
    scores = _scores(s, lab, crowd.shares, samples, worth)
    given = [_best(s, own) for own in scores]  # to each group: [prompts, answers], places in the samples
    shares = np.array(crowd.shares)
    if s.policy == "drawn":
        given = [_mixed(given, shares, s)] * len(given)
    features = [
        {name: float(v[k, i]) for name, v in samples.features.items()} for k, i in np.ndindex(s.prompts, lab.samples)
    ]
    taste = np.array([feature(own, s.taste, s.env) for own in features]).reshape(s.prompts, -1)
    picked = lambda values, places: np.take_along_axis(values, places, axis=1)  # noqa: E731
    told = float(sum(p * picked(taste, own).mean() for p, own in zip(shares, given, strict=True)))
    liked = [own > np.median(own, axis=1, keepdims=True) for own in worth]
    # Somebody who was not told of is given the first group's answers, which are everybody's but where groups are told.
    offered = np.concatenate(given, axis=1) if s.policy == "told" else given[0]
    rng = np.random.default_rng(s.seed)
    few = np.stack([rng.choice(row, 4, replace=False) for row in offered])
    numbers = {
        f"worth to group {k + 1}": float(picked(w, own).mean())
        for k, (w, own) in enumerate(zip(worth, given, strict=True))
    }
    numbers |= {
        "worth to people": float(sum(p * picked(w, own).mean() for p, w, own in zip(shares, worth, given, strict=True))),
        "gold": float(sum(p * picked(samples.gold, own).mean() for p, own in zip(shares, given, strict=True))),
        f"share of answers with {s.taste}": told,
        "from people's shares": abs(told - crowd.shares[0]),
        "prompts where 4 answers please all": float(np.all([picked(own, few).any(axis=1) for own in liked], axis=0).mean()),
    }  # fmt: skip
    return {"numbers": numbers}


def _scores(
    s: Pluralism, lab: Settings, shares: Sequence[float], samples: Samples, worth: list[np.ndarray]
) -> list[np.ndarray | None]:
    """By what the answers to each group are chosen; None: by nothing."""
    if s.policy == "writer":
        return [None] * len(shares)
    if s.learner == "exact":
        mean = np.sum([p * w for p, w in zip(shares, worth, strict=True)], axis=0)
        return [mean] * len(shares) if s.policy == "crowd" else list(worth)
    if s.policy == "crowd":
        return [scores_by(lab, s.groups, s.pairs, samples)] * len(shares)
    tastes = [part.partition("*")[2] for part in s.groups.removeprefix("groups:").split("/") if part]
    return [
        scores_by(lab, f"groups:1*{taste}", round(s.pairs * share), samples)
        for taste, share in zip(tastes, shares, strict=True)
    ]


def _best(s: Pluralism, scores: np.ndarray | None) -> np.ndarray:
    """Places [prompts, answers] of the best of each ``tried`` samples in a row; the first of them where nothing scores."""
    start = np.arange(s.answers) * s.tried
    if scores is None:
        return np.broadcast_to(start, (s.prompts, s.answers))
    return start + scores.reshape(s.prompts, s.answers, s.tried).argmax(axis=2)


def _mixed(given: list[np.ndarray], shares: np.ndarray, s: Pluralism) -> np.ndarray:
    group = np.random.default_rng(s.seed).choice(len(shares), size=given[0].shape, p=shares)
    return np.choose(group, given)
