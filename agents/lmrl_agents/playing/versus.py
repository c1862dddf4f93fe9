"""Agent against agent: an agent as the partner in a task whose other side is played as well, ``simulator="agent:SPEC"``.

    lmrl eval --env lmrl/Negotiation-v0 --agent runs/chai --versus policy:expert --episodes 200 --out runs/chai-versus-expert

The task's `PartnerPrompt` says what the other side has seen, and what its action does (`OtherSide`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from lmrl_agents.playing.protocol import Agent, AgentError, Request
from lmrl_envs import Transcript
from lmrl_envs.partners import PartnerReply, PartnerRequest, SimulatorError, SimulatorStopped


@runtime_checkable
class OtherSide(Protocol):
    """What a task's `PartnerPrompt` offers if its partner's side can be played by an agent."""

    env_id: str

    def seen(self, request: PartnerRequest) -> tuple[Transcript, Mapping[str, Any]]:
        """The talk as the other side has it, and the arguments of the environment in which that is its own."""
        ...

    def played(self, action: str, request: PartnerRequest) -> PartnerReply:
        """The reply that an action of the other side is."""
        ...


class AgentPartner:
    """An agent that answers another one."""

    def __init__(self, agent: Agent, side: OtherSide) -> None:
        self.agent, self.side = agent, side

    def reply(self, requests: Sequence[PartnerRequest]) -> list[PartnerReply]:
        """One reply per request; raises SimulatorError where the agent has none."""
        asked = []
        for request in requests:
            transcript, kwargs = self.side.seen(request)
            game = zlib.crc32(f"{request.hidden}{request.texts[0]}".encode())  # the same in all turns of a talk
            asked.append(Request(self.side.env_id, game, game, transcript, env_kwargs=kwargs))
        try:
            said = self.agent.act(asked)
        except AgentError as problem:
            raise SimulatorStopped(f"the agent on the other side: {problem}") from problem
        if len(said) != len(requests) or not all(isinstance(text, str) for text in said):
            raise SimulatorError("the agent on the other side did not answer every talk with a text")
        return [self.side.played(text, request) for text, request in zip(said, requests, strict=True)]

    def close(self) -> None:
        """Nothing to release."""


def agent_partner(spec: str, partner_prompt: Any, agent_kwargs: Mapping[str, Any] | None = None) -> AgentPartner:
    """The factory behind ``simulator="agent:SPEC"``; ``agent_kwargs`` are the agent's.

    Raises:
        ValueError: the task's other side is not played by agents, or there is no such agent.
    """
    from lmrl_agents.playing.loading import load_agent

    if not isinstance(partner_prompt, OtherSide):
        raise ValueError("simulator='agent:...': the other side of this task is not one for agents")
    try:
        return AgentPartner(load_agent(spec, **(agent_kwargs or {})), partner_prompt)
    except AgentError as problem:
        raise ValueError(f"simulator='agent:{spec}': {problem}") from problem
