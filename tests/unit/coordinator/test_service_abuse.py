"""Hostile and broken peers: their own connection ends, the service lives."""

from __future__ import annotations

import itertools
import os
import random
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import msgpack

from jupyter_nq.buffers import ObjectInfo
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.coordinator.protocol import REPLY_LIMIT_BYTES, REQUEST_LIMIT_BYTES, Decoder
from jupyter_nq.coordinator.service import Service
from jupyter_nq.coordinator.wire import greeting
from jupyter_nq.testing import wait_until
from tests.unit.coordinator.conftest import Dial

_FUZZED = 10_000
_OPS = ["hello", "reserve", "release", "publish", "appended", "find", "drop", "hold", "kernels", "problem", "ls"]


def _open(service: Service) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(os.fspath(service.store.path / SOCKET_NAME))
    return sock


def _framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else msgpack.packb(message)
    return struct.pack("<I", len(body)) + body


def test_a_malformed_or_oversized_frame_ends_its_connection_only(service: Service, connect: Dial) -> None:
    """The peer sees the end, another one notices nothing."""
    other = connect()
    for bad in (
        struct.pack("<I", REQUEST_LIMIT_BYTES + 1),
        _framed(b"\xc1"),
        _framed([1]),
        _framed({"op": 1}),
        os.urandom(4096),
    ):
        with _open(service) as sock:
            sock.sendall(bad)
            assert sock.recv(1) == b""
    assert other.call("status", {})["peers"] == 1


def test_a_frame_that_never_ends_is_given_up_with_its_connection(service: Service, connect: Dial) -> None:
    """Half a frame waits; when its sender leaves, nothing is left of it."""
    with _open(service) as sock:
        sock.sendall(struct.pack("<I", 1000) + b"half")
    wait_until(lambda: "0 connections" in repr(service))
    assert connect().call("ls", {}) == []


def _random_value(rng: random.Random, depth: int = 0) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: rng.randint(-(2**63), 2**64 - 1),
        lambda: rng.choice(["", "bars", "../x", "\x00", "0" * 32, "é" * 5]),
        lambda: rng.random(),
        lambda: None,
        lambda: rng.randbytes(rng.randint(0, 9)),
        lambda: rng.choice([True, False]),
        lambda: [_random_value(rng, depth + 1) for _ in range(rng.randint(0, 3))] if depth < 3 else [],
        lambda: {rng.choice(["name", "id", "bytes", "add"]): _random_value(rng, depth + 1)} if depth < 3 else {},
    ]
    return rng.choice(kinds)()


def _random_frame(rng: random.Random) -> bytes:
    args = {key: _random_value(rng) for key in ("name", "bytes", "id", "version", "ticket", "add", "kernels", "text")}
    good = _framed({"i": rng.randint(0, 99), "op": rng.choice(_OPS), "a": args})
    kind = rng.random()
    if kind < 0.9:
        return good
    if kind < 0.97:
        spoiled = bytearray(good)
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
        return bytes(spoiled)
    return _framed(rng.randbytes(rng.randint(0, 60))) if kind < 0.99 else rng.randbytes(rng.randint(1, 60))


def test_random_frames_do_not_hurt_the_service(service: Service, connect: Dial, put: Callable[..., ObjectInfo]) -> None:
    """Thousands of random and spoiled requests, most from greeted peers: the dataset and its holder stay."""
    rng = random.Random(2)
    other = connect()
    info = put(other, "keep")
    other.tell("hold", {"add": [[info.id, 1]]})
    sent = 0
    while sent < _FUZZED:
        with _open(service) as sock:
            if rng.random() < 0.8:
                sock.sendall(_framed({"i": 1, "op": "hello", "a": greeting("client")}))
            burst = [_random_frame(rng) for _ in range(rng.randint(1, 40))]
            sent += len(burst)
            try:
                sock.sendall(b"".join(burst))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(1 << 16):
                    pass
            except OSError:
                continue  # the service closed first, which is its right
    row = next(row for row in other.call("ls", {}) if row["name"] == "keep")
    assert len(row["holders"]) == 1
    wait_until(lambda: "1 connections" in repr(service))


def test_a_peer_that_does_not_read_is_not_read_from(service: Service, connect: Dial) -> None:
    """It fills its own buffers and then waits; others are served, and it gets every answer when it reads."""
    other = connect()
    frames = [_framed({"i": 1, "op": "hello", "a": greeting("client")})]
    frames += [_framed({"i": n, "op": "status", "a": {}}) for n in range(60_000)]
    with _open(service) as sock:
        sent = _send_until_full(sock, b"".join(frames), between=lambda: other.call("ls", {}))
        assert sent < sum(map(len, frames))
        wanted = sum(end <= sent for end in itertools.accumulate(map(len, frames)))
        sock.settimeout(10)
        decoder = Decoder(REPLY_LIMIT_BYTES)
        answers: list[dict[str, Any]] = []
        while len(answers) < wanted:
            answers += decoder.feed(sock.recv(1 << 16))
    assert all("r" in answer for answer in answers)


def _send_until_full(sock: socket.socket, data: bytes, between: Callable[[], Any]) -> int:
    """Send without reading until nothing was taken for a while, and return how much was."""
    sock.setblocking(False)
    sent = refused = 0
    while refused < 50 and sent < len(data):
        try:
            sent += sock.send(data[sent:])
            refused = 0
        except BlockingIOError:
            refused += 1
            between()
    return sent


def _told(service: Service, revision: int) -> bool:
    return service._told_revision >= revision


def test_news_for_a_watcher_that_does_not_read_are_the_newest_only(service: Service, connect: Dial) -> None:
    """Its queue does not grow: when it reads again, it gets the last revision."""
    watcher, client = connect("watch"), connect()
    watcher.call("watch", {})
    connection = next(c for c in service._connections if c.watching)
    service._loop.call_soon_threadsafe(connection.pause_writing)
    for n in range(5):
        client.tell("problem", {"text": f"{n}"})
        revision = client.call("status", {})["revision"]
        wait_until(partial(_told, service, revision))
    assert list(connection._news) == ["changed"]
    assert "full" in repr(connection)
    last = client.call("status", {})["revision"]
    service._loop.call_soon_threadsafe(connection.resume_writing)
    while watcher.next_event()[1]["revision"] < last:
        pass
