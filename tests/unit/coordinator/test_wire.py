"""The blocking end, against coordinators that answer wrongly."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from jupyter_nq.buffers.layout import LAYOUT
from jupyter_nq.coordinator import PROTOCOL, dial
from jupyter_nq.coordinator.wire import greeting
from jupyter_nq.errors import NQError, ProtocolError, VersionMismatch

_GREETING = {"protocol": PROTOCOL, "layout": LAYOUT, "package": "9.9", "python": "/new/python"}
Answer = Callable[[Any], Any]


def _framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else msgpack.packb(message)
    return struct.pack("<I", len(body)) + body


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[[Answer], Path]]:
    """Give a function that listens once and answers each request with what `answer(request)` says."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen(1)
    threads = []

    def impostor(answer: Answer) -> Path:
        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                while data := peer.recv(1 << 16):
                    peer.sendall(b"".join(_framed(m) for m in answer(msgpack.unpackb(data[4:]))))

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return tmp_path / "s"

    yield impostor
    for thread in threads:
        thread.join(10)
    listener.close()


@pytest.mark.parametrize("changes", [{"protocol": PROTOCOL + 1}, {"layout": LAYOUT + 1}])
def test_a_newer_coordinator_is_not_trusted(impostor: Callable[[Answer], Path], changes: dict[str, int]) -> None:
    """Should it answer at all, this end names itself as the one to upgrade."""
    path = impostor(lambda request: [{"i": request["i"], "r": {**_GREETING, **changes}}])
    with pytest.raises(VersionMismatch, match=r"Upgrade the older environment to 9\.9: `.*python[0-9.]* -m pip"):
        dial(path, "client", 10.0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda request: [{"i": request["i"], "r": "hello"}], ProtocolError),
        (lambda request: [{"i": request["i"], "e": "no"}], ProtocolError),
        (lambda request: [{"i": request["i"], "e": {"type": "Odd", "message": "no"}}], NQError),
        (lambda request: [b"\xc1"], ConnectionError),
        (lambda request: [[1]], ConnectionError),
    ],
)
def test_a_wrong_answer_is_an_error_and_the_line_is_closed(
    impostor: Callable[[Answer], Path], answer: Answer, error: type[Exception]
) -> None:
    """What is not an answer is a broken connection or an error of the protocol."""
    with pytest.raises(error):
        dial(impostor(answer), "client", 10.0)


def test_answers_to_others_and_events_in_between_are_kept_apart(impostor: Callable[[Answer], Path]) -> None:
    """Only the answer with the request's number counts; events wait to be asked for."""

    def answer(request: Any) -> list[Any]:
        value = _GREETING if request["op"] == "hello" else request["op"]
        odd = [{"i": 999, "r": "stale"}, {"event": 5}, {"event": "changed", "data": {"revision": request["i"]}}]
        return [*odd, {"i": request["i"], "r": value}]

    wire = dial(impostor(answer), "client", 10.0)
    assert wire.call("ls", {}) == "ls"
    assert [wire.next_event()[1]["revision"] for _ in range(2)] == [1, 2]
    wire.close()
    wire.close()
    wire.interrupt()


def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    """The caller decides whether to wait or to host."""
    with pytest.raises(FileNotFoundError):
        dial(tmp_path / "none", "client", 1.0)


def test_the_greeting_says_who_this_is() -> None:
    """Versions, environment, program and role."""
    said = greeting("cli")
    assert said["role"] == "cli"
    assert said["protocol"] == PROTOCOL
    assert said["program"]
