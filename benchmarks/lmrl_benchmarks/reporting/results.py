"""The results of a run: its finished cells with the return of every episode, and what is told of agents from them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import asdict

from lmrl_benchmarks.running.cells import Cell, cells, found_cells, read_problems, read_suite
from lmrl_benchmarks.running.records import EPISODES, SUMMARY, Record, RecordError, read_summary
from lmrl_benchmarks.running.suite import Suite
from lmrl_benchmarks.scores.comparison import NotPairable, Paired, improvement, improvement_interval, paired
from lmrl_benchmarks.scores.references import Scale, scale_of
from lmrl_benchmarks.scores.statistics import (
    AGGREGATES,
    bootstrap_means,
    exceeds,
    interval,
    percentile_interval,
    run_draws,
)
from lmrl_envs import task
from lmrl_envs.files.untrusted import LINE, Refused, decode, opened

Interval = tuple[float, float]


DAMAGED = "its records are damaged: lmrl leaderboard verify says where; without its folder it is played again"


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell: its summary, and its episodes in the order of their numbers."""

    cell: Cell
    path: Path
    summary: dict[str, Any]
    numbers: np.ndarray
    seeds: tuple[int, ...]
    returns: np.ndarray
    """Score of each episode: the task's minimum where it ended in an error."""
    failed: np.ndarray
    offsets: np.ndarray
    """Where each episode's line begins in the file."""
    games: str = ""
    """A hash of all actions."""

    def record(self, index: int) -> dict[str, Any]:
        """An episode's record, by its place; what it leaves out is there with its default."""
        with (self.path / EPISODES).open("rb") as file:
            file.seek(int(self.offsets[index]))
            return asdict(decode(file.readline(LINE), Record, most=LINE))

    def first_error(self) -> str | None:
        """How the first episode that ended in an error did."""
        return self.record(int(self.failed.argmax()))["error"] if self.failed.any() else None


def read_cell(cell: Cell, path: Path) -> FinishedCell | None:
    """A cell of a run; None if it is not finished, or its records cannot be read (`verify` tells what is wrong)."""
    minimum = task(cell.task.id).return_range[0]
    found: list[tuple[int, int, float, bool, int]] = []
    games = sha256()
    try:
        summary = read_summary(path)
        with opened(path / EPISODES) as file:
            offset = 0
            while line := file.readline(LINE):
                if not line.strip():
                    offset += len(line)
                    continue
                record = decode(line, Record, most=LINE)
                found.append((record.episode, record.seed, record.score(minimum), record.error is not None, offset))
                offset += len(line)
                games.update(repr((record.episode, record.actions)).encode())
    except (RecordError, OSError, Refused):
        return None
    if not found:
        return None
    numbers, seeds, returns, failed_ones, offsets = zip(*sorted(found), strict=True)
    return FinishedCell(
        cell,
        path,
        summary,
        np.array(numbers),
        seeds,
        np.array(returns),
        np.array(failed_ones, bool),
        np.array(offsets),
        games.hexdigest(),
    )


@dataclass(frozen=True)
class ResultRow:
    """One agent on one task, over its training seeds. Scores are None where the game has no references."""

    task: str
    agent: str
    seeds: int
    episodes: int
    score: float | None
    """Normalised (optimum scale), mean over seeds."""
    low: float | None
    high: float | None
    noise_only: bool
    """The interval is over the episodes of a single seed: evaluation noise, not training noise."""
    few_seeds: bool
    """Fewer than five training seeds: the interval is hardly more than their range."""
    same_games: bool
    """Several training seeds played the same games, action for action; where all did they count as one seed."""
    above_optimum: bool
    """The mean return is above the exact optimum by more than chance (`statistics.exceeds`)."""
    returns: float
    return_low: float
    return_high: float
    success: float
    length: float
    valid: float
    errors: int
    seconds: float
    lmrl: float | None
    scores: tuple[float, ...]
    """Normalised score of each seed."""
    scale: Scale | None
    tags: tuple[str, ...]
    optimised: float | None
    """Mean sum of what was optimised, where that is not the return."""
    costs: dict[str, float]
    """Per episode: ``seconds``, and ``tokens`` and ``usd`` where they are recorded."""
    draws: np.ndarray = field(repr=False, compare=False)
    """Bootstrap draws of the scores, or of the returns where there are none: [n, seeds]."""


