"""The tasks' own policies as agents: random, suboptimal, expert, and any of a task's table by name, as in ``policy:hold``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmrl_agents.playing.followed import Followed
from lmrl_agents.playing.protocol import AgentArgumentError, AgentStopped, Request
from lmrl_envs import Policy, make_policy, task


class ScriptedAgent:
    """One policy per game, seeded by the request; it draws from a random stream of its own as the game goes on (`Followed`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._games = Followed(self._make, lambda policy, transcript: policy.act(transcript) or "")

    def act(self, requests: Sequence[Request]) -> list[str]:
        """The policy's action for every game."""
        return [self._games.answer(request) for request in requests]

    def _make(self, request: Request) -> Policy:
        """Raises AgentStopped where the task has no such policy: no game of it can be played."""
        names = task(request.env_id).policy_names
        if self.name not in names:
            raise AgentStopped(f"{request.env_id} has no policy {self.name!r}; it has {', '.join(names)}")
        return make_policy(request.env_id, self.name, seed=request.seed, **request.env_kwargs)

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: their policies can go."""
        self._games.finished(episodes)

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"kind": "scripted", "policy": self.name}


def random() -> ScriptedAgent:
    """Uniform actions."""
    return ScriptedAgent("random")


def suboptimal() -> ScriptedAgent:
    """The behaviour policy of the offline data."""
    return ScriptedAgent("suboptimal")


def expert() -> ScriptedAgent:
    """The exact or best-known policy."""
    return ScriptedAgent("expert")


def policy(name: str = "") -> ScriptedAgent:
    """A policy of the task that is played, by its name there: ``policy:hold``."""
    if not name:
        raise AgentArgumentError("name the policy, as in policy:expert")
    return ScriptedAgent(name)
