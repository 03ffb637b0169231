"""Registrations at the desk: one living process for each name, gone with its connection."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import views
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.registered import MOST_NAMES, Introduced
from jupyter_nq.coordinator.service import Service
from jupyter_nq.errors import InvalidArgument, InvalidName, NameTaken, NQError, ProtocolError, UnknownNotebook
from tests.unit.coordinator.conftest import Dial
from tests.unit.coordinator.desks import arrive


def _said(desk: Desk) -> dict[Any, list[Any]]:
    """Return what is registered, by the pid of the row."""
    return {row["pid"]: [said["name"] for said in row["registered"]] for row in views.notebooks(desk)}


def test_a_process_has_the_names_that_it_said(desk: Desk) -> None:
    """One without a name is its process; the same again replaces what was said and keeps when it began."""
    desk.handle(Introduced(1, "execution", "execution", ("orders",), 50))
    desk.handle(Introduced(1, None, "feed", (), 60))
    revision = desk.revision
    desk.handle(Introduced(1, "execution", "risk", (), 70))
    assert desk.revision == revision + 1
    assert _said(desk) == {1001: ["execution", None], 1002: []}
    first = views.notebooks(desk)[0]["registered"][0]
    assert first == {"pid": 1001, "name": "execution", "type": "risk", "capabilities": [], "since_ns": 50}


def test_a_name_is_refused_to_another_process(desk: Desk) -> None:
    """With who has it, and the first keeps it; once that is gone, so is the refusal."""
    desk.handle(Introduced(1, "risk"))
    with pytest.raises(NameTaken, match=r"'risk' is taken: program1 \(pid 1001\) has registered it\. Take another"):
        desk.handle(Introduced(2, "risk"))
    assert _said(desk) == {1001: ["risk"], 1002: []}
    desk.handle(ev.PeerLeft(1))
    desk.handle(Introduced(2, "risk"))
    assert _said(desk) == {1002: ["risk"]}


def test_a_process_keeps_its_name_over_another_connection(desk: Desk) -> None:
    """It reconnects before the end of its former connection is heard: that end takes nothing."""
    desk.handle(Introduced(1, "risk", since_ns=5))
    desk.handle(ev.PeerArrived(3, 1001, (), "program1", "client"))
    desk.handle(Introduced(3, "risk", since_ns=9))
    desk.handle(ev.PeerLeft(1))
    assert _said(desk)[1001] == ["risk"]
    assert [row.since_ns for row in desk.people.registered] == [5]
    desk.handle(ev.PeerLeft(3))
    assert len(desk.people.registered) == 0


def test_a_process_has_only_so_many_names(desk: Desk) -> None:
    """One that registers without end is told so, and keeps what it has; others are not concerned."""
    for number in range(MOST_NAMES):
        desk.handle(Introduced(1, f"n{number}"))
    with pytest.raises(InvalidArgument, match="has registered 256 names already"):
        desk.handle(Introduced(1, "more"))
    desk.handle(Introduced(1, "n0", "risk"))
    desk.handle(Introduced(2, "more"))
    assert len(desk.people.registered) == MOST_NAMES + 1


def test_only_who_said_it_takes_it_back(desk: Desk) -> None:
    """A name of another process stays, and one that was misspelt is told."""
    desk.handle(Introduced(1, "risk"))
    for peer, name, says in [(2, "risk", "has not registered 'risk'"), (1, "rsik", "Did you mean 'risk'")]:
        with pytest.raises(UnknownNotebook, match=says):
            desk.handle(Introduced(peer, name, gone=True))
    with pytest.raises(UnknownNotebook, match="nothing without a name"):
        desk.handle(Introduced(1, None, gone=True))
    desk.handle(Introduced(1, "risk", gone=True))
    assert _said(desk) == {1001: [], 1002: []}


def test_the_registration_of_a_child_stands_beside_its_kernel() -> None:
    """It belongs to the kernel's row, with its own pid."""
    desk = Desk()
    desk.handle(ev.PeerArrived(1, 50, (), "lab", "server"))
    desk.handle(ev.KernelsReported(1, {}, (ev.Kernel(100, "k", "desk/risk.ipynb", "risk"),)))
    desk.handle(ev.PeerArrived(2, 101, (100,), "worker", "client"))
    desk.handle(Introduced(2, "worker-1"))
    row = next(row for row in views.notebooks(desk) if row["path"])
    assert (row["pid"], row["pids"], [said["pid"] for said in row["registered"]]) == (100, [101], [101])


def test_a_watch_registers_nothing() -> None:
    """It is no process of its own in anybody's list."""
    desk = Desk()
    arrive(desk, 1, role="watch")
    with pytest.raises(ProtocolError, match="only watches"):
        desk.handle(Introduced(1, "risk"))


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"name": "a/b"}, InvalidName),
        ({"name": "1234"}, InvalidName),  # who hands something to the process 1234 would not reach it
        ({"name": 3}, ProtocolError),
        ({"type": ""}, ProtocolError),
        ({"type": "x" * 65}, ProtocolError),
        ({"type": "a\nb"}, ProtocolError),
        ({"capabilities": "orders"}, ProtocolError),
        ({"capabilities": [1]}, ProtocolError),
        ({"capabilities": ["x"] * 65}, ProtocolError),
        ({"since_ns": -1}, ProtocolError),
    ],
)
def test_what_is_no_registration_is_refused(
    service: Service, connect: Dial, args: dict[str, Any], error: type[NQError]
) -> None:
    """Over the socket, and nothing is kept of it."""
    wire = connect()
    with pytest.raises(error):
        wire.call("register", args)
    assert [row["registered"] for row in wire.call("notebooks", {})] == [[]]


def test_who_hangs_up_is_forgotten(service: Service, connect: Dial) -> None:
    """The name is free at once, and its capabilities were told once each."""
    wire = connect()
    wire.call("register", {"name": "risk", "type": "risk", "capabilities": ["limits", "limits"]})
    other = connect()
    assert other.call("notebooks", {})[0]["registered"][0]["capabilities"] == ["limits"]
    wire.call("unregister", {"name": "risk"})
    assert other.call("notebooks", {})[0]["registered"] == []
