"""Rows of tasks, and how they come in: what ships, installed packages, modules and files (see docs/add-a-task.md)."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import gymnasium

from lmrl_envs import doors
from lmrl_envs.core import Transcript
from lmrl_envs.files import near

if TYPE_CHECKING:
    from lmrl_envs.surface import Surface


@dataclass(frozen=True)
class Reference:
    """Mean returns of a task with its default arguments that give scores their scale.

    ``random`` is the mean return of the `random` policy, ``optimum`` the best possible mean return or, where
    ``optimum_is`` says so, the best known one. ``lmrl`` holds min, dataset average and max of LMRL-Gym
    (arXiv 2311.18232, appendix E) that map to 0, 50 and 100.
    """

    random: float
    optimum: float
    lmrl: tuple[float, float, float] | None = None
    optimum_is: Literal["exact", "best known"] = "exact"


@dataclass(frozen=True)
class Task:
    """One row: everything the other floors need to know about a task."""

    id: str
    family: str
    """Name of the task's datasets."""
    summary: str
    tags: tuple[str, ...]
    """Capabilities: strategy, language, credit_assignment, partial_observability, stitching."""
    return_range: tuple[float, float]
    """Least and greatest possible return; a crashed episode scores the least."""
    reference: Reference | None
    """None: nobody measured it, so the task has returns and no scores."""
    context: Literal["last", "all"] = "all"
    """What a trained agent needs to see: the last observation (Markov tasks) or the whole conversation."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    partners: tuple[str, ...] = ()
    """Names accepted by ``simulator=``, the default first; empty for tasks without a partner."""
    extra: str | None = None
    """The optional dependency group the task needs."""
    folder: str = ""
    """The task's package, where all of it stands; what follows is derived from it (for the family ``word_game``:
    ``folder.env:WordGameEnv``) and given where that differs."""
    entry_point: str | Callable[..., Any] = ""
    """``module:name``, or the thing itself, as of the next three: a task may be one file."""
    vector_entry_point: str | Callable[..., Any] = ""
    policies: str | dict[str, Callable[..., Any]] = ""
    """Module with a dict ``POLICIES``: name -> factory(seed=0, **kwargs)."""
    surface_at: str | Surface = ""
    """``module:NAME`` of the task's `lmrl_envs.surface.Surface`: ``surface:SURFACE`` of the folder, if there is such a module."""

    def __post_init__(self) -> None:
        if isinstance(self.entry_point, type) and not self.vector_entry_point:
            from lmrl_envs.vector import vector_of

            object.__setattr__(self, "vector_entry_point", vector_of(self.entry_point))
        name = "".join(word.capitalize() for word in self.family.split("_"))
        derived = {
            "entry_point": f"env:{name}Env",
            "vector_entry_point": f"env:{name}VectorEnv",
            "policies": "policies",
        }
        for key, place in derived.items():
            if not getattr(self, key):
                if not self.folder:
                    raise ValueError(f"the row of {self.id!r} needs folder, or {key}")
                object.__setattr__(self, key, f"{self.folder}.{place}")

    @property
    def package(self) -> str:
        """Name of the package that brings the task."""
        made_by = self.entry_point if isinstance(self.entry_point, str) else self.entry_point.__module__
        return made_by.partition(":")[0].partition(".")[0]

    @property
    def place(self) -> str:
        """The module or file that brings the task."""
        return _PLACES.get(self.id, self.package)

    @property
    def spec(self) -> str:
        """What finds the task in another process: the id, with the module or file before it that no package registers."""
        place = _PLACES.get(self.id)
        registered = {point.module.partition(".")[0] for point in doors.installed("lmrl.envs").values()}
        return self.id if place is None or place in registered else f"{place}:{self.id}"

    def is_live(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether arguments of the environment name a partner that may answer otherwise when asked again, costs something, is
        told where to find a model, or is somebody's code: never made because a record or a dataset from elsewhere says so.

        All are but recordings and the task's own.
        """
        name = str(kwargs.get("simulator", "")).partition(":")[0]
        return name not in ("", "replay", *self.partners)

    @property
    def surface(self) -> Surface:
        """What is known of the task outside the game itself; of a task that tells nothing, the plain defaults."""
        return _surface(self.folder, self.surface_at) if isinstance(self.surface_at, str) else self.surface_at

    def toml(self, name: str) -> dict[str, Any]:
        """The tables of ``<name>.toml`` in the task's folder; none where there is no such file."""
        if not self.folder:
            return {}
        import tomllib  # as `resources`, not needed to import this module
        from importlib import resources

        path = resources.files(self.folder).joinpath(f"{name}.toml")
        return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}

    @property
    def policy_names(self) -> tuple[str, ...]:
        """Names that `make_policy` accepts for this task."""
        return tuple(self.policy_table)

    @property
    def policy_table(self) -> dict[str, Callable[..., Any]]:
        """Factories of the task's policies by name."""
        return importlib.import_module(self.policies).POLICIES if isinstance(self.policies, str) else self.policies


