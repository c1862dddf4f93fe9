"""What agents say, taken with care: their actions, their errors, and what they tell of themselves before they play."""

from __future__ import annotations

import inspect
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

from lmrl_agents.playing.protocol import Action, AgentError, AgentStopped, Request
from lmrl_envs.doors import told
from lmrl_envs.files.untrusted import decode

MAX_ACTION_CHARACTERS = 1_000_000
MAX_TOLD = 1_000_000
"""Characters of JSON that an agent may tell about one action, and of itself."""
MAX_ERROR = 1_000
"""Characters of an error that are kept."""
MAX_SLOTS = 1_000_000
QUIT = "the agent quit: "
"""Beginning of the errors of games in which the agent ended its process, or tried to, or never answered."""
USAGE = ("prompt_tokens", "completion_tokens", "cost_usd")
"""Details of actions that summaries add up."""
MOST = 1e12
"""The greatest amount of those that one action can have."""


class DetailedAgent(ABC):
    """An agent that tells of its actions; ``act`` follows."""

    @abstractmethod
    def act_with_details(self, requests: Sequence[Request]) -> list[Action]: ...

    def act(self, requests: Sequence[Request]) -> list[str]:
        """See `Agent.act`.

        Raises:
            AgentError: a request came to nothing.
        """
        actions = self.act_with_details(requests)
        for action in actions:
            if action.error is not None:
                raise AgentError(action.error)
        return [action.text for action in actions]


def ours(problem: BaseException) -> bool:
    """Whether an exception in an agent's code is of the person at the keyboard."""
    return isinstance(problem, KeyboardInterrupt) and not _IN_A_ROOM


_IN_A_ROOM: list[bool] = []
"""Not empty in a process that is an agent's alone: Ctrl-C does not come here, `KeyboardInterrupt` is the agent's."""


def actions_of(agent: Any, requests: list[Request]) -> list[Action]:
    """What an agent does, its errors among the actions; when a batch fails, every request is tried alone, so that one cannot
    spoil the others. ``act`` may be a coroutine function.

    Raises:
        AgentStopped: the agent cannot go on at all.
    """
    try:
        actions = _asked(agent, requests)
    except AgentStopped:
        raise
    except BaseException as problem:
        if ours(problem):
            raise
        if len(requests) == 1:
            quits = "" if isinstance(problem, Exception) else QUIT
            return [Action("", error=(quits + told(problem))[:MAX_ERROR])]
        return [action for request in requests for action in actions_of(agent, [request])]
    wrong = [_wrong_error(action.error) or wrong_action(action.text) for action in actions]
    return [replace(action, error=error) if error else action for action, error in zip(actions, wrong, strict=True)]


def _asked(agent: Any, requests: list[Request]) -> list[Action]:
    detailed = hasattr(agent, "act_with_details")
    given = agent.act_with_details(requests) if detailed else agent.act(requests)
    if inspect.isawaitable(given):
        given = awaited(given)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"act() must return a list of actions, not {type(given).__name__}")
    actions = list(islice(given, len(requests) + 1))  # what never ends is not waited for
    if len(actions) != len(requests):
        count = f"more than {len(requests)}" if len(actions) > len(requests) else f"{len(actions)}"
        raise TypeError(f"act() returned {count} actions for {len(requests)} requests")
    if not detailed:
        return list(map(Action, actions))
    if not all(isinstance(action, Action) for action in actions):
        raise TypeError("act_with_details() must return objects of lmrl_agents.Action")
    return actions


def tell_finished(agent: Any, episodes: list[int]) -> None:
    """Tell an agent that games are over, if it wants to know.

    Raises:
        AgentStopped: it raises.
    """
    finished = getattr(agent, "finished", None)
    if finished is None:
        return
    try:
        finished(episodes)
    except BaseException as problem:
        if ours(problem):
            raise
        raise AgentStopped(f"finished raised {told(problem)}") from None


def wrong_action(action: Any) -> str | None:
    """Why something that an agent returned is no action; None if it is one."""
    if not isinstance(action, str):
        return f"TypeError: the agent returned {type(action).__name__}, not str"
    if len(action) > MAX_ACTION_CHARACTERS:
        return f"ValueError: the agent returned {len(action):,} characters (most: {MAX_ACTION_CHARACTERS:,})"
    return None


