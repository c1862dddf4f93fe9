"""Conformance of agents: what `lmrl agents check` demands, importable for an author's own tests."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium

from lmrl_agents.playing.answers import wrong_action
from lmrl_agents.playing.protocol import Action, Agent, AgentError, Request
from lmrl_envs import load_task, make_policy, task, task_ids


@dataclass(frozen=True)
class Conformance:
    """The outcome of a check."""

    breaches: tuple[str, ...]
    requests: int
    milliseconds: float
    """Per action, in a batch."""


def sample_requests(env_id: str, count: int = 6, seed: int = 0, **env_kwargs: Any) -> list[Request]:
    """Requests at different points of different games of a task."""
    requests = []
    for k in range(count):
        env: Any = gymnasium.make(load_task(env_id).id, **env_kwargs).unwrapped
        env.reset(seed=seed + k)
        player = make_policy(env_id, "random", seed=k, **env_kwargs)
        for _ in range(k % 4):
            if any(env.step(player.act(env.transcript) or "")[2:4]):
                env.reset()
        requests.append(Request(env_id, k, seed + 1000 + k, env.transcript, env.instructions, env_kwargs))
        env.close()
    return requests


def default_tasks() -> list[str]:
    """Two quick tasks of different families that need nothing: one whose last text is all there is to know, and one that is a
    conversation."""
    rows = [row for row in map(task, task_ids()) if not (row.partners or row.extra)]
    markov = next(row for row in rows if row.context == "last")
    talk = next(row for row in rows if row.context == "all" and row.family != markov.family)
    return [markov.id, talk.id]


def check_agent(agent: Agent, env_ids: Sequence[str] = ()) -> Conformance:
    """Hold an agent to the protocol: strings, one per request; the same answer to the same request in any batch and order,
    whatever was played in between.

    Args:
        agent: what is checked.
        env_ids: tasks to check it on; none: `default_tasks`.

    Returns:
        the breaches found, in words; none means that the agent conforms.
    """
    breaches: list[str] = []
    count, spent = 0, 0.0
    for env_id in env_ids or default_tasks():
        load_task(env_id)
        requests = sample_requests(env_id)
        started = time.perf_counter()
        together = _act(agent, requests, breaches)
        spent += time.perf_counter() - started
        count += len(requests)
        if together is None:
            continue
        if _act(agent, list(reversed(requests)), breaches) != together[::-1]:
            breaches.append(f"{env_id}: the answers depend on the order of the requests, or on what was asked before")
        alone = [(_act(agent, [request], breaches) or [None])[0] for request in requests]
        if alone != together:
            k = next(i for i, (a, b) in enumerate(zip(alone, together, strict=True)) if a != b)
            breaches.append(
                f"{env_id}: alone, request {k} is answered {alone[k]!r:.80}, in a batch {together[k]!r:.80}"
            )
        _check_details(agent, requests[0], together[0], breaches)
    return Conformance(tuple(dict.fromkeys(breaches)), count, 1e3 * spent / max(1, count))


def _check_details(agent: Any, request: Request, expected: str, breaches: list[str]) -> None:
    """`act_with_details`, where there is one, gives the same action, and details that a record can hold."""
    if not hasattr(agent, "act_with_details"):
        return
    try:
        (action,) = agent.act_with_details([request])
        json.dumps(dict(action.details))
    except Exception as problem:
        breaches.append(f"{request.env_id}: act_with_details: {type(problem).__name__}: {problem}")
        return
    if not isinstance(action, Action) or action.text != expected:
        breaches.append(f"{request.env_id}: act_with_details gives {action!r:.120}, act gives {expected!r:.80}")


def _act(agent: Agent, requests: list[Request], breaches: list[str]) -> list[str] | None:
    try:
        actions = agent.act(requests)
    except Exception as problem:
        breaches.append(f"{requests[0].env_id}: act raised {type(problem).__name__}: {problem}")
        return None
    if not isinstance(actions, list) or len(actions) != len(requests):
        breaches.append(f"{requests[0].env_id}: act must return a list of {len(requests)} strings, got {actions!r:.80}")
        return None
    wrong = next(filter(None, map(wrong_action, actions)), None)
    if wrong:
        breaches.append(f"{requests[0].env_id}: {wrong}")
        return None
    return actions


def assert_conforms(agent: Agent, env_ids: Sequence[str] = ()) -> None:
    """For tests: raise unless the agent conforms.

    Raises:
        AgentError: with all breaches.
    """
    found = check_agent(agent, env_ids)
    if found.breaches:
        raise AgentError("; ".join(found.breaches))
