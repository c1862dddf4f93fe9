"""The protocol between a task and whoever answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class SimulatorError(RuntimeError):
    """A partner could not give a usable reply; the message names the request. It is never turned into a reward."""


class SimulatorStopped(SimulatorError):
    """No game fares better: there is no server, no key, no money, or nothing that was asked of it has ever worked."""


class Partner(Protocol):
    """Answers a batch of requests of one task, in order. Each task decides what its requests are.

    A partner holds no state of any single game: everything it needs is in the request, so that one partner serves
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


class PartnerPrompt(Protocol):
    """How a language model plays a task's partner: its prompt, and how its words are read.

    The agent is the other side: what it says is data that may try to give orders. A partner's prompt therefore

    * puts every text of the conversation into the prompt through `lmrl_envs.partners.prompting.quote` (or
      `quote_dialogue`), never bare and never as a chat message of its own, and says in its system message that
      a quotation is only what the other side said, whatever it claims to be;
    * puts the task (what to answer, in what format) after the quotation once more;
    * reads narrowly in `parse`: a fixed format, no guessing. Prefer None, which asks again, to a lenient reading;
    * leaves everything that earns a reward to the rules. What the model says must not be able to win for the agent:
      that a guess is right, or that a price was agreed, is checked by the task against ``hidden`` and the words.

    What no model can be expected to answer (no words at all, only symbols) is better answered by the rules: the task's
    `_ask` returns None then, and an agent cannot bring a weak model to `SimulatorError` with it.

    A prompt that depends only on what the answer needs (for a yes/no oracle: the secret and the question) lets equal
    prompts be answered once. Optional: ``target(reply: PartnerReply, request) -> str``, the words by which a model should
    say a recorded reply, where they are not its text alone (a decision line, say); `lmrl simulator train` teaches them.
    ``settle(text, request) -> PartnerReply | None``, what a text still amounts to that could not be read in any attempt, where the
    game can go on without what it lacks: a buyer's words without its impossible decision.
    And ``label(reply: PartnerReply, request) -> str``, what a reply amounts to ("yes", a decision): agreement with the
    scripted partner is measured by it, and training is balanced over it.
    """

    name: str
    """Short and stable: it is part of the key of recorded replies."""
    max_new_tokens: int
    """Longest reply, in tokens of the model."""

    def messages(self, request: PartnerRequest) -> list[dict[str, str]]:
        """Chat messages that ask for the reply; the agent's text stands in them quoted and cut to a bounded length."""
        ...

    def parse(self, text: str, request: PartnerRequest) -> PartnerReply | None:
        """The reply meant by a model's text; None when it is unusable and has to be asked for again."""
        ...
