"""Conformance of agents: what `lmrl agents check` demands, importable for an author's own tests."""

from __future__ import annotations

import importlib.util
import inspect
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import thread as pools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from lmrl_agents.playing.answers import USAGE, actions_of, awaited, introduction, is_amount, plain, tell_finished
from lmrl_agents.playing.protocol import Action, Agent, AgentError, AgentStopped, Request
from lmrl_envs import load_task, make_policy, task, task_ids
from lmrl_envs.doors import told

BATCH = 64
"""Requests of the first task, asked at once; fewer where the agent wants fewer ``slots``."""
FEW = 12
"""Requests of the second task, and of the first one at least."""
TURNS = (0, 1, 2, 3, 5, 8, 13, 21, 34)
"""Actions before a request, in turn; a game that is over sooner is asked about before its end."""
REPEATS, REPEAT_SECONDS = 20_000, 1.0
"""Answers that are asked for again and again, to find what is drawn without a seed now and then; and the time for it."""


@dataclass(frozen=True)
class Conformance:
    """The outcome of a check."""

    breaches: tuple[str, ...]
    requests: int
    milliseconds: float
    """Per action, in a batch."""


def sample_requests(env_id: str, count: int = 6, seed: int = 0, **env_kwargs: Any) -> list[Request]:
    """Requests at different points of different games of a task, played by its random policy."""
    requests = []
    env: Any = gymnasium.make(load_task(env_id).id, **env_kwargs).unwrapped
    for k in range(count):
        env.reset(seed=seed + k)
        player = make_policy(env_id, "random", seed=k, **env_kwargs)
        asked = env.transcript
        for _ in range(TURNS[k % len(TURNS)]):
            if any(env.step(player.act(asked) or "")[2:4]):
                break
            asked = env.transcript
        requests.append(Request(env_id, k, seed + 1000 + k, asked, env.instructions, env_kwargs))
    env.close()
    return requests


def tasks_here() -> list[str]:
    """The tasks that can be played here: what they need is installed."""
    return [row.id for row in map(task, task_ids()) if not row.extra or importlib.util.find_spec(row.extra)]


def default_tasks() -> list[str]:
    """Two quick tasks of different families that need nothing: one whose last text is all there is to know, and one that is a
    conversation.
    """
    rows = [row for row in map(task, task_ids()) if not (row.partners or row.extra)]
    markov = next(row for row in rows if row.context == "last")
    talk = next(row for row in rows if row.context == "all" and row.family != markov.family)
    return [markov.id, talk.id]


def check_agent(
    agent: Agent, env_ids: Sequence[str] = (), beat: Callable[[str], None] | None = None, closing: bool = False
) -> Conformance:
    """Hold an agent to the protocol: texts, one for each request; the same answer to the same request in any batch and order,
    whatever was played in between, early and late in a game; what it tells can be recorded; nothing else in the process is changed.

    Args:
        agent: what is checked.
        env_ids: tasks to check it on; none: `default_tasks`, and one request of each of the `tasks_here`.
        beat: told what is asked next, before it is.
        closing: close the agent at the end, and look for threads that it leaves. Without, that is done only for agents that have
            no ``close()``.

    Returns:
        the breaches found, in words; none means that the agent conforms.
    """
    check = _Check(agent, beat or (lambda doing: None))
    with tempfile.TemporaryDirectory() as folder:  # what the agent keeps there it may add to with every answer
        try:
            check.introduces_itself(Path(folder))
            before = _surroundings()
            tasks = list(env_ids) or default_tasks()
            asked = [(id, sample_requests(id, FEW if k else max(FEW, check.batch))) for k, id in enumerate(tasks)]
            first = [check.answers_alike(id, requests) for id, requests in asked]
            for (id, requests), answers in zip(asked, first, strict=True):
                check.answers_again(id, requests, answers)
            if not env_ids:
                check.ask("other tasks", [sample_requests(id, 1)[0] for id in tasks_here() if id not in tasks])
            check.repeats(asked[0][1], first[0])
            tell_finished(agent, [request.episode for request in asked[0][1]])
            check.found(
                f"act changes {name}" for name, value in _surroundings().items() if value != before.get(name, value)
            )
        except AgentStopped as stop:
            check.found([f"it stops: {told(stop)}"])
        check.leaves(closing)
    return Conformance(tuple(dict.fromkeys(check.breaches)), check.count, 1e3 * check.spent / max(1, check.count))


