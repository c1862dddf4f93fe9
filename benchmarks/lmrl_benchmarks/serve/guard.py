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
import time
from collections import OrderedDict
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lmrl_benchmarks.serve.answers import answer
from lmrl_benchmarks.serve.games import Limits

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_ADDRESSES = 4096
LOGIN = "/login"
OPEN_PATHS = frozenset({LOGIN, "/static/style.css"})
"""What is answered without a token: the page that asks for it."""
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # not "no-referrer": forms would then be sent with "origin: null"
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


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

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] not in ("GET", "HEAD"):
            body = await self._body(scope, receive)
            if isinstance(body, Response):
                refusal = body
            else:
                receive = _replay(body, receive)
        await (refusal or self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        client = (scope.get("client") or ("unknown",))[0]
        if not self._rates.allow(client):
            return answer(429, {"error": "Too many requests; wait a second."}, {"retry-after": "1"})
        if self.door.token is None and _host_name(headers.get("host", "")) not in LOOPBACK_NAMES | {self.door.host}:
            return answer(421, {"error": "This server answers only under the address that it was started with."})
        if _from_elsewhere(scope["method"], headers, path):
            return answer(403, {"error": "This request comes from another web page and is refused."})
        if self.door.token is None:
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if path == "/" and scope["method"] == "GET" and same(given, self.door.token):
            response = RedirectResponse("/", status_code=303)  # the token leaves the address bar
            set_cookie(response, self.door)
            return response
        if path in OPEN_PATHS or same(_token_of(headers, self.door.cookie), self.door.token):
            return None
        if path.startswith("/api/"):
            return answer(401, {"error": "This server needs the token that was printed when it was started."})
        return RedirectResponse(LOGIN, status_code=303)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | Response:
        """The whole body, bounded in size and time."""
        headers, most = Headers(scope=scope), self.limits.body_bytes
        too_long = answer(413, {"error": f"A request may have {most} bytes."}, {"connection": "close"})
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > most:
            return too_long
        body = b""
        deadline = time.monotonic() + self.limits.body_seconds
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.01, deadline - time.monotonic()))
            except TimeoutError:
                return answer(408, {"error": "The request did not arrive in time."}, {"connection": "close"})
            if message["type"] != "http.request":
                return answer(400, {"error": "The request broke off."})
            body += message.get("body", b"")
            if len(body) > most:
                return too_long
            if not message.get("more_body"):
                return body


class Rates:
    """A bucket of requests per address, refilled steadily; the addresses seen last are remembered."""

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


def _token_of(headers: Headers, cookie: str) -> str:
    kind, _, credentials = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return credentials.strip()
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(cookie)
    except CookieError:
        return ""
    return found.value if found else ""


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
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


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed
