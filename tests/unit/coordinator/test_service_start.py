"""What a service finds when it starts: headers, links, leftovers of dead processes, damage."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.coordinator.protocol import Request
from jupyter_nq.coordinator.service import Service
from jupyter_nq.errors import CoordinatorUnavailable, NQError, UnknownDataset
from jupyter_nq.testing import wait_until
from tests.unit.coordinator.conftest import Dial

Put = Callable[..., ObjectInfo]


def test_a_service_that_has_given_the_lock_back_does_nothing_more(store: Store, connect: Dial, put: Put) -> None:
    """A request that comes then is for the next host, which may have read the store by now."""

    def given_back() -> None:
        (connection,) = service._connections
        service.asked(connection, Request(7, "drop", {"name": "bars"}))
        service.call(lambda: late.append("called"))

    late: list[str] = []
    service = Service(store, release=given_back)
    service.start()
    put(connect(), "bars")
    service.stop()
    assert (list(store.names()), late) == (["bars"], [])


def test_the_next_service_knows_what_the_last_one_knew(store: Store, connect: Dial, put: Put) -> None:
    """Names, versions and rows come from the headers; only connections are new."""
    first = Service(store)
    first.start()
    wire = connect()
    put(wire, "bars")
    held = store.open_id(put(wire, "signals").id)
    put(wire, "signals")
    before = wire.call("ls", {})
    first.stop()
    second = Service(store)
    second.start()
    try:
        wire = connect()
        after = wire.call("ls", {})
        for now, then in zip(after, before, strict=True):
            assert all(now[key] == then[key] for key in ("name", "version", "rows", "bytes", "id", "created_ns"))
        assert wire.call("find", {"name": "signals", "version": 1})["id"] == held.info.id
    finally:
        second.stop()
        held.close()


def test_a_stamped_object_is_linked_and_a_lost_link_removed(store: Store, connect: Dial, put: Put) -> None:
    """A coordinator that was killed between two steps is finished by the next."""
    first = Service(store)
    first.start()
    put(connect(), "bars")
    first.stop()
    late = store.write("bars", np.arange(3.0))
    store.stamp(late.id, 2)
    store.link("ghost", "f" * 32)
    second = Service(store)
    second.start()
    try:
        assert store.names() == {"bars": late.id}
        with pytest.raises(UnknownDataset):
            connect().call("find", {"name": "ghost"})
    finally:
        second.stop()


def test_leftovers_of_dead_writers_are_removed(store: Store, connect: Dial) -> None:
    """A sealed object that its dead writer never published, and a half-written file, are swept."""
    code = (
        "import sys, os, numpy as np; from jupyter_nq.buffers import Store; s = Store(sys.argv[1]);"
        "print(s.write('bars', np.arange(9.0)).id); open(os.path.join(sys.argv[1], 'tmp', 'x.part'), 'w').close()"
    )
    found = subprocess.run([sys.executable, "-c", code, store.path], check=True, capture_output=True, text=True)
    service = Service(store)
    service.start()
    try:
        wait_until(lambda: not (store.path / "obj" / found.stdout.strip()).exists())
        wait_until(lambda: not (store.path / "tmp" / "x.part").exists())
    finally:
        service.stop()


def test_what_a_writer_leaves_when_its_line_ends_is_looked_after(service: Service, store: Store, connect: Dial) -> None:
    """A reservation that ends without a publish makes the service look; a live writer's object waits for it."""
    writer, other = connect(), connect()
    writer.call("reserve", {"name": "bars", "bytes": 100})
    info = store.write("bars", np.arange(9.0))
    writer.close()
    wait_until(lambda: other.call("status", {})["superseded"]["objects"] == 1)
    assert other.call("publish", {"id": info.id})["version"] == 1


def test_damage_is_reported_and_nothing_else_is_lost(store: Store, connect: Dial, put: Put) -> None:
    """A file that is no object is named as a problem; the sound ones are served."""
    (store.path / "obj" / ("e" * 32)).write_bytes(b"not an object")
    service = Service(store)
    service.start()
    try:
        wire = connect()
        put(wire, "bars")
        problem = wait_until(lambda: wire.call("status", {})["problem"])
        assert "1 damaged" in problem["text"]
        assert problem["who"] == "coordinator"
    finally:
        service.stop()


def test_a_stale_socket_is_replaced(store: Store, connect: Dial) -> None:
    """What a killed host left under the name does not hinder the next one."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(store.path / SOCKET_NAME))
    stale.close()
    (store.path / "ctl.bind").touch()
    service = Service(store)
    service.start()
    try:
        assert connect().info["epoch"] == store.epoch
    finally:
        service.stop()


def test_a_socket_that_cannot_be_made_is_an_error(store: Store) -> None:
    """A directory under the socket's name is named in the message."""
    (store.path / SOCKET_NAME).mkdir()
    with pytest.raises(CoordinatorUnavailable, match=SOCKET_NAME):
        Service(store).start()


