"""One table of all tasks. A new task is one folder and one row here, or in a package of its own (see docs/add-a-task.md)."""

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
    if task.package not in (__package__, "__main__") and task.id not in _PLACES and _loading != "":
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
        if row.package == __package__ or not (place.endswith(".py") or hasattr(package, "__path__")):
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
    if place not in ("", __package__):
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
    return place in ("", __package__, own, row.package) or is_same_file


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


PARTNERS = ("scripted", "transformers:", "openai:", "replay:")
"""What answers in tasks with a partner in words."""

STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING = (
    "strategy",
    "language",
    "credit_assignment",
    "partial_observability",
    "stitching",
)

TABLE: tuple[Task, ...] = (
    Task(
        id="lmrl/MazeFullyObserved-v0",
        folder="lmrl_envs.maze",
        vector_entry_point="lmrl_envs.maze.vector:MazeVectorEnv",
        family="maze",
        summary="Walk to the goal of a maze; position, goal and walls are told.",
        tags=(CREDIT, STITCHING),
        return_range=(-400.0, 0.0),
        reference=Reference(random=-85.1396, optimum=-171 / 25, lmrl=(-101.0, -83.0, -6.84)),
        context="last",
        kwargs={"observability": "full"},
    ),
    Task(
        id="lmrl/MazePartiallyObserved-v0",
        folder="lmrl_envs.maze",
        vector_entry_point="lmrl_envs.maze.vector:MazeVectorEnv",
        family="maze",
        summary="Walk to the goal of a maze; only the walls around you are told.",
        tags=(CREDIT, PARTIAL, STITCHING),
        return_range=(-400.0, 0.0),
        reference=Reference(random=-85.1396, optimum=-181 / 25, lmrl=(-101.0, -83.0, -25.75)),
        kwargs={"observability": "partial"},
    ),
    Task(
        id="lmrl/Wordle-v0",
        folder="lmrl_envs.wordle",
        vector_entry_point="lmrl_envs.wordle.vector:WordleVectorEnv",
        family="wordle",
        summary="Find the hidden five-letter word in six guesses (431 words).",
        tags=(STRATEGY, CREDIT, PARTIAL, STITCHING),
        return_range=(-6.0, 0.0),
        reference=Reference(random=-5.9515, optimum=-810 / 431, lmrl=(-6.0, -4.12, -1.94)),
        kwargs={"vocabulary": "common"},
    ),
    Task(
        id="lmrl/Wordle-Full-v0",
        folder="lmrl_envs.wordle",
        entry_point="lmrl_envs.wordle.env:WordleEnv",
        vector_entry_point="lmrl_envs.wordle.vector:WordleVectorEnv",
        family="wordle_full",
        summary="Wordle with over 2,000 answers and 10,000 allowed guesses.",
        tags=(STRATEGY, CREDIT, PARTIAL, STITCHING),
        return_range=(-6.0, 0.0),
        reference=Reference(random=-5.9981, optimum=-2.4505, optimum_is="best known"),
        kwargs={"vocabulary": "full"},
    ),
    Task(
        id="lmrl/TextNavFullyObserved-v0",
        folder="lmrl_envs.text_nav",
        family="text_nav",
        summary="Put the stale food into the fridge of a house of text and close it; room and hands are told.",
        tags=(CREDIT, STITCHING),
        return_range=(0.0, 1.0),
        # optimum: exact, the planner wins from every start; random: measured, 100,000 games.
        reference=Reference(random=0.00138, optimum=1.0, lmrl=(0.0, 0.26, 1.0)),
        # Not a Markov state (other rooms are out of sight), but enough to play optimally.
        context="last",
        kwargs={"observability": "full"},
        extra="textworld",
    ),
    Task(
        id="lmrl/TextNavPartiallyObserved-v0",
        folder="lmrl_envs.text_nav",
        family="text_nav",
        summary="Put the stale food into the fridge of a house of text and close it; only what is in sight is told.",
        tags=(CREDIT, PARTIAL, STITCHING),
        return_range=(0.0, 1.0),
        reference=Reference(random=0.00138, optimum=1.0, lmrl=(0.0, 0.26, 1.0)),
        kwargs={"observability": "partial"},
        extra="textworld",
    ),
    Task(
        id="lmrl/Chess-v0",
        folder="lmrl_envs.chess",
        family="chess",
        summary="Win a game of chess as White.",
        tags=(STRATEGY, CREDIT),
        return_range=(-400.0, 1.0),
        # Measured over 400 games with the built-in opponent (standard error .004); no policy is known to win always.
        reference=Reference(random=-0.9925, optimum=1.0, lmrl=(-401.0, 0.21, 1.0), optimum_is="best known"),
        context="last",
        partners=("builtin", "stockfish", "random"),
    ),
    Task(
        id="lmrl/ChessEndgames-v0",
        folder="lmrl_envs.chess",
        policies="lmrl_envs.chess.endgame_policies",
        surface_at="lmrl_envs.chess.surface:ENDGAMES",
        family="chess_endgames",
        summary="Mate the bare king with queen, rook, queen and rook, or two rooks.",
        tags=(STRATEGY, CREDIT),
        return_range=(-400.0, 1.0),
        # Retrograde analysis: every start is won. The random policy was measured over 500 games (standard error .004).
        reference=Reference(random=0.008, optimum=1.0, lmrl=(-1.0, 0.586, 1.0)),
        context="last",
        partners=("builtin", "stockfish", "random"),
    ),
    Task(
        id="lmrl/CarDealer-v1",
        folder="lmrl_envs.car_dealer",
        family="car_dealer",
        summary="Sell a car to a buyer whose wishes, budget and temper are hidden; haggle in free text.",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL),
        return_range=(0.0, 1.0),
        # Measured and best known: car_dealer/SOURCE.md. LMRL-Gym's scale is under reward="fancy", up to the expert's mean.
        reference=Reference(random=0.1496, optimum=0.9771, lmrl=(0.0, 0.562, 0.6554), optimum_is="best known"),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/GuessMyCity-v1",
        folder="lmrl_envs.guess_my_city",
        family="guess_my_city",
        summary="Find a hidden large city with at most 20 yes/no questions (100 cities).",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING),
        return_range=(-20.0, 0.0),
        # random: measured over 10,000 games; optimum: exact, the bound of language.strategy.least_questions(100), which the expert keeps.
        reference=Reference(random=-19.7611, optimum=-4.19, lmrl=(-20.0, -18.8, -8.56)),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/TwentyQuestions-v1",
        folder="lmrl_envs.twenty_questions",
        family="twenty_questions",
        summary="Find the hidden object with at most 20 yes/no questions (158 objects).",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL, STITCHING),
        return_range=(-20.0, 0.0),
        # random: measured over 4,000 games; optimum: the best question tree found, see policies.best_question.
        reference=Reference(random=-19.342, optimum=-731 / 158, lmrl=(-20.0, -17.3, -12.6), optimum_is="best known"),
        partners=PARTNERS,
    ),
    Task(
        id="lmrl/Headline-v0",
        folder="lmrl_envs.headline",
        family="headline",
        summary="Write one headline from notes: the three most severe facts, and nothing that is not in them.",
        tags=(LANGUAGE,),
        return_range=(-1.0, 1.0),
        # Both exact: all headlines of the random policy by enumeration (tests/test_headline.py).
        reference=Reference(random=-0.63866, optimum=1.0),
        context="last",
    ),
    Task(
        id="lmrl/Negotiation-v0",
        folder="lmrl_envs.negotiation",
        family="negotiation",
        summary="Sell a used thing, or buy one: haggle in free text and formal offers with a partner of a hidden kind.",
        tags=(STRATEGY, LANGUAGE, CREDIT, PARTIAL),
        return_range=(0.0, 1.02),
        # random: measured over 10,000 games; optimum: the best plan found against every hidden partner (negotiation/SOURCE.md).
        reference=Reference(random=0.3244, optimum=0.868, optimum_is="best known"),
        partners=PARTNERS,
    ),
)


def register_all() -> None:
    """Register every row of `TABLE` and those of installed packages (done on import of `lmrl_envs`)."""
    for row in TABLE:
        register_task(row)
    discover()
