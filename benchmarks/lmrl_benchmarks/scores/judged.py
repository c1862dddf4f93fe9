"""The share of a partner's replies that people would give: counts and intervals over judged lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmrl_benchmarks.scores.statistics import wilson_interval
from lmrl_envs.partners.judged import VERDICTS, Judged, Row, judge_partner


@dataclass(frozen=True)
class Report:
    """What became of a task's lines."""

    env: str
    lines: int
    counts: Counter[str]
    """Verdict -> lines."""
    kinds: dict[str, Counter[str]]
    """Kind of line -> verdict -> lines; where no line names a kind, what was expected."""
    misses: list[Judged] = field(default_factory=list)

    def share(self, verdict: str) -> float:
        """Of the lines that could be said."""
        return self.counts[verdict] / max(1, _said(self.counts))

    def as_json(self) -> dict[str, Any]:
        return {
            "env": self.env,
            "lines": self.lines,
            **_figures(self.counts),
            "kinds": {kind: _figures(counts) for kind, counts in self.kinds.items()},
            "misses": [
                {**miss.row, "said": miss.line, "reply": miss.reply, "is": miss.verdict} for miss in self.misses
            ],
        }

    def rows(self) -> list[dict[str, Any]]:
        """The figures as a table: a row for the task (its kind is "all") and for each kind of line."""
        named = {"all": self.counts, **self.kinds}
        return [{"env": self.env, "kind": kind, **_flat(_figures(counts))} for kind, counts in named.items()]


def measure(env_id: str, rows: Sequence[Row], tell: Callable[[int, int], None], **kwargs: Any) -> Report:
    """Say the lines to a partner and count what becomes of them.

    Args:
        env_id: id of the task.
        rows: of `lmrl_envs.partners.judged.read_rows`.
        tell: is told (done, all).
        kwargs: arguments of the environment.

    Raises:
        SimulatorError: the partner does not reply at all.
        ValueError: there is not a line.
    """
    if not rows:
        raise ValueError(f"no judged lines of {env_id}")
    report = Report(env_id, len(rows), Counter(), {})
    for done, judged in enumerate(judge_partner(env_id, rows, **kwargs), 1):
        kind = judged.row.get("kind") or judged.row["expected"]
        report.counts[judged.verdict] += 1
        report.kinds.setdefault(kind, Counter())[judged.verdict] += 1
        if judged.verdict not in ("right", "skipped"):
            report.misses.append(judged)
        tell(done, len(rows))
    return report


def _said(counts: Counter[str]) -> int:
    return counts.total() - counts["skipped"]


def _figures(counts: Counter[str]) -> dict[str, Any]:
    """Each verdict's count, and of those said its share and Wilson's 95 % interval."""
    said = _said(counts)
    figures: dict[str, Any] = {"said": said, "skipped": counts["skipped"]}
    for verdict in VERDICTS[:-1]:
        interval = wilson_interval(counts[verdict], said)
        figures[verdict] = {"count": counts[verdict], "share": counts[verdict] / max(1, said), "interval": interval}
    return figures


def _flat(figures: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            low, high = value["interval"]
            found |= {key: value["count"], f"{key}_share": value["share"], f"{key}_low": low, f"{key}_high": high}
        else:
            found[key] = value
    return found
