"""The protocol between a task and whoever answers it."""

from __future__ import annotations

from collections.abc import Sequence
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
