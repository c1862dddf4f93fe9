"""How agents are found: by name, by module, by file, or by the folder of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmrl_agents.playing.answers import ours
from lmrl_agents.playing.identity import is_model_folder, model_folder
from lmrl_agents.playing.protocol import Agent, AgentArgumentError, AgentError, UnknownAgent
from lmrl_envs import doors
from lmrl_envs.doors import told
from lmrl_envs.files.missing import ArgumentsError, check_arguments

OF_FILE = {
    "utterances.json": "lmrl_agents.playing.utterance_agent:UtteranceAgent",
    "planning.json": "lmrl_agents.playing.planning_agent:PlanningAgent",
    "manager.safetensors": "lmrl_agents.playing.managed:ManagedAgent",
}
"""What plays the models in whose folder there is such a file; all others are policies."""


def agent_names() -> dict[str, str]:
    """Installed agents: name -> distribution that brings it."""
    return {name: doors.owner(point) for name, point in doors.installed("lmrl.agents").items()}


def load_agent(spec: str, **kwargs: Any) -> Agent:
    """Make an agent.

    Args:
        spec: an installed name (``expert``), one with an argument (``openai:gpt-x``), ``module:factory``, ``path/file.py:factory``,
            or the folder of a trained model.
        kwargs: for the factory.

    Raises:
        AgentError: unknown, not loadable, or not an agent.
    """
    if is_model_folder(Path(spec)):
        if "server" in kwargs:
            from lmrl_agents.playing.served import ServedAgent

            return ServedAgent(spec, **kwargs)
        kind = next((kind for file, kind in OF_FILE.items() if (model_folder(spec) / file).is_file()), None)
        if kind is not None:
            place, _, name = kind.partition(":")
            factory: Any = getattr(doors.load(place), name)
            try:
                check_arguments(factory, kwargs, f"agent {spec!r}")
            except ArgumentsError as problem:
                raise AgentArgumentError(str(problem)) from None
            return factory(spec, **kwargs)
        from lmrl_agents.playing.policy_agent import LanguageModelAgent

        return LanguageModelAgent(spec, **kwargs)
    check_spec(spec)
    try:
        factory, argument = doors.find("lmrl.agents", spec)
        if not argument:
            check_arguments(factory, kwargs, f"agent {spec!r}")
        agent = factory(argument, **kwargs) if argument else factory(**kwargs)
    except ArgumentsError as problem:
        raise AgentArgumentError(str(problem)) from None
    except (AgentError, doors.DoorError) as problem:
        raise AgentError(str(problem)) if isinstance(problem, doors.DoorError) else problem from None
    except BaseException as problem:
        if ours(problem):
            raise
        raise AgentError(f"agent {spec!r} cannot be loaded: {told(problem)}") from problem
    if not isinstance(agent, Agent):
        raise AgentError(f"agent {spec!r}: {type(agent).__name__} has no method act(requests)")
    return agent


def check_spec(spec: str) -> None:
    """Check that there is such an agent, without loading it.

    Raises:
        AgentError: there is none.
    """
    if is_model_folder(Path(spec)):
        return
    if Path(spec).is_dir() and spec not in doors.installed("lmrl.agents"):
        raise UnknownAgent(f"{spec} holds no trained model")
    try:
        doors.check("lmrl.agents", spec)
    except doors.DoorError as problem:
        raise UnknownAgent(f"{problem}, or the folder of a trained model") from None