@cache
def _surface(folder: str, place: str) -> Surface:
    if not place and (not folder or importlib.util.find_spec(f"{folder}.surface") is None):
        from lmrl_envs.surface import PLAIN

        return PLAIN
    module, _, name = (place or f"{folder}.surface:SURFACE").partition(":")
    return getattr(importlib.import_module(module), name)


class Policy(Protocol):
    """A scripted player. It sees what an agent sees and nothing else."""

    def act(self, transcript: Transcript) -> str | None:
        """The next action. Policies that only record data may return None: stop recording here."""
        ...


_OWN = "lmrl_envs"
_TASKS: dict[str, Task] = {}
_PLACES: dict[str, str] = {}
"""Ids of rows that a module or file registered, and which."""
_loading: str | None = None
"""What is being loaded: a module or file that was named; "" for an installed package, which needs no naming."""


def register_task(task: Task) -> None:
    """Add a row to the table and register the id with Gymnasium.

    Raises:
        ValueError: the id is taken by another row, or the family by another namespace.
    """
    if task in _TASKS.values():
        return
    if task.id in _TASKS:
        raise ValueError(f"task id {task.id!r} is already taken by {_TASKS[task.id].entry_point}")
    for other in _TASKS.values():
        if other.family == task.family and other.id.partition("/")[0] != task.id.partition("/")[0]:
            raise ValueError(f"{task.id!r} has the family {task.family!r} of {other.id!r}: choose a name of your own")
    _TASKS[task.id] = task
    if task.package not in (_OWN, "__main__") and task.id not in _PLACES and _loading != "":
        _PLACES[task.id] = _loading or task.package
        doors.remember(_PLACES[task.id])  # in worker processes it is not imported by hand
    gymnasium.register(
        task.id,
        entry_point=task.entry_point,
        vector_entry_point=task.vector_entry_point,
        kwargs=dict(task.kwargs),
    )


def discover() -> None:
    """Register the tasks of installed packages (entry points ``lmrl.envs``: a `Task`, or several) and of ``$LMRL_PLUGINS``.

    A package that cannot be loaded is warned of once and left out.
    """
    for name, point in doors.installed("lmrl.envs").items():
        if name not in _discovered and not _is_importing(point.module):
            _discovered.add(name)
            _try(name, lambda point=point: _loaded("", point.load))
    for place in doors.plugins():
        if place not in _discovered and not _is_importing(place):
            _discovered.add(place)
            _try(place, lambda place=place: load_tasks(place))


_discovered: set[str] = set()


def _try(name: str, load: Callable[[], object]) -> None:
    try:
        load()
    except Exception as problem:
        warnings.warn(f"tasks of {name} are left out: {type(problem).__name__}: {problem}", stacklevel=3)


def _is_importing(module: str) -> bool:
    """Whether a module is only half there: it imports this package, and registers its tasks when it is whole."""
    return getattr(getattr(sys.modules.get(module.partition(".")[0]), "__spec__", None), "_initializing", False)


def _loaded(place: str, load: Callable[[], Any]) -> None:
    """Register the rows that loading gives: a `Task`, or several."""
    global _loading
    before, _loading = _loading, place
    try:
        rows = load()
        for row in [rows] if isinstance(rows, Task) else rows:
            register_task(row)
            if row.id in _PLACES and place:
                _PLACES[row.id] = place  # as it was named last: a file's path may be written in several ways
    finally:
        _loading = before


