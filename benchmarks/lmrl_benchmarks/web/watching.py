"""An agent's decision with what can be seen of how it was made: probabilities of its tokens, values of actions.

Beside ``act`` an agent may offer either of these; what it lacks is not shown.

* ``sample(requests)``: objects with ``ids``, ``logprobs`` and, if it has them, ``values`` (one number per id), and a
  ``tokenizer`` (its own or its ``model``'s) whose ``decode(ids)`` gives the action. `LanguageModelAgent` is one.
* ``action_values(requests)``: per request a mapping from actions to values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmrl_agents.api import Agent, Request

MAX_TOKENS, MAX_VALUES, MAX_CHARACTERS = 256, 40, 200


@dataclass(frozen=True)
class Decision:
    """An action, and what the agent tells of it."""

    action: str
    tokens: list[dict[str, Any]] = field(default_factory=list)
    """``text``, ``probability`` and, if offered, ``value`` of every sampled token."""
    values: list[dict[str, Any]] = field(default_factory=list)
    """``action`` and ``value``, best first."""

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {"tokens": self.tokens, "values": self.values}


def decide(agent: Agent, request: Request) -> Decision:
    """Ask an agent for one action.

    Raises:
        TypeError: the agent gave something other than one string. Whatever the agent raises is passed on.
    """
    values = _values(agent, request)
    offers: Any = agent
    tokenizer = _tokenizer(agent)
    if tokenizer is not None and callable(getattr(offers, "sample", None)):
        sampled = offers.sample([request])[0]
        action = tokenizer.decode(sampled.ids)
        return Decision(_checked([action]), _tokens(sampled, tokenizer), values)
    return Decision(_checked(agent.act([request])), [], values)


def _checked(actions: Sequence[Any]) -> str:
    if len(actions) != 1 or not isinstance(actions[0], str):
        raise TypeError(f"act() returned {[type(action).__name__ for action in actions][:3]} for one request")
    return actions[0]


def _tokenizer(agent: Any) -> Any:
    for owner in (agent, getattr(agent, "model", None)):
        tokenizer = getattr(owner, "tokenizer", None)
        if callable(getattr(tokenizer, "decode", None)):
            return tokenizer
    return None


def _tokens(sampled: Any, tokenizer: Any) -> list[dict[str, Any]]:
    ids, logprobs = list(sampled.ids)[:MAX_TOKENS], list(sampled.logprobs)
    values = getattr(sampled, "values", None)
    end = getattr(tokenizer, "eoa", None)
    shown, before = [], ""
    for i, token in enumerate(ids):
        so_far = tokenizer.decode(ids[: i + 1])
        # A token may be a part of a character; its text is what it adds.
        text = (
            "end" if token == end else so_far[len(before) :] if so_far.startswith(before) else tokenizer.decode([token])
        )
        before = so_far
        entry: dict[str, Any] = {
            "text": text,
            "probability": math.exp(min(0.0, float(logprobs[i]))),
            "end": token == end,
        }
        if values is not None and i < len(values):
            entry["value"] = _finite(values[i])
        shown.append(entry)
    return shown


def _values(agent: Any, request: Request) -> list[dict[str, Any]]:
    offered = getattr(agent, "action_values", None)
    if not callable(offered):
        return []
    found: Any = offered([request])
    if not found or not isinstance(found[0], Mapping):
        return []
    numbers = [(str(action)[:MAX_CHARACTERS], _finite(value)) for action, value in found[0].items()]
    ordered = sorted(numbers, key=lambda item: math.inf if item[1] is None else -item[1])[:MAX_VALUES]
    return [{"action": action, "value": value} for action, value in ordered]


def _finite(value: Any) -> float | None:
    """JSON knows no NaN and no infinity."""
    number = float(value)
    return number if math.isfinite(number) else None
