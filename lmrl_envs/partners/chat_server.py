"""Language models behind OpenAI-compatible servers. Every request is bounded in time, bytes and attempts."""

from __future__ import annotations

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

from lmrl_envs.files import needs
from lmrl_envs.partners.backend import FREE, Backend, Completion, Failure, Meter, Query, Results, Usage
from lmrl_envs.partners.server_replies import UNREADABLE, read_completion, retry_after

MAX_WAIT = 30.0
"""Longest pause before asking again, in seconds, whatever the server's retry-after says."""
GRACE = 5.0
"""Seconds past the deadline after which a request that does not end is given up from outside."""
KEY_VARIABLE = "OPENAI_API_KEY"
_HOSTED = "api.openai.com"
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2")
_TOO_LONG = ("context length", "context_length", "maximum context", "context window", "too long", "too many tokens")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where a server is, and what asking it may take.

    Raises:
        ValueError: no key for OpenAI itself, or an impossible setting.
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
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """More fields of each request (``{"reasoning_effort": "none"}``); None as a value removes a field."""

    def __post_init__(self) -> None:
        for name in ("timeout", "deadline", "concurrency"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be positive")
        for name in ("max_retries", "backoff"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more")
        url = self.base_url or os.environ.get("OPENAI_BASE_URL") or f"https://{_HOSTED}/v1"
        object.__setattr__(self, "base_url", _checked_url(url))
        object.__setattr__(self, "concurrency", int(self.concurrency))
        object.__setattr__(self, "extra_body", dict(self.extra_body or {}))

    @property
    def host(self) -> str:
        """Name and port of the server."""
        return urlsplit(str(self.base_url)).netloc

    @property
    def is_hosted(self) -> bool:
        """Whether it is OpenAI's own."""
        return urlsplit(str(self.base_url)).hostname == _HOSTED


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url={url!r} must look like 'http://127.0.0.1:8000/v1'")
    if parts.username or parts.password or parts.query:
        # Arguments are written to records.
        raise ValueError(f"base_url for {parts.hostname!r} must hold no credentials; put the key in {KEY_VARIABLE}")
    if parts.hostname == _HOSTED and not os.environ.get(KEY_VARIABLE):
        raise ValueError(f"set {KEY_VARIABLE} to ask OpenAI, or base_url= (OPENAI_BASE_URL) for another server")
    return url


class ChatServer(Backend):
    """A model behind a chat endpoint, hosted or one's own: a `Backend`.

    The key comes from ``$OPENAI_API_KEY`` and nowhere else; it is in no message, result or repr. Servers that ask for none
    need none. A query is made again after a failed or broken transport, a time-out, status 408, 409, 429 (after the time
    the server names) or 5xx, and a body that is no completion, with pauses that double. Any other 4xx, and an exhausted
    quota, fail at once.

    Args:
        model: its name on the server.
        settings: where the server is, and what asking may take.
        user: who asks, for error messages.
        max_body: bytes of a reply that are read; a longer one is a failure.

    Raises:
        gymnasium.error.DependencyNotInstalled: the openai client is missing.
    """

    def __init__(self, model: str, settings: ServerSettings, user: str, max_body: int = 32 * 2**20) -> None:
        needs(user, "openai")
        import openai

        self._openai: Any = openai
        self.model, self.settings, self.max_body = model, settings, max_body
        self.host, self.slots = settings.host, settings.concurrency
        self.usage = Usage()
        self._has_answered = False
        self._client: Any = None
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
                    why = f"the server hung for over {self.settings.deadline:g} s"
                    i, result = oldest, Failure(why, may_be_charged=True, seconds=patience)
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
        attempt, cost, result = query.attempts, 0.0, Failure("it was not sent")
        while attempt < last and isinstance(result, Failure) and not result.is_final:
            if time.monotonic() >= until or stop.is_set():
                result = replace(result, why=f"{result.why}; no time left of {self.settings.deadline:g} s")
                break
            reserved = meter.reserve(_most_tokens(query), max_tokens, self.settings.deadline)
            if isinstance(reserved, Failure):
                result = reserved
                break
            attempt += 1
            result = self._attempt(query, max_tokens, until)
            self._count(result, is_retry=attempt > 1)
            cost += meter.charge(reserved, result)
            if isinstance(result, Failure) and not result.is_final and attempt < last:
                pause = self.settings.backoff * 2 ** (attempt - 1) if result.wait is None else result.wait
                stop.wait(max(0.0, min(pause, MAX_WAIT, until - time.monotonic())))
        if isinstance(result, Failure):
            result = replace(result, why=self._redact(result.why))
        return replace(result, attempts=attempt, seconds=time.monotonic() - began, cost=cost)

    def _attempt(self, query: Query, max_tokens: int, until: float) -> Completion | Failure:
        """Send a query and read what is answered, until a time of `time.monotonic`."""
        openai = self._openai
        timeout = max(0.01, min(self.settings.timeout, until - time.monotonic()))
        try:
            endpoint, fields = self._request(query, max_tokens)
            with endpoint.with_streaming_response.create(model=self.model, timeout=timeout, **fields) as response:
                body = self._body(response, until)
        except openai.APIStatusError as error:
            return self._refusal(error)
        except openai.APITimeoutError:
            why = f"{self.host} did not answer within {self.settings.timeout:g} s"
            return Failure(why, may_be_charged=True)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            why = f"no connection to {self.host}: {cause}"
            if type(cause).__name__ in ("ConnectError", "ConnectTimeout"):
                return Failure(why, advice=f"is the server running, and base_url={self.settings.base_url} right?")
            return Failure(why, may_be_charged=True)
        except (openai.OpenAIError, OSError) as error:
            return Failure(f"{type(error).__name__}: {error}", may_be_charged=True)
        except Exception as error:
            # What the transport raises in the midst of a body belongs to the HTTP library the client was built on.
            if type(error).__module__.partition(".")[0] not in _TRANSPORTS:
                raise
            why = f"the connection to {self.host} broke: {type(error).__name__}: {error}"
            return Failure(why, may_be_charged=True)
        if isinstance(body, Failure):
            return body
        try:
            result = self.read(body, max_tokens)
        except UNREADABLE:
            return Failure(f"{self.host} did not send a completion but {self._shown(body, 80)!r}", may_be_charged=True)
        self._has_answered = self._has_answered or isinstance(result, Completion)
        return result

    def _request(self, query: Query, max_tokens: int) -> tuple[Any, dict[str, Any]]:
        """The client's endpoint for a query, and the fields of the request beside the model."""
        fields = {
            "messages": query.messages,
            "max_completion_tokens" if self.settings.is_hosted else "max_tokens": max_tokens,
            "temperature": query.temperature,
            "seed": query.seed,
        }
        extra = self.settings.extra_body
        kept = {key: value for key, value in fields.items() if key not in extra and value is not None}
        sent = {key: value for key, value in extra.items() if value is not None}
        return self._connection().chat.completions, {**kept, "extra_body": sent}

    def read(self, body: bytes, max_tokens: int) -> Completion | Failure:
        """The result in the body of a reply; raises one of `UNREADABLE` where it is none."""
        completion, choices, content = read_completion(body)
        # A server that sends the key back does not get it into a record.
        completion = replace(
            completion,
            text=self._redact(completion.text),
            reasoning=self._redact(completion.reasoning),
            finish=self._redact(completion.finish)[:40],
            model=self._redact(completion.model)[:200],
        )
        if not choices:
            return Failure(f"{self.host} sent a completion without choices", unusable=completion)
        # Without text, it thought until its tokens were used up, or will not say it: that is an answer, an empty one.
        if not isinstance(content, str) and completion.finish not in ("length", "content_filter"):
            return Failure(f"{self.host} sent a completion without text", wait=0.0, unusable=completion)
        return completion

    def _body(self, response: Any, until: float) -> bytes | Failure:
        """The whole body; the time-out of the client only limits each silence in it."""
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self.max_body:
                return Failure(f"{self.host} sent more than {self.max_body} bytes", may_be_charged=True)
            if time.monotonic() > until:
                why = f"{self.host} was still sending after {self.settings.deadline:g} s"
                return Failure(why, may_be_charged=True)
        return bytes(body)

    def _refusal(self, error: Any) -> Failure:
        """A failure by an HTTP status, and whether it is of the query alone or of all."""
        status, headers = error.status_code, error.response.headers
        code = str(getattr(error, "code", None) or getattr(error, "type", None) or "")
        why = f"{self.host} answered with status {status}: {self._shown(error.message, 200)}"
        if code == "insufficient_quota":
            return Failure(why, is_final=True, advice="the quota is exhausted")
        if status == 429:
            return Failure(why, wait=retry_after(headers), advice="lower concurrency, or wait and run it again")
        if not 400 <= status < 500 or status in (408, 409):
            return Failure(why, wait=retry_after(headers))
        if status in (401, 403):
            return Failure(why, is_final=True, advice=f"set {KEY_VARIABLE} to a key that this server takes")
        is_too_long = any(words in f"{code} {why}".lower() for words in _TOO_LONG)
        if status == 404 or not (self._has_answered or is_too_long):  # what never worked is set up wrongly
            return Failure(why, is_final=True, advice=self._model_hint())
        return Failure(why, is_final=True)

    def _model_hint(self) -> str:
        try:
            names = [str(model.id) for model in self._connection().with_options(timeout=5.0).models.list().data]
        except Exception:  # of many kinds; it is only a hint
            names = []
        if not names or self.model in names:
            return "no request to this server has worked yet"
        return self._shown(f"models of this server: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}", 300)

    # -- small things

    def _connection(self) -> Any:
        """The openai client."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # Parent and child of a fork on one connection would read each other's answers.
                self._pid = os.getpid()
                self._client = self._openai.OpenAI(
                    api_key=os.environ.get(KEY_VARIABLE) or "none",
                    base_url=self.settings.base_url,
                    timeout=self.settings.timeout,
                    max_retries=0,  # retries are counted and bounded here
                )
            return self._client

    def _count(self, result: Completion | Failure, is_retry: bool) -> None:
        counted = result.unusable if isinstance(result, Failure) else result
        with self._lock:
            self.usage.requests += 1
            self.usage.calls += 1
            self.usage.retries += is_retry
            if counted is not None:
                self.usage.prompt_tokens += counted.prompt_tokens or 0
                self.usage.completion_tokens += counted.completion_tokens or 0

    def _shown(self, text: str | bytes, limit: int) -> str:
        """The beginning of what a server sent, for a message: on one line, without the key."""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        return self._redact(" ".join(text.split()))[:limit]  # not the other way: a cut key would not be found

    @staticmethod
    def _redact(text: str) -> str:
        """The text without the key."""
        key = os.environ.get(KEY_VARIABLE)
        return text.replace(key, "[key]") if key else text

    def describe(self) -> dict[str, Any]:
        """What is kept with results."""
        return {"server": self.host, "extra_body": self.settings.extra_body}

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


_Queue = queue.SimpleQueue[tuple[int, Completion | Failure | BaseException]]


def _put(results: _Queue, i: int, work: Callable[[], Completion | Failure]) -> None:
    try:
        results.put((i, work()))
    except BaseException as error:  # raised in the caller's thread
        results.put((i, error))


def _most_tokens(query: Query) -> int:
    """More tokens than a prompt can have: no tokenizer makes more of a text than it has bytes."""
    return 64 + sum(len(message["content"].encode()) + 16 for message in query.messages)
