"""An agent in a room of its own: a process that sees requests and nothing else.

Agents that do not come with this package are anybody's code. In their own process they reach neither the environments nor other
agents nor the run that scores them, and what they do to it (``os._exit``, a kill, all memory, no answer for ever) costs the games
that they were asked about, or their own cell. It is a wall between programs and no sandbox: files and network are as they are.

Requests go in as JSON, each game's new turns alone; how they and their answers travel is `lmrl_agents.playing.room_process`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmrl_agents.playing.answers import QUIT, DetailedAgent, Introduction
from lmrl_agents.playing.identity import is_ours
from lmrl_agents.playing.loading import check_spec, load_agent
from lmrl_agents.playing.protocol import (
    Action,
    Agent,
    AgentArgumentError,
    AgentError,
    AgentStopped,
    Request,
    UnknownAgent,
)
from lmrl_agents.playing.room_process import ANSWER, BEAT, LARGEST, STOPPED, Lost, Process, machine_memory
from lmrl_envs import Transcript
from lmrl_envs.files.untrusted import Refused, decode, shown

_LOG = logging.getLogger(__name__)

IN_A_ROW = 5
"""So many losses of the process without an answer between them stop the run; one by patience counts as two."""
LOADING, LOADING_MODEL = 60.0, 1800.0
"""Seconds that an agent may take to load, where the patience is less; one that may have to be fetched from a hub first."""
KEPT_GAMES, MOST_BEATS = 10_000, 100_000
PROMPTED = "transformers:"


@dataclass(frozen=True)
class RoomSettings:
    """How agents that do not come with this package are run, each in a process of its own. Records do not depend on it."""

    patience: float = 300.0
    """Seconds that an agent's own process may take for an answer; then it is ended and started again."""
    memory: float = 0.0
    """GB that an agent's own process may use; 0: four fifths of this machine's."""
    in_process: bool = False
    """Play every agent in this process, for debugging: it then reaches everything, and a hang is for ever."""

    def __post_init__(self) -> None:
        if not (0 < self.patience <= 1e9 and 0 <= self.memory <= 1e6):
            raise ValueError(f"patience={self.patience} must be above 0 s, memory={self.memory} from 0 to a million GB")


DEFAULT = RoomSettings()


def open_agent(spec: str, kwargs: Mapping[str, Any] | None = None, settings: RoomSettings | None = None) -> Agent:
    """Make an agent, one that does not come with this package in a process of its own; ``close()`` ends that.

    A model that is played by prompt has such a process as well: its folder's chat template and its tokenizer's regular
    expressions are programs that nothing else bounds.

    Raises:
        AgentError: unknown, not loadable, or not an agent.
    """
    settings, kwargs = settings or DEFAULT, dict(kwargs or {})
    if settings.in_process or (is_ours(spec) and PROMPTED not in spec):
        return load_agent(spec, **kwargs)
    check_spec(spec)
    return Room(spec, kwargs, settings)


def close(agent: Any) -> None:
    """Let an agent close what it has open; what it raises then costs nothing any more."""
    with contextlib.suppress(Exception):
        getattr(agent, "close", lambda: None)()


