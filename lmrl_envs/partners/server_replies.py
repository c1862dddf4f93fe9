"""What OpenAI-compatible servers answer, read from bytes that anybody may have written."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmrl_envs.files.untrusted import decode
from lmrl_envs.partners.backend import Completion

UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)
"""What reading raises where the bytes are not what they should be: no JSON, nested without end, numbers beyond all bounds, ..."""
MOST_VALUES = 1_000_000
"""Values in an answer: some 100 bytes each once they are read, so that no answer takes more memory than that."""
MOST_TOKENS = 10_000_000
"""A count beyond it is none: no model reads so much."""
BYTES_PER_TOKEN = 16
"""A token stands for no more of them, over a whole text; with tokenizers of today it is 3 or 4."""

_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size|limit)|max\w{0,40}[ _-](?:context|prompt|input|model[ _-]?len|sequence|position)"
    r"|(?:prompt|input|sequence|context|conversation|messages?)\b.{0,40}\b(?:too long|exceed)|too long|too large to process"
    r"|too many (?:input )?tokens|exceed\w{0,8}.{0,60}\b(?:context|prompt|input|tokens)\b",
    re.I | re.S,
)
_NO_SYSTEM = re.compile(
    r"\b(?:system|developer)\b.{0,40}\b(?:role|message|instruction|prompt)"
    r"|\b(?:role|message|instruction)s?\b.{0,40}\b(?:system|developer)\b"
    r"|roles? must alternate|only user and assistant",
    re.I | re.S,
)
_LIMIT = re.compile(r"(?:max|n|num|budget|thinking)\w*(?:tokens?|predict|length)$|.*budget", re.I)
_TIMES = ("n", "best_of", "num_return_sequences", "num_generations")


def read_json(body: bytes) -> Any:
    """JSON that takes a bounded amount of memory; raises one of `UNREADABLE`."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise ValueError("too many values")
    return decode(body, most=len(body))


def read_completion(body: bytes, prompt_bytes: int = 0) -> tuple[Completion, bool, str]:
    """A chat completion; whether it says anything at all; and why the server could not complete ("": it could).

    Raises one of `UNREADABLE`. Counts of tokens are what the server says, but no fewer than its texts can have, and None where
    it says what cannot be.
    """
    data = read_json(body)
    choices = data.get("choices")
    problem = None if choices else data.get("error")
    if not problem and not isinstance(choices, list):
        raise ValueError("no completion")
    choice = choices[0] if choices else {}
    usage, message = _fields(data.get("usage")), choice.get("message") or {}
    finish = str(choice.get("finish_reason") or "")
    problem = problem or choice.get("error") or message.get("error")
    if problem or finish == "error":
        problem = f"an error in place of a completion: {words(problem) or 'no reason is given'}"
    elif not choices:
        problem = "a completion without choices"
    text, thoughts = _parts(message.get("content"))
    told = message.get("reasoning_content") or message.get("reasoning")
    thoughts = told if isinstance(told, str) else thoughts
    if not (text or "").strip() and thoughts.strip() and finish in ("", "stop"):
        text, thoughts = thoughts, ""  # the server took the answer for a thought
    written = sum(_bytes(other.get("message")) for other in choices or () if isinstance(other, dict))
    prompt = _count(usage.get("prompt_tokens"), prompt_bytes)
    cached = _count(_fields(usage.get("prompt_tokens_details")).get("cached_tokens"), 0)
    found = Completion(
        text=text or "",
        prompt_tokens=prompt,
        completion_tokens=_count(usage.get("completion_tokens"), written),
        cached_tokens=min(cached or 0, prompt or 0),
        finish=finish,
        reasoning=thoughts,
        model=str(data.get("model") or ""),
        call=_call(message.get("tool_calls")),
    )
    return found, text is not None or found.call is not None, str(problem or "")


