"""The service over a real store and real sockets: every operation, and what it does to the files."""

from __future__ import annotations

import os
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jupyter_nq
from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.buffers.layout import LAYOUT
from jupyter_nq.coordinator import PROTOCOL, Wire
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.coordinator.service import Service
from jupyter_nq.errors import (
    InvalidName,
    NQError,
    ProtocolError,
    StoreError,
    StoreFull,
    UnknownDataset,
    VersionMismatch,
)
from jupyter_nq.testing import wait_until
from tests.unit.coordinator.conftest import Dial

Put = Callable[..., ObjectInfo]

_NEWER = LAYOUT + 1


def _greeting(**changes: Any) -> dict[str, Any]:
    return {
        "protocol": PROTOCOL,
        "layout": LAYOUT,
        "package": "0.0.1",
        "python": "/env/python",
        "program": "test",
        "role": "client",
        **changes,
    }


@pytest.fixture
def stranger(service: Service) -> Any:
    """Give a wire that has not said hello."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(os.fspath(service.store.path / SOCKET_NAME))
    wire = Wire(sock, 10.0)
    yield wire
    wire.close()


def test_the_greeting_tells_the_store_the_host_and_the_settings(store: Store, connect: Dial) -> None:
    """Both ends know each other's versions; the socket is the user's alone."""
    service = Service(store, pool_bytes=4096, settings={"data_dir": "bars"}, role="server")
    service.start()
    try:
        info = connect().info
        assert info["host"]["pid"] == os.getpid()
        assert (info["host"]["role"], info["epoch"], info["store"]) == ("server", store.epoch, str(store.path))
        assert (info["package"], info["settings"]) == (jupyter_nq.__version__, {"data_dir": "bars"})
        assert info["pool_bytes"] == 4096
        mode = (store.path / SOCKET_NAME).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    finally:
        service.stop()


@pytest.mark.parametrize(
    "changes", [{"protocol": 0}, {"protocol": PROTOCOL + 1}, {"layout": _NEWER}, {"protocol": None}]
)
def test_another_version_is_told_which_environment_to_upgrade(stranger: Wire, changes: dict[str, Any]) -> None:
    """One sentence names both versions and the command; the connection ends."""
    with pytest.raises(VersionMismatch, match=r"Two versions of jupyter-nq.*-m pip install --upgrade") as caught:
        stranger.call("hello", _greeting(**changes))
    newer = (changes.get("protocol") or 0) > PROTOCOL or changes.get("layout") == _NEWER
    older = sys.executable if newer else "/env/python"
    assert f"{older} -m pip" in str(caught.value)
    with pytest.raises(OSError):  # noqa: PT011 - closed, reset or broken, as the moment wants
        stranger.call("status", {})


@pytest.mark.parametrize("changes", [{"role": "king"}, {"role": 1}, {"program": None}])
def test_a_greeting_of_another_form_is_refused(stranger: Wire, changes: dict[str, Any]) -> None:
    """Each field has one type, and roles are known."""
    with pytest.raises(ProtocolError):
        stranger.call("hello", _greeting(**changes))


def test_nothing_is_answered_before_the_greeting_and_hello_is_said_once(stranger: Wire, connect: Dial) -> None:
    """Who does not greet has no place at the desk."""
    with pytest.raises(ProtocolError, match="hello"):
        stranger.call("ls", {})
    with pytest.raises(ProtocolError, match="before"):
        connect().call("hello", _greeting())


def test_an_object_gets_its_name_and_version_when_it_is_published(
    service: Service, store: Store, connect: Dial, put: Put
) -> None:
    """The header has the version and the link leads to the object, before the answer comes."""
    wire = connect()
    info = put(wire, "bars")
    assert (info.version, store.resolve("bars")) == (1, info.id)
    assert wire.call("find", {"name": "bars"}) == {
        "id": info.id,
        "name": "bars",
        "version": 1,
        "rows": 10,
        "in_memory": True,
        "lasts": False,
    }
    row = wire.call("ls", {})[0]
    assert (row["name"], row["version"], row["rows"], row["id"]) == ("bars", 1, 10, info.id)
    again = wire.call("publish", {"id": info.id})
    assert again["version"] == 1


def test_a_replaced_version_is_freed_as_soon_as_its_lock_is(
    service: Service, store: Store, connect: Dial, put: Put
) -> None:
    """A reader that told nobody keeps it; when its view goes, the memory follows without another event."""
    wire = connect()
    old = put(wire, "bars")
    handle = store.open("bars")
    put(wire, "bars")
    assert wire.call("status", {})["superseded"]["objects"] == 1
    assert np.array_equal(store.open_id(old.id).numpy(), np.arange(10.0))
    handle.close()
    wait_until(lambda: not (service.store.path / "obj" / old.id).exists(), message="the old version to be freed")
    wait_until(lambda: wire.call("status", {})["superseded"]["objects"] == 0)


def test_announced_holds_are_listed_and_end_with_the_connection(service: Service, connect: Dial, put: Put) -> None:
    """A hold is a row of `ls`; a peer that leaves, leaves nothing."""
    writer, reader = connect(), connect()
    info = put(writer, "bars")
    reader.tell("hold", {"add": [[info.id, 1]]})
    reader.call("status", {})
    assert [h["pid"] for h in writer.call("ls", {})[0]["holders"]] == [os.getpid()]
    reader.close()
    wait_until(lambda: writer.call("ls", {})[0]["holders"] == [])


def test_appended_rows_are_a_new_version_even_if_nobody_was_told(
    service: Service, store: Store, connect: Dial, put: Put
) -> None:
    """The header is the truth: `find` reads it, an older version is found with its own rows."""
    wire = connect()
    info = put(wire, "bars", reserve_rows=100)
    store.append(info.id, np.arange(5.0))
    assert wire.call("find", {"name": "bars"})["version"] == 2
    store.append(info.id, np.arange(5.0))
    assert wire.call("appended", {"id": info.id}) == {"name": "bars", "version": 3, "rows": 20}
    assert wire.call("find", {"name": "bars", "version": 2})["rows"] == 15
    with pytest.raises(UnknownDataset, match="version 9"):
        wire.call("find", {"name": "bars", "version": 9})


def test_a_version_that_left_the_header_is_not_found(service: Service, store: Store, connect: Dial, put: Put) -> None:
    """A header lists its newest versions only; the answer says so."""
    wire = connect()
    info = put(wire, "bars", reserve_rows=200)
    for _ in range(130):
        store.append(info.id, np.arange(1.0))
    assert wire.call("find", {"name": "bars", "version": 131})["rows"] == 140
    with pytest.raises(UnknownDataset, match="left the header"):
        wire.call("find", {"name": "bars", "version": 1})


def test_the_quota_is_checked_before_anything_is_allocated(service: Service, connect: Dial, put: Put) -> None:
    """A reservation beyond the pool names what is in it and who holds it; no file is made."""
    wire = connect()
    info = put(wire, "bars", rows=50_000)
    wire.tell("hold", {"add": [[info.id, 1]]})
    before = service.store.used_bytes()
    with pytest.raises(StoreFull, match=rf"1.0 MiB.*bars version 1, .*held by .*pid {os.getpid()}.*raise pool_bytes"):
        wire.call("reserve", {"name": "more", "bytes": 1 << 20})
    assert service.store.used_bytes() == before


def test_a_reservation_waits_for_memory_that_is_being_freed(
    service: Service, store: Store, connect: Dial, put: Put
) -> None:
    """Putting the same name in a loop fits, although each replaced version is freed in the background."""
    wire = connect()
    for _ in range(8):
        handle = store.open_id(put(wire, "bars", rows=45_000).id)
        handle.close()
    assert wire.call("ls", {})[0]["version"] == 8


@pytest.mark.parametrize(("wanted", "fits"), [(700_000, True), (1 << 20, False)])
def test_a_reservation_is_answered_when_the_freeing_is_done(
    service: Service, connect: Dial, put: Put, monkeypatch: pytest.MonkeyPatch, wanted: int, fits: bool
) -> None:
    """While an old version is being freed, a reservation that needs its room waits; others are served."""
    wire, other = connect(), connect()
    go_on, collect = threading.Event(), service.store.collect
    monkeypatch.setattr(service.store, "collect", lambda *what: go_on.wait(10) and collect(*what))
    put(wire, "bars", rows=40_000)
    put(wire, "bars", rows=10_000)
    outcome: list[bool] = []

    def ask() -> None:
        try:
            outcome.append("ticket" in wire.call("reserve", {"name": "more", "bytes": wanted}))
        except StoreFull:
            outcome.append(False)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: service._freeing._waiting and other.call("status", {}))
    assert outcome == []
    go_on.set()
    asking.join(10)
    assert outcome == [fits]


def test_a_reservation_is_given_back(service: Service, connect: Dial) -> None:
    """A writer that failed says so, and the bytes are free again."""
    wire = connect()
    ticket = wire.call("reserve", {"name": "a", "bytes": 1 << 19})["ticket"]
    assert wire.call("status", {})["pool"]["used"] == 1 << 19
    wire.tell("release", {"ticket": ticket})
    assert wire.call("status", {})["pool"]["used"] == 0


def test_a_dropped_name_is_gone_and_its_memory_free(service: Service, connect: Dial, put: Put) -> None:
    """The link goes at once, the object when nobody maps it."""
    wire = connect()
    info = put(wire, "bars")
    assert wire.call("drop", {"name": "bars"}) == {"name": "bars", "versions": 1, "bytes": info.nbytes}
    assert service.store.names() == {}
    wait_until(lambda: service.store.scan() == [], message="the object to be freed")
    with pytest.raises(UnknownDataset):
        wire.call("drop", {"name": "bars"})


def test_a_name_whose_file_was_removed_by_hand_is_healed(service: Service, connect: Dial, put: Put) -> None:
    """The next look finds no dataset, and the name can be used again."""
    wire = connect()
    info = put(wire, "bars")
    (service.store.path / "obj" / info.id).unlink()
    with pytest.raises(UnknownDataset):
        wire.call("find", {"name": "bars"})
    assert service.store.names() == {}
    assert put(wire, "bars").version == 1


def test_a_damaged_newest_version_can_be_replaced(service: Service, connect: Dial, put: Put) -> None:
    """The damage becomes the desk's problem; a new version takes the name."""
    wire = connect()
    info = put(wire, "bars")
    with open(service.store.path / "obj" / info.id, "r+b") as file:
        file.write(b"garbage")
    assert put(wire, "bars").version == 2
    assert info.id in wire.call("status", {})["problem"]["text"]


