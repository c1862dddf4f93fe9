"""The results of a run: its finished cells with the return of every episode, and what is told of agents from them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import asdict

from lmrl_benchmarks.reporting.frames import Row, about, frame, rows_of
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

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[float, float]

DAMAGED = "its records are damaged: lmrl leaderboard verify says where; without its folder it is played again"


@dataclass(frozen=True)
class FinishedCell:
    """A finished cell: its summary, and its episodes."""

    cell: Cell
    path: Path
    summary: dict[str, Any]
    offsets: tuple[int, ...]
    """Where each episode's line begins in the file."""
    games: str
    """A hash of all actions."""
    episodes: pd.DataFrame
    """Its rows of `Results.episodes`, in the order of their numbers."""

    @cached_property
    def returns(self) -> np.ndarray:
        """Score of each episode: the task's minimum where it ended in an error."""
        return self.episodes["return"].to_numpy()

    @cached_property
    def failed(self) -> np.ndarray:
        """Whether each episode ended in an error."""
        return self.episodes["error"].notna().to_numpy()

    def record(self, index: int) -> dict[str, Any]:
        """An episode's record, by its place; what it leaves out is there with its default."""
        with (self.path / EPISODES).open("rb") as file:
            file.seek(self.offsets[index])
            return asdict(decode(file.readline(LINE), Record, most=LINE))

    def first_error(self) -> str | None:
        """How the first episode that ended in an error did."""
        return self.record(int(self.failed.argmax()))["error"] if self.failed.any() else None


@dataclass(frozen=True)
class _Read:
    """What the folder of a finished cell holds."""

    cell: Cell
    path: Path
    summary: dict[str, Any]
    offsets: tuple[int, ...]
    games: str
    rows: list[Row]


def _read(suite: str, cell: Cell, path: Path) -> _Read | None:
    """A cell of a run; None if it is not finished, or its records cannot be read (`verify` tells what is wrong)."""
    found: list[tuple[int, int, Row]] = []
    minimum, scale = task(cell.task.id).return_range[0], scale_of(cell.task.id, cell.task.kwargs)
    whose, games = about(suite, cell), sha256()
    try:
        summary = read_summary(path)
        with opened(path / EPISODES) as file:
            offset = 0
            while line := file.readline(LINE):
                if line.strip():
                    record = decode(line, Record, most=LINE)
                    (row,) = rows_of([record], whose, minimum, scale)
                    found.append((record.episode, offset, row))
                    games.update(repr((record.episode, record.actions)).encode())
                offset += len(line)
    except (RecordError, OSError, Refused):
        return None
    found.sort(key=lambda one: one[:2])
    _, offsets, rows = zip(*found, strict=True) if found else ((), (), ())
    return _Read(cell, path, summary, offsets, games.hexdigest(), list(rows)) if found else None


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
    episodes: pd.DataFrame
    """A row for each episode of the finished cells, as `lmrl_benchmarks.results` gives them."""
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
        import pandas as pd

        asked = [(tag, row.agent, row.score) for row in self.rows if row.score is not None for tag in row.tags]
        scores = pd.DataFrame(asked, columns=["tag", "agent", "score"]).groupby(["tag", "agent"], sort=False)["score"]
        found: dict[str, dict[str, tuple[float, int]]] = {}
        for (tag, agent), mean, tasks in scores.agg(["mean", "size"]).itertuples():
            found.setdefault(tag, {})[agent] = (mean, tasks)
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
        games = self.episodes.groupby(["task", "agent", "game"])["return"].agg(["mean", "size"])
        for name in self.tasks:
            rows = sorted((row for row in self.rows if row.task == name), key=lambda row: -row.returns)
            # Averaged over training seeds, over those games that all of them played.
            means = [games.loc[name, row.agent].query("size == @row.seeds")["mean"].to_dict() for row in rows]
            for row, theirs in zip(rows[1:], means[1:], strict=True):
                try:
                    outcome: Paired | str = paired(means[0], theirs)
                except NotPairable as problem:
                    outcome = str(problem)
                found.append((name, rows[0].agent, row.agent, outcome))
        return found