@dataclass(frozen=True)
class Overall:
    """One agent over all tasks that it played and that have a scale."""

    agent: str
    tasks: int
    values: dict[str, float]
    """``mean``, ``iqm`` and ``gap`` (see `statistics.AGGREGATES`)."""
    intervals: dict[str, Interval]
    noise_only: bool
    """Some task was played with a single training seed."""
    few_seeds: bool
    same_games: bool

    @property
    def mean(self) -> float:
        """The mean score."""
        return self.values["mean"]


@dataclass
class Results:
    """A run as far as it is finished."""

    out: Path
    suite: Suite
    about: dict[str, Any]
    """The whole ``suite.json``."""
    played: list[FinishedCell]
    rows: list[ResultRow]
    missing: dict[str, str]
    """Cells without results: name -> why."""

    @property
    def agents(self) -> list[str]:
        """Agents with results, in the order of the suite."""
        return list(dict.fromkeys(row.agent for row in self.rows))

    @property
    def tasks(self) -> list[str]:
        """Tasks with results, in the order of the suite."""
        return list(dict.fromkeys(row.task for row in self.rows))

    @cached_property
    def overall(self) -> list[Overall]:
        """See `overall_of`."""
        return overall_of(self.rows)

    def scored(self, agent: str) -> dict[str, ResultRow]:
        """An agent's rows that have a score, by task."""
        return {row.task: row for row in self.rows if row.agent == agent and row.score is not None}

    @cached_property
    def capabilities(self) -> dict[str, dict[str, tuple[float, int]]]:
        """Capability -> agent -> (mean score over the tasks that ask for it, number of these tasks)."""
        tags = list(dict.fromkeys(tag for row in self.rows for tag in row.tags))
        found: dict[str, dict[str, tuple[float, int]]] = {}
        for tag in tags:
            for agent in self.agents:
                scores = [row.score for row in self.scored(agent).values() if tag in row.tags and row.score is not None]
                if scores:
                    found.setdefault(tag, {})[agent] = (float(np.mean(scores)), len(scores))
        return found

    @cached_property
    def improvements(self) -> dict[tuple[str, str], tuple[float, float, float, int]]:
        """(x, y) -> P(x > y) with its interval, and the number of tasks that both played."""
        found: dict[tuple[str, str], tuple[float, float, float, int]] = {}
        names = [entry.agent for entry in self.overall]
        for i, x in enumerate(names):
            for y in names[i + 1 :]:
                mine, theirs = self.scored(x), self.scored(y)
                common = [name for name in mine if name in theirs]
                if common:
                    chance = improvement([mine[t].scores for t in common], [theirs[t].scores for t in common])
                    low, high = improvement_interval([mine[t].draws for t in common], [theirs[t].draws for t in common])
                    found[x, y] = (chance, low, high, len(common))
                    found[y, x] = (1 - chance, 1 - high, 1 - low, len(common))
        return found

    def pairs(self) -> list[tuple[str, str, str, Paired | str]]:
        """For every task, the agent with the best mean return against each other one, on equal episodes."""
        found: list[tuple[str, str, str, Paired | str]] = []
        for name in self.tasks:
            rows = sorted((row for row in self.rows if row.task == name), key=lambda row: -row.returns)
            games = {row.agent: self._by_seed(name, row.agent) for row in rows}
            for row in rows[1:]:
                try:
                    outcome: Paired | str = paired(games[rows[0].agent], games[row.agent])
                except NotPairable as problem:
                    outcome = str(problem)
                found.append((name, rows[0].agent, row.agent, outcome))
        return found

    def _by_seed(self, name: str, agent: str) -> dict[int, float]:
        """Return by evaluation seed, averaged over training seeds (over those episodes that all of them played)."""
        found = [p for p in self.played if p.cell.task.slug == name and p.cell.agent.name == agent]
        sums: dict[int, list[float]] = {}
        for played in found:
            for seed, value in zip(played.seeds, played.returns.tolist(), strict=True):
                sums.setdefault(seed, []).append(value)
        return {seed: sum(values) / len(values) for seed, values in sums.items() if len(values) == len(found)}


def load_results(out: Path) -> Results:
    """Read a run.

    Raises:
        SuiteError: the folder holds no run.
    """
    suite, about = read_suite(out)
    there = found_cells(suite, out)
    played = [found for cell in there if (found := read_cell(cell, cell.folder(out))) is not None]
    groups: dict[tuple[str, str], list[FinishedCell]] = {}
    for found in played:
        groups.setdefault((found.cell.task.slug, found.cell.agent.name), []).append(found)
    done = {found.cell.job_name for found in played}
    missing = {name: why for name, why in read_problems(out).items() if name not in done}
    present = {cell.agent.name for cell in there}
    for cell in (*cells(suite, [agent for agent in suite.agents if agent.name in present]), *there):
        if cell.job_name not in done:
            damaged = (cell.folder(out) / SUMMARY).is_file()
            missing.setdefault(cell.job_name, DAMAGED if damaged else "not run, or not finished")
    return Results(out, suite, about, played, [_row(group) for group in groups.values()], missing)


