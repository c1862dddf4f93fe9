"""How agents are found: by name, by file, or by the folder of a trained model.

Plug-ins register a factory under the entry-point group ``lmrl.agents``; the built-in agents register the same way.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from lmrl_agents.playing.protocol import Agent, AgentError, UnknownAgent

GROUP = "lmrl.agents"


def _entry_points() -> dict[str, metadata.EntryPoint]:
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=GROUP):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise AgentError(
                f"agent name {point.name!r} is registered twice: by {_owner(other)} ({other.value}) and "
                f"{_owner(point)} ({point.value}); uninstall one, or use file.py:factory"
            )
        found[point.name] = point
    return found


def _owner(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"


def agent_names() -> dict[str, str]:
    """Registered agents: name -> distribution that brings it."""
    return {name: _owner(point) for name, point in sorted(_entry_points().items())}


def load_agent(spec: str, **kwargs: Any) -> Agent:
    """Make an agent.

    Args:
        spec: a registered name (``expert``), a name with an argument (``openai:gpt-x``), ``path/file.py:factory``, or the
            folder of a trained model.
        kwargs: for the factory.

    Raises:
        AgentError: unknown, not loadable, or not an agent.
    """
    if is_model_folder(Path(spec)):
        if "server" in kwargs:
            from lmrl_agents.playing.served import ServedAgent

            return ServedAgent(spec, **kwargs)
        from lmrl_agents.playing.policy_agent import LanguageModelAgent

        return LanguageModelAgent(spec, **kwargs)
    name, _, argument = spec.partition(":")
    try:
        if name.endswith(".py"):
            factory = _from_file(Path(name), argument)
            agent = factory(**kwargs)
        else:
            factory = _registered(spec).load()
            agent = factory(argument, **kwargs) if argument else factory(**kwargs)
    except AgentError:
        raise
    except Exception as problem:
        raise AgentError(f"agent {spec!r} cannot be loaded: {type(problem).__name__}: {problem}") from problem
    if not isinstance(agent, Agent):
        raise AgentError(f"agent {spec!r}: {type(agent).__name__} has no method act(requests)")
    return agent


def check_spec(spec: str) -> None:
    """Check that there is such an agent, without loading it.

    Raises:
        AgentError: there is none.
    """
    name = spec.partition(":")[0]
    if name.endswith(".py"):
        _check_file(Path(name))
    elif not is_model_folder(Path(spec)):
        _registered(spec)


def _registered(spec: str) -> metadata.EntryPoint:
    points = _entry_points()
    name = spec.partition(":")[0]
    if name not in points:
        if Path(spec).is_dir():
            raise UnknownAgent(f"{spec} holds no trained model")
        close = difflib.get_close_matches(name, points, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(points))}"
        raise UnknownAgent(f"no agent {spec!r}; {hint} (or give a folder of a trained model, or file.py:factory)")
    return points[name]


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a trained model, or a training run with one."""
    return (path / "lmrl.json").is_file() or (path / "final" / "lmrl.json").is_file()


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise UnknownAgent(f"no file {path}")


def _from_file(path: Path, attribute: str) -> Any:
    _check_file(path)
    if not attribute:
        raise AgentError(f"{path}: name the factory, as in {path}:make_agent")
    module_spec = importlib.util.spec_from_file_location(f"lmrl_agent_file_{path.stem}", path)
    assert module_spec is not None and module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up
    module_spec.loader.exec_module(module)
    if not hasattr(module, attribute):
        raise AgentError(f"{path} has no {attribute!r}")
    return getattr(module, attribute)