def _call(calls: Any) -> str | None:
    """The arguments of the first call of a tool; some servers write them as an object, not as the text of one."""
    for call in calls if isinstance(calls, list) else ():
        arguments = _fields(_fields(call).get("function")).get("arguments")
        if isinstance(arguments, str | dict):
            return arguments if isinstance(arguments, str) else json.dumps(arguments)
    return None


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parts(content: Any) -> tuple[str | None, str]:
    """What is said and what is thought in the content of a message: a text, or a list of parts of several kinds."""
    if not isinstance(content, list):
        return (content, "") if isinstance(content, str) else (None, "")
    said, thought = [], []
    for part in content:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part.get("text"), str) and part.get("type") not in ("thinking", "reasoning"):
            said.append(part["text"])
        else:
            inner = part.get("thinking") or part.get("reasoning") or part.get("text")
            thought += filter(None, _parts(inner))
    return "".join(said) if said else None, "".join(thought)


def _bytes(message: Any) -> int:
    """Bytes of the texts in a message."""
    if isinstance(message, str):
        return len(message.encode(errors="replace"))
    inner = message.values() if isinstance(message, dict) else message if isinstance(message, list) else ()
    return sum(map(_bytes, inner))


def _count(told: Any, text_bytes: int) -> int | None:
    """A number of tokens as a server tells it, no fewer than so many bytes of text can have; None if it is none."""
    number = math.inf if isinstance(told, bool) else _number(told)
    return max(int(max(number, 0)), -(-text_bytes // BYTES_PER_TOKEN)) if number <= MOST_TOKENS else None


def _number(value: Any) -> float:
    """A value as a number, infinite where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.inf
    return math.inf if math.isnan(number) else number


def words(value: Any) -> str:
    """What an error says, in whatever form: its message with the field that it is about, or all of it."""
    if isinstance(value, dict):
        for key in ("message", "error", "detail", "msg"):
            if value.get(key):
                field = value.get("loc") or value.get("param")
                named = f" ({'.'.join(map(str, field)) if isinstance(field, list) else field})" if field else ""
                return words(value[key]) + named
    if isinstance(value, list) and value:
        return "; ".join(words(one) for one in value[:8])
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


@dataclass(frozen=True)
class Refusal:
    """An answer with an error status."""

    status: int
    text: str
    code: str

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt is longer than the model takes."""
        text = f"{self.code} {self.text}"
        is_the_answer = re.search(r"max_(?:completion_)?tokens", text) and "context" not in text.lower()
        return self.status == 413 or bool(_TOO_LONG.search(text) and not is_the_answer)

    @property
    def wants_no_system(self) -> bool:
        """Whether the model's template has no system message."""
        return bool(_NO_SYSTEM.search(self.text))

    @property
    def wants_no_tools(self) -> bool:
        """Whether the server or the model has no tools, or none that must be called."""
        return bool(re.search(r"\btool|\bfunction[ _-]?call", self.text, re.I))

    def names(self, field: str) -> bool:
        """Whether it is about a field of the request."""
        return bool(re.search(rf"\b{field}\b", self.text))


def read_refusal(status: int, body: bytes) -> Refusal:
    """What a server says with an error status."""
    try:
        data = read_json(body)
        fields = _fields(_fields(data).get("error")) or _fields(data)
        return Refusal(status, words(data), str(fields.get("code") or fields.get("type") or ""))
    except UNREADABLE:
        return Refusal(status, body.decode(errors="replace"), "")


def most_written(fields: Mapping[str, Any]) -> float:
    """Tokens that a request with these fields may be answered with, whatever else it asks for; infinite without a limit."""
    limits, times = [], 1.0
    for key, value in _leaves(fields):
        number = _number(value)
        if key in _TIMES:
            times *= max(1.0, number)
        elif _LIMIT.match(key):
            limits.append(number if number > 0 else math.inf)
    return (sum(limits) if limits else math.inf) * times


def _leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        elif value is not None and not isinstance(value, list):
            yield key, value


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
    try:
        parsed = email.utils.parsedate_tz(date)
        return email.utils.mktime_tz(parsed) if parsed else None
    except UNREADABLE:
        return None
