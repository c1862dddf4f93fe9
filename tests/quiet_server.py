"""The HTTP server under the servers of the tests."""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Says nothing of a client that left: what it would print lands among the lines that a test counts."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def posted(handler: BaseHTTPRequestHandler) -> dict[str, Any]:
    """The JSON of a request; ConnectionError: the client left before it had sent all of it."""
    length = int(handler.headers["Content-Length"])
    data = handler.rfile.read(length)
    if len(data) < length:
        raise ConnectionError("the client has gone")
    return json.loads(data)
