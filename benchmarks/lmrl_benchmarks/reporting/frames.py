"""Results as pandas data frames: a row for each episode that was played, and learning curves. The report is built from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmrl_agents.learning.curves import read_metrics
from lmrl_agents.playing.answers import USAGE, is_amount
from lmrl_benchmarks.reporting.submission import run_folder
from lmrl_benchmarks.running.cells import Cell, found_cells, read_suite
from lmrl_benchmarks.running.records import RUN, Record, RecordFile, read_run
from lmrl_benchmarks.scores.references import Scale, scale_of
from lmrl_envs import task
from lmrl_envs.files import needs

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "suite", "task", "agent", "algorithm", "seed", "episode", "game", "return", "optimised", "score", "success", "turns",
    "valid", "tokens", "cost_usd", "seconds", "error",
]  # fmt: skip
_GAPS = ["optimised", "score", "valid", "tokens", "cost_usd"]
"""Numbers that may be missing: NaN."""

Row = tuple[Any, ...]


def results(path: str | Path) -> pd.DataFrame:
    """Every episode of a run as a row.

    Args:
        path: folder of a run of a suite or of one evaluation (``lmrl eval --out``), or an archive.

    Returns:
        a frame with ``suite``, ``task``, ``agent``, ``algorithm`` (None where nothing was trained), ``seed`` (of the training),
        ``episode``, ``game`` (the environment's seed), ``return`` (gold: by the task's own reward; the least where the episode ended in
        an error), ``optimised`` (the sum of what another reward gave, where one is recorded), ``score`` (normalised: 0 the random
        policy, 100 the best; NaN without references), ``success``, ``turns``, ``valid`` (share of valid actions), ``tokens`` and
        ``cost_usd`` (where they are recorded), ``seconds`` of the agent, ``error``.

    Raises:
        SuiteError, RecordError: the folder holds no run, or records are damaged.
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    with run_folder(Path(path)) as folder:
        return frame(_rows(folder))


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of `rows_of` as a data frame with `COLUMNS`.

    Raises:
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    needs("a data frame", "pandas")
    import pandas as pd

    found = pd.DataFrame.from_records(list(rows), columns=COLUMNS)
    return found.astype(dict.fromkeys(_GAPS, float))


def about(suite: str, cell: Cell) -> Row:
    """What the rows of a cell begin with."""
    return suite, cell.task.slug, cell.agent.name, cell.agent.train, cell.seed


def _rows(folder: Path) -> Iterator[Row]:
    if (folder / RUN).is_file():
        spec = read_run(folder)["spec"]
        yield from _games(folder, ("", spec["env_id"], spec["agent"], None, 0), spec["env_id"], spec["env_kwargs"])
        return
    suite, _ = read_suite(folder)
    for cell in found_cells(suite, folder):
        yield from _games(cell.folder(folder), about(suite.name, cell), cell.task.id, cell.task.kwargs)


def _games(folder: Path, whose: Row, env_id: str, kwargs: dict[str, Any]) -> Iterator[Row]:
    records = sorted(RecordFile(folder).read(), key=lambda record: record.episode)
    return rows_of(records, whose, task(env_id).return_range[0], scale_of(env_id, kwargs))


def rows_of(records: Iterable[Record], whose: Row, minimum: float, scale: Scale | None) -> Iterator[Row]:
    """A row for each record; ``whose`` is of `about`, ``minimum`` the task's least return."""
    for record in records:
        value, turns = record.score(minimum), len(record.actions)
        tokens, cost = _used(record.details)
        yield (
            *whose, record.episode, record.seed, value, sum(record.optimised) if record.optimised else None,
            scale.score(value) if scale else None, record.success, turns, record.valid_actions / turns if turns else None,
            tokens, cost, record.seconds, record.error,
        )  # fmt: skip


def _used(details: Iterable[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    """Tokens and dollars that an agent told of; None where it told of none."""
    sums: dict[str, float] = {}
    for told in details:
        for key in USAGE:
            if key in told and is_amount(told[key]):
                sums[key] = sums.get(key, 0) + told[key]
    cost = sums.pop("cost_usd", None)
    return sum(sums.values()) if sums else None, cost


def curves(path: str | Path, metrics: Collection[str] = ()) -> pd.DataFrame:
    """What trainings told as they went on: ``folder`` (within the run), ``metric``, ``step``, ``value``.

    Args:
        path: folder of a training, or of anything that holds some (a run of a suite).
        metrics: only these; by default all.

    Raises:
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    needs("a data frame", "pandas")
    import pandas as pd

    rows = [
        (file.parent.relative_to(path).as_posix(), metric, step, value)
        for file in sorted(Path(path).rglob("metrics.jsonl"))
        for metric, points in read_metrics(file).items()
        if not metrics or metric in metrics
        for step, value in zip(*points, strict=True)
    ]
    return pd.DataFrame.from_records(rows, columns=["folder", "metric", "step", "value"])