def _row(group: list[FinishedCell]) -> ResultRow:
    cell = group[0].cell
    scale = scale_of(cell.task.id, cell.task.kwargs)
    means = [float(played.returns.mean()) for played in group]
    scores = tuple(scale.score(value) for value in means) if scale else ()
    rng = np.random.default_rng(zlib.crc32(f"{cell.task.slug} {cell.agent.name}".encode()))
    different = len({played.games for played in group})
    several = different > 1
    draws = run_draws(means, rng) if several else bootstrap_means(group[0].returns, rng)[:, None]
    return_low, return_high = percentile_interval(draws.mean(axis=1))
    low, high = (scale.score(return_low), scale.score(return_high)) if scale else (None, None)
    summaries = [played.summary for played in group]

    def average(key: str) -> float:
        return float(np.mean([summary[key] for summary in summaries]))

    lmrl = summaries[0].get("normalized_score_lmrl")
    return ResultRow(
        task=cell.task.slug,
        agent=cell.agent.name,
        seeds=len(group),
        episodes=len(group[0].seeds),
        score=float(np.mean(scores)) if scale else None,
        low=low,
        high=high,
        noise_only=not several,
        few_seeds=1 < different < 5,
        same_games=different < len(group),
        above_optimum=_is_above(group, scale),
        returns=float(np.mean(means)),
        return_low=return_low,
        return_high=return_high,
        success=average("success_rate"),
        length=average("length_mean"),
        valid=average("valid_rate"),
        errors=int(sum(int(played.failed.sum()) for played in group)),
        seconds=average("seconds"),
        lmrl=None if lmrl is None else average("normalized_score_lmrl"),
        scores=scores,
        scale=scale,
        tags=task(cell.task.id).tags,
        optimised=average("optimised_mean") if all(s.get("optimised_mean") is not None for s in summaries) else None,
        costs=_costs(group),
        draws=scale.score(draws) if scale else draws,  # type: ignore[arg-type]
    )


def _is_above(group: list[FinishedCell], scale: Scale | None) -> bool:
    if scale is None or scale.optimum_is != "exact" or len({len(played.returns) for played in group}) > 1:
        return False
    # Training seeds play the same games: these are no further evidence.
    return exceeds(np.mean([played.returns[np.argsort(played.numbers)] for played in group], axis=0), scale.optimum)


def _costs(group: list[FinishedCell]) -> dict[str, float]:
    """Seconds, tokens and dollars per episode, from the summaries."""
    episodes = sum(len(played.seeds) for played in group)

    def total(*keys: str) -> float | None:
        values = [played.summary.get(key) for played in group for key in keys]
        known = [float(value) for value in values if isinstance(value, int | float)]
        return sum(known) / episodes if known else None

    found = {
        "seconds": total("seconds"),
        "tokens": total("prompt_tokens", "completion_tokens", "tokens"),
        "usd": total("cost_usd"),
    }
    return {key: value for key, value in found.items() if value is not None and value > 0}


def overall_of(rows: Sequence[ResultRow]) -> list[Overall]:
    """Aggregates over the tasks that an agent played, with stratified bootstrap intervals; most tasks first, then best.

    The IQM pools runs, so it weighs tasks equally only where all have as many; elsewhere it is taken over the tasks' means.
    """
    found = []
    for agent in dict.fromkeys(row.agent for row in rows):
        mine = [row for row in rows if row.agent == agent and row.score is not None]
        if not mine:
            continue
        runs = {row.draws.shape[1] for row in mine}
        equal = len(runs) == 1
        scores = [np.asarray(row.scores if {len(row.scores)} == runs else [row.score], float) for row in mine]
        draws = [row.draws if equal else row.draws.mean(axis=1, keepdims=True) for row in mine]
        pooled = np.concatenate(scores)
        found.append(
            Overall(
                agent=agent,
                tasks=len(mine),
                values={name: float(statistic(pooled)) for name, statistic in AGGREGATES.items()},
                intervals={name: interval(draws, statistic) for name, statistic in AGGREGATES.items()},
                noise_only=any(row.noise_only for row in mine),
                few_seeds=any(row.few_seeds for row in mine),
                same_games=any(row.same_games for row in mine),
            )
        )
    return sorted(found, key=lambda entry: (-entry.tasks, -entry.mean))
