"""What people thought of agents they talked with (`lmrl serve --ratings`): means with intervals, agreement; as a table, a page and a data frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import numpy as np
from msgspec import Meta

from lmrl_benchmarks.scores.statistics import bootstrap_interval
from lmrl_envs.files import JsonLines, needs

if TYPE_CHECKING:
    import pandas as pd

RATINGS = "ratings.jsonl"
SCALES = ("quality", "fluency", "diversity", "contingency", "coherence", "on_topic", "human_like")
"""Jaques et al. (arXiv 1907.00456): the first four; Saleh et al. (arXiv 1909.07547) and others: the rest. 1 to 5 each."""


Name = Annotated[str, Meta(min_length=1, max_length=1000)]
MOST_AGENTS = 1000


class Rating(TypedDict):
    """A talk, as it is kept."""

    rater: Name
    agent: Name
    env_id: str
    env_kwargs: dict[str, Any]
    seed: int
    texts: list[str]
    """The other side's, which is the person's, and the agent's, in turn."""
    thumbs: list[Annotated[int, Meta(ge=-1, le=1)]]
    """Of the agent's lines."""
    scores: dict[str, Annotated[int, Meta(ge=1, le=5)]]


def read_ratings(folder: Path) -> list[Rating]:
    """All ratings of a folder.

    Raises:
        ValueError: there are none, or a line is none; only the last may be cut.
    """
    found: list[Rating] = JsonLines(folder / RATINGS).read(Rating, strict=True) if (folder / RATINGS).is_file() else []
    wrong = [k for k, own in enumerate(found, 1) if set(own["scores"]) != set(SCALES) or len(own["thumbs"]) != len(own["texts"]) // 2]  # fmt: skip
    if len({own["agent"] for own in found}) > MOST_AGENTS:
        raise ValueError(f"{folder / RATINGS}: more than {MOST_AGENTS} agents")
    if not found or wrong:
        raise ValueError(f"{folder / RATINGS}: " + (f"line {wrong[0]} is no rating" if wrong else "no ratings"))
    return found


def alpha(marks: Sequence[Mapping[str, float]]) -> float | None:
    """Krippendorff's alpha for numbers: of each thing that was rated the raters' marks; None where no two rated the same, or nothing varies."""
    units = [np.array(list(own.values()), float) for own in marks if len(own) > 1]
    every = np.concatenate(units) if units else np.zeros(0)
    expected = _squares(every) / max(len(every) - 1, 1)
    if not expected > 0:
        return None
    return float(1 - sum(_squares(own) / (len(own) - 1) for own in units) / expected)


def _squares(values: np.ndarray) -> float:
    """Sum of the squared differences of all ordered pairs."""
    return float(2 * len(values) * np.sum((values - values.mean()) ** 2)) if len(values) else 0.0


def table(ratings: Sequence[Rating]) -> list[dict[str, Any]]:
    """A row an agent: talks, raters, thumbs (mean of those given), and of each scale mean, low and high of 95 %; best in total first."""
    rows = []
    for agent in sorted({own["agent"] for own in ratings}):
        own = [rating for rating in ratings if rating["agent"] == agent]
        given = [thumb for rating in own for thumb in rating["thumbs"] if thumb]
        row: dict[str, Any] = {
            "agent": agent, "talks": len(own), "raters": len({one["rater"] for one in own}),
            "lines": float(np.mean([len(one["thumbs"]) for one in own])), "thumbs": float(np.mean(given)) if given else None,
        }  # fmt: skip
        for scale in SCALES:
            row |= _of(scale, [float(one["scores"][scale]) for one in own])
        rows.append(row | _of("total", [float(sum(one["scores"].values())) for one in own]))
    return sorted(rows, key=lambda row: -row["total"])


def _of(name: str, values: list[float]) -> dict[str, float]:
    low, high = bootstrap_interval(values)
    return {name: float(np.mean(values)), f"{name}_low": float(low), f"{name}_high": float(high)}


def agreement(ratings: Sequence[Rating]) -> dict[str, float | None]:
    """`alpha` of each scale and in total, over agents: the marks are each rater's means."""
    found: dict[str, float | None] = {}
    for scale in (*SCALES, "total"):
        marks: dict[str, dict[str, list[float]]] = {}
        for own in ratings:
            mark = float(sum(own["scores"].values()) if scale == "total" else own["scores"][scale])
            marks.setdefault(own["agent"], {}).setdefault(own["rater"], []).append(mark)
        found[scale] = alpha([{r: float(np.mean(v)) for r, v in own.items()} for own in marks.values()])
    return found


def ratings_frame(path: str | Path) -> pd.DataFrame:
    """A row for each talk: ``agent``, ``rater``, ``env_id``, ``lines``, ``thumbs`` (their sum), a column for each scale.

    Raises:
        ValueError: there are no ratings.
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    needs("a data frame", "pandas")
    import pandas as pd

    return pd.DataFrame(
        {
            "agent": own["agent"], "rater": own["rater"], "env_id": own["env_id"], "lines": len(own["thumbs"]),
            "thumbs": sum(own["thumbs"]), **own["scores"],
        }
        for own in read_ratings(Path(path))
    )  # fmt: skip
