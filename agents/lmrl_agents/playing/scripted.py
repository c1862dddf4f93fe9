"""The tasks' own policies as agents: random, suboptimal, expert, and any of a task's table by name, as in ``policy:hold``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from lmrl_agents.playing.protocol import AgentArgumentError, AgentStopped, Request
from lmrl_envs import Policy, Transcript, make_policy, task

_KEPT = 10_000
"""Games whose policies are kept at most, where nobody tells that they are over."""


class ScriptedAgent:
    """One policy per game, seeded by the request.

    A policy draws from a random stream of its own as the game goes on. When a request is not the next one of its game, the
    policy is made anew and led through the conversation, so that an answer depends on its request alone.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._games: OrderedDict[tuple[str, int, int], tuple[Policy, int]] = OrderedDict()

    def act(self, requests: Sequence[Request]) -> list[str]:
        """The policy's action for every game."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> str:
        key = (request.env_id, request.episode, request.seed)
        turn = len(request.transcript) // 2
        policy, expected = self._games.get(key, (None, -1))
        if policy is None or expected != turn:
            policy = self._make(request)
            for k in range(turn):
                policy.act(Transcript(request.transcript[: 2 * k + 1]))
        self._games[key] = (policy, turn + 1)
        if len(self._games) > _KEPT:
            self._games.popitem(last=False)
        return policy.act(request.transcript) or ""

    def _make(self, request: Request) -> Policy:
        """Raises AgentStopped where the task has no such policy: no game of it can be played."""
        names = task(request.env_id).policy_names
        if self.name not in names:
            raise AgentStopped(f"{request.env_id} has no policy {self.name!r}; it has {', '.join(names)}")
        return make_policy(request.env_id, self.name, seed=request.seed, **request.env_kwargs)

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: their policies can go."""
        over = set(episodes)
        for key in [key for key in self._games if key[1] in over]:
            del self._games[key]

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
