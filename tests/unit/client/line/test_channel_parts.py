"""The parts of a channel: the ledger of holds, and the bell that wakes the keeper."""

from __future__ import annotations

import select
import socket
from typing import Any

import pytest

from jupyter_nq.client.line.bell import Bell
from jupyter_nq.client.line.ledger import Ledger
from jupyter_nq.coordinator import Wire
from jupyter_nq.coordinator.protocol import Decoder


class Line:
    """A wire whose other end is in the test's hands."""

    def __init__(self) -> None:
        mine, self._other = socket.socketpair()
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # room for what a test says before it looks
        self.wire = Wire(mine, 5.0)

    def said(self) -> list[dict[str, Any]]:
        """Return the arguments of all notes that were sent."""
        self._other.setblocking(False)
        try:
            data = self._other.recv(1 << 20)
        except BlockingIOError:
            return []
        return [message["a"] for message in Decoder().feed(data)]

    def close(self) -> None:
        """Close both ends."""
        self.wire.close()
        self._other.close()


@pytest.fixture
def line() -> Any:
    """Give a line to talk over."""
    line = Line()
    yield line
    line.close()


def test_only_the_difference_is_announced(line: Line) -> None:
    """A hold that ended before anybody was told is never mentioned."""
    ledger = Ledger()
    ledger.change(("a", 1), 1)
    ledger.change(("b", 1), 1)
    ledger.change(("b", 1), -1)
    assert ledger.pending
    ledger.announce(line.wire)
    ledger.announce(line.wire)
    assert line.said() == [{"add": [["a", 1]], "drop": []}]
    ledger.change(("a", 1), 1)
    ledger.change(("a", 1), -1)
    ledger.announce(line.wire)
    assert line.said() == []
    ledger.change(("a", 1), -1)
    ledger.announce(line.wire)
    assert line.said() == [{"add": [], "drop": [["a", 1]]}]
    assert repr(ledger) == "<Ledger 0 held, 0 told, 0 changes>"


def test_another_coordinator_is_told_everything(line: Line) -> None:
    """What is still held is announced again, what was let go meanwhile is not."""
    ledger = Ledger()
    for key in ("a", "b"):
        ledger.change((key, 1), 1)
    ledger.announce(line.wire)
    line.said()
    ledger.change(("a", 1), -1)
    ledger.forget_told()
    ledger.announce(line.wire)
    assert line.said() == [{"add": [["b", 1]], "drop": []}]


def test_many_holds_fit_into_frames(line: Line) -> None:
    """Twelve thousand holds are three notes below the frame limit."""
    ledger = Ledger()
    for n in range(12_000):
        ledger.change((f"{n:04x}", 1), 1)
    ledger.announce(line.wire)
    assert [len(note["add"]) for note in line.said()] == [5000, 5000, 2000]


def test_a_bell_rings_until_it_is_heard() -> None:
    """Ringing twice is one ring; hearing without a ring is fine."""
    bell = Bell()
    poll = select.poll()
    poll.register(bell.fileno(), select.POLLIN)
    assert not poll.poll(0)
    bell.ring()
    bell.ring()
    assert poll.poll(0)
    bell.heard()
    bell.heard()
    assert not poll.poll(0)
    bell.ring()
    assert poll.poll(0)
