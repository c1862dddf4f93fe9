"""Experiments: a TOML file with a grid and the function that runs one cell of it; resumed as suites are, with a page of their own.

name = "kl-tokens"
kind = "experiment"
version = 1
description = "..."
run = "module:function"          # function(settings) -> {"numbers": {name: float}, "curves": {name: [[x, y], ...]}}

                                 # a third number of a point is what it weighs; `figures` tells what is drawn of which names
[settings]                       # what every cell gets
[grid]                           # lists: one cell for each combination; "seed" is what means and intervals are over
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lmrl_envs import doors
from lmrl_envs.files import write_atomically
from lmrl_envs.files.untrusted import read

KIND = "experiment"
CELLS, OWN = "cells", "experiment.toml"
MOST_CELLS = 100_000
Cell = dict[str, Any]


class ExperimentError(ValueError):
    """A file that is no experiment, a folder of another one, or a result that is none; the message says which."""


@dataclass(frozen=True)
class Experiment:
    """A whole experiment."""

    name: str
    text: str
    """Of its file."""
    description: str
    run: str
    settings: Mapping[str, Any]
    grid: Mapping[str, Sequence[Any]]

    def cells(self) -> list[Cell]:
        """The combinations of the grid, in order."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def names() -> list[str]:
    """Experiments that ship."""
    folder = resources.files("lmrl_benchmarks.experiments")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def find(name: str) -> Experiment | None:
    """An experiment by name, or of a file that says it is one; None for anything else.

    Raises:
        ExperimentError: the file says so, and is not well formed.
    """
    path: Any = (
        Path(name) if name.endswith(".toml") else resources.files("lmrl_benchmarks.experiments") / f"{name}.toml"
    )
    if not path.is_file():
        return None
    text = path.read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None  # the reader of suites says what is wrong
    return parsed(text, data) if data.get("kind") == KIND else None


def parsed(text: str, data: Mapping[str, Any]) -> Experiment:
    """An experiment from its text.

    Raises:
        ExperimentError: something is missing, unknown or of the wrong type.
    """
    kinds = {"name": str, "kind": str, "version": int, "description": str, "run": str, "settings": dict, "grid": dict}
    for key, value in data.items():
        if key not in kinds or not isinstance(value, kinds[key]):
            raise ExperimentError(f"experiment: {key!r} is unknown, or of the wrong type")
    missing = kinds.keys() - data.keys() - {"settings"}
    if missing:
        raise ExperimentError(f"experiment: {', '.join(sorted(missing))} is missing")
    grid = data["grid"]
    if not grid or not all(isinstance(values, list) and values for values in grid.values()):
        raise ExperimentError("experiment: the grid is lists, none of them empty")
    if math.prod(map(len, grid.values())) > MOST_CELLS:
        raise ExperimentError(f"experiment: the grid has more than {MOST_CELLS} cells")
    return Experiment(data["name"], text, data["description"], data["run"], data.get("settings", {}), grid)


def cell_name(cell: Cell) -> str:
    """The file of a cell, without its ending."""
    return hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:16]


def run_experiment(
    experiment: Experiment, out: Path, workers: int = 1, progress: Callable[[int, int], object] = lambda done, total: None
) -> dict[str, str]:  # fmt: skip
    """Run the cells that are not there yet.

    Args:
        experiment: what to run.
        out: folder of the run; the same call goes on with one that was stopped.
        workers: processes.
        progress: called with the cells that are done, and all.

    Returns:
        for each cell that failed, why.

    Raises:
        ExperimentError: the folder is of another experiment.
    """
    folder, own = out / CELLS, out / OWN
    folder.mkdir(parents=True, exist_ok=True)
    if own.is_file() and own.read_text("utf-8") != experiment.text:
        raise ExperimentError(f"{out} holds another experiment, or another version of it: take another folder")
    write_atomically(own, experiment.text)
    _function(experiment.run)
    left = {cell_name(cell): cell for cell in experiment.cells() if not (folder / f"{cell_name(cell)}.json").is_file()}
    total = len(experiment.cells())
    failed: dict[str, str] = {}
    progress(total - len(left), total)
    with ProcessPoolExecutor(max(1, min(workers, len(left))), mp_context=get_context("spawn")) as pool:
        waiting = {
            pool.submit(_run_cell, experiment.run, {**experiment.settings, **cell}): cell for cell in left.values()
        }
        for done, future in enumerate(as_completed(waiting), total - len(left) + 1):
            cell = waiting[future]
            try:
                result = {"cell": cell, "result": checked(future.result())}
                write_atomically(folder / f"{cell_name(cell)}.json", json.dumps(result, allow_nan=False))
            except Exception as problem:
                failed[" ".join(f"{key}={value}" for key, value in cell.items())] = (
                    f"{type(problem).__name__}: {problem}"
                )
            progress(done, total)
    return failed


def _function(run: str) -> Any:
    place, _, name = run.rpartition(":")
    found = getattr(doors.load(place), name, None) if place else None
    if not callable(found):
        raise ExperimentError(f"run={run!r} is no function: module:function, or path/file.py:function")
    return found


def _run_cell(run: str, settings: Mapping[str, Any]) -> Any:
    return _function(run)(settings)


def checked(result: Any) -> dict[str, Any]:
    """What a cell gave, if it is a result.

    Raises:
        ExperimentError: it is none, or has a number that is not finite.
    """
    if not isinstance(result, Mapping) or not isinstance(result.get("numbers"), Mapping):
        raise ExperimentError('a cell gives {"numbers": {name: number}, "curves": {name: [[x, y], ...]}}')
    numbers, curves = dict(result["numbers"]), dict(result.get("curves", {}))
    for name, curve in curves.items():
        points = curve if isinstance(curve, list | tuple) else [curve]
        if {len(point) if isinstance(point, list | tuple) else 0 for point in points} not in (set(), {2}, {3}):
            raise ExperimentError(f"a cell gave a curve {name!r} whose points are not all [x, y]")
    for value in (*numbers.values(), *(value for curve in curves.values() for point in curve for value in point)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ExperimentError(f"a cell gave {value!r} for a number")
    return {"numbers": numbers, "curves": curves}


def results(experiment: Experiment, out: Path) -> list[tuple[Cell, dict[str, Any]]]:
    """The cells that are done, with what they gave."""
    found = []
    for cell in experiment.cells():
        path = out / CELLS / f"{cell_name(cell)}.json"
        if path.is_file():
            found.append((cell, checked(read(path, dict[str, Any]).get("result"))))
    return found
