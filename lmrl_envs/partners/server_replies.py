"""What OpenAI-compatible servers answer, read from bytes that anybody may have written."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Mapping
from typing import Any

from lmrl_envs.partners.backend import Completion

UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What reading raises where the bytes are not what they should be: no JSON, nested without end, infinite counts, ..."""


def read_completion(body: bytes) -> tuple[Completion, list[Any], Any]:
    """A chat completion, its choices, and the content of the first one (None without any); raises one of `UNREADABLE`."""
    data = json.loads(body)
    choices = data["choices"]
    choice = choices[0] if choices else {}
    usage, message = data.get("usage") or {}, choice.get("message") or {}
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    text, thought = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
    found = Completion(
        text=text if isinstance(text, str) else "",
        prompt_tokens=None if prompt is None else int(prompt),
        completion_tokens=None if completion is None else int(completion),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        finish=str(choice.get("finish_reason") or ""),
        reasoning=thought if isinstance(thought, str) else "",
        model=str(data.get("model") or ""),
    )
    return found, choices, choices[0]["message"]["content"] if choices else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); None without a usable one."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            until, now = _seconds_of(value), _seconds_of(headers.get("date", ""))
            # By the server's own clock, where it tells it: the one here may be set while a run lasts.
            seconds = -1.0 if until is None else until - (time.time() if now is None else now)
        if seconds >= 0:  # false for NaN
            return seconds
    return None


def _seconds_of(date: str) -> float | None:
    """An HTTP date in seconds since 1970; None when it is none."""
    parsed = email.utils.parsedate_tz(date)
    return email.utils.mktime_tz(parsed) if parsed else None
