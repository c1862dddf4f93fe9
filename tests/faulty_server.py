"""A chat-completion server on 127.0.0.1 that fails on demand, in every way that real ones do."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

from quiet_server import QuietServer, posted

MODES = (
    "good",
    "rate_limit",  # 429 with retry-after
    "server_error",  # 500
    "unavailable",  # 503, HTML body
    "hang",  # reads the request and says nothing
    "drop",  # closes the connection without a word
    "cut_body",  # closes the connection in the midst of the body
    "truncated_json",  # a complete response whose JSON is not
    "html",  # 200 with a web page
    "no_choices",  # 200 with an empty list of choices
    "null_content",  # 200 with a message without text
    "wrong_format",  # a text that is no answer
    "empty_text",  # an empty answer
    "other_json",  # 200 with JSON that is no completion
    "drip",  # white space for ever, never silent long enough for a read time-out
    "drip_headers",  # the same before the body
    "flood",  # more bytes than anyone wants
    "bad_request",  # 400
    "unauthorized",  # 401, with the key in the message
    "quota",  # 429 that says that the money is used up
    "unknown_model",  # 404
    "too_long",  # 400: the prompt does not fit
    "used_up",  # 200 without text: all tokens went into thoughts
)


class FaultyServer:
    """Answers the i-th request as ``script[i]`` says, and all later ones as ``then`` says.

    Use as a context manager. `bodies` and `headers` (names in lower case) hold what was received.

    Args:
        script: modes of the first requests.
        then: mode of all others.
        answer: makes the assistant's text from the request's messages.
        retry_after: value of the header sent with 429.
        port: where to listen; 0 for any.
        whole: makes the whole body of a good answer from the request's, for other endpoints.
    """

    def __init__(
        self,
        script: Sequence[str] = (),
        then: str = "good",
        answer: Callable[[list[dict[str, str]]], str] = lambda messages: "Yes.",
        retry_after: str = "0.05",
        port: int = 0,
        whole: Callable[[dict[str, Any]], str | dict[str, Any]] | None = None,
    ) -> None:
        unknown = {*script, then} - set(MODES)
        if unknown:
            raise ValueError(f"unknown modes {sorted(unknown)}")
        self.script, self.then, self.answer, self.retry_after = list(script), then, answer, retry_after
        self.port, self.whole = port, whole
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.prompt_tokens = self.completion_tokens = 0  # as they were told
        self.lock = threading.Lock()
        self.stopped = threading.Event()
        self.refuses: Callable[[dict[str, Any]], str | None] = lambda body: None
        """Why a request is answered with 400 in place of what else it would be; None: it is not."""
        self.wordy = 1  # how often a 401 says so before it shows the key

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FaultyServer:
        faulty = self

        class Handler(_Handler):
            owner = faulty

        self._http = QuietServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FaultyServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        owner = self.owner
        body = posted(self)
        with owner.lock:
            number = len(owner.bodies)
            owner.bodies.append(body)
            owner.headers.append({name.lower(): value for name, value in self.headers.items()})
            owner.at_once += 1
            owner.most_at_once = max(owner.most_at_once, owner.at_once)
        mode = owner.script[number] if number < len(owner.script) else owner.then
        try:
            if why := owner.refuses(body):
                self.send(400, {"error": {"message": why}})
            else:
                getattr(self, mode)(body)
        except OSError:
            self.close_connection = True  # the client has gone
        finally:
            with owner.lock:
                owner.at_once -= 1

    def send(self, status: int, body: str | dict[str, Any], kind: str = "application/json", **headers: str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def completion(self, body: dict[str, Any], content: str | None) -> dict[str, Any]:
        message = {"role": "assistant", "content": content}
        # Four bytes a token.
        prompt = sum(len(one["content"].encode()) for one in body["messages"]) // 4
        written = max(2, len((content or "").encode(errors="replace")) // 4)
        with self.owner.lock:
            self.owner.prompt_tokens += prompt
            self.owner.completion_tokens += written
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written},
        }

    def good(self, body: dict[str, Any]) -> None:
        whole = self.owner.whole
        self.send(200, whole(body) if whole else self.completion(body, self.owner.answer(body["messages"])))

    def rate_limit(self, body: dict[str, Any]) -> None:
        self.send(429, {"error": {"message": "slow down"}}, retry_after=self.owner.retry_after)

    def server_error(self, body: dict[str, Any]) -> None:
        self.send(500, {"error": {"message": "out of order"}})

    def unavailable(self, body: dict[str, Any]) -> None:
        self.send(503, "<html>Service unavailable</html>", "text/html")

    def hang(self, body: dict[str, Any]) -> None:
        self.owner.stopped.wait()
        self.close_connection = True

    def drop(self, body: dict[str, Any]) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def cut_body(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"id": "chatcmpl-1", "choices": [')
        self.wfile.flush()
        self.drop(body)

    def truncated_json(self, body: dict[str, Any]) -> None:
        self.send(200, json.dumps(self.completion(body, "Yes."))[:-40])

    def html(self, body: dict[str, Any]) -> None:
        self.send(200, "<!doctype html><title>Yes.</title>")

    def no_choices(self, body: dict[str, Any]) -> None:
        self.send(200, {**self.completion(body, None), "choices": []})

    def null_content(self, body: dict[str, Any]) -> None:
        self.send(200, self.completion(body, None))

    def wrong_format(self, body: dict[str, Any]) -> None:
        self.send(200, self.completion(body, "Perhaps it is, yes or no."))

    def empty_text(self, body: dict[str, Any]) -> None:
        self.send(200, self.completion(body, " \n"))

    def other_json(self, body: dict[str, Any]) -> None:
        self.send(200, "[1, 2, 3]")

    def drip(self, body: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.owner.stopped.wait(0.05):
            self.wfile.write(b" ")
        self.close_connection = True

    def drip_headers(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.owner.stopped.wait(0.05):
            self.wfile.write(b"x")
        self.close_connection = True

    def flood(self, body: dict[str, Any]) -> None:
        self.send(200, " " * (9 * 2**20))

    def bad_request(self, body: dict[str, Any]) -> None:
        self.send(400, {"error": {"message": "no such parameter"}})

    def unauthorized(self, body: dict[str, Any]) -> None:
        key = self.headers["Authorization"].removeprefix("Bearer ")
        self.send(401, {"error": {"message": "Incorrect API key provided. " * self.owner.wordy + key}})

    def quota(self, body: dict[str, Any]) -> None:
        error = {
            "message": "You exceeded your current quota.",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        }
        self.send(429, {"error": error}, retry_after=self.owner.retry_after)

    def unknown_model(self, body: dict[str, Any]) -> None:
        self.send(404, {"error": {"message": f"The model {body['model']} does not exist", "code": "model_not_found"}})

    def too_long(self, body: dict[str, Any]) -> None:
        error = {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}
        self.send(400, {"error": error})

    def used_up(self, body: dict[str, Any]) -> None:
        completion = self.completion(body, None)
        completion["choices"][0]["finish_reason"] = "length"
        self.send(200, completion)

    def do_GET(self) -> None:
        model = {"id": "toy-model", "object": "model", "created": 1, "owned_by": "tests"}
        self.send(200, {"object": "list", "data": [model]})

    def log_message(self, format: str, *args: Any) -> None:
        pass
