"""A client of OpenAI-compatible chat servers: every failure is of one class, and nothing lasts or grows for ever."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gymnasium.error import DependencyNotInstalled

from lmrl_envs.partners.chat_answers import (
    UNREADABLE,
    Completion,
    Continuation,
    read_completion,
    read_continuation,
    retry_after,
)

MAX_BODY = 4 * 2**20
"""Bytes of a reply that are read; a longer one is a failure."""
MAX_WAIT = 30.0
"""Longest pause before asking again, in seconds, whatever the server's retry-after says."""
GRACE = 5.0
"""Seconds past the deadline after which a request that will not end is given up from outside."""
KEY_VARIABLE = "OPENAI_API_KEY"
_HOSTED = "api.openai.com"
_TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "h11", "h2")

T = TypeVar("T")


@dataclass(eq=False)
class ChatFailure(Exception):
    """A request that came to nothing."""

    why: str
    is_final: bool = False
    """Asking again cannot help."""
    wait: float | None = None
    """Seconds the server asks to wait."""
    status: int | None = None
    code: str = ""
    """The server's name for the error (``insufficient_quota``)."""
    is_unreachable: bool = False
    """Nobody listens there."""
    answer: Completion | None = None
    """What was answered and cannot be used; it may have been charged for."""
    may_be_charged: bool = False
    """The server may have worked on it, and nobody knows how much."""
    attempts: int = 1

    def __str__(self) -> str:
        return self.why


def _import(user: str) -> Any:
    try:
        import openai
    except ImportError as error:
        raise DependencyNotInstalled(f"{user} needs the openai client ({error}): pip install 'lmrl[llm]'") from error
    return openai


