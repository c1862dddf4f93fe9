"""The inside of an agent's room: the process that `lmrl_agents.playing.room` starts, one agent in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from lmrl_agents.playing import answers
from lmrl_agents.playing.answers import MAX_ERROR, actions_of, introduction, recorded
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError, AgentStopped, Request
from lmrl_agents.playing.room_process import ANSWER, BEAT, FAILED, HEAD, STOPPED, Watch
from lmrl_envs import Transcript, Turn
from lmrl_envs.doors import told
from lmrl_envs.files.untrusted import Schema, decode


class Call(Schema, frozen=True):
    """What the run asks for: ``do`` names it, the rest is for one or the other."""

    do: str
    number: int
    spec: str = ""
    kwargs: dict[str, Any] = {}
    folder: str = ""
    envs: list[str] = []
    over: list[int] = []
    """Episodes that are over."""
    forget: bool = False
    contexts: list[tuple[int, str, str, dict[str, Any]]] = []
    """Number, env_id, instructions, env_kwargs, at their first use."""
    ask: list[tuple[int, int, int, int, list[str], list[float]]] = []
    """Requests: context, episode, seed, from which turn on the turns are new, their texts and rewards."""


def main() -> NoReturn:
    """Serve the process that started this one, until it is gone."""
    calls, answers_ = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the agent prints is no answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers._IN_A_ROOM.append(True)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # where memory runs out, this process ends and no other
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with contextlib.suppress(OSError):
        _Inside(calls, answers_).serve()
    os._exit(0)  # threads that the agent left do not keep it


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _text(problem: AgentError) -> str:
    """What an agent's own words are, without their type."""
    return told(problem).removeprefix(f"{type(problem).__name__}: ")


class _Inside:
    def __init__(self, calls: IO[bytes], frames: IO[bytes]) -> None:
        self.calls, self.frames = calls, frames
        self.watch = Watch(calls.fileno())
        self.agent: Any = None
        self.number = 0
        self.contexts: dict[int, list[Any]] = {}
        self.games: dict[tuple[int, int, int], Transcript] = {}

    def serve(self) -> None:
        """Answer calls, one after the other."""
        while len(head := self.watch.wait(lambda: self.calls.read(4))) == 4:
            (size,) = struct.unpack(">I", head)
            call: Call = decode(self.calls.read(size), Call, "a call", size)
            self.number = call.number
            try:
                getattr(self, f"_{call.do}")(call)
            except AgentStopped as stop:
                self._say(STOPPED, error=_text(stop))
            except BaseException as problem:
                self._say(
                    FAILED,
                    type(problem).__name__,
                    error=_text(problem) if isinstance(problem, AgentError) else told(problem),
                )
            self.frames.flush()
            if call.do == "close":
                return

    def _say(self, kind: int = ANSWER, text: str = "", details: Any = None, error: str | None = None) -> None:
        parts = [
            str.encode(text, "utf-8", "surrogatepass"),
            json.dumps(details).encode() if details else b"",
            str.encode(error, "utf-8", "surrogatepass")[: 4 * MAX_ERROR] if error else b"",
        ]
        self.frames.write(HEAD.pack(kind, self.number, *map(len, parts)) + b"".join(parts))

    def _load(self, call: Call) -> None:
        self.agent = load_agent(call.spec, **call.kwargs)
        self._introduce(call)

    def _introduce(self, call: Call) -> None:
        self._say(details=asdict(introduction(self.agent)))

    def _keep_in(self, call: Call) -> None:
        keep_in = getattr(self.agent, "keep_in", None)
        if callable(keep_in):
            folder = Path(call.folder)
            folder.mkdir(exist_ok=True)
            keep_in(folder)
        self._say()

    def _tell_all(self, call: Call) -> None:
        getattr(self.agent, "tell_all", lambda: None)()
        self._say()

    def _act(self, call: Call) -> None:
        if call.over:
            over = set(call.over)
            for key in [key for key in self.games if key[1] in over]:
                del self.games[key]
            answers.tell_finished(self.agent, call.over)
        if call.forget:
            self.contexts, self.games = {}, {}
        for number, *context in call.contexts:
            self.contexts[number] = context
        for action in actions_of(self.agent, [self._request(*ask) for ask in call.ask]):
            self._say(ANSWER, "" if action.error else action.text, recorded(action.details), action.error)

    def _request(
        self, context: int, episode: int, seed: int, start: int, texts: list[str], rewards: list[float]
    ) -> Request:
        key = (context, episode, seed)
        new = [
            Turn(text, k % 2 == 1, reward) for k, (text, reward) in enumerate(zip(texts, rewards, strict=True), start)
        ]
        self.games[key] = transcript = Transcript([*self.games.get(key, ())[:start], *new])
        env_id, instructions, env_kwargs = self.contexts[context]
        return Request(env_id, episode, seed, transcript, instructions, env_kwargs)

    def _check(self, call: Call) -> None:
        from lmrl_agents.playing.conformance import check_agent

        def beat(doing: str) -> None:
            self._say(BEAT, doing)
            self.frames.flush()

        found = check_agent(self.agent, call.envs, beat, closing=True)
        self._say(details=asdict(found))

    def _close(self, call: Call) -> None:
        getattr(self.agent, "close", lambda: None)()
        self._say()
