"""The agent protocol: an agent is any object with ``act(requests) -> list[str]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from lmrl_envs import Transcript


class AgentError(RuntimeError):
    """An agent cannot be found or loaded, or breaks the protocol; the message says which and why."""


class UnknownAgent(AgentError, ValueError):
    """A name of no agent."""


class AgentArgumentError(AgentError, ValueError):
    """An argument of an agent is impossible."""


class AgentStopped(AgentError):
    """An agent cannot go on at all: no money, no server, no key. The run stops; games under way count as not played."""


@dataclass(frozen=True)
class Request:
    """One game that waits for an action."""

    env_id: str
    episode: int
    """Number of the episode in its run; the same game keeps it."""
    seed: int
    """The agent's random seed for this episode. Together with the transcript it determines the action. The game's own seed does
    not follow from it."""
    transcript: Transcript
    instructions: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """The answer to a request, with what is worth keeping beside it."""

    text: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able; recorded with the turn. ``prompt_tokens``, ``completion_tokens`` and ``cost_usd`` are added up in
    summaries; ``optimised`` is what another reward than the task's own gave the action."""
    error: str | None = None
    """Why there is no action: the episode ends here and scores the task's minimum."""


@runtime_checkable
class Agent(Protocol):
    """Plays many games at once. The answer to a request must depend on that request alone."""

    def act(self, requests: Sequence[Request]) -> list[str]:
        """One action per request, in order.

        Optional beside it:

        * ``act_with_details(requests) -> list[Action]``, which evaluations then call in place of ``act``;
        * ``tell_all()``: called once where somebody watches: details then hold all there is to tell;
        * ``describe() -> dict`` (JSON-able, kept with results); ``fingerprint() -> str`` (identifies the weights);
        * ``operational``: names of arguments that say how the agent is run and not what it answers (``timeout``): a
          stopped evaluation may be gone on with by other values of them;
        * ``slots``: how many games it likes to play at once;
        * ``keep_in(folder)``: called before an evaluation plays, for what the agent wants to find again after a kill;
        * ``finished(episodes)``: the numbers of episodes that are over, so that what was kept for them can go;
        * ``close()``.

        Raises:
            AgentStopped: the run must stop. Any other exception is an error of the episodes that were asked about.
        """
        ...