class ChatClient:
    """Requests to a chat endpoint, many at a time, each bounded in time, bytes and attempts.

    The key comes from ``$OPENAI_API_KEY`` and nowhere else; it is in no message and no repr. Servers that ask for none
    need none.

    Args:
        user: who asks, for error messages.
        base_url: the server, with its path (``http://127.0.0.1:8000/v1``); None for ``$OPENAI_BASE_URL`` or OpenAI.
        timeout: seconds that connecting, and each silence of the server, may last.
        deadline: seconds that one request may take, retries and pauses included.
        max_retries: how often a request is made again before it fails.
        backoff: seconds before the first retry; doubled with each.
        concurrency: requests under way at the same time.
        max_body: bytes of a reply that are read.

    Raises:
        gymnasium.error.DependencyNotInstalled: the openai client is missing.
        ValueError: no key for OpenAI itself, or an impossible argument.
    """

    def __init__(
        self,
        user: str,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        deadline: float = 300.0,
        max_retries: int = 4,
        backoff: float = 0.5,
        concurrency: int = 16,
        max_body: int = MAX_BODY,
    ) -> None:
        self._openai = _import(user)
        for name, value in {"timeout": timeout, "deadline": deadline, "concurrency": concurrency}.items():
            if not value > 0:
                raise ValueError(f"{name}={value} must be positive")
        for name, value in {"max_retries": max_retries, "backoff": backoff}.items():
            if not value >= 0:
                raise ValueError(f"{name}={value} must be 0 or more")
        self.timeout, self.deadline, self.max_retries, self.backoff = timeout, deadline, max_retries, backoff
        self.concurrency, self.max_body = int(concurrency), max_body
        self.base_url = _check_url(base_url or os.environ.get("OPENAI_BASE_URL") or f"https://{_HOSTED}/v1")
        self.is_hosted = urlsplit(self.base_url).hostname == _HOSTED
        if self.is_hosted and not os.environ.get(KEY_VARIABLE):
            raise ValueError(f"set {KEY_VARIABLE} to ask OpenAI, or base_url= (OPENAI_BASE_URL) for another server")
        self._client: Any = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        """Name and port of the server."""
        return urlsplit(self.base_url).netloc

    def connection(self) -> Any:
        """The openai client."""
        with self._lock:
            if self._client is None or self._pid != os.getpid():
                # Parent and child of a fork on one connection would read each other's answers.
                self._pid = os.getpid()
                self._client = self._openai.OpenAI(
                    api_key=os.environ.get(KEY_VARIABLE) or "none",
                    base_url=self.base_url,
                    timeout=self.timeout,
                    max_retries=0,  # retries are counted and bounded here
                )
            return self._client

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    # -- many requests

    def gather(
        self, count: int, work: Callable[[int, threading.Event], T], hung: Callable[[int, ChatFailure], T]
    ) -> list[T]:
        """``work(i, stop)`` for every i below ``count``, ``concurrency`` of them at a time; the results in order.

        An exception out of ``work`` or ``hung`` ends it all and is raised here. ``hung`` gives the result of a request
        that did not end although its time was over.
        """
        jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        results: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()
        started: dict[int, bool] = {}
        stop = threading.Event()
        for i in range(count):
            jobs.put(i)

        def run() -> None:
            while not stop.is_set():
                try:
                    i = jobs.get_nowait()
                except queue.Empty:
                    return
                started[i] = True
                try:
                    results.put((i, work(i, stop), None))
                except BaseException as error:  # handed to the caller's thread, raised there
                    results.put((i, None, error))
                    return

        def hire(threads: int) -> None:
            # Daemons: a server that trickles its headers for ever must keep neither this call nor the interpreter's exit.
            for _ in range(threads):
                threading.Thread(target=run, daemon=True, name="lmrl-openai").start()

        hire(min(self.concurrency, count))
        answers: dict[int, T] = {}
        try:
            while len(answers) < count:
                try:
                    i, result, error = results.get(timeout=self.deadline + GRACE)
                except queue.Empty:  # every thread is stuck
                    stuck = [i for i in started if i not in answers]
                    why = f"the server hung for over {self.deadline:g} s"
                    answers |= {i: hung(i, ChatFailure(why, may_be_charged=True)) for i in stuck}
                    hire(min(self.concurrency, count - len(answers)))
                    continue
                if error is not None:
                    raise error
                answers.setdefault(i, result)  # type: ignore[arg-type]
        finally:
            stop.set()
        return [answers[i] for i in range(count)]

    # -- one request

    def persist(self, attempt: Callable[[int, float], T], stop: threading.Event) -> tuple[T, int]:
        """Call ``attempt(number from 1, deadline)`` until it does not raise `ChatFailure`, with pauses between.

        Returns:
            what it returned, and the number of attempts.

        Raises:
            ChatFailure: the last one, when there are no retries or there is no time left, or asking again cannot help.
        """
        end = time.monotonic() + self.deadline
        failure = ChatFailure("it was not sent")
        number = 0
        for number in range(1, self.max_retries + 2):
            if end - time.monotonic() <= 0 or stop.is_set():
                failure.why += f"; no time left of {self.deadline:g} s"
                number -= 1
                break
            try:
                return attempt(number, end), number
            except ChatFailure as caught:
                failure = caught
            if failure.is_final:
                break
            if number <= self.max_retries:
                pause = self.backoff * 2 ** (number - 1) if failure.wait is None else failure.wait
                stop.wait(max(0.0, min(pause, MAX_WAIT, end - time.monotonic())))
        failure.attempts, failure.why = number, self.redact(failure.why)
        raise failure

    def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        fields: Mapping[str, Any],
        extra: Mapping[str, Any],
        deadline: float,
    ) -> Completion:
        """One attempt at one completion.

        Args:
            model: its name on the server.
            messages: the chat.
            max_tokens: longest answer, in tokens.
            fields: further fields of the request.
            extra: fields that are added, or go in the place of others; one that is None removes the field.
            deadline: `time.monotonic` until which to read.

        Raises:
            ChatFailure: there is no usable completion.
        """
        regular = {"max_completion_tokens" if self.is_hosted else "max_tokens": max_tokens, **fields}
        kept = {key: value for key, value in regular.items() if key not in extra}
        body = self._body(
            lambda: self.connection().chat.completions,
            deadline,
            model=model,
            messages=messages,
            **kept,
            extra_body={key: value for key, value in extra.items() if value is not None},
        )
        return self._completion(body)

    def continue_ids(
        self, model: str, ids: Sequence[int], *, max_tokens: int, fields: Mapping[str, Any], deadline: float
    ) -> Continuation:
        """One attempt at continuing tokens, ids in and ids out: the completions endpoint of vLLM, ``return_token_ids``.

        Args:
            model: its name on the server.
            ids: the tokens so far.
            max_tokens: most tokens to add.
            fields: further fields of the request, those of vLLM among them.
            deadline: `time.monotonic` until which to read.

        Raises:
            ChatFailure: there is no usable continuation; final, where the server does not know of ids.
        """
        body = self._body(
            lambda: self.connection().completions,
            deadline,
            model=model,
            prompt=list(ids),
            max_tokens=max_tokens,
            logprobs=1,
            extra_body={"return_token_ids": True, **fields},
        )
        try:
            found = read_continuation(body)
        except UNREADABLE:
            why = f"{self.host} did not send a completion but {self.shown(body, 80)!r}"
            raise ChatFailure(why, may_be_charged=True) from None
        if found is None:
            why = f"{self.host} sends no token ids with their log-probabilities (vLLM does, from 0.10.2)"
            raise ChatFailure(why, is_final=True)
        return found

    def _body(self, endpoint: Callable[[], Any], deadline: float, **request: Any) -> bytes:
        """Send a request and read what is answered; every failure is a `ChatFailure`."""
        openai = self._openai
        failure: ChatFailure
        try:
            with endpoint().with_streaming_response.create(
                **request, timeout=max(0.01, min(self.timeout, deadline - time.monotonic()))
            ) as response:
                return self._read_body(response, deadline)
        except openai.APIStatusError as error:
            failure = self._refusal(error)
        except openai.APITimeoutError:
            failure = ChatFailure(f"{self.host} did not answer within {self.timeout:g} s", may_be_charged=True)
        except openai.APIConnectionError as error:
            cause = error.__cause__ or error
            nobody = type(cause).__name__ in ("ConnectError", "ConnectTimeout")
            failure = ChatFailure(
                f"no connection to {self.host}: {cause}", is_unreachable=nobody, may_be_charged=not nobody
            )
        except (openai.OpenAIError, OSError) as error:
            failure = ChatFailure(f"{type(error).__name__}: {error}", may_be_charged=True)
        except Exception as error:
            # What the transport raises in the midst of a body belongs to the HTTP library the client was built on.
            if type(error).__module__.partition(".")[0] not in _TRANSPORTS:
                raise
            failure = ChatFailure(
                f"the connection to {self.host} broke: {type(error).__name__}: {error}", may_be_charged=True
            )
        raise failure  # outside of `except`: the client's errors may quote what was sent

    def _read_body(self, response: Any, deadline: float) -> bytes:
        """The whole body; the time-out of the client only limits each silence in it."""
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > self.max_body:
                raise ChatFailure(f"{self.host} sent more than {self.max_body} bytes", may_be_charged=True)
            if time.monotonic() > deadline:
                why = f"{self.host} was still sending after {self.deadline:g} s"
                raise ChatFailure(why, may_be_charged=True)
        return bytes(body)

    def _completion(self, body: bytes) -> Completion:
        try:
            answer, choices, content = read_completion(body)
        except UNREADABLE:
            why = f"{self.host} did not send a chat completion but {self.shown(body, 80)!r}"
            raise ChatFailure(why, may_be_charged=True) from None
        if not choices:
            raise ChatFailure(f"{self.host} sent a completion without choices", answer=answer)
        if not isinstance(content, str):
            raise ChatFailure(f"{self.host} sent a completion without text", wait=0.0, answer=answer)
        return answer

    def _refusal(self, error: Any) -> ChatFailure:
        status, headers = error.status_code, error.response.headers
        code = str(getattr(error, "code", None) or getattr(error, "type", None) or "")
        is_final = (400 <= status < 500 and status not in (408, 409, 429)) or code == "insufficient_quota"
        message = f"{self.host} answered with status {status}: {self.shown(error.message, 200)}"
        return ChatFailure(message, is_final, retry_after(headers), status, code)

    # -- small things

    def shown(self, text: str | bytes, limit: int) -> str:
        """The beginning of what a server sent, for a message: on one line, without the key."""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        return self.redact(" ".join(text.split()))[:limit]  # not the other way: a cut key would not be found

    def redact(self, text: str) -> str:
        """The text without the key."""
        key = os.environ.get(KEY_VARIABLE)
        return text.replace(key, "[key]") if key else text


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url={url!r} must look like 'http://127.0.0.1:8000/v1'")
    if parts.username or parts.password or parts.query:
        # Arguments are written to records.
        raise ValueError(f"base_url for {parts.hostname!r} must hold no credentials; put the key in {KEY_VARIABLE}")
    return url
