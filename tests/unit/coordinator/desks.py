"""Events of a desk, short to write."""

from __future__ import annotations

from typing import Any

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk

FULL = 1000


def stored(id_: str, name: str = "bars", *, first: int = 0, last: int | None = None, **more: Any) -> ev.StoredObject:
    """Return an object as its header tells it; version 0 unless `first` is given."""
    version = first if last is None else last
    fields = {"rows": 10, "bytes": 100, "created_ns": 1, "owner_pid": 7, **more}
    return ev.StoredObject(id_, name, first, version, **fields)


def arrive(desk: Desk, *peers: int, role: str = "client") -> None:
    """Let peers greet; peer 1 has pid 1001."""
    for peer in peers:
        desk.handle(ev.PeerArrived(peer, 1000 + peer, (), f"program{peer}", role))


def publish(desk: Desk, id_: str, name: str = "bars", peer: int = 1) -> list[ev.Action]:
    """Let a peer publish a sealed object."""
    return desk.handle(ev.Publish(peer, stored(id_, name)))


def ticket_of(actions: list[ev.Action]) -> int:
    """Return the ticket in the answer to a reservation."""
    reply = actions[0]
    assert isinstance(reply, ev.Reply)
    ticket = reply.value["ticket"]
    assert isinstance(ticket, int)
    return ticket