def test_a_thousand_objects_are_known_again_in_a_moment(store: Store, connect: Dial) -> None:
    """The desk is rebuilt from a thousand headers, in not much more time than reading them takes; prints it."""
    for n in range(1000):
        info = store.write(f"set{n}", np.arange(4.0))
        store.stamp(info.id, 1)
        store.link(f"set{n}", info.id)
    start = time.perf_counter()
    store.scan()
    once = time.perf_counter() - start
    service = Service(store)
    start = time.perf_counter()
    service.start()
    seconds = time.perf_counter() - start
    try:
        wire = connect()
        assert len(wire.call("ls", {})) == 1000
        print(f"\nrebuilt from 1,000 headers in {1000 * seconds:.1f} ms")
        assert seconds < 30 * once
    finally:
        service.stop()


def test_a_scan_that_fails_ends_the_start_and_loses_nothing(
    store: Store, connect: Dial, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that cannot read a header must not host: it would take what it does not see for gone."""
    first = Service(store)
    first.start()
    info = put(connect(), "bars")
    first.stop()
    released = []
    with monkeypatch.context() as patch:
        patch.setattr("jupyter_nq.buffers.catalogue.read_info", _too_many_open_files)
        with pytest.raises(NQError, match="Too many open files"):
            Service(store, release=lambda: released.append(True)).start()
    assert released == [True]
    assert store.names() == {"bars": info.id}
    second = Service(store)
    second.start()
    try:
        assert connect().call("find", {"name": "bars"})["id"] == info.id
    finally:
        second.stop()


def _too_many_open_files(*_: object) -> None:
    raise OSError(24, "Too many open files")


def test_a_lost_name_is_found_again(store: Store, connect: Dial, put: Put) -> None:
    """An object that had a version and was not dropped is never collected; its newest version gets the name back."""
    first = Service(store)
    first.start()
    info = put(connect(), "bars")
    first.stop()
    store.unlink("bars")
    second = Service(store)
    second.start()
    try:
        assert connect().call("find", {"name": "bars"})["id"] == info.id
        assert store.names() == {"bars": info.id}
    finally:
        second.stop()


def test_a_damaged_object_keeps_its_name_and_is_shown(store: Store, connect: Dial, put: Put) -> None:
    """The problem names it, the list has it, and dropping it frees its file."""
    first = Service(store)
    first.start()
    info = put(connect(), "bars")
    first.stop()
    with (store.path / "obj" / info.id).open("r+b") as file:
        file.write(b"garbage")
    second = Service(store)
    second.start()
    try:
        wire = connect()
        assert [(row["name"], row["kind"]) for row in wire.call("ls", {})] == [("bars", "damaged")]
        assert "(bars)" in wait_until(lambda: wire.call("status", {})["problem"])["text"]
        wire.call("drop", {"name": "bars"})
        wait_until(lambda: os.listdir(store.path / "obj") == [], message="the damaged file to be removed")
    finally:
        second.stop()


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("jupyter_nq.coordinator.service.selectors.EpollSelector", OSError(24, "Too many open files")),
        ("jupyter_nq.coordinator.service.threading.Thread.start", RuntimeError("can't start new thread")),
        ("jupyter_nq.coordinator.service.Freeing.start", ValueError("a defect")),
        ("jupyter_nq.coordinator.service.Service._serve", OSError(28, "No space left on device")),
    ],
)
def test_a_failed_start_is_told_and_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, where: str, what: Exception
) -> None:
    """Whichever step fails: the exception arrives, the lock is given back once, and another may host."""

    def fail(*_: object, **__: object) -> None:
        raise what

    released = []
    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        expected = CoordinatorUnavailable if isinstance(what, OSError) else type(what)
        with pytest.raises(expected, match=str(what.args[-1])):
            Service(store, release=lambda: released.append(True)).start()
    assert released == [True]
    assert not (store.path / SOCKET_NAME).exists()
    service = Service(store)
    service.start()
    service.stop()


def test_a_snapshot_that_cannot_be_read_stops_nobody_and_loses_nothing(store: Store, connect: Dial, put: Put) -> None:
    """The desk says so; what it may have stays until somebody releases it, which removes the record."""
    first = Service(store)
    first.start()
    wire = connect()
    kept = put(wire, "bars")
    wire.call("snapshot", {"names": ["bars"], "label": "close", "token": "t"})
    put(wire, "bars")
    first.stop()
    record = store.path / "snapshots" / "close"
    record.write_bytes(record.read_bytes()[:40])
    second = Service(store)
    second.start()
    try:
        wire = connect()
        assert f"{record} of a snapshot cannot be read" in wire.call("status", {})["problem"]["text"]
        wire.call("gc", {})
        newer = put(wire, "bars")
        assert newer.version == 3
        (told,) = wire.call("snapshots", {})
        assert (told["label"], told["who"]) == ("close", "nobody known")
        assert kept.id in {member["id"] for member in told["members"]}
        assert store.exists(kept.id)
        assert wire.call("release_snapshot", {"label": "close", "token": told["token"]}) == {"released": True}
        wait_until(lambda: not store.exists(kept.id))
        assert not record.exists()
    finally:
        second.stop()
