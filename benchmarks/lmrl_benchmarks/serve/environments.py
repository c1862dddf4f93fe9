"""The environments that games are played in, one per task of a server."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from lmrl_benchmarks.running.suite import SuiteTask
from lmrl_datasets.schema import to_json
from lmrl_envs import TextEnv, task

LONGEST_NAME = 60


class Refused(RuntimeError):
    """A request that cannot be fulfilled; the text is for the player. ``extra`` goes into the answer."""

    def __init__(self, status: int, text: str, **extra: Any) -> None:
        super().__init__(text)
        self.status, self.extra = status, extra


def name_of(entry: SuiteTask) -> str:
    """A task's name on pages and in files: its slug, unless its arguments are too long for that, or not to be shown."""
    if len(entry.slug) <= LONGEST_NAME and all(isinstance(value, str | int | float) for value in entry.kwargs.values()):
        return entry.slug
    digest = hashlib.sha256(to_json(entry.kwargs).encode()).hexdigest()[:8]
    return f"{SuiteTask(entry.id).slug}-{digest}"


def tasks_of(ids: Sequence[str], kwargs: Mapping[str, Any], suite_tasks: Sequence[SuiteTask] = ()) -> list[SuiteTask]:
    """What a server offers: the suite's tasks, and every id as it is."""
    named = [SuiteTask(id, dict(kwargs)) for id in ids]
    offered = [SuiteTask(entry.id, entry.kwargs) for entry in suite_tasks if entry.id in ids and not kwargs]
    return list({name_of(entry): entry for entry in [*offered, *named]}.values())


class EnvironmentPool:
    """One environment per task, made when it is first asked for; every game gets a sibling of it."""

    def __init__(self, tasks: Sequence[SuiteTask]) -> None:
        self.tasks = {name_of(entry): entry for entry in tasks}
        self._environments: dict[str, TextEnv] = {}
        self._making = threading.Lock()
        families = {task(entry.id).family: threading.RLock() for entry in tasks}
        self._locks = {name: families[task(entry.id).family] for name, entry in self.tasks.items()}

    def entry(self, name: Any) -> SuiteTask:
        """A task by its name on this server."""
        if not isinstance(name, str) or name not in self.tasks:
            raise Refused(404, "There is no such task on this server.")
        return self.tasks[name]

    def lock(self, entry: SuiteTask) -> contextlib.AbstractContextManager[Any]:
        """Held while a game of this task is stepped: knowledge and simulator are shared by all of its games."""
        if str(entry.kwargs.get("simulator", "")).partition(":")[0] in ("openai", "stockfish"):
            return contextlib.nullcontext()  # these answer many threads at once, and take their time
        return self._locks[name_of(entry)]

    def fresh(self, entry: SuiteTask) -> TextEnv:
        """An environment of a task for one game.

        Raises:
            Refused: a package that the task needs is missing.
        """
        with self._making:
            if name_of(entry) not in self._environments:
                try:
                    environment: Any = gymnasium.make(entry.id, **entry.kwargs).unwrapped
                except gymnasium.error.DependencyNotInstalled as problem:
                    raise Refused(503, f"This task cannot be played here: {problem}") from None
                self._environments[name_of(entry)] = environment
            return self._environments[name_of(entry)].sibling()

    def close(self) -> None:
        """Release the simulators."""
        for environment in self._environments.values():
            environment.close()
