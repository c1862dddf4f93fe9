"""The doors through which everything comes that can be added: tasks, agents, algorithms, rewards, partners, labellers.

Each door is a group of entry points. A thing is named in one of three ways, and the same string means the same in Python, in TOML, on
the command line and in worker processes:

* an installed name (``ppo``): what a package registers under the group, what ships included;
* ``module:name`` (``my_package.agents:make_agent``);
* ``path/file.py:name``. The file may import its neighbours.

What comes from strangers (records, archives, datasets) is looked up by installed names alone: `module` and `file` run code.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import sys
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from lmrl_envs.files import near
from lmrl_envs.files.arguments import refuse

Door = Literal["lmrl.envs", "lmrl.agents", "lmrl.algorithms", "lmrl.rewards", "lmrl.partners", "lmrl.labellers"]

PLUGINS = "LMRL_PLUGINS"
"""Environment variable: modules and files, separated as in PATH, that hold tasks. Those that one process loads by ``module:id``
or ``file.py:id`` are added here, so that the processes which it starts find them."""


class DoorError(ValueError):
    """Nothing is there under this name, or it cannot be loaded; the message says which and why."""


@cache
def installed(door: Door) -> dict[str, metadata.EntryPoint]:
    """What packages register at a door, by name.

    Raises:
        DoorError: two packages register different things under one name.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=door):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise DoorError(
                f"the name {point.name!r} is registered twice at {door}: by {owner(other)} ({other.value}) and "
                f"{owner(point)} ({point.value}); uninstall one, or name module:name"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def short_name(spec: str) -> str:
    """The part of a name that can stand in a folder's name or a table's: of ``file.py:name`` the file's, of ``module:name`` the module's."""
    place = spec.partition(":")[0]
    return Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]


def owner(point: metadata.EntryPoint) -> str:
    """The distribution that brings an entry point."""
    return point.dist.name if point.dist else "an unknown package"


def find(door: Door, spec: str) -> tuple[Any, str]:
    """What a name means, and what follows it: ``openai:gpt-x`` is the installed ``openai`` with the argument ``gpt-x``.

    Args:
        door: where it comes in.
        spec: an installed name, ``module:name`` or ``path/file.py:name``.

    Raises:
        DoorError: nothing is there, or importing it fails.
    """
    check(door, spec)
    place, _, rest = spec.partition(":")
    point = installed(door).get(place)
    if point is not None:
        try:
            return point.load(), rest
        except KeyboardInterrupt:
            raise
        except BaseException as problem:  # that it asks for the end, too
            raise DoorError(f"{spec!r} cannot be loaded from {owner(point)}: {told(problem)}") from problem
    name, _, argument = rest.partition(":")
    module = load(place)
    if hasattr(module, name):
        return getattr(module, name), argument
    own = [key for key in vars(module) if not key.startswith("_")]
    raise DoorError(f"{place} has no {name!r}; {near(name, own)}")


def check(door: Door, spec: str) -> None:
    """Check that something is there under a name, as far as can be told without running its code.

    Raises:
        DoorError: nothing is.
    """
    place, _, rest = spec.partition(":")
    points = installed(door)
    if place in points:
        return
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise DoorError(f"no file {place}")
        if not rest:
            raise DoorError(f"{place}: say what in it is meant, as in {place}:name")
    elif not rest or not _is_module(place):
        thing = door.removeprefix("lmrl.").removesuffix("s")
        raise DoorError(f"no {thing} {spec!r}; {near(place, points)} (or give module:name or file.py:name)")


def load(place: str) -> ModuleType:
    """Import a module, or a file (``....py``) with its neighbours.

    Raises:
        DoorError: it is not there, or running it fails.
    """
    refuse("code", place)
    try:
        return _file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except (DoorError, KeyboardInterrupt):
        raise
    except BaseException as problem:
        raise DoorError(f"{place} cannot be loaded: {told(problem)}") from problem


def remember(place: str) -> None:
    """Let the processes that this one starts load a module or file, too."""
    if kept(place) not in plugins():
        os.environ[PLUGINS] = os.pathsep.join([*plugins(), kept(place)])


def kept(place: str) -> str:
    """A module or file as `PLUGINS` names it, wherever another process works."""
    return str(Path(place).resolve()) if place.endswith(".py") else place


def plugins() -> list[str]:
    """Modules and files that this process was told of or has loaded: see `PLUGINS`."""
    return [place for place in os.environ.get(PLUGINS, "").split(os.pathsep) if place]


def told(problem: BaseException) -> str:
    """Type and text of an exception of somebody's code, bounded; it may raise when it is asked for its text."""
    try:
        return f"{type(problem).__name__}: {problem}".removesuffix(": ")[:1000]
    except BaseException:
        return f"{type(problem).__name__}, whose text raises"


def _is_module(name: str) -> bool:
    """Whether a module of this name can be found; nothing is imported, its parents neither."""
    first, *rest = name.split(".")
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        found = importlib.util.find_spec(first) if name.replace(".", "").isidentifier() else None
        for k, _ in enumerate(rest, start=2):
            if found is None or found.submodule_search_locations is None:
                return False
            found = PathFinder.find_spec(".".join(name.split(".")[:k]), list(found.submodule_search_locations))
        return found is not None
    return False


_NEIGHBOURS: dict[str, Path] = {}
"""Modules that were loaded as neighbours of a file, and the folder of that file."""


def _file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise DoorError(f"no file {path}")
    name = f"lmrl_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    folder, here = path.parent, {entry.stem for entry in path.parent.glob("*.py")}
    for other in [other for other in here if _NEIGHBOURS.get(other, folder) != folder]:
        sys.modules.pop(other, None)  # a neighbour of the same name, of a file in another folder
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(folder))
        if str(folder) not in sys.path:
            sys.path.append(str(folder))  # for imports that come later; behind what is installed
        _NEIGHBOURS.update(dict.fromkeys((set(sys.modules) - before) & here, folder))
    return module
