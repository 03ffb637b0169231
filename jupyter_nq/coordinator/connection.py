"""One accepted connection of the control socket, on the service's event loop.

Bytes in, requests to the service, frames out. A malformed or oversized frame ends this connection and
nothing else. A peer that does not read its answers is not read from either, so that it cannot make the
service's memory grow.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol, cast

from jupyter_nq.coordinator.protocol import (
    REPLY_LIMIT_BYTES,
    Decoder,
    Encoder,
    Request,
    error_value,
    parse_request,
)
from jupyter_nq.errors import NQError, ProtocolError


class Owner(Protocol):
    """What a connection tells the service."""

    def opened(self, connection: Connection) -> bool:
        """Return False to refuse the connection."""

    def asked(self, connection: Connection, request: Request) -> None:
        """Answer a request or take note of a note."""

    def closed(self, connection: Connection) -> None:
        """Forget the connection; called once for each that was opened."""


class Connection(asyncio.Protocol):
    """A peer's connection; `peer` is its number at the desk, 0 until it said hello."""

    def __init__(self, owner: Owner) -> None:
        self.peer = 0
        self.role = ""
        self.watching = False
        self.socket: socket.socket | None = None
        self._owner = owner
        self._encoder = Encoder(REPLY_LIMIT_BYTES)
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._full = False
        self._waiting: deque[Request] = deque()  # one read's worth at most, because a full peer is not read from
        self._news: dict[str, Mapping[str, Any]] = {}  # events that wait until the peer reads again, newest only

    def __repr__(self) -> str:
        return f"<Connection peer {self.peer or 'that has not greeted'}{', full' if self._full else ''}>"

    @property
    def left(self) -> bool:
        """Tell whether the peer has closed its end, which is known before asyncio says so."""
        if self.socket is None or self.socket.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self.socket.fileno(), 0)  # a hang-up is always reported
        return bool(poll.poll(0))

    # -- what asyncio calls ------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport, unless the owner refuses the peer."""
        self._transport = cast(asyncio.Transport, transport)
        self.socket = transport.get_extra_info("socket")
        if not self._owner.opened(self):
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Hand complete requests on; end the connection at the first malformed one."""
        try:
            self._waiting.extend(parse_request(message) for message in self._decoder.feed(data))
        except ProtocolError:
            self.abort()
        else:
            self._hand_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner; a broken connection is as good as a closed one."""
        self._owner.closed(self)

    def pause_writing(self) -> None:
        """Stop reading: the peer has to take its answers first."""
        self._full = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read again, and send the news that waited."""
        self._full = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        news, self._news = self._news, {}
        for name, data in news.items():
            self.send_event(name, data)
        self._hand_on()

    # -- what the service calls --------------------------------------------------------------------
    def reply(self, request: Request, value: Any) -> None:
        """Answer a request; a note gets none."""
        if request.number is not None:
            try:
                self._write({"i": request.number, "r": value})
            except ProtocolError as exc:
                self.refuse(request, exc)

    def refuse(self, request: Request, error: NQError) -> None:
        """Answer a request with an error."""
        if request.number is not None:
            self._write({"i": request.number, "e": error_value(error)})

    def send_event(self, name: str, data: Mapping[str, Any]) -> None:
        """Send an event; while the peer does not read, only the newest of each name is kept."""
        if self._full:
            self._news[name] = data
        else:
            self._write({"event": name, "data": data})

    def deliver(self, name: str, data: Mapping[str, Any]) -> None:
        """Send an event of which none may be left out; while the peer does not read they wait, so let them be few."""
        self._write({"event": name, "data": data})

    def close(self) -> None:
        """Close after what was written has left."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _hand_on(self) -> None:
        while self._waiting and not self._full:
            self._owner.asked(self, self._waiting.popleft())

    def _write(self, message: Mapping[str, Any]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._encoder.frame(message))
