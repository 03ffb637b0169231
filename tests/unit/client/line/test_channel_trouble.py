"""Notes that wait for nobody, and what the system refuses: the channel when things go wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_nq.client.line.channel import Channel
from jupyter_nq.coordinator import Wire
from jupyter_nq.errors import CoordinatorUnavailable, ProtocolError, StoreError
from jupyter_nq.testing import wait_until
from tests.unit.client.conftest import Open


def _blocked(host: Channel) -> threading.Event:
    """Stop the host's loop until the event is set."""
    blocked = threading.Event()
    assert host._service is not None
    assert host._service._loop is not None
    host._service._loop.call_soon_threadsafe(blocked.wait, 30)
    return blocked


def test_a_note_waits_for_nobody(open_channel: Open) -> None:
    """Not for a coordinator that is stopped, nor for another thread's request, nor for a new line."""
    host, channel = open_channel(), open_channel(connect_seconds=30)
    blocked = _blocked(host)
    asking = threading.Thread(target=lambda: channel.request("status"))
    asking.start()
    wait_until(lambda: channel._lock.acquire(blocking=False) is False or channel._lock.release())  # type: ignore[func-returns-value]
    start = time.monotonic()
    channel.note("problem", text="behind the request")
    assert time.monotonic() - start < 15
    blocked.set()
    asking.join()
    wait_until(lambda: host.request("status")["problem"], message="the note to be sent afterwards")
    channel.close()
    channel.note("problem", text="without a line")
    assert host.request("status")["problem"]["text"] == "behind the request"


def test_a_note_to_a_coordinator_that_does_not_read_ends_the_line(open_channel: Open) -> None:
    """The note gives up in a moment instead of in `connect_seconds`, and raises nothing."""
    host, channel = open_channel(), open_channel(connect_seconds=30)
    blocked = _blocked(host)
    start = time.monotonic()
    while channel._wire is not None and time.monotonic() - start < 20:
        channel.note("problem", text="x" * 50_000)
    assert time.monotonic() - start < 15
    blocked.set()
    assert channel.request("ls") == []


def test_a_note_that_cannot_be_sent_is_the_callers_error(open_channel: Open) -> None:
    """Arguments that the protocol has no form for never wait in the queue."""
    channel = open_channel()
    with pytest.raises(ProtocolError):
        channel.note("problem", text=object())
    assert channel.request("ls") == []


def test_what_the_system_refuses_is_the_stores_error(open_channel: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers catch one family of errors."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("jupyter_nq.client.line.channel.become_host", refuse)
        with pytest.raises(StoreError, match="Too many open files"):
            open_channel()
        patch.setattr("jupyter_nq.client.line.bell.os.eventfd", refuse)
        with pytest.raises(StoreError, match="Too many open files"):
            open_channel()


def test_the_keeper_survives_what_it_did_not_expect(
    open_channel: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is logged once, and when it is over the idle process is known again."""
    host, idle = open_channel(), open_channel()
    failed = threading.Event()
    times = []

    def fail(*_: object, **__: object) -> None:
        times.append(1)
        if len(times) > 2:
            failed.set()
        raise ValueError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(idle, "_attempt", fail)
        host.close()
        assert failed.wait(10)
    wait_until(lambda: idle.is_host, message="the idle channel to take over")
    assert sum("cannot be kept" in record.message for record in caplog.records) == 1


def test_a_line_that_breaks_again_and_again_is_given_up_in_time(
    open_channel: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline holds for each round of a request."""
    open_channel()
    channel = open_channel(connect_seconds=0.3)

    def broken(*_: object) -> None:
        raise ConnectionResetError("again")

    monkeypatch.setattr("jupyter_nq.coordinator.Wire.call", _after_hello(broken))
    start = time.monotonic()
    with pytest.raises(CoordinatorUnavailable):
        channel.request("ls")
    assert time.monotonic() - start < 5


def _after_hello(instead: Callable[..., None]) -> Callable[..., Any]:
    call = Wire.call

    def choose(wire: Wire, op: str, args: dict[str, Any]) -> Any:
        return call(wire, op, args) if op == "hello" else instead()

    return choose
