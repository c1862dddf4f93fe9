"""Rules beside preferences: a reward model of what people like, and one of what breaks a rule (Glaese et al., arXiv 2209.14375).

People who do not check are pleased by what is not true. Half of the labels go to raters who look at one rule alone: which of two answers
breaks it less. The best of n goes by preference, by the rule, by the sum of both (each in standard deviations of the writer's answers, as Sparrow adds
them), or by preference among the answers that the rule's model lets pass, and where it lets none pass nothing is answered (Menick et al.,
arXiv 2203.11147). All ways spend the same number of labels.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lmrl_benchmarks.experiments.people_lab import utilities
from lmrl_benchmarks.experiments.shared import Settings, kept, samples_of, scores_by
from lmrl_datasets.preferences.labellers import Reader, load_labeller
from lmrl_envs.files.untrusted import Schema, convert

WAYS = ("writer", "preference", "rule", "both", "supported")
LEARNERS = ("bradley-terry", "exact")


class Rules(Schema, frozen=True):
    """Settings of `run`."""

    env: str
    way: str
    """One of `WAYS`."""
    rule: str = "Tells nothing that the notes do not hold."
    breach: str = "wrong"
    """The feature of the task that counts breaches of the rule."""
    reader: str = "lazy:check=.2"
    """Whose preferences are learned."""
    learner: str = "bradley-terry"
    """Or ``exact``: nothing is learned, answers are scored by the reader's own utility and by how often they break the rule."""
    writer: str = "suboptimal"
    weight: float = 1.0
    """Of the rule in ``both``."""
    passing: float = 0.1
    """Share of the writer's answers that the rule's model lets pass in ``supported``."""
    prompts: int = 64
    samples: int = 64
    pairs: int = 6000
    width: int = 32
    model: dict[str, Any] = {}
    seed: int = 0


def run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """One way: see `lmrl_benchmarks.experiments.grid`.

    Raises:
        ValueError: settings that are none.
    """
    s = convert(dict(settings), Rules, "settings")
    reader = load_labeller(s.reader)
    lab = Settings(s.env, "best of n", writer=s.writer, prompts=s.prompts, samples=s.samples, width=s.width,
                   model=s.model, seed=s.seed)  # fmt: skip
    samples = samples_of(lab)
    if (
        s.way not in WAYS
        or s.learner not in LEARNERS
        or not isinstance(reader, Reader)
        or s.breach not in samples.features
    ):
        raise ValueError(
            f"way={s.way!r}, reader={s.reader!r}, breach={s.breach!r}: {', '.join(WAYS)}, a reader, a feature"
        )

    def scored(spec: str, exact: np.ndarray, pairs: int) -> np.ndarray:
        """What answers are worth by one kind of labels, in standard deviations: [prompts, samples]."""
        scores = exact if s.learner == "exact" else scores_by(lab, spec, pairs, samples)
        return (scores - scores.mean()) / max(scores.std(), 1e-9)

    alone = s.way in ("preference", "rule")
    pairs, liked, lawful = s.pairs if alone else s.pairs // 2, *np.zeros((2, *samples.gold.shape))
    if s.way not in ("rule", "writer"):
        liked = scored(s.reader, utilities(reader, s.env, samples), pairs)
    if s.way not in ("preference", "writer"):
        lawful = scored(f"constitution:{_law(s.rule, s.breach)}", -samples.features[s.breach], pairs)
    scores = liked + s.weight * lawful
    if s.way == "supported":
        scores = np.where(lawful >= np.quantile(lawful, 1 - s.passing), liked, -np.inf)
    best = scores.argmax(axis=1) if s.way != "writer" else np.zeros(s.prompts, int)
    answered = np.isfinite(scores[np.arange(s.prompts), best])
    rows, best = np.flatnonzero(answered), best[answered]
    games = [samples.transcripts[k][i] for k, i in zip(rows, best, strict=True)]
    credulous = [reader.utility(s.env, game, random.Random(k)) for k, game in enumerate(games)]
    mean = lambda values: float(np.mean(values)) if len(values) else 0.0  # noqa: E731
    return {
        "numbers": {
            "gold": mean(samples.gold[rows, best]), "worth to the reader": mean(credulous),
            "share that breaks the rule": mean(samples.features[s.breach][rows, best] > 0), "not answered": float(1 - answered.mean()),
        }
    }  # fmt: skip


@cache
def _law(rule: str, breach: str) -> Path:
    """A constitution of one rule; cells of a process share it, and with it what is learned from its labels."""
    law = kept() / "rule.toml"
    said = f"text = {json.dumps(rule)}\nscorer = {json.dumps(breach)}\nweight = -1.0\n"
    law.write_text(f"[[principles]]\n{said}", encoding="utf-8")
    return law
