"""The tasks' own policies as agents: random, suboptimal, expert."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from lmrl_agents.api import Request
from lmrl_envs import Policy, make_policy

_KEPT = 100_000


class ScriptedAgent:
    """One policy per game, made anew when a game begins, seeded by the request."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._policies: OrderedDict[tuple[str, int, int], Policy] = OrderedDict()

    def act(self, requests: Sequence[Request]) -> list[str]:
        """The policy's action for every game."""
        return [self._policy(request).act(request.transcript) or "" for request in requests]

    def _policy(self, request: Request) -> Policy:
        key = (request.env_id, request.episode, request.seed)
        if len(request.transcript) == 1 or key not in self._policies:
            policy = make_policy(request.env_id, self.name, seed=request.seed, **request.env_kwargs)
            self._policies[key] = policy
            if len(self._policies) > _KEPT:
                self._policies.popitem(last=False)
        return self._policies[key]

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
