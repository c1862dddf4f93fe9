"""What stands between the network and the games: who may ask, how often, how much, and what a browser may do with answers.

A server on loopback asks for no token, but a web page of another site must neither play nor read: requests for other host
names are refused (a name that its owner points at 127.0.0.1 gets nowhere), and so is whatever a browser sends on behalf of
another origin. On any other address every request needs the token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmrl_benchmarks.serve.connections import CROWDED, SECURITY_HEADERS, client_of
from lmrl_benchmarks.serve.game import Limits

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_ADDRESSES = 4096
LOGIN = "/login"
OPEN_PATHS = frozenset({LOGIN, "/static/style.css"})
"""What is answered without a token: the page that asks for it."""


@dataclass(frozen=True)
class Door:
    """Where the server is, and what opens it."""

    host: str
    port: int
    token: str | None = None

    @property
    def cookie(self) -> str:
        """Name of the cookie; browsers do not tell ports apart."""
        return f"lmrl_{self.port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def answer(status: int, values: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer in ASCII: texts may hold what UTF-8 cannot, such as half of a surrogate pair."""
    body = json.dumps(values, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(body, status, dict(headers or {}), media_type="application/json")


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, door: Door, limits: Limits) -> None:
        self.app, self.door, self.limits = app, door, limits
        self._rates = Rates(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await (self._refusal(HTTPConnection(scope)) or self.app)(scope, receive, send_guarded)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        headers, path, method = request.headers, request.url.path, request.scope["method"]
        if request.scope.get("state", {}).get(CROWDED):
            why = "Too many connections are being answered just now. Try again in a moment."
            return answer(503, {"error": why}, {"retry-after": "1", "connection": "close"})
        if not self._rates.allow(client_of(request.client.host) if request.client else "unknown"):
            return answer(429, {"error": "Too many requests; wait a second."}, {"retry-after": "1"})
        if self.door.token is None and _host_name(headers.get("host", "")) not in LOOPBACK_NAMES | {self.door.host}:
            return answer(421, {"error": "This server answers only under the address that it was started with."})
        if _from_elsewhere(method, headers, path):
            return answer(403, {"error": "This request comes from another web page and is refused."})
        if self.door.token is None:
            return None
        if path == "/" and method == "GET" and same(request.query_params.get("token", ""), self.door.token):
            response = RedirectResponse("/", status_code=303)  # the token leaves the address bar
            set_cookie(response, self.door)
            return response
        if path in OPEN_PATHS or same(_token_of(request, self.door.cookie), self.door.token):
            return None
        if path.startswith("/api/"):
            return answer(401, {"error": "This server needs the token that was printed when it was started."})
        return RedirectResponse(LOGIN, status_code=303)


async def body_of(request: Request, limits: Limits) -> bytes:
    """The whole body of a request, bounded in size and time.

    Raises:
        HTTPException: it is too long, or does not arrive.
    """
    body, close = b"", {"connection": "close"}
    too_long = HTTPException(413, f"A request may have {limits.body_bytes} bytes.", close)
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limits.body_bytes:
        raise too_long
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for piece in request.stream():
                body += piece
                if len(body) > limits.body_bytes:
                    raise too_long
    except TimeoutError:
        raise HTTPException(408, "The request did not arrive in time.", close) from None
    except ClientDisconnect:
        raise HTTPException(400, "The request broke off.") from None
    return body


class Rates:
    """A bucket of requests per client, refilled steadily; the clients seen last are remembered."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, address: str, now: float | None = None) -> bool:
        """Whether a request from this address may be answered now."""
        now = time.monotonic() if now is None else now
        left, then = self._buckets.pop(address, (float(self.limits.burst), now))
        left = min(float(self.limits.burst), left + (now - then) * self.limits.requests_per_second)
        self._buckets[address] = (left - 1.0 if left >= 1.0 else left, now)
        if len(self._buckets) > MAX_ADDRESSES:
            self._buckets.popitem(last=False)
        return left >= 1.0


def same(given: str, token: str) -> bool:
    """Compare in a time that does not depend on where, or whether by length, they differ."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode("utf-8", "replace")).digest(), hashlib.sha256(token.encode()).digest()
    )


def set_cookie(response: Response, door: Door) -> None:
    """Let the browser in from now on; scripts cannot read the cookie, and what other sites send does not carry it.

    Lax, not strict: the printed link, followed from another page, would end at the login page.
    """
    assert door.token is not None
    response.set_cookie(door.cookie, door.token, httponly=True, samesite="lax", max_age=30 * 24 * 3600)


def _token_of(request: HTTPConnection, cookie: str) -> str:
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    return credentials.strip() if kind.lower() == "bearer" else request.cookies.get(cookie, "")


def _host_name(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port  # a port that is none is refused
        return (name or "").lower()
    except ValueError:
        return ""


def _from_elsewhere(method: str, headers: Headers, path: str) -> bool:
    """Whether a browser asks on behalf of another site. Programs other than browsers send neither header."""
    site = headers.get("sec-fetch-site")
    if method in ("GET", "HEAD"):
        return path.startswith("/api/") and site not in (None, "same-origin", "none")
    if site not in (None, "same-origin", "none"):
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True