def test_a_store_that_refuses_leaves_the_desk_as_it_was(
    service: Service, store: Store, connect: Dial, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that cannot be made is a `StoreError`; the old version stays, and the writer may try again."""
    wire = connect()
    old = put(wire, "bars")
    fresh = store.write("bars", np.arange(3.0))

    def refuse(name: str, object_id: str) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "link", refuse)
        with pytest.raises(StoreError, match="Read-only"):
            wire.call("publish", {"id": fresh.id})
        assert wire.call("find", {"name": "bars"})["id"] == old.id


@pytest.mark.parametrize(
    ("op", "args", "error"),
    [
        ("findd", {}, ProtocolError),
        ("find", {}, ProtocolError),
        ("find", {"name": "../etc/passwd"}, InvalidName),
        ("find", {"name": "NQ\n"}, InvalidName),
        ("find", {"name": "bars"}, UnknownDataset),
        ("find", {"name": "bars", "version": "1"}, ProtocolError),
        ("reserve", {"name": "a/b", "bytes": 1}, InvalidName),
        ("reserve", {"name": "a", "bytes": -1}, ProtocolError),
        ("reserve", {"name": "a"}, ProtocolError),
        ("publish", {"id": "../../x"}, UnknownDataset),
        ("publish", {"id": "0" * 32}, UnknownDataset),
        ("appended", {"id": "0" * 32}, UnknownDataset),
        ("drop", {"name": ".."}, InvalidName),
        ("hold", {"add": [[1, 2]]}, ProtocolError),
        ("kernels", {"kernels": "x"}, ProtocolError),
        ("problem", {}, ProtocolError),
    ],
)
def test_a_wrong_request_is_refused_and_the_connection_stays(
    service: Service, connect: Dial, op: str, args: dict[str, Any], error: type[NQError]
) -> None:
    """Each refusal is the class that its caller would catch."""
    wire = connect()
    with pytest.raises(error):
        wire.call(op, args)
    assert wire.call("status", {})["datasets"] == 0


def test_an_unknown_operation_is_answered_with_the_nearest(service: Service, connect: Dial) -> None:
    """A newer client learns what this coordinator knows."""
    with pytest.raises(ProtocolError, match="'notebooks'"):
        connect().call("notebook", {})


def test_a_defect_in_one_operation_does_not_end_the_service(
    service: Service, connect: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told, everybody else goes on."""
    wire = connect()
    monkeypatch.setattr("jupyter_nq.coordinator.views.datasets_with_meta", lambda desk: 1 // 0)
    with pytest.raises(NQError, match="ZeroDivisionError"):
        wire.call("ls", {})
    assert wire.call("notebooks", {})


def test_the_desk_is_status_datasets_and_notebooks_of_one_moment(service: Service, connect: Dial, put: Put) -> None:
    """One request gives the panel everything it shows."""
    server, client = connect("server"), connect()
    put(client, "bars")
    kernels = [{"pid": os.getpid(), "kernel_id": "k", "path": "a/risk.ipynb", "name": "risk"}]
    server.tell("kernels", {"server": {"port": 8888}, "kernels": kernels})
    server.call("status", {})  # after its note, and before the client's
    with pytest.raises(ProtocolError, match="Only a server says"):
        client.call("kernels", {"kernels": kernels})
    client.tell("problem", {"text": "gap"})
    desk = client.call("desk", {})
    assert [row["who"] for row in desk["notebooks"]] == ["risk.ipynb"]
    assert desk["notebooks"] == client.call("notebooks", {})
    assert [{**row, "meta": {}} for row in desk["datasets"]] == client.call("ls", {})
    status = desk["status"]
    assert (status["datasets"], status["peers"], status["notebooks"]) == (1, 1, 1)
    assert status["problem"]["text"] == "gap"
    assert status["problem"]["who"] == "risk.ipynb"
    assert status["since_ns"] <= time.time_ns()
    assert status["pool"]["limit"] == 1 << 20


def test_watchers_get_one_event_for_many_changes(service: Service, connect: Dial) -> None:
    """News are conflated: a hundred changes in a row are a few events, the last with the last revision."""
    watcher, client = connect("watch"), connect()
    seen = watcher.call("watch", {})["revision"]
    for n in range(100):
        client.tell("problem", {"text": f"{n}"})
    last = client.call("status", {})["revision"]
    events = 0
    while seen < last:
        name, data = watcher.next_event()
        events += name == "changed"
        seen = data["revision"]
    assert 1 <= events <= 50


def test_watchers_are_asked_who_an_unknown_process_is(service: Service, connect: Dial) -> None:
    """A client that no server claimed makes the coordinator ask; one that is known does not."""
    watcher = connect("server")
    watcher.call("watch", {})
    connect("client")
    assert _next(watcher, "who") == {}


def _next(watcher: Wire, wanted: str) -> dict[str, Any]:
    while True:
        name, data = watcher.next_event()
        if name == wanted:
            return data


def test_stopping_gives_the_lock_back_and_removes_the_socket(store: Store, connect: Dial) -> None:
    """After `stop` nothing listens; stopping twice is fine, and the clients' lines have ended."""
    released = []
    service = Service(store, release=lambda: released.append(True))
    assert "stopped" in repr(service)
    service.start()
    assert service.running
    wire = connect()
    assert repr(service) == f"<Service of {store.path} as client, 1 connections>"
    service.stop()
    service.stop()
    assert released == [True]
    assert not service.running
    assert not (store.path / SOCKET_NAME).exists()
    with pytest.raises(OSError):  # noqa: PT011 - closed, reset or broken, as the moment wants
        wire.call("status", {})


def test_a_service_stops_for_a_server_that_asks(service: Service, connect: Dial) -> None:
    """The answer comes first, then the end."""
    assert connect().call("handover", {}) == {"granted": False}
    assert connect("server").call("handover", {}) == {"granted": True}
    wait_until(lambda: not service.running)
