"""The control protocol: length-prefixed msgpack over the store's Unix socket.

A frame is a u32 (little-endian) byte count and one msgpack map. The forms of the map:

- request `{"i": n, "op": name, "a": {...}}`, answered by `{"i": n, "r": value}` or by
  `{"i": n, "e": {"type": error class name, "message": text}}`, in any order;
- note: a request without "i", never answered;
- event `{"event": name, "data": {...}}`, only on connections that asked for them with op `watch` (that the desk has
  changed), `receive` (that a version is handed over) or `sync` (whether it was taken).

The first request is `hello`, in every version of the protocol, so that two versions can tell each other
which environment to upgrade. What a coordinator reads is bounded by 1 MiB a frame; what it answers may be
longer, because a list of thousands of datasets is.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgpack

from jupyter_nq.buffers.layout import LAYOUT
from jupyter_nq.errors import NQError, ProtocolError, by_name

__all__ = [
    "LAYOUT",
    "PROTOCOL",
    "REPLY_LIMIT_BYTES",
    "REQUEST_LIMIT_BYTES",
    "ROLES",
    "Decoder",
    "Encoder",
    "Request",
    "error_value",
    "parse_request",
    "raise_error",
    "upgrade_sentence",
]

PROTOCOL = 1
REQUEST_LIMIT_BYTES = 1 << 20  # 1 MiB
REPLY_LIMIT_BYTES = 64 << 20  # 64 MiB
ROLES = ("client", "server", "watch", "cli")

_PREFIX = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Request:
    """One request or note, taken apart.

    `number` is None for a note, which gets no answer; `args` holds only text keys.
    """

    number: int | None
    op: str
    args: Mapping[str, Any] = field(default_factory=dict)


class Encoder:
    """Makes frames; one per connection end and thread, because the packer's buffer is reused."""

    def __init__(self, limit_bytes: int = REQUEST_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._pack = msgpack.Packer().pack

    def frame(self, message: Mapping[str, Any]) -> bytes:
        """Return the frame of a message; `ProtocolError` when it cannot be packed or is too long."""
        try:
            body: bytes = self._pack(message)
        except (TypeError, ValueError, OverflowError) as exc:
            raise ProtocolError(f"The message cannot be sent: {exc}.") from exc
        if len(body) > self._limit_bytes:
            raise ProtocolError(f"The message has {len(body)} bytes; at most {self._limit_bytes} may be sent at once.")
        return _PREFIX.pack(len(body)) + body


class Decoder:
    """Cuts a byte stream into messages; keeps the tail of an unfinished one."""

    def __init__(self, limit_bytes: int = REQUEST_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._tail = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that `data` completes; `ProtocolError` ends the stream for good."""
        stream = self._tail + data if self._tail else data
        messages = []
        start = 0
        while len(stream) - start >= _PREFIX.size:
            (length,) = _PREFIX.unpack_from(stream, start)
            if length > self._limit_bytes:
                raise ProtocolError(f"A frame of {length} bytes was announced; the limit is {self._limit_bytes}.")
            stop = start + _PREFIX.size + length
            if len(stream) < stop:
                break
            messages.append(_unpack(stream[start + _PREFIX.size : stop]))
            start = stop
        self._tail = stream[start:]
        return messages


def _unpack(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as exc:
        raise ProtocolError(f"A frame is not msgpack: {exc}.") from exc
    if not isinstance(message, dict):
        raise ProtocolError(f"A frame holds {type(message).__name__}, not a map.")
    return message


def parse_request(message: Mapping[str, Any]) -> Request:
    """Check the form of a request; `ProtocolError` says what is wrong with it."""
    number, op, args = message.get("i"), message.get("op"), message.get("a", {})
    if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise ProtocolError("A request's number is not an integer.")
    if not isinstance(op, str) or not isinstance(args, dict) or not all(isinstance(key, str) for key in args):
        raise ProtocolError("A request needs an operation's name and a map of arguments.")
    return Request(number, op, args)


def error_value(error: NQError) -> dict[str, str]:
    """Return an error as it travels: the name of its class and its text."""
    return {"type": type(error).__name__, "message": str(error)}


def raise_error(value: Any) -> None:
    """Raise an error that arrived; an unknown class arrives as `NQError`."""
    if not isinstance(value, dict):
        raise ProtocolError("An error arrived without its text.")
    raise by_name(str(value.get("type")))(str(value.get("message")))


def upgrade_sentence(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Say that two greetings do not fit, and how to upgrade the older one."""
    older = min(one, other, key=_age)
    newer = other if older is one else one
    return (
        f"Two versions of jupyter-nq meet on this store: {_describe(one)} and {_describe(other)}. "
        f"Upgrade the older environment to {newer.get('package', 'the newer version')}: "
        f"`{older.get('python', 'python')} -m pip install --upgrade jupyter-nq`, then restart its kernels."
    )


def _age(greeting: Mapping[str, Any]) -> tuple[int, int]:
    protocol, layout = greeting.get("protocol"), greeting.get("layout")
    return (protocol if isinstance(protocol, int) else 0, layout if isinstance(layout, int) else 0)


def _describe(greeting: Mapping[str, Any]) -> str:
    return (
        f"{greeting.get('package', 'an unknown version')} "
        f"(protocol {greeting.get('protocol')}, layout {greeting.get('layout')}) in {greeting.get('python', 'unknown')}"
    )
