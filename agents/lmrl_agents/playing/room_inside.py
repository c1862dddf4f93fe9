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
from lmrl_agents.playing.answers import MAX_ERROR, actions_of, introduction, recorded, told
from lmrl_agents.playing.loading import load_agent
from lmrl_agents.playing.protocol import AgentError, AgentStopped, Request
from lmrl_agents.playing.room import ANSWER, BEAT, FAILED, HEAD, STOPPED
from lmrl_envs import Transcript, Turn
from lmrl_envs.files.untrusted import decode


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
        self.agent: Any = None
        self.number = 0
        self.contexts: dict[int, list[Any]] = {}
        self.games: dict[tuple[int, int, int], Transcript] = {}

    def serve(self) -> None:
        """Answer calls, one after the other."""
        while len(head := self.calls.read(4)) == 4:
            (size,) = struct.unpack(">I", head)
            message = decode(self.calls.read(size), dict[str, Any], "a call", size)
            self.number = message["number"]
            try:
                getattr(self, f"_{message['do']}")(message)
            except AgentStopped as stop:
                self._say(STOPPED, error=_text(stop))
            except BaseException as problem:
                self._say(
                    FAILED,
                    type(problem).__name__,
                    error=_text(problem) if isinstance(problem, AgentError) else told(problem),
                )
            self.frames.flush()
            if message["do"] == "close":
                return

    def _say(self, kind: int = ANSWER, text: str = "", details: Any = None, error: str | None = None) -> None:
        parts = [
            str.encode(text, "utf-8", "surrogatepass"),
            json.dumps(details).encode() if details else b"",
            str.encode(error or "", "utf-8", "surrogatepass")[: 4 * MAX_ERROR],
        ]
        self.frames.write(HEAD.pack(kind, self.number, *map(len, parts)) + b"".join(parts))

    def _load(self, message: dict[str, Any]) -> None:
        self.agent = load_agent(message["spec"], **message["kwargs"])
        self._introduce(message)

    def _introduce(self, message: dict[str, Any]) -> None:
        self._say(details=asdict(introduction(self.agent)))

    def _keep_in(self, message: dict[str, Any]) -> None:
        keep_in = getattr(self.agent, "keep_in", None)
        if callable(keep_in):
            folder = Path(message["folder"])
            folder.mkdir(exist_ok=True)
            keep_in(folder)
        self._say()

    def _tell_all(self, message: dict[str, Any]) -> None:
        getattr(self.agent, "tell_all", lambda: None)()
        self._say()

    def _act(self, message: dict[str, Any]) -> None:
        if message["over"]:
            over = set(message["over"])
            for key in [key for key in self.games if key[1] in over]:
                del self.games[key]
            answers.tell_finished(self.agent, message["over"])
        if message.get("forget"):
            self.contexts, self.games = {}, {}
        self.contexts |= {int(number): context for number, context in message["contexts"].items()}
        for action in actions_of(self.agent, [self._request(*ask) for ask in message["ask"]]):
            self._say(ANSWER, "" if action.error else action.text, recorded(action.details), action.error)

    def _request(
        self, context: int, episode: int, seed: int, start: int, texts: list[str], rewards: list[float]
    ) -> Request:
        key = (context, episode, seed)
        new = (
            Turn(text, (start + k) % 2 == 1, reward)
            for k, (text, reward) in enumerate(zip(texts, rewards, strict=True))
        )
        known = self.games.get(key, ())[:start]
        self.games[key] = transcript = Transcript((*known, *new))
        env_id, instructions, env_kwargs = self.contexts[context]
        return Request(env_id, episode, seed, transcript, instructions, env_kwargs)

    def _check(self, message: dict[str, Any]) -> None:
        from lmrl_agents.playing.conformance import check_agent

        def beat(doing: str) -> None:
            self._say(BEAT, doing)
            self.frames.flush()

        found = check_agent(self.agent, message["envs"], beat, closing=True)
        self._say(details=asdict(found))

    def _close(self, message: dict[str, Any]) -> None:
        getattr(self.agent, "close", lambda: None)()
        self._say()
