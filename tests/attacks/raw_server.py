"""An HTTP server of the tests that says whatever a test wants, byte by byte."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterable
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

from quiet_server import QuietServer, posted

Answer = Callable[["Talk"], None]


class Talk(BaseHTTPRequestHandler):
    """One request, and the means to answer it."""

    protocol_version = "HTTP/1.1"
    owner: RawServer
    body: dict[str, Any]

    def do_POST(self) -> None:
        self.body = posted(self)
        with self.owner.lock:
            self.owner.bodies.append(self.body)
        self._answer(self.owner.answer)

    def do_GET(self) -> None:
        self._answer(self.owner.listing)

    def _answer(self, answer: Answer) -> None:
        try:
            answer(self)
        except OSError:
            self.close_connection = True  # the client has gone

    def say(self, status: int, value: Any, **headers: str) -> None:
        """A whole answer: bytes, a text, or a value as JSON."""
        data = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else None
        data = json.dumps(value).encode() if data is None else data
        self.start(status, {"Content-Length": str(len(data)), **headers})
        self.send(data)

    def start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(data)
        with self.owner.lock:
            self.owner.sent += len(data)

    def flood(self, status: int) -> None:
        """More than anyone wants, as long as it is taken."""
        self.start(status, {"Content-Length": str(2**40)})
        while not self.owner.stopped.is_set():
            self.send(b" " * 65536)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class RawServer:
    """Answers POST by ``answer`` and GET by ``listing``; ``bodies`` holds what was asked, ``sent`` the bytes that were taken.

    Use as a context manager.
    """

    def __init__(self, answer: Answer, listing: Answer = lambda talk: talk.say(404, "")) -> None:
        self.answer, self.listing = answer, listing
        self.bodies: list[dict[str, Any]] = []
        self.sent, self.lock, self.stopped = 0, threading.Lock(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> RawServer:
        raw = self

        class Own(Talk):
            owner = raw

        self._http = QuietServer(("127.0.0.1", 0), Own)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()


def completion(content: Any, finish: str | None = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    """A chat completion; by default one whose tokens are not counted."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def prompt_tokens(messages: Iterable[dict[str, str]]) -> int:
    """As a server may count them: four bytes a token."""
    return sum(len(message["content"].encode()) for message in messages) // 4


@cache
def bomb(size: int, layers: int) -> bytes:
    """So many spaces, packed."""
    packer = zlib.compressobj(wbits=31)
    data = b"".join(packer.compress(b" " * 2**20) for _ in range(size >> 20)) + packer.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data
