"""Results as pandas data frames: a row for each episode that was played, and learning curves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmrl_agents.learning.curves import read_metrics
from lmrl_benchmarks.reporting.submission import run_folder
from lmrl_benchmarks.running.cells import found_cells, read_suite
from lmrl_benchmarks.running.records import RUN, RecordFile, read_run
from lmrl_benchmarks.scores.references import scale_of
from lmrl_envs import task
from lmrl_envs.files import needs

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = [
    "suite", "task", "agent", "algorithm", "seed", "episode", "game", "return", "optimised", "score", "success", "turns",
    "valid", "tokens", "cost_usd", "seconds", "error",
]  # fmt: skip


def results(path: str | Path) -> pd.DataFrame:
    """Every episode of a run as a row.

    Args:
        path: folder of a run of a suite or of one evaluation (``lmrl eval --out``), or an archive.

    Returns:
        a frame with ``suite``, ``task``, ``agent``, ``algorithm`` (None where nothing was trained), ``seed`` (of the training),
        ``episode``, ``game`` (the environment's seed), ``return`` (gold: by the task's own reward; the least where the episode ended in
        an error), ``optimised`` (the sum of what another reward gave, where one is recorded), ``score`` (normalised: 0 the random
        policy, 100 the best; None without references), ``success``, ``turns``, ``valid`` (share of valid actions), ``tokens`` and
        ``cost_usd`` (where they are recorded), ``seconds`` of the agent, ``error``.

    Raises:
        SuiteError, RecordError: the folder holds no run, or records are damaged.
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    needs("a data frame", "pandas")
    import pandas as pd

    with run_folder(Path(path)) as folder:
        return pd.DataFrame.from_records(list(_rows(folder)), columns=COLUMNS)


def _rows(folder: Path) -> Iterator[tuple[Any, ...]]:
    if (folder / RUN).is_file():
        spec = read_run(folder)["spec"]
        yield from _games(folder, ("", spec["env_id"], spec["agent"], None, 0), spec["env_id"], spec["env_kwargs"])
        return
    suite, _ = read_suite(folder)
    for cell in found_cells(suite, folder):
        about = (suite.name, cell.task.slug, cell.agent.name, cell.agent.train, cell.seed)
        yield from _games(cell.folder(folder), about, cell.task.id, cell.task.kwargs)


def _games(folder: Path, about: tuple[Any, ...], env_id: str, kwargs: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    minimum, scale = task(env_id).return_range[0], scale_of(env_id, kwargs)
    for record in sorted(RecordFile(folder).read(), key=lambda record: record.episode):
        value, turns = record.score(minimum), len(record.actions)
        tokens = [t.get(key) for t in record.details for key in ("prompt_tokens", "completion_tokens")]
        costs = [t["cost_usd"] for t in record.details if isinstance(t.get("cost_usd"), int | float)]
        known = [number for number in tokens if isinstance(number, int)]
        yield (
            *about, record.episode, record.seed, value, sum(record.optimised) if record.optimised else None,
            scale.score(value) if scale else None, record.success, turns, record.valid_actions / turns if turns else None,
            sum(known) if known else None, sum(costs) if costs else None, record.seconds, record.error,
        )  # fmt: skip


def curves(path: str | Path) -> pd.DataFrame:
    """What trainings told as they went on: ``folder`` (within the run), ``metric``, ``step``, ``value``.

    Args:
        path: folder of a training, or of anything that holds some (a run of a suite).

    Raises:
        gymnasium.error.DependencyNotInstalled: pandas is missing.
    """
    needs("a data frame", "pandas")
    import pandas as pd

    rows = [
        (file.parent.relative_to(path).as_posix(), metric, step, value)
        for file in sorted(Path(path).rglob("metrics.jsonl"))
        for metric, points in read_metrics(file).items()
        for step, value in zip(*points, strict=True)
    ]
    return pd.DataFrame.from_records(rows, columns=["folder", "metric", "step", "value"])