def _wrong_error(error: Any) -> str | None:
    if error is None:
        return None
    if not isinstance(error, str):
        return f"TypeError: the error of an action is {type(error).__name__}, not text"
    return error[:MAX_ERROR] or "an error without words"


def recorded(details: Any) -> dict[str, Any]:
    """Details of an action as records hold them; of those that no record can hold, why."""
    try:
        return plain(dict(details)) if details else {}
    except BaseException as problem:
        if ours(problem):
            raise
        return {"not_recorded": told(problem)[:200]}


def plain(value: Any) -> Any:
    """A value that an agent tells, as JSON gives it back: bounded, not deep, its numbers finite, so that records can hold it.

    Raises:
        ValueError, TypeError, RecursionError: it cannot be had, and why.
    """
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False, default=_item)
    return decode(f"[[[[{text}]]]]", Any, "what is told", MAX_TOLD)[0][0][0][0]  # as deep as in a record


def _item(value: Any) -> Any:
    if hasattr(value, "item"):  # numpy's and torch's numbers
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def is_amount(value: Any) -> bool:
    """Whether a detail that summaries add up is a number that they can."""
    return type(value) in (int, float) and 0 <= value <= MOST


# -- before it plays


@dataclass(frozen=True)
class Introduction:
    """What an agent says of itself before it plays."""

    slots: int | None = None
    fingerprint: str | None = None
    about: dict[str, Any] | None = None
    """What ``describe()`` gives, as JSON holds it."""
    operational: tuple[str, ...] = ()


def introduction(agent: Any) -> Introduction:
    """Ask an agent for what evaluations need of it, so that what it gets wrong shows before anything is played. (An agent in a
    process of its own was asked there.)

    Raises:
        AgentError: ``slots``, ``fingerprint``, ``describe`` or ``operational`` is not what the protocol says.
    """

    if callable(there := getattr(agent, "introduction", None)) and isinstance(said := there(), Introduction):
        return said

    def asked(name: str) -> Any:
        try:
            found = getattr(agent, name, None)
            return found() if callable(found) else found
        except BaseException as problem:
            if ours(problem):
                raise
            raise AgentError(f"{name} raised {told(problem)}") from None

    slots, fingerprint, operational = asked("slots"), asked("fingerprint"), asked("operational")
    if slots is not None and not (type(slots) is int and 1 <= slots <= MAX_SLOTS):
        raise AgentError(f"slots must be a number of games, at least 1, not {_shown(slots)}")
    if fingerprint is not None and not (isinstance(fingerprint, str) and len(fingerprint) <= MAX_ERROR):
        raise AgentError(f"fingerprint() must return a short text, not {_shown(fingerprint)}")
    if isinstance(operational, str) or not isinstance(operational or (), Collection):
        raise AgentError(f"operational must be names of arguments, not {_shown(operational)}")
    return Introduction(slots, fingerprint, _about(asked("describe")), tuple(sorted(map(str, operational or ()))))


def _about(described: Any) -> dict[str, Any] | None:
    if described is None:
        return None
    if not isinstance(described, dict):
        raise AgentError(f"describe() must return a dict, not {_shown(described)}")
    try:
        text = json.dumps(described, default=lambda value: getattr(value, "item", lambda: str(value))())
        return plain(decode(text, most=MAX_TOLD))
    except Exception as problem:
        raise AgentError(f"describe() gives what JSON cannot hold: {told(problem)}") from None


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:
        return type(value).__name__


# -- coroutines


def awaited(awaitable: Awaitable[Any]) -> Any:
    """The result of a coroutine, on a loop in a thread of its own: the caller may be in one already (a notebook)."""
    import asyncio

    async def outcome() -> tuple[Any, BaseException | None]:
        try:
            return await awaitable, None
        except BaseException as problem:  # SystemExit would end the loop, and this would wait for ever
            return None, problem

    found, problem = asyncio.run_coroutine_threadsafe(outcome(), _loop(os.getpid())).result()
    if problem is not None:
        raise problem
    return found


@cache
def _loop(process: int) -> Any:
    """The loop of this process; a fork's own."""
    import asyncio

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="agents' loop", daemon=True).start()
    return loop
