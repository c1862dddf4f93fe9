"""What an agent told about an action (the ``details`` of a record), as pages show it; details may be of any shape.

Read are ``token_logprobs`` (pairs of a token's text and its log-probability) with ``token_values``, ``value`` (of the
position), ``action_value``, ``alternatives`` (pairs of action and value), and ``raw``, what the model wrote.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_TOKENS, MOST_ALTERNATIVES, MOST_CHARACTERS = 256, 12, 1500


@dataclass(frozen=True)
class Thoughts:
    """JSON-able."""

    tokens: list[dict[str, Any]]
    """``text``, ``probability`` and ``value`` (None where it is not known) of every sampled token."""
    value: float | None
    """Of the position, before the action."""
    action_value: float | None
    alternatives: list[dict[str, Any]]
    """``action`` and ``value``, as the agent ordered them."""
    raw: str
    """What the model wrote, if it is more than its action."""


def thoughts_of(action: str, details: Any) -> Thoughts:
    """Read the details of an action."""
    details = details if isinstance(details, Mapping) else {}
    values = _list(details.get("token_values"))
    tokens = []
    for i, entry in enumerate(_list(details.get("token_logprobs") or details.get("logprobs"))[:MOST_TOKENS]):
        if isinstance(entry, Mapping):
            entry = (entry.get("token"), entry.get("logprob"))
        if isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[1], int | float):
            probability = math.exp(min(0.0, float(entry[1])))
            value = _number(values[i]) if i < len(values) else None
            tokens.append({"text": str(entry[0]), "probability": probability, "value": value})
    pairs = [pair for pair in _list(details.get("alternatives")) if isinstance(pair, list | tuple) and len(pair) == 2]
    raw = next((details[key] for key in ("raw", "reply", "text") if isinstance(details.get(key), str)), "")
    return Thoughts(
        tokens,
        _number(details.get("value")),
        _number(details.get("action_value")),
        [
            {"action": shortened(str(text), 200), "value": value}
            for text, told in pairs[:MOST_ALTERNATIVES]
            if (value := _number(told)) is not None
        ],
        shortened(raw) if raw.strip() != action.strip() else "",
    )


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text, or its beginning and how much more there is."""
    return text if len(text) <= most else f"{text[:most]} [... {len(text) - most} more characters]"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
