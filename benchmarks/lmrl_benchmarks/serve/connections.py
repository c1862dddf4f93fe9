"""Connections to `lmrl serve`, bounded in number and in time before a request is even read.

A client has so many connections, and all have so many together. Where there is no room for another, the oldest goes that has
never sent a whole request, else the one that has been silent longest: whoever opens a thousand and says nothing makes room for
those who say something. Where all are being answered, the new one is told to come back (`Guard` answers it, with its headers).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lmrl_benchmarks.serve.game import Limits

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
"""What a browser may do with an answer; on every one."""
CROWDED = "crowded"
"""Key of a request's state: it came on a connection for which there is no room."""
ACCEPTED, QUEUED = 64, 2048
"""Connections that are taken in at once, and those that wait for it. Of more at once the first would have to go again, for want of
room, before anybody had read what they say."""
SPARE = 32
"""Connections beyond the bounds that are told so; others are closed without a word."""


def client_of(address: str) -> str:
    """Who asks: the address, of IPv6 the network of 64 bits, which one machine may use all of."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class BoundedServer(uvicorn.Server):
    """uvicorn's, with `Connections`."""

    def __init__(self, app: Any, limits: Limits, **settings: Any) -> None:
        protocol: Any = Connections(limits).protocol  # made by a call, like a class
        super().__init__(uvicorn.Config(app, http=protocol, ws="none", backlog=ACCEPTED, log_config=None, **settings))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn, which has one number for both."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(QUEUED)


class Connections:
    """The open connections of a server."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._all = 0
        # By client in the order in which they go: new ones in the order in which they came, then those that have asked
        # something, the one that did so longest ago first.
        self._new: dict[str, dict[Connection, None]] = {}
        self._known: dict[str, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return self._all

    def protocol(self, **arguments: Any) -> Connection:
        """A new connection, for uvicorn's ``http=``."""
        return Connection(self, **arguments)

    def enter(self, new: Connection) -> bool:
        """Take a connection in; False if there is no room for it."""
        has_room = self._make_room(new.owner)
        self._new.setdefault(new.owner, {})[new] = None
        self._all += 1
        over = (self._count(new.owner) - self.limits.connections_of_one, self._all - self.limits.connections)
        if max(over) > SPARE:
            new.transport.abort()
            self.leave(new)
        return has_room

    def answered(self, connection: Connection) -> None:
        """Take note that a connection has asked something that was answered."""
        if self.leave(connection):
            self._known.setdefault(connection.owner, {})[connection] = None
            self._all += 1

    def leave(self, connection: Connection) -> bool:
        """Forget a connection; whether it was known."""
        for kind in (self._new, self._known):
            own = kind.get(connection.owner, {})
            if connection in own:
                del own[connection]
                self._all -= 1
                if not own:
                    del kind[connection.owner]
                return True
        return False

    def _count(self, owner: str) -> int:
        return len(self._new.get(owner, ())) + len(self._known.get(owner, ()))

    def _make_room(self, owner: str) -> bool:
        if self._count(owner) >= self.limits.connections_of_one:
            return self._close_one(owner)
        if self._all < self.limits.connections:
            return True
        return self._close_one(max({*self._new, *self._known}, key=self._count))

    def _close_one(self, owner: str) -> bool:
        new, known = self._new.get(owner, {}), self._known.get(owner, {})
        # Known ones keep half of the places: with all of them, each new one would have to go for the next.
        first, then = (known, new) if 2 * len(known) > self.limits.connections_of_one else (new, known)
        for other in (*first, *then):
            if other.is_waiting:
                other.transport.abort()
                self.leave(other)
                return True
        return False


class Connection(H11Protocol):
    """uvicorn's, with a time for a whole header to come and for an answer to be taken."""

    def __init__(self, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._among = connections
        self.owner = ""
        self._header: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether no whole request has come that would have to be answered."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self.owner = client_of(self.client[0]) if self.client else ""
        if not self._among.enter(self):
            self.app_state = {**self.app_state, CROWDED: True}
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._among.leave(self)
        self._header = _stopped(self._header)
        self._writing = _stopped(self._writing)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Give a header its time, from its first byte (of the first: from the beginning) to its last, however they trickle."""
        if self.conn.their_state is not h11.IDLE:
            self._header = _stopped(self._header)
        elif self._header is None:
            self._header = self.loop.call_later(self._among.limits.header_seconds, self.transport.abort)

    def on_response_complete(self) -> None:
        """See uvicorn. A body that nobody asked for is not waited for."""
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        self._among.answered(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`. Who does not read an answer is left."""
        super().pause_writing()
        if self._writing is None:
            self._writing = self.loop.call_later(self._among.limits.header_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        super().resume_writing()
        self._writing = _stopped(self._writing)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, with the headers of all answers."""
        body = msg.encode("ascii")
        headers = {"content-type": "text/plain", "content-length": str(len(body)), "connection": "close"}
        response = h11.Response(
            status_code=400, headers=list({**headers, **SECURITY_HEADERS}.items()), reason=b"Bad Request"
        )
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _stopped(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