class _Check:
    def __init__(self, agent: Any, beat: Callable[[str], None]) -> None:
        self.agent, self.beat, self.batch = agent, beat, BATCH
        self.breaches: list[str] = []
        self.count, self.spent = 0, 0.0
        self.threads = set(threading.enumerate())

    def found(self, breaches: Iterable[str]) -> None:
        """Take note of breaches."""
        self.breaches += dict.fromkeys(breaches)

    def introduces_itself(self, folder: Path) -> None:
        """What it says of itself is of the right kind, and the same when asked twice."""
        self.beat("slots, fingerprint, describe")
        try:
            said = introduction(self.agent)
            self.batch = min(BATCH, said.slots or BATCH)
            if introduction(self.agent).fingerprint != said.fingerprint:
                self.breaches.append("fingerprint() changes from call to call")
        except AgentError as problem:
            self.breaches.append(str(problem))
        if callable(keep_in := getattr(self.agent, "keep_in", None)):
            self.beat("keep_in")
            try:
                keep_in(folder)
            except Exception as problem:
                self.breaches.append(f"keep_in raised {told(problem)}")

    def ask(self, env_id: str, requests: list[Request]) -> list[str] | None:
        """The answers, as many at once as the agent likes; None where one is an error."""
        actions: list[Action] = []
        for k in range(0, len(requests), self.batch):
            part = requests[k : k + self.batch]
            self.beat(f"{len(part)} requests of {env_id}")
            started = time.perf_counter()
            actions += actions_of(self.agent, part)
            self.spent += time.perf_counter() - started
        self.count += len(requests)
        for action, request in zip(actions, requests, strict=True):
            if action.error is not None:
                self.breaches.append(f"{request.env_id}, after {len(request.transcript) // 2} actions: {action.error}")
                return None
        self.found(f"{env_id}: {wrong}" for action in actions for wrong in _wrong_details(action))
        return [action.text for action in actions]

    def answers_alike(self, env_id: str, requests: list[Request]) -> list[str] | None:
        """The answers to requests, found alike in another order and alone."""
        together = self.ask(env_id, requests)
        if together is None:
            return None
        self._returns_a_list(env_id, requests, together)
        if self.ask(env_id, requests[::-1]) != together[::-1]:
            self.breaches.append(
                f"{env_id}: the answers depend on the order of the requests, or on what was asked before"
            )
        for k in range(0, len(requests), max(1, len(requests) // 6)):
            (alone,) = self.ask(env_id, [requests[k]]) or [None]
            if alone != together[k]:
                self.breaches.append(
                    f"{env_id}: alone, request {k} is answered {alone!r:.80}, in a batch of {min(self.batch, len(requests))} {together[k]!r:.80}"
                )
                break
        return together

    def answers_again(self, env_id: str, requests: list[Request], answers: list[str] | None) -> None:
        """The same when other games were played in between."""
        if answers is not None and self.ask(env_id, requests) != answers:
            self.breaches.append(f"{env_id}: asked again, the answers are others: they depend on what was asked before")

    def repeats(self, requests: list[Request], answers: list[str] | None) -> None:
        """The same thousands of times, as far as there is time for it."""
        until, left = time.monotonic() + REPEAT_SECONDS, REPEATS
        while answers is not None and left > 0 and time.monotonic() < until:
            left -= len(requests)
            if self.ask(requests[0].env_id, requests) != answers:
                self.breaches.append(
                    f"{requests[0].env_id}: now and then an answer is another: it is drawn without the request's seed"
                )
                return

    def leaves(self, closing: bool) -> None:
        """What is left when it is closed."""
        close = getattr(self.agent, "close", None)
        if callable(close) and not closing:
            return
        try:
            if callable(close):
                self.beat("close")
                close()
        except Exception as problem:
            self.breaches.append(f"close raised {told(problem)}")
        pooled = set(pools._threads_queues)  # type: ignore[attr-defined]  # these end with the process
        left = [t.name for t in threading.enumerate() if t not in self.threads and t not in pooled and not t.daemon]
        if left:
            self.breaches.append(
                f"it leaves threads that keep a process from ending: {', '.join(left)}; make them daemons, or end them in close()"
            )

    def _returns_a_list(self, env_id: str, requests: list[Request], answers: list[str]) -> None:
        """``act`` itself, which `actions_of` may not have asked, gives a list, and what ``act_with_details`` gives."""
        requests = requests[:2]
        try:
            given = self.agent.act(requests)
            given = awaited(given) if inspect.isawaitable(given) else given
        except Exception as problem:
            self.breaches.append(f"{env_id}: act raised {told(problem)}")
            return
        if not isinstance(given, list) or len(given) != len(requests):
            self.breaches.append(f"{env_id}: act must return a list of {len(requests)} strings, got {given!r:.80}")
        elif given != answers[:2]:
            self.breaches.append(f"{env_id}: act_with_details gives {answers[:2]!r:.80}, act gives {given!r:.80}")


def _wrong_details(action: Action) -> Iterator[str]:
    """Why no record can hold the details of an action, or no summary."""
    try:
        details = plain(dict(action.details))
    except Exception as problem:
        yield f"details that no record can hold: {told(problem)}"
        return
    for key in USAGE:
        if key in details and details[key] is not None and not is_amount(details[key]):
            yield f"details: {key} is {details[key]!r:.40}, which is no amount"


def _surroundings() -> dict[str, Any]:
    """What an agent shares with everything else in its process."""
    found: dict[str, Any] = {
        "the state of random, which everything here shares": random.getstate(),
        "the state of numpy.random, which everything here shares": str(np.random.get_state()),  # noqa: NPY002
        "the working directory": os.getcwd(),
    }
    if torch := sys.modules.get("torch"):
        found["the state of torch's generator, which everything here shares"] = torch.get_rng_state().tolist()
    return found


def assert_conforms(agent: Agent, env_ids: Sequence[str] = ()) -> None:
    """For tests: raise unless the agent conforms.

    Raises:
        AgentError: with all breaches.
    """
    found = check_agent(agent, env_ids)
    if found.breaches:
        raise AgentError("; ".join(found.breaches))
