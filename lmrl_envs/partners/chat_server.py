"""Language models behind OpenAI-compatible servers. Every request is bounded in time, bytes and attempts."""

from __future__ import annotations

import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from lmrl_envs.files import needs, printable
from lmrl_envs.partners.backend import FREE, Backend, Completion, Failure, Meter, Query, Results, Usage
from lmrl_envs.partners.chat_http import HOSTED, KEY_VARIABLE, Exchange, Key, Reply, checked_url
from lmrl_envs.partners.server_forms import Form, counts_more, prompt_bytes
from lmrl_envs.partners.server_replies import (
    UNREADABLE,
    Refusal,
    most_written,
    read_completion,
    read_json,
    read_refusal,
    retry_after,
)

MAX_WAIT = 30.0
"""Longest pause before asking again, in seconds, whatever the server's retry-after says."""
GRACE = 5.0
"""Seconds past the deadline after which a request that does not end is given up from outside."""
INSTRUCTIONS = ("auto", "system", "user")
MODELS_BYTES, MODELS_SECONDS = 2**20, 5.0
_SHOWN = 64 * 2**10
_NEVER = "no request to this server has worked yet"


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where a server is, and what asking it may take.

    Raises:
        ValueError: no key for OpenAI itself, a key that is none, or an impossible setting.
    """

    base_url: str | None = None
    """The server, with its path (``http://127.0.0.1:8000/v1``); None for ``$OPENAI_BASE_URL`` or OpenAI."""
    timeout: float = 60.0
    """Seconds that connecting, and each silence of the server, may last."""
    deadline: float = 300.0
    """Seconds that one query may take, retries and pauses included."""
    max_retries: int = 4
    """How often a query is made again before it fails."""
    backoff: float = 0.5
    """Seconds before the first retry; doubled with each."""
    concurrency: int = 16
    """Queries under way at the same time."""
    instructions: str = "auto"
    """Where the instructions go: "system", a message of their own; "user", the beginning of the first user's; or "auto": that
    one where the server refuses system messages, or does not count them (its template drops them then, without a word)."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """More fields of each request (``{"reasoning_effort": "none"}``); None as a value removes a field."""

    def __post_init__(self) -> None:
        for name in ("timeout", "deadline", "concurrency"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("max_retries", "backoff"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more")
        if self.instructions not in INSTRUCTIONS:
            raise ValueError(f"instructions={self.instructions!r} must be one of {', '.join(INSTRUCTIONS)}")
        url = self.base_url or os.environ.get("OPENAI_BASE_URL") or f"https://{HOSTED}/v1"
        object.__setattr__(self, "base_url", checked_url(url))
        object.__setattr__(self, "concurrency", int(self.concurrency))
        object.__setattr__(self, "extra_body", dict(self.extra_body or {}))
        taken = {"messages", "model", "prompt", "stream"} & self.extra_body.keys()
        if taken:
            raise ValueError(f"extra_body must not hold {', '.join(sorted(taken))}")
        json.dumps(self.extra_body, allow_nan=False)
        Key()

    @property
    def host(self) -> str:
        """Name and port of the server."""
        return urlsplit(str(self.base_url)).netloc

    @property
    def is_hosted(self) -> bool:
        """Whether it is OpenAI's own."""
        return urlsplit(str(self.base_url)).hostname == HOSTED


class ChatServer(Backend):
    """A model behind a chat endpoint, hosted or one's own: a `Backend`.

    The key comes from ``$OPENAI_API_KEY`` and nowhere else; it is in no message, result or repr. Servers that ask for none
    need none. A query is made again after a failed or broken transport, a time-out, status 408, 409, 429 (after the time
    the server names) or 5xx, and a body that is no completion, with pauses that double. Any other status, and an exhausted
    quota, fail at once; so do, in the end, all queries to a server that has not given a single completion.

    A server that refuses a field that can be done without (``seed``), wants another name for the bound of an answer, or has
    no system messages or no tools is asked once more in another form, and in that form from then on if it works.

    Args:
        model: its name on the server.
        settings: where the server is, and what asking may take.
        user: who asks, for error messages.
        max_body: bytes of a reply that are read; a longer one is a failure.

    Raises:
        gymnasium.error.DependencyNotInstalled: the HTTP client is missing.
        ValueError: a key that is none.
    """

    path = "/chat/completions"
    optional: tuple[str, ...] = ("seed",)
    """Fields of the request that can be done without."""
    has_tools = True

    def __init__(self, model: str, settings: ServerSettings, user: str, max_body: int = 16 * 2**20) -> None:
        needs(user, "httpx")
        self.model, self.settings, self.max_body = model, settings, max_body
        self.host, self.slots = settings.host, settings.concurrency
        self.usage = Usage()
        self._key = Key()
        self._form = Form(
            settings.instructions == "user", "max_completion_tokens" if settings.is_hosted else "max_tokens"
        )
        self._form_is_sure = settings.instructions != "auto"
        self._has_answered = False
        self._exchange: Exchange | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    # -- many queries

    def complete(self, queries: Sequence[Query], max_tokens: int, meter: Meter = FREE) -> Results:
        """See `Backend.complete`. The next query is sent when the caller takes the next result: what it has not seen yet,
        and would pay for again after a kill, is only what is under way.
        """
        patience = self.settings.deadline + GRACE
        waiting, started = deque(range(len(queries))), dict[int, float]()
        results: _Queue = queue.SimpleQueue()
        stop = threading.Event()
        try:
            while started or (waiting and not stop.is_set()):
                while waiting and len(started) < self.settings.concurrency and not stop.is_set():
                    i = waiting.popleft()
                    started[i] = time.monotonic()
                    work = partial(self._persist, queries[i], max_tokens, meter, stop)
                    # A daemon: a server that trickles its headers for ever must not keep the interpreter from exiting.
                    threading.Thread(target=_put, args=(results, i, work), daemon=True, name="lmrl-openai").start()
                oldest = next(iter(started))
                try:
                    i, result = results.get(timeout=max(0.0, started[oldest] + patience - time.monotonic()))
                except queue.Empty:
                    self._exchange = None  # its connections may hang for ever: others get new ones
                    why = f"the server hung for over {self.settings.deadline:g} s"
                    i, result = oldest, self._told(Failure(why, may_be_charged=True, seconds=patience))
                if started.pop(i, None) is None:
                    continue  # it was given up
                if isinstance(result, BaseException):
                    raise result
                if isinstance(result, Failure) and result.advice:
                    stop.set()
                yield i, result
        finally:
            stop.set()

    # -- one query

    def _persist(self, query: Query, max_tokens: int, meter: Meter, stop: threading.Event) -> Completion | Failure:
        """Attempts until one succeeds, none is left, or there is no time for another."""
        began = time.monotonic() - query.seconds
        until, last = began + self.settings.deadline, self.settings.max_retries + 1
        attempt, cost, form = query.attempts, 0.0, self._form
        result: Completion | Failure = Failure("it was not sent")
        while attempt < last and isinstance(result, Failure) and not result.is_final:
            if time.monotonic() >= until or stop.is_set():
                result = replace(result, why=f"{result.why}; no time left of {self.settings.deadline:g} s")
                break
            attempt += 1
            self.usage.retries += attempt > 1
            result, form, spent = self._in_some_form(query, form, max_tokens, until, meter)
            cost += spent
            if isinstance(result, Failure) and not result.is_final and attempt < last:
                pause = self.settings.backoff * 2 ** (attempt - 1) if result.wait is None else result.wait
                stop.wait(max(0.0, min(pause, MAX_WAIT, until - time.monotonic())))
        result = self._told(result) if isinstance(result, Failure) else result
        return replace(result, attempts=attempt, seconds=time.monotonic() - began, cost=cost)

    def _in_some_form(
        self, query: Query, form: Form, max_tokens: int, until: float, meter: Meter
    ) -> tuple[Completion | Failure, Form, float]:
        """An attempt, and where the server cannot take its form another in one that it can: the result, its form, the cost."""
        result, cost = self._attempt(query, form, max_tokens, until, meter)
        for _ in range(len(self.optional) + 4):  # one test for each way in which forms differ
            optional = [name for name in self.optional if name not in self.settings.extra_body]
            is_free = self.settings.instructions == "auto"
            other = form.other(query, result, is_free, self._form_is_sure, optional)
            if other is None or time.monotonic() >= until:
                break
            tested, spent = self._attempt(query, other, max_tokens, until, meter)
            cost += spent
            if isinstance(result, Completion) and not counts_more(result, tested):
                break  # the server counts oddly: the instructions were not left out
            result, form = tested, other
        if isinstance(result, Completion):
            self._has_answered = True
            self._form, self._form_is_sure = form, True
            if str(form):
                result = replace(result, form=str(form))
        return result, form, cost

    def _attempt(
        self, query: Query, form: Form, max_tokens: int, until: float, meter: Meter
    ) -> tuple[Completion | Failure, float]:
        """Send a query and read what is answered, until a time of `time.monotonic`: the result and what it cost."""
        fields = self._request(query, max_tokens, form)
        content = json.dumps({"model": self.model, **fields}, ensure_ascii=False).encode(errors="replace")
        # No tokenizer makes more tokens of a text than it has bytes; a template adds some to every message.
        prompt = 64 + len(content) + 16 * len(query.messages)
        reserved = meter.reserve(prompt, most_written(fields), self.settings.deadline)
        if isinstance(reserved, Failure):
            return replace(reserved, is_final=True), 0.0
        result: Completion | Failure = Failure("it was not sent")
        try:
            reply = self._connection().send(self.path, content, until, self.max_body)
            result = reply if isinstance(reply, Failure) else self._result(reply, query, max_tokens)
        finally:
            cost = meter.charge(reserved, result)
        self._count(result)
        return result, cost

    def _request(self, query: Query, max_tokens: int, form: Form) -> dict[str, Any]:
        """The fields of a request beside the model."""
        return form.fields(query, max_tokens, self.settings.extra_body)

    def _result(self, reply: Reply, query: Query, max_tokens: int) -> Completion | Failure:
        if not reply.is_good:
            return self._refusal(reply)
        try:
            return self.read(reply.body, query, max_tokens)
        except UNREADABLE:
            why = f"{self.host} did not send a completion but {self._shown(reply.body, 80)!r}"
            return Failure(why, may_be_charged=True)

    def read(self, body: bytes, query: Query, max_tokens: int) -> Completion | Failure:
        """The result in the body of a reply; raises one of `UNREADABLE` where it is none."""
        completion, says_something, problem = read_completion(body, prompt_bytes(query))
        redact = self._key.redact
        # A server that sends the key back does not get it into a record.
        completion = replace(
            completion,
            text=redact(completion.text),
            call=None if completion.call is None else redact(completion.call),
            reasoning=redact(completion.reasoning),
            finish=redact(completion.finish)[:40],
            model=redact(completion.model)[:200],
        )
        if problem:
            return Failure(f"{self.host} sent {self._shown(problem, 200)}", unusable=completion)
        # Without text, it thought until its tokens were used up, or will not say it: that is an answer, an empty one.
        if not says_something and not completion.text and completion.finish not in ("length", "content_filter"):
            return Failure(f"{self.host} sent a completion without text", wait=0.0, unusable=completion)
        return completion

    def _refusal(self, reply: Reply) -> Failure:
        """A failure by an HTTP status, and whether it is of the query alone or of all."""
        refusal, status = read_refusal(reply.status, reply.body), reply.status
        why = f"{self.host} answered with status {status}: {self._shown(refusal.text, 200)}"
        wait = retry_after(reply.headers)
        if 300 <= status < 400:
            advice = "redirects are not followed: give the address that it points to as base_url, if you trust it"
            return Failure(why, is_final=True, advice=advice)
        if refusal.code == "insufficient_quota":
            return Failure(why, is_final=True, advice="the quota is exhausted")
        if status == 429:
            return Failure(why, wait=wait, advice="lower concurrency, or wait and run it again")
        if refusal.is_too_long:
            return Failure(why, is_final=True)
        if not 400 <= status < 500 or status in (408, 409):
            return Failure(why, wait=wait, refusal=refusal)
        if status in (401, 403):
            return Failure(why, is_final=True, advice=f"set {KEY_VARIABLE} to a key that this server takes")
        advice = self._advice(refusal) if status == 404 or not self._has_answered else ""
        return Failure(why, is_final=True, advice=advice, refusal=refusal)  # what never worked is set up wrongly

    def _advice(self, refusal: Refusal) -> str:
        if refusal.names("temperature"):
            return f"temperature=null leaves it to the server; {_NEVER}"
        try:
            until = time.monotonic() + MODELS_SECONDS
            reply = self._connection().send("/models", None, until, MODELS_BYTES)
            listed = read_json(reply.body)["data"] if isinstance(reply, Reply) and reply.is_good else []
            names = [str(model["id"]) for model in listed]
        except UNREADABLE:  # it is only a hint
            names = []
        if not names or self.model in names:
            return _NEVER
        return self._shown(f"models of this server: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}", 300)

    def _told(self, failure: Failure) -> Failure:
        """A failure as it is told: without the key, on one line; and final for all where nothing ever worked."""
        advice = failure.advice
        if not advice and not failure.is_final and not self._has_answered:
            advice = _NEVER
        return replace(failure, why=printable(self._key.redact(failure.why)), advice=printable(advice))

    # -- small things

    def _connection(self) -> Exchange:
        with self._lock:
            if self._exchange is None or self._pid != os.getpid():
                # Parent and child of a fork on one connection would read each other's answers.
                self._pid = os.getpid()
                settings = self.settings
                self._exchange = Exchange(str(settings.base_url), self._key, settings.timeout, settings.concurrency)
            return self._exchange

    def _count(self, result: Completion | Failure) -> None:
        counted = result.unusable if isinstance(result, Failure) else result
        with self._lock:
            self.usage.requests += 1
            self.usage.calls += 1
            if counted is not None:
                self.usage.prompt_tokens += counted.prompt_tokens or 0
                self.usage.completion_tokens += counted.completion_tokens or 0

    def _shown(self, text: str | bytes, limit: int) -> str:
        """The beginning of what a server sent, for a message: on one line, without the key."""
        text = text[:_SHOWN].decode(errors="replace") if isinstance(text, bytes) else text[:_SHOWN]
        # The key first: one that is cut would not be found. Where the text was cut, one may have begun.
        text = self._key.redact(text)[: _SHOWN - 4096]
        return printable(" ".join(text.split()))[:limit]

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"server": self.host, "extra_body": self.settings.extra_body, "instructions": self.settings.instructions}

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        with self._lock:
            if self._exchange is not None:
                self._exchange.close()
                self._exchange = None


_Queue = queue.SimpleQueue[tuple[int, Completion | Failure | BaseException]]


def _put(results: _Queue, i: int, work: Callable[[], Completion | Failure]) -> None:
    try:
        results.put((i, work()))
    except BaseException as error:  # raised in the caller's thread
        results.put((i, error))
