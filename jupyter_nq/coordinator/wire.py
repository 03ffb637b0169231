"""The blocking end of the control protocol: one connected Unix socket, requests from the calling thread.

A wire is not thread-safe; its owner serialises the calls. After any failure in the middle of an exchange,
an interrupt included, the wire is of no further use: a late reply must never answer the next request.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
from collections import deque
from typing import Any

import jupyter_nq
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.coordinator.identity import program
from jupyter_nq.coordinator.protocol import (
    LAYOUT,
    PROTOCOL,
    REPLY_LIMIT_BYTES,
    Decoder,
    Encoder,
    raise_error,
    upgrade_sentence,
)
from jupyter_nq.errors import ProtocolError, VersionMismatch

_READ_BYTES = 256 << 10  # 256 KiB


class Wire:
    """One connection to a coordinator.

    Parameters
    ----------
    sock
        A connected stream socket; the wire owns it, and a forked child does not keep it.
    timeout_seconds
        Longest wait for one reply; None waits for ever. `TimeoutError` when it passes.
    """

    def __init__(self, sock: socket.socket, timeout_seconds: float | None) -> None:
        self.sock = sock
        self.info: dict[str, Any] = {}
        self._events: deque[tuple[str, dict[str, Any]]] = deque()
        self._numbers = itertools.count(1)
        self._encoder = Encoder()
        self._decoder = Decoder(REPLY_LIMIT_BYTES)
        sock.settimeout(timeout_seconds)
        own(sock.fileno())

    def call(self, op: str, args: dict[str, Any]) -> Any:
        """Send a request and return its answer; errors of the coordinator are raised as their own class."""
        number = next(self._numbers)
        self.sock.sendall(self._encoder.frame({"i": number, "op": op, "a": args}))
        answer: dict[str, Any] | None = None
        while answer is None:
            for message in self._receive():
                if message.get("i") == number:
                    answer = message
                else:
                    self._keep(message)
        if "e" in answer:
            raise_error(answer["e"])
        return answer.get("r")

    def tell(self, op: str, args: dict[str, Any]) -> None:
        """Send a note: nothing comes back."""
        self.sock.sendall(self._encoder.frame({"op": op, "a": args}))

    def send(self, frame: bytes, timeout_seconds: float) -> None:
        """Send a frame that was made elsewhere; after a `TimeoutError` the wire is of no further use."""
        usual = self.sock.gettimeout()
        self.sock.settimeout(timeout_seconds)
        self.sock.sendall(frame)
        self.sock.settimeout(usual)

    def next_event(self) -> tuple[str, dict[str, Any]]:
        """Wait for the next event and return its name and data."""
        while not self._events:
            for message in self._receive():
                self._keep(message)
        return self._events.popleft()

    def interrupt(self) -> None:
        """End the connection from another thread: whoever waits on it gets `ConnectionError`."""
        with contextlib.suppress(OSError):  # not connected any more
            self.sock.shutdown(socket.SHUT_RDWR)

    def hear_no_more(self) -> None:
        """End the waiting of another thread as `interrupt` does; the coordinator hears of it from `close`."""
        with contextlib.suppress(OSError):  # not connected any more
            self.sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        disown(self.sock.fileno())
        self.sock.close()

    def _receive(self) -> list[dict[str, Any]]:
        data = self.sock.recv(_READ_BYTES)
        if not data:
            raise ConnectionResetError("the coordinator closed the connection")
        try:
            return self._decoder.feed(data)
        except ProtocolError as exc:
            raise ConnectionAbortedError(f"the coordinator's answer is malformed: {exc}") from exc

    def _keep(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("event"), str) and isinstance(message.get("data"), dict):
            self._events.append((message["event"], message["data"]))


def greeting(role: str) -> dict[str, Any]:
    """Return what this process says first."""
    return {
        "protocol": PROTOCOL,
        "layout": LAYOUT,
        "package": jupyter_nq.__version__,
        "python": sys.executable,
        "program": program(os.getpid()),
        "role": role,
    }


def dial(path: str | os.PathLike[str], role: str, timeout_seconds: float | None) -> Wire:
    """Connect to a coordinator's socket and greet it; `Wire.info` is its answer.

    Raises
    ------
    OSError
        Nobody listens, or the connection broke.
    VersionMismatch
        The coordinator speaks another protocol or layout.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    wire = Wire(sock, timeout_seconds)
    try:
        sock.connect(os.fspath(path))
        mine = greeting(role)
        wire.info = _checked(wire.call("hello", mine), mine)
    except BaseException:
        wire.close()
        raise
    return wire


def _checked(info: Any, mine: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(info, dict):
        raise ProtocolError("The coordinator's greeting is not a map.")
    if (info.get("protocol"), info.get("layout")) != (mine["protocol"], mine["layout"]):
        raise VersionMismatch(upgrade_sentence(mine, info))
    return info
