"""The protocol between whoever asks a language model (partners, prompted agents) and where the model runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from lmrl_envs.files import near

if TYPE_CHECKING:
    from lmrl_envs.language.answers import Tool

Messages = list[dict[str, str]]

RETRY_TEMPERATURE = 0.7


@dataclass(frozen=True)
class Query:
    """A prompt to complete."""

    messages: Messages
    seed: int = 0
    temperature: float | None = 0.0
    """0 is greedy; None leaves it to the server."""
    tool: Tool | None = None
    """To be answered by a call of it, where the backend has tools."""
    attempts: int = 0
    """Made already, of those that the backend allows."""
    seconds: float = 0.0
    """Taken already, of those that the backend allows."""

    def again(self, completion: Completion) -> Query:
        """The query made anew because the completion cannot be used: with a new seed and not greedily."""
        return replace(
            self,
            temperature=max(self.temperature or 0.0, RETRY_TEMPERATURE),
            seed=(self.seed + 1_000_003) % 2**31,
            attempts=completion.attempts,
            seconds=completion.seconds,
        )


@dataclass(frozen=True)
class Completion:
    """What a model wrote."""

    text: str
    prompt_tokens: int | None = None
    """None where the server does not count."""
    completion_tokens: int | None = None
    cached_tokens: int = 0
    """Of the prompt's tokens, those that the server had in a cache."""
    finish: str = ""
    """Why the text ends: ``stop``, ``length``, ..."""
    reasoning: str = ""
    """What a model that thinks thought, where the server tells it apart from the text."""
    model: str = ""
    """The model's name in the server's words."""
    attempts: int = 1
    seconds: float = 0.0
    """With all attempts and the pauses between them."""
    cost: float = 0.0
    """What the meter charged for all attempts."""
    call: str | None = None
    """The arguments of the tool that was called, as JSON if they are as they should be; None: none was."""
    form: str = ""
    """In what the request differed from others, because the server wanted it so."""


@dataclass(frozen=True)
class Failure:
    """Why there is no completion."""

    why: str
    is_final: bool = False
    """Asking again cannot help."""
    advice: str = ""
    """What to do about it, where no other query would fare better: no server, no key, no money."""
    wait: float | None = None
    """Seconds the server asks to wait before the next attempt."""
    unusable: Completion | None = None
    """What was completed and cannot be used; it may have been charged for."""
    may_be_charged: bool = False
    """The server may have worked on it, and nobody knows how much."""
    refusal: Any = None
    """What the server said, where another form of the request may do."""
    attempts: int = 1
    seconds: float = 0.0
    cost: float = 0.0


Results = Generator[tuple[int, Completion | Failure], None, None]
"""The number of each query and what came of it."""


class Meter:
    """Told of every attempt before and after it; this one charges nothing. All methods may be called by several threads."""

    def reserve(self, prompt_tokens: int, completion_tokens: float, patience: float = 0.0) -> float | Failure:
        """Set aside what an attempt can cost at most: the amount, or a failure when it must not be made.

        Args:
            prompt_tokens: of the query, at most.
            completion_tokens: of the completion, at most; infinite where nothing bounds it.
            patience: seconds to wait for what is set aside for others and may be given back.
        """
        return 0.0

    def charge(self, reserved: float, result: Completion | Failure) -> float:
        """Give back what was set aside, and count what the attempt cost: the amount, 0 when nobody knows."""
        return 0.0


FREE = Meter()


@dataclass
class Usage:
    """What was asked of a model so far."""

    requests: int = 0
    """Prompts given to the model, those asked again included."""
    calls: int = 0
    """Batches generated, or HTTP requests sent."""
    retries: int = 0
    """Prompts given again: after an unusable reply or a failed transport."""
    cached: int = 0
    """Replies known from an equal prompt."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Backend(Protocol):
    """A language model somewhere."""

    usage: Usage
    slots: int
    """Queries it likes to have at once."""
    has_tools: bool = False
    """Whether `Query.tool` is heeded."""

    def complete(self, queries: Sequence[Query], max_tokens: int, meter: Meter = FREE) -> Results:
        """The results as they come. Every failure is a value, and every query ends in bounded time.

        Nothing more is sent once the generator is closed, nor after a failure with `Failure.advice`: what is under way then
        is still given, and the other queries have no result.

        Args:
            queries: prompts.
            max_tokens: longest completion, in tokens of the model.
            meter: is told of every attempt.
        """
        ...

    def fits(self, messages: Messages, max_tokens: int) -> bool:
        """Whether a prompt leaves room for the completion, as far as can be known here: of a server's model nothing."""
        return True

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        ...

    def fingerprint(self) -> str:
        """Identifies the weights, where they are at hand."""
        return ""

    def close(self) -> None:
        """Let go of connections, or of the model and its memory."""
        ...


def shared_out(options: Mapping[str, Any], *kinds: Callable[..., Any]) -> list[dict[str, Any]]:
    """What of the options each callable takes as keyword-only arguments.

    Raises:
        ValueError: an option that none of them takes.
    """
    taken = [
        [p.name for p in inspect.signature(kind).parameters.values() if p.kind is p.KEYWORD_ONLY] for kind in kinds
    ]
    known = {name for names in taken for name in names}
    for key in options:
        if key not in known:
            raise ValueError(f"no argument {key!r}; {near(key, known)}")
    return [{name: options[name] for name in names if name in options} for names in taken]