def load_results(out: Path) -> Results:
    """Read a run.

    Raises:
        SuiteError: the folder holds no run.
    """
    suite, told = read_suite(out)
    there = found_cells(suite, out)
    found = [one for cell in there if (one := _read(suite.name, cell, cell.folder(out))) is not None]
    episodes = frame(row for one in found for row in one.rows)
    ends = np.cumsum([len(one.rows) for one in found])
    played = [
        FinishedCell(o.cell, o.path, o.summary, o.offsets, o.games, episodes.iloc[end - len(o.rows) : end])
        for o, end in zip(found, ends, strict=True)
    ]
    done = {one.cell.job_name for one in found}
    missing = {name: why for name, why in read_problems(out).items() if name not in done}
    present = {cell.agent.name for cell in there}
    for cell in (*cells(suite, [agent for agent in suite.agents if agent.name in present]), *there):
        if cell.job_name not in done:
            damaged = (cell.folder(out) / SUMMARY).is_file()
            missing.setdefault(cell.job_name, DAMAGED if damaged else "not run, or not finished")
    return Results(out, suite, told, episodes, played, _rows(episodes, played), missing)


def _rows(episodes: pd.DataFrame, played: Sequence[FinishedCell]) -> list[ResultRow]:
    """A row for each agent on each task, of what its training seeds did on the average."""
    whose = ["task", "agent"]
    by_seed = (
        episodes.assign(valid=episodes["valid"] * episodes["turns"])
        .groupby([*whose, "seed"], sort=False)
        .agg(
            episodes=("episode", "size"),
            returns=("return", "mean"),
            success=("success", "mean"),
            length=("turns", "mean"),
            turns=("turns", "sum"),
            valid=("valid", "sum"),
            errors=("error", "count"),
            optimised=("optimised", "mean"),
            seconds=("seconds", "sum"),
            tokens=("tokens", "sum"),
            usd=("cost_usd", "sum"),
        )
    )
    groups: dict[Any, list[FinishedCell]] = {}
    for one in played:
        groups.setdefault((one.cell.task.slug, one.cell.agent.name), []).append(one)
    return [_row(groups[key], seeds) for key, seeds in by_seed.groupby(whose, sort=False)]


def _row(group: list[FinishedCell], seeds: pd.DataFrame) -> ResultRow:
    cell = group[0].cell
    scale = scale_of(cell.task.id, cell.task.kwargs)
    of = {key: np.asarray(seeds[key], float) for key in seeds}
    means = of["returns"].tolist()
    scores = tuple(scale.score(value) for value in means) if scale else ()
    costs = {key: float(of[key].sum() / of["episodes"].sum()) for key in ("seconds", "tokens", "usd")}
    rng = np.random.default_rng(zlib.crc32(f"{cell.task.slug} {cell.agent.name}".encode()))
    different = len({played.games for played in group})
    several = different > 1
    draws = run_draws(means, rng) if several else bootstrap_means(group[0].returns, rng)[:, None]
    return_low, return_high = percentile_interval(draws.mean(axis=1))
    low, high = (scale.score(return_low), scale.score(return_high)) if scale else (None, None)
    lmrl = [value for played in group if (value := played.summary.get("normalized_score_lmrl")) is not None]
    return ResultRow(
        task=cell.task.slug,
        agent=cell.agent.name,
        seeds=len(group),
        episodes=len(group[0].returns),
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
        success=float(of["success"].mean()),
        length=float(of["length"].mean()),
        valid=float((of["valid"] / np.maximum(1, of["turns"])).mean()),
        errors=int(of["errors"].sum()),
        seconds=float(of["seconds"].mean()),
        lmrl=float(np.mean(lmrl)) if lmrl else None,
        scores=scores,
        scale=scale,
        tags=task(cell.task.id).tags,
        optimised=None if np.isnan(of["optimised"]).any() else float(of["optimised"].mean()),
        costs={key: value for key, value in costs.items() if value > 0},
        draws=scale.score(draws) if scale else draws,  # type: ignore[arg-type]
    )


def _is_above(group: list[FinishedCell], scale: Scale | None) -> bool:
    if scale is None or scale.optimum_is != "exact" or len({len(played.returns) for played in group}) > 1:
        return False
    # Training seeds play the same games: these are no further evidence.
    return exceeds(np.mean([played.returns for played in group], axis=0), scale.optimum)


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
