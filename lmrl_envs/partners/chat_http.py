"""One HTTP request to a model server, and its bounded answer; the key that goes with it, and how it is kept out of texts.

Everything that a server sends is counted before it is kept: compressed and not, whatever the status. A redirect is an answer like
others, followed nowhere: the prompts would go to a host that nobody named.
"""

from __future__ import annotations

import html
import os
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lmrl_envs.partners.backend import Failure

KEY_VARIABLE = "OPENAI_API_KEY"
HOSTED = "api.openai.com"
SHORTEST_SECRET = 8
"""Characters of a key that is looked for in texts. Servers of one's own take any key, such as "x": no secret, and a part of words."""
REFUSAL_BYTES = 64 * 2**10
"""Most that is read of an answer with an error status."""
_PIECE = 64 * 2**10


class Key:
    """The key out of ``$OPENAI_API_KEY``; its repr does not hold it.

    Raises:
        ValueError: it holds what no key holds (a newline at its end, a blank).
    """

    def __init__(self) -> None:
        self._text = os.environ.get(KEY_VARIABLE, "")
        if any(not "!" <= character <= "~" for character in self._text):
            raise ValueError(
                f"{KEY_VARIABLE} holds a character that no key has: a blank, a newline (at its end, perhaps), or one beyond ASCII"
            )
        spelled = "".join(_spellings(character) for character in self._text)
        self._pattern = re.compile(spelled, re.IGNORECASE) if len(self._text) >= SHORTEST_SECRET else None

    @property
    def header(self) -> str:
        """The value of the authorization header; servers that ask for no key take any."""
        return f"Bearer {self._text or 'none'}"

    def redact(self, text: str) -> str:
        """The text without the key, however it is escaped in it."""
        return self._pattern.sub("[key]", text) if self._pattern else text

    def __repr__(self) -> str:
        return "Key()"


def _spellings(character: str) -> str:
    """A pattern for a character in either case, after backslashes (JSON, repr), as a code in JSON, repr, a URL or HTML."""
    code = f"{ord(character):02x}"
    named = html.escape(character)
    plain = re.escape(character) if named == character else f"(?:{re.escape(character)}|{named})"
    coded = rf"\\{{1,4}}(?:u00|x){code}|%(?:25){{0,3}}{code}|&#0{{0,6}}{ord(character)};|&#[xX]0{{0,6}}{code};"
    return rf"(?:\\{{0,4}}{plain}|{coded})"  # bounded: a text may be all backslashes


def checked_url(url: str) -> str:
    """The address of a server, if it is one.

    Raises:
        ValueError: it is none, or holds what arguments, which are recorded, must not: a user, a password, a query. Nothing of
            it is quoted then that may be secret.
    """
    example = "must look like 'http://127.0.0.1:8000/v1'"
    if not url.isprintable() or " " in url:
        raise ValueError(f"base_url {example}: there are blanks or control characters in it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"base_url {example}") from None
    if "@" in url or set("?#;") & set(url):
        # Arguments are written to records.
        raise ValueError(f"base_url for {host!r} must hold no credentials and no query; put the key in {KEY_VARIABLE}")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"base_url={url!r} {example}")
    if host == HOSTED and not os.environ.get(KEY_VARIABLE):
        raise ValueError(f"set {KEY_VARIABLE} to ask OpenAI, or base_url= (OPENAI_BASE_URL) for another server")
    return url


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Whole with a status of success; with others no more than its beginning."""

    @property
    def is_good(self) -> bool:
        """Whether the server says that it did as it was asked."""
        return 200 <= self.status < 300


class Exchange:
    """The connections of one process to one server.

    Args:
        base_url: the server, with its path.
        key: sent with every request.
        timeout: seconds that connecting, and each silence, may last.
        connections: most at once.
    """

    def __init__(self, base_url: str, key: Key, timeout: float, connections: int) -> None:
        import httpx

        self._httpx: Any = httpx
        self.host, self._base, self._timeout = urlsplit(base_url).netloc, base_url.rstrip("/"), timeout
        headers = {"Authorization": key.header, "Accept": "application/json", "Accept-Encoding": "identity"}
        self._client = httpx.Client(
            headers={**headers, "User-Agent": "lmrl"},
            limits=httpx.Limits(max_connections=connections + 8, max_keepalive_connections=connections),
            follow_redirects=False,
        )

    def send(self, path: str, content: bytes | None, until: float, most: int) -> Reply | Failure:
        """POST JSON (or GET without content), and read the answer.

        Args:
            path: below the base URL.
            content: JSON.
            until: a time of `time.monotonic` after which nothing more is read.
            most: bytes of an answer, compressed or not; a longer one is a failure.
        """
        httpx, given = self._httpx, max(0.01, until - time.monotonic())
        timeout, headers = min(self._timeout, given), {} if content is None else {"Content-Type": "application/json"}
        method = "GET" if content is None else "POST"
        try:
            with self._client.stream(
                method, self._base + path, content=content, headers=headers, timeout=timeout
            ) as response:
                if not response.is_success:
                    refused = min(until, time.monotonic() + self._timeout)
                    return Reply(response.status_code, response.headers, self._beginning(response, refused))
                body = bytearray()
                for piece in _pieces(response, most):
                    body += piece
                    if len(body) > most:
                        raise _TooMuch
                    if time.monotonic() > until:
                        why = f"{self.host} was still sending when the time for it was over"
                        return Failure(why, may_be_charged=True)
                return Reply(response.status_code, response.headers, bytes(body))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
            why = f"no connection to {self.host}: {type(error).__name__}: {error}"
            return Failure(why, advice=f"is the server running, and base_url={self._base} right?")
        except httpx.TimeoutException:
            return Failure(f"{self.host} did not answer within {self._timeout:g} s", may_be_charged=True)
        except _TooMuch:
            return Failure(f"{self.host} sent more than {most} bytes", may_be_charged=True)
        except (httpx.HTTPError, httpx.StreamError, zlib.error, OSError) as error:
            # What a client finds wrong with its own request may quote a header.
            quoted = "" if isinstance(error, httpx.LocalProtocolError) else f": {error}"
            why = f"the connection to {self.host} broke: {type(error).__name__}{quoted}"
            return Failure(why, may_be_charged=True)

    def _beginning(self, response: Any, until: float) -> bytes:
        """The first bytes of a body, as far as they come."""
        body = bytearray()
        try:
            for piece in _pieces(response, REFUSAL_BYTES):
                body += piece
                if len(body) >= REFUSAL_BYTES or time.monotonic() > until:
                    break
        except (_TooMuch, self._httpx.HTTPError, zlib.error, OSError):
            pass  # it is only for a message
        return bytes(body[:REFUSAL_BYTES])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class _TooMuch(Exception):
    """More bytes than anyone wants."""


def _pieces(response: Any, most: int) -> Iterator[bytes]:
    """A body in pieces of bounded size, unpacked if need be: 3 kB, packed twice, can hold a gigabyte."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise zlib.error("the answer is packed in a way that was not asked for")
    unpacker = None if packing in ("identity", "") else zlib.decompressobj(47)  # 47: gzip or zlib, by its beginning
    count = 0
    for data in response.iter_raw():
        count += len(data)
        if count > most:
            raise _TooMuch
        while unpacker is not None and data:
            yield unpacker.decompress(data, _PIECE)
            data = unpacker.unconsumed_tail
        yield data
