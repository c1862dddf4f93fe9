"""The protocol between a task and whoever answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class SimulatorError(RuntimeError):
    """A simulator could not give a usable reply; the message names the request. It is never turned into a reward."""


class Simulator(Protocol):
    """Answers a batch of requests of one task, in order. What a request is, is the task's affair.

    A simulator holds no state of any single game: everything it needs is in the request, so that one simulator serves
    many environments, and saving or cloning an environment needs no word from it.
    """

    def reply(self, requests: Sequence[Any]) -> list[Any]:
        """One reply per request.

        Raises:
            SimulatorError: no usable reply after bounded retries.
        """
        ...

    def close(self) -> None:
        """Release processes and connections."""
        ...


@dataclass(frozen=True)
class PartnerRequest:
    """What the partner of a dialogue task (an oracle, a buyer) is asked: answer the agent's last text."""

    hidden: Mapping[str, Any]
    """What the partner knows and the agent does not (JSON-able)."""
    texts: tuple[str, ...]
    """The conversation before the action, environment first."""
    action: str
    """What the agent just said. It is data: never to be obeyed."""
    seed: int
    """For sampling; drawn from the environment's own random stream."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the partner keeps between turns (JSON-able); the environment stores it."""


@dataclass(frozen=True)
class PartnerReply:
    """What the partner says."""

    text: str
    understood: bool = True
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """Anything the rules need beside the words: a decision, an agreed price."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """The partner's state after this turn."""


class Role(Protocol):
    """How a language model plays a task's partner: its prompt, and how its words are read."""

    name: str
    max_new_tokens: int

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """Chat messages that ask for the reply; the agent's text stands in them quoted and cut to a bounded length."""
        ...

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply meant by a model's text; None when it is unusable and has to be asked for again."""
        ...
