"""Agents that are watched: each acts in a thread of its own, one action at a time, and has so long for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import threading

from lmrl_agents.playing.answers import actions_of
from lmrl_agents.playing.protocol import Action, Agent, Request
from lmrl_benchmarks.serve.environments import Refused
from lmrl_envs.doors import told
from lmrl_envs.files import printable

SHOWN = 500
"""Characters of an agent's error that go to the terminal."""
_LOG = logging.getLogger("lmrl.serve")


class WatchedAgent:
    """One agent of a server. Whoever waits for it holds no thread that a person's move would need.

    Args:
        name: for messages.
        agent: plays.
        seconds: for an action; after that whoever watches is told, and the agent is busy until it answers all the same.
        patience: seconds that a game waits for the agent's answer in another.
    """

    def __init__(self, name: str, agent: Agent, seconds: float, patience: float = 1.0) -> None:
        self.name, self.agent, self.seconds, self.patience = name, agent, seconds, patience
        if hasattr(agent, "tell_all"):
            agent.tell_all()  # type: ignore[attr-defined]
        self._free = asyncio.Lock()

    async def act(self, request: Request) -> Action:
        """Its action.

        Raises:
            Refused: it is busy, has failed, or has not answered in its time.
        """
        try:
            async with asyncio.timeout(self.patience):
                await self._free.acquire()
        except TimeoutError:
            raise Refused(409, "The agent is still answering elsewhere. Try again in a moment.", retry=True) from None
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Action] = loop.create_future()

        def done(action: Action) -> None:
            self._free.release()
            if not answer.done():
                answer.set_result(action)

        def work() -> None:
            try:
                (action,) = actions_of(self.agent, [request])
            except BaseException as problem:  # one that stops a run, too: here it is the next move's to try again
                action = Action("", error=told(problem))
            with contextlib.suppress(RuntimeError):  # the server was stopped meanwhile
                loop.call_soon_threadsafe(done, action)

        # A daemon: an agent that never answers must not keep the server from stopping.
        threading.Thread(target=work, daemon=True, name=f"agent {self.name}").start()
        try:
            async with asyncio.timeout(self.seconds):
                action = await answer
        except TimeoutError:
            _LOG.warning("agent %s has not answered within %g s", self.name, self.seconds)
            raise Refused(504, f"The agent has not answered within {self.seconds:g} s.", retry=True) from None
        if action.error is not None:
            _LOG.warning("agent %s failed: %s", self.name, printable(action.error)[:SHOWN])
            kind = re.match(r"(?:the agent quit: )?(\w*)", action.error)[1]  # type: ignore[index]
            raise Refused(502, f"The agent failed ({kind}); the server's terminal shows more.", retry=True)
        return action