def load_tasks(place: str) -> None:
    """Import a module, or a file (``....py``), and register the rows that are attributes of it.

    Raises:
        lmrl_envs.doors.DoorError: it is not there, or fails.
    """
    _discovered.add(doors.kept(place))
    _loaded(place, lambda: [value for value in list(vars(doors.load(place)).values()) if isinstance(value, Task)])


def plugin_folders(name: str) -> list[Any]:
    """Folders of this name beside the tasks that are not of this package: what else they bring, such as ``suites``.

    Returns:
        paths, or what `importlib.resources` gives for them.
    """
    from importlib import resources

    discover()
    found = {}
    for row in _TASKS.values():
        place = row.place
        package = sys.modules.get(place.partition(".")[0])
        if row.package == _OWN or not (place.endswith(".py") or hasattr(package, "__path__")):
            continue
        root = Path(place).parent if place.endswith(".py") else resources.files(place.partition(".")[0])
        if (folder := root / name).is_dir():
            found[str(folder)] = folder
    return list(found.values())


def load_task(spec: str) -> Task:
    """The row of a task that a person named: an id, ``module:id`` or ``path/file.py:id``. The latter two run code.

    Raises:
        gymnasium.error.NameNotFound: no such id; the message suggests the nearest one.
        lmrl_envs.doors.DoorError: the module or file is not there, or fails.
    """
    place, _, id = spec.rpartition(":")
    if place not in ("", _OWN):
        load_tasks(place)
    return task(id)


def task_ids() -> tuple[str, ...]:
    """All registered task ids, in the order of the table."""
    discover()
    return tuple(_TASKS)


def _brings(place: str, row: Task) -> bool:
    """Whether a task may be called by a place: none, its package, or the module or file that registered it."""
    own = row.place
    is_same_file = place.endswith(".py") and own.endswith(".py") and Path(place).resolve() == Path(own).resolve()
    return place in ("", _OWN, own, row.package) or is_same_file


def task(id: str) -> Task:
    """The row of a task: of this package, of an installed one, or of a module or file that has been loaded.

    Raises:
        gymnasium.error.NameNotFound: no such id; the message suggests the nearest one.
    """
    place, _, name = id.rpartition(":")
    if name not in _TASKS:
        discover()
    if name not in _TASKS or not _brings(place, _TASKS[name]):
        hint = f"if you trust {place}, name it in ${doors.PLUGINS}" if place else near(name, _TASKS, cutoff=0.4)
        raise gymnasium.error.NameNotFound(f"no task {id!r}; {hint}")
    return _TASKS[name]


def make_policy(id: str, name: str, seed: int = 0, **kwargs: Any) -> Policy:
    """A scripted policy of a task: ``random``, ``suboptimal``, ``expert`` (and the data recipes' own).

    Args:
        id: task id.
        name: policy name; `Task.policy_names` lists them.
        seed: the policy's own random stream.
        kwargs: the task's arguments where they change the game (``layout=``, ``vocabulary=``, ...).

    Raises:
        ValueError: the task has no policy of that name.
    """
    row = task(id)
    policies = row.policy_table
    if name not in policies:
        raise ValueError(f"{row.id} has no policy {name!r}; choose one of {', '.join(policies)}")
    return policies[name](seed=seed, **{**row.kwargs, **kwargs})


def normalized_score(id: str, mean_return: float, scale: Literal["optimum", "lmrl"] = "optimum") -> float:
    """A mean return on a common scale.

    ``optimum``: the random policy is 0, the exact or best known reference 100. ``lmrl``: LMRL-Gym's minimum, dataset
    average and maximum are 0, 50 and 100, linear between and beyond.

    Raises:
        ValueError: an unknown scale, or there are no figures for this task.
    """
    row = task(id)
    reference = row.reference
    if reference is None:
        raise ValueError(f"{row.id} has no references: its returns have no scale")
    if scale == "optimum":
        return 100.0 * (mean_return - reference.random) / (reference.optimum - reference.random)
    if scale != "lmrl":
        raise ValueError(f"scale={scale!r} is not known; choose 'optimum' or 'lmrl'")
    if reference.lmrl is None:
        raise ValueError(f"{row.id} is not a task of LMRL-Gym: it has no 'lmrl' scale")
    low, average, high = reference.lmrl
    if mean_return >= average:
        return 50.0 + 50.0 * (mean_return - average) / (high - average)
    return 50.0 * (mean_return - low) / (average - low)
