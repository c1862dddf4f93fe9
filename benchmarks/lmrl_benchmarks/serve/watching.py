"""An agent's decision with what can be seen of how it was made: probabilities of its tokens, values of actions.

Beside ``act`` an agent may offer any of these; what it lacks is not shown.

* ``sample(requests)``: objects with ``ids``, ``logprobs`` and, if it has them, ``values`` (one number per id), and a
  ``tokenizer`` (its own, its ``policy``'s or its ``model``'s) whose ``decode(ids)`` gives the action.
  `LanguageModelAgent` is one. With ``explain(requests, sampled)``: `lmrl_agents.playing.explain.Explained` for each (None where
  there is nothing to say), the values of the position, of the action taken and of others.
* ``act_with_details(requests)``: objects with ``text``, ``error`` and ``details``, of which ``raw`` is what the model wrote
  and ``token_logprobs`` are pairs of a token's text and its log-probability.
* ``action_values(requests)``: per request a mapping from actions to values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmrl_agents.playing.protocol import Agent, Request

MAX_TOKENS, MAX_VALUES, MAX_CHARACTERS, MAX_RAW = 256, 40, 200, 8000


@dataclass(frozen=True)
class Decision:
    """An action, and what the agent tells of it."""

    action: str
    tokens: list[dict[str, Any]] = field(default_factory=list)
    """``text``, ``probability`` and, if offered, ``value`` of every sampled token."""
    values: list[dict[str, Any]] = field(default_factory=list)
    """``action`` and ``value``, best first."""
    raw: str = ""
    """What a model wrote, of which the action was read."""
    value: float | None = None
    """Of the position, before the action."""
    action_value: float | None = None
    """Of the action taken."""

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        return {
            "tokens": self.tokens, "values": self.values, "raw": self.raw, "value": self.value,
            "action_value": self.action_value,
        }  # fmt: skip


def decide(agent: Agent, request: Request) -> Decision:
    """Ask an agent for one action.

    Raises:
        TypeError: the agent gave something other than one string. Whatever the agent raises is passed on.
        RuntimeError: the agent says that it has no action.
    """
    values = _values(agent, request)
    offers: Any = agent
    tokenizer = _tokenizer(agent)
    if tokenizer is not None and callable(getattr(offers, "sample", None)):
        sampled = offers.sample([request])[0]
        action = _checked([tokenizer.decode(sampled.ids)])
        told = offers.explain([request], [sampled])[0] if hasattr(agent, "explain") else None
        if told is None:
            return Decision(action, _tokens(sampled, tokenizer, getattr(sampled, "values", None)), values)
        tokens = _tokens(sampled, tokenizer, told.tokens)
        return Decision(
            action, tokens, values or _ordered(told.alternatives), "", _finite(told.value), _finite(told.action)
        )
    if callable(getattr(offers, "act_with_details", None)):
        (answer,) = offers.act_with_details([request])
        if answer.error is not None:
            raise RuntimeError(str(answer.error))
        tokens = _told_tokens(answer.details.get("token_logprobs", ()))
        return Decision(_checked([answer.text]), tokens, values, str(answer.details.get("raw", ""))[:MAX_RAW])
    return Decision(_checked(agent.act([request])), [], values)


def _checked(actions: Sequence[Any]) -> str:
    if len(actions) != 1 or not isinstance(actions[0], str):
        raise TypeError(f"act() returned {[type(action).__name__ for action in actions][:3]} for one request")
    return actions[0]


def _tokenizer(agent: Any) -> Any:
    for owner in (agent, getattr(agent, "policy", None), getattr(agent, "model", None)):
        tokenizer = getattr(owner, "tokenizer", None)
        if callable(getattr(tokenizer, "decode", None)):
            return tokenizer
    return None


def _tokens(sampled: Any, tokenizer: Any, values: Sequence[float | None] | None) -> list[dict[str, Any]]:
    ids, logprobs = list(sampled.ids)[:MAX_TOKENS], list(sampled.logprobs)
    end = getattr(tokenizer, "eoa", None)
    shown: list[dict[str, Any]] = []
    told = ""
    for i, token in enumerate(ids):
        entry: dict[str, Any] = {"text": "", "probability": math.exp(min(0.0, float(logprobs[i]))), "end": token == end}
        if values is not None and i < len(values):
            entry["value"] = _finite(values[i])
        so_far = tokenizer.decode(ids[: i + 1])
        # A token may be a part of a character: the one that completes it gets it.
        if so_far.startswith(told) and (not so_far.endswith("\ufffd") or i == len(ids) - 1 or ids[i + 1] == end):
            entry["text"], told = so_far[len(told) :], so_far
        shown.append(entry)
    return shown


def _told_tokens(pairs: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"text": str(text), "probability": math.exp(min(0.0, float(logprob))), "end": text == "<eoa>"}
        for text, logprob in pairs[:MAX_TOKENS]
    ]


def _values(agent: Any, request: Request) -> list[dict[str, Any]]:
    offered = getattr(agent, "action_values", None)
    if not callable(offered):
        return []
    found: Any = offered([request])
    if not found or not isinstance(found[0], Mapping):
        return []
    return _ordered(found[0].items())


def _ordered(pairs: Iterable[tuple[Any, Any]]) -> list[dict[str, Any]]:
    numbers = [(str(action)[:MAX_CHARACTERS], _finite(value)) for action, value in pairs]
    ordered = sorted(numbers, key=lambda item: math.inf if item[1] is None else -item[1])[:MAX_VALUES]
    return [{"action": action, "value": value} for action, value in ordered]


def _finite(value: Any) -> float | None:
    """JSON knows no NaN and no infinity."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
