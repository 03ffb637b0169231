"""What a coordinator promises when writers fail, hang up or wait, and across coordinators."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import numpy as np
import pytest

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.coordinator.service import Service
from jupyter_nq.errors import (
    NQError,
    StoreFull,
    UnknownDataset,
)
from jupyter_nq.testing import wait_until
from tests.unit.coordinator.conftest import Dial

Put = Callable[..., ObjectInfo]


def test_who_has_hung_up_gets_nothing_done(service: Service, store: Store, connect: Dial) -> None:
    """A writer that was told of a failure never sees its dataset appear afterwards."""
    hung_up, other = connect(), connect()
    info = store.write("bars", np.zeros(3))
    go_on = threading.Event()
    assert service._loop is not None
    service._loop.call_soon_threadsafe(go_on.wait, 10)  # a coordinator that is stopped for a while
    hung_up.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        hung_up.call("publish", {"id": info.id})
    hung_up.close()
    go_on.set()
    assert other.call("ls", {}) == []
    assert store.names() == {}


def test_a_note_is_taken_even_from_who_left(service: Service, connect: Dial) -> None:
    """A process may say what it has to say and end."""
    last, other = connect(), connect()
    last.tell("problem", {"text": "the feed broke"})
    last.close()
    assert wait_until(lambda: other.call("status", {})["problem"])["text"] == "the feed broke"


def test_an_object_that_will_not_be_published_is_freed(service: Service, store: Store, connect: Dial) -> None:
    """Its bytes count from the moment they are in a file, and are back when its writer discards it."""
    wire = connect()
    info = store.write("bars", np.zeros(5000))
    assert wire.call("status", {})["pool"]["used"] == info.nbytes
    wire.tell("discard", {"id": info.id})
    wait_until(lambda: wire.call("status", {})["pool"]["used"] == 0, message="the object to be freed")
    with pytest.raises(UnknownDataset):
        wire.call("discard", {"id": info.id})


def test_what_a_failed_writer_left_counts_against_the_quota(service: Service, store: Store, connect: Dial) -> None:
    """However the writer failed, the pool is never overbooked, and a refusal names the object."""
    wire = connect()
    ticket = wire.call("reserve", {"name": "bars", "bytes": 700_000})["ticket"]
    info = store.write("bars", np.zeros(80_000))
    assert wire.call("status", {})["pool"]["used"] == max(700_000, info.nbytes)
    wire.tell("release", {"ticket": ticket})
    wait_until(lambda: wire.call("status", {})["superseded"]["objects"] == 1, message="the object to be found")
    with pytest.raises(StoreFull, match="bars, not published"):
        wire.call("reserve", {"name": "more", "bytes": 600_000})
    assert wire.call("status", {})["pool"]["used"] == info.nbytes


def test_a_wait_for_memory_is_shorter_than_the_clients_patience(
    service: Service, connect: Dial, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reservation that cannot be answered soon is refused with what to do, and can be made later."""
    wire = connect()
    go_on, collect = threading.Event(), service.store.collect
    monkeypatch.setattr("jupyter_nq.coordinator.freeing._ROOM_SECONDS", 0.05)
    monkeypatch.setattr(service.store, "collect", lambda *what: go_on.wait(10) and collect(*what))
    put(wire, "bars", rows=80_000)
    put(wire, "bars", rows=10_000)
    with pytest.raises(StoreFull, match="being freed: try again"):
        wire.call("reserve", {"name": "more", "bytes": 900_000})
    go_on.set()
    wait_until(lambda: wire.call("status", {})["superseded"]["objects"] == 0)
    assert wire.call("reserve", {"name": "more", "bytes": 900_000})["ticket"]


def test_a_late_answer_is_given_whatever_happens(
    service: Service, connect: Dial, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in the second attempt reaches the one who waits."""
    wire, other = connect(), connect()
    go_on, collect = threading.Event(), service.store.collect
    monkeypatch.setattr(service.store, "collect", lambda *what: go_on.wait(10) and collect(*what))
    put(wire, "bars", rows=80_000)
    put(wire, "bars", rows=10_000)
    caught: list[Exception] = []

    def ask() -> None:
        try:
            wire.call("reserve", {"name": "more", "bytes": 900_000})
        except NQError as exc:
            caught.append(exc)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: service._freeing._waiting)
    monkeypatch.setattr("jupyter_nq.coordinator.operations.measure", lambda *_: 1 // 0)
    go_on.set()
    asking.join(10)
    assert "ZeroDivisionError" in str(caught[0])
    assert other.call("ls", {})


def test_a_dropped_name_that_is_held_stays_dropped_for_the_next_coordinator(
    store: Store, connect: Dial, put: Put
) -> None:
    """Its reader keeps its view; when that ends, the memory is freed and nothing is left of the record."""
    first = Service(store)
    first.start()
    wire = connect()
    handle = store.open_id(put(wire, "bars").id)
    wire.call("drop", {"name": "bars", "id": handle.info.id})
    first.stop()
    second = Service(store)
    second.start()
    try:
        wire = connect()
        assert wire.call("ls", {}) == []
        assert wire.call("drop", {"name": "bars", "id": handle.info.id})["versions"] == 0
        handle.close()
        wait_until(lambda: store.scan() == [], message="the object to be freed")
        wait_until(lambda: os.listdir(store.path / "drops") == [], message="the record to be forgotten")
    finally:
        second.stop()
