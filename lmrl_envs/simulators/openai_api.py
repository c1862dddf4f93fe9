"""Any OpenAI-compatible server as a dialogue partner: ``simulator="openai:<model>"``."""

from __future__ import annotations

import email.utils
import json
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gymnasium.error import DependencyNotInstalled

from lmrl_envs.simulators.base import PartnerRequest, Role
from lmrl_envs.simulators.language_model import LanguageModelPartner, Messages
from lmrl_envs.simulators.replay import Answer

MAX_BODY = 4 * 2**20
"""Bytes of a reply that are read; a longer one is a failure."""
MAX_WAIT = 30.0
"""Longest pause before asking again, in seconds, whatever the server's retry-after says."""
GRACE = 5.0
"""Seconds past the deadline after which a request that will not end is given up from outside."""
_HOSTED = "api.openai.com"


@dataclass(eq=False)
class _Failure(Exception):
    """An attempt that came to nothing."""

    why: str
    is_final: bool = False
    """Asking again cannot help."""
    wait: float | None = None
    """Seconds the server asks to wait."""


def _import() -> Any:
    try:
        import openai
    except ImportError as error:
        raise DependencyNotInstalled(
            f"simulator='openai:...' needs the openai client ({error}): pip install 'lmrl[llm]'"
        ) from error
    return openai