class Room(DetailedAgent):
    """An agent in its own process; to its caller an `Agent` like others.

    A batch in which the process is lost is asked again one game at a time, by a process started anew: games in which it is lost
    once more have an error. After `IN_A_ROW` losses in a row the run stops. Batches are kept so small that by the time the last
    answers took, a whole batch takes a quarter of the patience.

    Args:
        spec: of the agent.
        kwargs: for its factory, JSON-able.
        settings: patience and memory.

    Raises:
        AgentError: it cannot be loaded, or says of itself what it must not.
    """

    def __init__(self, spec: str, kwargs: Mapping[str, Any], settings: RoomSettings) -> None:
        self.spec, self.kwargs, self.settings = spec, dict(kwargs), settings
        self._memory = int(settings.memory * 1e9) or machine_memory() * 4 // 5
        self._process: Process | None = None
        self._in_a_row, self._most, self._tells_all = 0, 1, False
        self._folder: Path | None = None
        self._over: list[int] = []
        self._forget()
        try:
            self._said = self._start()
        except Lost as loss:
            raise AgentError(f"agent {spec!r} cannot be loaded: {loss}") from None
        except AgentError as problem:
            self.close()
            text = str(problem)
            kind = type(problem)
            raise kind(text if text.startswith(f"agent {spec!r}") else f"agent {spec!r}: {text}") from None

    # -- an agent, as evaluations see it

    def act_with_details(self, requests: Sequence[Request]) -> list[Action]:
        """Actions, errors among them.

        Raises:
            AgentStopped: the agent cannot go on, or its process is lost again and again.
        """
        actions: list[Action] = []
        while len(actions) < len(requests):
            part = requests[len(actions) : len(actions) + self._most]
            began = time.monotonic()
            actions += self._answers(part)
            spent = max(time.monotonic() - began, 1e-6)
            self._most = max(1, int(len(part) * self.settings.patience / 4 / spent))
        return actions

    def introduction(self) -> Introduction:
        """What the agent says of itself."""
        with contextlib.suppress(Lost, AgentError):
            self._said = self._introduced("introduce")
        return self._said

    def tell_all(self) -> None:
        """Ask the agent to tell all there is, if it can; also when it is started again."""
        self._tells_all = True
        try:
            self._call({"do": "tell_all"})
        except Lost as loss:
            raise AgentError(f"tell_all: {loss}") from None

    def keep_in(self, folder: Path) -> None:
        """Give the agent a folder of its own in that of the evaluation."""
        self._folder = folder.resolve() / ".agent"
        try:
            self._call({"do": "keep_in", "folder": str(self._folder)})
        except Lost as loss:
            raise AgentError(f"keep_in: {loss}") from None

    def finished(self, episodes: Sequence[int]) -> None:
        """These games are over: told with the next call."""
        self._over += episodes
        over = set(episodes)
        for key in [key for key in self._sent if key[1] in over]:
            del self._sent[key]

    def check(self, env_ids: Sequence[str]) -> dict[str, Any]:
        """The outcome of `lmrl_agents.playing.conformance.check_agent` there; a lost process is a breach."""
        doing = [""]
        try:
            return self._call({"do": "check", "envs": list(env_ids)}, doing.append)
        except Lost as loss:
            return {"breaches": [f"{doing[-1]}: {loss}".removeprefix(": ")], "requests": 0, "milliseconds": 0.0}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with contextlib.suppress(Lost, AgentError):
                self._call({"do": "close"}, patience=5.0)
            self._process.end()
            self._process = None

    # -- one call

    def _answers(self, requests: Sequence[Request]) -> list[Action]:
        try:
            return self._asked(requests)
        except Lost as loss:
            self._lost(loss)
            if len(requests) == 1 and loss.hung:
                return [Action("", error=f"{QUIT}{loss}")]
        return [self._alone(request) for request in requests]

    def _alone(self, request: Request) -> Action:
        try:
            return self._asked([request])[0]
        except Lost as loss:
            self._lost(loss)
            return Action("", error=f"{QUIT}{loss}")

    def _asked(self, requests: Sequence[Request]) -> list[Action]:
        process = self._running()
        over, self._over = self._over, []
        message: dict[str, Any] = {"do": "act", "over": over, "contexts": []}
        if len(self._sent) > KEPT_GAMES:
            self._forget()
        if not self._contexts:
            message["forget"] = True
        message["ask"] = [self._new(request, message["contexts"]) for request in requests]
        number = process.send(message, self.settings.patience)
        until = time.monotonic() + self.settings.patience
        actions = [_action(*process.frame(number, until)) for _ in requests]
        self._in_a_row = 0
        return actions

    def _new(self, request: Request, contexts: list[Any]) -> list[Any]:
        """A request as JSON: what the process does not know of its game yet."""
        context = [request.env_id, request.instructions, request.env_kwargs]
        try:
            number = self._contexts.index(context)
        except ValueError:
            number = len(self._contexts)
            self._contexts.append(context)
            contexts.append([number, *context])
        key = (number, request.episode, request.seed)
        known, turns = self._sent.get(key, ()), request.transcript
        start = len(known) if known == turns[: len(known)] else 0
        self._sent[key] = turns
        new = turns[start:]
        return [*key, start, [turn.text for turn in new], [turn.reward for turn in new]]

    def _call(
        self, message: dict[str, Any], beat: Callable[[str], None] | None = None, patience: float | None = None
    ) -> dict[str, Any]:
        """Another call than for actions, and the values that it is answered with."""
        patience = self.settings.patience if patience is None else patience
        process = self._running()
        number, beats = process.send(message, patience), 0
        while True:
            kind, text, details, error = process.frame(number, time.monotonic() + patience)
            if kind == BEAT and beat is not None and beats < MOST_BEATS:
                beats += 1
                beat(text)
                continue
            if kind != ANSWER:
                raise _ERRORS.get(text, AgentError)(error)
            try:
                return decode(details or b"{}", dict[str, Any], "an agent's process", LARGEST[1])
            except Refused as problem:
                raise AgentError(str(problem)) from None

    # -- its process

    def _forget(self) -> None:
        self._sent: dict[tuple[int, int, int], Transcript] = {}
        self._contexts: list[list[Any]] = []

    def _start(self) -> Introduction:
        self._process = Process(self._memory)
        said = self._introduced("load", spec=self.spec, kwargs=self.kwargs)
        if self._folder is not None:
            self._call({"do": "keep_in", "folder": str(self._folder)})
        if self._tells_all:
            self._call({"do": "tell_all"})
        return said

    def _introduced(self, do: str, **about: Any) -> Introduction:
        most = LOADING_MODEL if PROMPTED in self.spec else LOADING
        patience = max(most, self.settings.patience) if do == "load" else None
        found = self._call({"do": do, **about}, patience=patience)
        with contextlib.suppress(TypeError, ValueError):
            return Introduction(**{**found, "operational": tuple(map(str, found.get("operational", ())))})
        raise AgentError("its process breaks the protocol")

    def _running(self) -> Process:
        if self._process is None:
            self._forget()
            try:
                self._start()
            except (Lost, AgentError) as problem:
                raise AgentStopped(f"agent {self.spec!r} cannot be started again: {problem}") from None
        assert self._process is not None
        return self._process

    def _lost(self, loss: Lost) -> None:
        """Take note of a loss.

        Raises:
            AgentStopped: it was one too many.
        """
        if self._process is not None:
            self._process.end()
            self._process = None
        self._in_a_row += 2 if loss.hung else 1
        _LOG.warning("agent %s: %s", self.spec, loss)
        if self._in_a_row >= IN_A_ROW:
            raise AgentStopped(f"{loss}, again and again: agent {self.spec!r}")


_ERRORS = {"AgentArgumentError": AgentArgumentError, "UnknownAgent": UnknownAgent}


def _action(kind: int, text: str, details: bytes, error: str | None) -> Action:
    if kind == STOPPED:
        raise AgentStopped(error or "the agent stopped")
    if kind != ANSWER:
        raise Lost(f"its process breaks the protocol: {shown(str(error))}")
    try:
        return Action(text, decode(details, dict[str, Any], "details", LARGEST[1]) if details else {}, error)
    except Refused as problem:
        return Action(text, {"not_recorded": str(problem)[:200]}, error)