class OpenAIPartner(LanguageModelPartner):
    """A model behind an OpenAI-compatible chat endpoint, hosted or one's own.

    The key comes from ``$OPENAI_API_KEY`` and nowhere else; it is in no message, record or repr. Servers that ask for
    none need none. A request is made again after a failed or broken transport, a time-out, status 408, 409, 429
    (after the time the server names) or 5xx, a body that is not a chat completion, and a text that the role cannot
    read; with exponential backoff, ``max_retries`` times at most and for no more than ``deadline`` seconds in all.
    Any other 4xx fails at once.

    Args:
        model: the model's name on the server.
        role: the task's `Role`.
        base_url: the server, with its path (``http://127.0.0.1:8000/v1``); None for ``$OPENAI_BASE_URL`` or OpenAI.
        timeout: seconds that connecting, and each silence of the server, may last.
        deadline: seconds that one request may take, retries and pauses included.
        backoff: seconds before the first retry; doubled with each.
        concurrency: requests under way at the same time.
        seed: added to each request's seed, for another set of samples.
        extra_body: more fields of the request (``{"reasoning_effort": "none"}``); None as a value removes a field.
        temperature, max_retries, record: see `LanguageModelPartner`.

    Raises:
        gymnasium.error.DependencyNotInstalled: the openai client is missing.
        ValueError: no key for OpenAI itself, or an impossible argument.
    """

    def __init__(
        self,
        model: str,
        role: Role,
        *,
        base_url: str | None = None,
        timeout: float = 60.0,
        deadline: float = 300.0,
        max_retries: int = 4,
        backoff: float = 0.5,
        concurrency: int = 16,
        temperature: float = 0.0,
        seed: int = 0,
        extra_body: Mapping[str, Any] | None = None,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        self._openai = _import()
        for name, value in {"timeout": timeout, "deadline": deadline, "concurrency": concurrency}.items():
            if not value > 0:
                raise ValueError(f"{name}={value} must be positive")
        self.model, self.timeout, self.deadline = model, timeout, deadline
        self.backoff, self.concurrency, self.seed = backoff, int(concurrency), seed
        self.base_url = _check_url(base_url or os.environ.get("OPENAI_BASE_URL") or f"https://{_HOSTED}/v1")
        self._is_hosted = urlsplit(self.base_url).hostname == _HOSTED
        if self._is_hosted and not os.environ.get("OPENAI_API_KEY"):
            raise ValueError("set OPENAI_API_KEY to ask OpenAI, or base_url= (OPENAI_BASE_URL) for another server")
        self._extra = dict(extra_body or {})
        self._client: Any = None
        self._client_lock, self._count_lock = threading.Lock(), threading.Lock()
        super().__init__(f"openai:{model}", role, temperature=temperature, max_retries=max_retries, record=record)

    def _connect(self) -> Any:
        with self._client_lock:
            if self._client is None:
                self._client = self._openai.OpenAI(
                    api_key=os.environ.get("OPENAI_API_KEY") or "none",
                    base_url=self.base_url,
                    timeout=self.timeout,
                    max_retries=0,  # retries are counted and bounded here
                )
            return self._client

    # -- a batch

    def _ask(self, requests: Sequence[PartnerRequest], prompts: Sequence[Messages]) -> list[Answer]:
        jobs: queue.SimpleQueue[int] = queue.SimpleQueue()
        results: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
        stop = threading.Event()
        for i in range(len(requests)):
            jobs.put(i)

        def work() -> None:
            while not stop.is_set():
                try:
                    i = jobs.get_nowait()
                except queue.Empty:
                    return
                try:
                    results.put((i, self._ask_one(requests[i], prompts[i], stop)))
                except BaseException as error:  # handed to the caller's thread, raised there
                    results.put((i, error))
                    return

        # Daemons: a server that trickles its headers for ever must keep neither this call nor the interpreter's exit.
        for _ in range(min(self.concurrency, len(requests))):
            threading.Thread(target=work, daemon=True, name="lmrl-openai").start()
        answers: dict[int, Answer] = {}
        try:
            while len(answers) < len(requests):
                try:
                    i, result = results.get(timeout=self.deadline + GRACE)
                except queue.Empty:
                    i = next(i for i in range(len(requests)) if i not in answers)
                    result = self._failed(requests[i], 1, f"the server hung for over {self.deadline:g} s")
                if isinstance(result, BaseException):
                    raise result
                answers[i] = result
        finally:
            stop.set()
        return [answers[i] for i in range(len(requests))]

    # -- one request

    def _ask_one(self, request: PartnerRequest, prompt: Messages, stop: threading.Event) -> Answer:
        begin = time.monotonic()
        failure = _Failure("it was not sent")
        misread = 0
        attempt = 0
        for attempt in range(1, self.max_retries + 2):
            left = begin + self.deadline - time.monotonic()
            if left <= 0 or stop.is_set():
                failure.why += f"; no time left of {self.deadline:g} s"
                attempt -= 1
                break
            if attempt > 1:
                self._count(retries=1)
            try:
                text = self._attempt(request, prompt, misread, begin + self.deadline)
            except _Failure as caught:
                failure = caught
            else:
                reply = self.read(text, request)
                if reply is not None:
                    return Answer(text, reply, attempt)
                misread += 1
                failure = _Failure(f"the last text was {self._shown(text, 120)!r}", wait=0.0)
            if failure.is_final:
                break
            if attempt <= self.max_retries:
                pause = self.backoff * 2 ** (attempt - 1) if failure.wait is None else failure.wait
                left = begin + self.deadline - time.monotonic()
                stop.wait(max(0.0, min(pause, MAX_WAIT, left)))
        raise self._failed(request, attempt, self._redact(failure.why))

    def _attempt(self, request: PartnerRequest, prompt: Messages, misread: int, deadline: float) -> str:
        openai = self._openai
        self._count(requests=1, calls=1)
        failure: _Failure
        try:
            with self._connect().chat.completions.with_streaming_response.create(
                **self._parameters(request, prompt, misread),
                timeout=max(0.01, min(self.timeout, deadline - time.monotonic())),
            ) as response:
                body = self._read_body(response, deadline)
            return self._content(body)
        except openai.APIStatusError as error:
            failure = self._refusal(error)
        except openai.APITimeoutError:
            failure = _Failure(f"{self._host} did not answer within {self.timeout:g} s")
        except openai.APIConnectionError as error:
            failure = _Failure(f"no connection to {self._host}: {error.__cause__ or error}")
        except (openai.OpenAIError, OSError) as error:
            failure = _Failure(f"{type(error).__name__}: {error}")
        except Exception as error:
            # What the transport raises in the midst of a body belongs to the HTTP library the client was built on.
            if type(error).__module__.partition(".")[0] not in (
                "httpx",
                "httpx2",
                "httpcore",
                "httpcore2",
                "h11",
                "h2",
            ):
                raise
            failure = _Failure(f"the connection to {self._host} broke: {type(error).__name__}: {error}")
        raise failure  # outside of `except`: the client's errors may quote what was sent

    def _parameters(self, request: PartnerRequest, prompt: Messages, misread: int) -> dict[str, Any]:
        temperature, seed = self._sampling(request, misread)
        fields: dict[str, Any] = {
            "temperature": temperature,
            "seed": (seed + self.seed) % 2**31,
            "max_completion_tokens" if self._is_hosted else "max_tokens": self.role.max_new_tokens,
        }
        # "extra_body" overrides and adds fields in the body; those set to None go from the regular ones.
        kept = {key: value for key, value in fields.items() if key not in self._extra}
        extra = {key: value for key, value in self._extra.items() if value is not None}
        return {"model": self.model, "messages": prompt, **kept, "extra_body": extra}

    def _read_body(self, response: Any, deadline: float) -> bytes:
        """The whole body; the time-out of the client only limits each silence in it."""
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                raise _Failure(f"{self._host} sent more than {MAX_BODY} bytes")
            if time.monotonic() > deadline:
                raise _Failure(f"{self._host} was still sending after {self.deadline:g} s")
        return body

    def _content(self, body: bytes) -> str:
        """The text of a chat completion."""
        try:
            data = json.loads(body)
        except ValueError:
            raise _Failure(f"{self._host} did not send JSON but {self._shown(body, 80)!r}") from None
        try:
            usage, choices = data.get("usage") or {}, data["choices"]
            content = choices[0]["message"]["content"] if choices else None
            self._count(
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
            )
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            raise _Failure(f"{self._host} did not send a chat completion but {self._shown(body, 80)!r}") from None
        if not choices:
            raise _Failure(f"{self._host} sent a completion without choices")
        if not isinstance(content, str):
            raise _Failure(f"{self._host} sent a completion without text", wait=0.0)
        return content

    def _refusal(self, error: Any) -> _Failure:
        status, headers = error.status_code, error.response.headers
        is_final = 400 <= status < 500 and status not in (408, 409, 429)
        message = f"{self._host} answered with status {status}: {self._shown(error.message, 200)}"
        return _Failure(message, is_final, _retry_after(headers))

    # -- small things

    @property
    def _host(self) -> str:
        return urlsplit(self.base_url).netloc

    def _count(self, **amounts: int) -> None:
        with self._count_lock:
            for name, amount in amounts.items():
                setattr(self.usage, name, getattr(self.usage, name) + amount)

    def _shown(self, text: str | bytes, limit: int) -> str:
        """The beginning of what a server sent, for a message: on one line, without the key."""
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        return self._redact(" ".join(text.split()))[:limit]  # not the other way: a cut key would not be found

    def _redact(self, text: str) -> str:
        key = os.environ.get("OPENAI_API_KEY")
        return text.replace(key, "[key]") if key else text

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""
        super().close()
        with self._client_lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"base_url={url!r} must look like 'http://127.0.0.1:8000/v1'")
    if parts.username or parts.password or parts.query:
        # Arguments are written to records.
        raise ValueError(f"base_url for {parts.hostname!r} must hold no credentials; put the key in OPENAI_API_KEY")
    return url


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date); None without a usable one."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * scale
        except ValueError:
            parsed = email.utils.parsedate_tz(value)
            seconds = email.utils.mktime_tz(parsed) - time.time() if parsed else -1.0
        if seconds >= 0:  # false for NaN
            return seconds
    return None
