"""Snapshots in the desk: what stays, what a repeated question gets, what is undone when the store refuses."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import snapshot_events as sn
from jupyter_nq.coordinator import snapshots
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.errors import StoreError, StoreFull, UnknownDataset
from tests.unit.coordinator.desks import FULL, publish, stored


def _take(desk: Desk, *names: str, label: str | None = None, token: str = "t", peer: int = 1) -> list[ev.Action]:
    return desk.handle(sn.TakeSnapshot(peer, names, label, token, 5))  # type: ignore[return-value]


def _recorded(actions: list[ev.Action]) -> sn.Snapshot:
    record, reply = actions
    assert isinstance(record, sn.RecordSnapshot)
    assert isinstance(reply, ev.Reply)
    assert reply.value["label"] == record.snapshot.label
    return record.snapshot


def _two(desk: Desk) -> None:
    publish(desk, "a1", "a")
    publish(desk, "b1", "b")


def test_it_has_the_newest_versions_of_one_moment(desk: Desk) -> None:
    """Of the names that are asked for, each once, or of all; with who took it and when."""
    _two(desk)
    publish(desk, "a2", "a")
    some = _recorded(_take(desk, "a", "a", label="x"))
    assert some == sn.Snapshot("x", "t", 5, "program1", (sn.Member("a", "a2", 2, 10),))
    every = _recorded(_take(desk, token="u"))
    assert every.label == "snapshot-1"
    assert [(m.name, m.version) for m in every.members] == [("a", 2), ("b", 1)]
    assert "snapshot-1" in repr(desk.snapshots)


def test_what_it_has_is_not_collected_until_it_is_released(desk: Desk) -> None:
    """Neither when it is replaced nor when it is dropped; what two have goes with the second."""
    _two(desk)
    _take(desk, "a", "b", label="x")
    _take(desk, "a", label="y", token="u")
    assert not any(isinstance(action, ev.Collect) for action in publish(desk, "a2", "a"))
    assert not any(isinstance(action, ev.Collect) for action in desk.handle(ev.Drop(1, "b")))
    assert desk.handle(ev.Tick(1e6)) == []
    assert desk.handle(sn.ReleaseSnapshot(2, "x", "t"))[2:] == [ev.Collect("b1")]
    assert desk.handle(sn.ReleaseSnapshot(2, "y", "u"))[2:] == [ev.Collect("a1")]


def test_questions_that_come_again(desk: Desk) -> None:
    """The answer may have been lost: the same snapshot, and a release that has happened; another's stays."""
    _two(desk)
    first = _recorded(_take(desk, label="x"))
    publish(desk, "a2", "a")
    (reply,) = _take(desk, label="x")
    assert isinstance(reply, ev.Reply)
    assert reply.value["members"][0]["id"] == first.members[0].id
    assert desk.handle(sn.ReleaseSnapshot(1, "x", "of another")) == [ev.Reply({"released": False})]
    assert list(desk.snapshots.taken) == ["x"]
    desk.handle(sn.ReleaseSnapshot(1, "x", "t"))
    assert desk.handle(sn.ReleaseSnapshot(1, "x", "t")) == [ev.Reply({"released": False})]


def test_refusals_change_nothing(desk: Desk) -> None:
    """An unknown name, a label that is taken, an empty store, a damaged dataset."""
    with pytest.raises(StoreError, match="the store is empty"):
        _take(desk)
    _two(desk)
    with pytest.raises(UnknownDataset, match="no dataset 'c'"):
        _take(desk, "a", "c")
    _take(desk, "a", label="x")
    with pytest.raises(StoreError, match="'x' already, by program1"):
        _take(desk, label="x", token="u")
    damaged = stored("d", "hurt", kind=ev.DAMAGED)
    desk.handle(ev.Rebuilt((damaged,), {"hurt": "d"}, 0.0))
    with pytest.raises(StoreError, match="Damaged is hurt"):
        _take(desk, "hurt", token="v")
    assert not desk.snapshots.keeps("d")


def test_what_the_store_refuses_has_not_been(desk: Desk) -> None:
    """A snapshot that cannot be recorded is none; one whose record cannot be removed stays, with all that it has."""
    _two(desk)
    _take(desk, "a", label="x")
    desk.handle(ev.Failed())
    assert desk.snapshots.taken == {}
    _take(desk, "a", label="x")
    publish(desk, "a2", "a")
    desk.handle(sn.ReleaseSnapshot(1, "x", "t"))
    desk.handle(ev.Failed())
    assert desk.snapshots.labels_of("a1") == ["x"]
    assert desk.handle(ev.Tick(1e6)) == []


def test_the_next_coordinator_knows_them(desk: Desk) -> None:
    """What a snapshot has stays, although a newer version has the name, or the name was dropped."""
    kept = sn.Snapshot("x", "t", 5, "somebody", (sn.Member("a", "a1", 1, 10), sn.Member("b", "b1", 1, 10)))
    objects = (stored("a1", "a", first=1), stored("a2", "a", first=2), stored("b1", "b", first=1))
    desk.handle(ev.Rebuilt(objects, {"a": "a2"}, 0.0, drops={"b": 1}, snapshots={"x": kept}))
    assert desk.handle(ev.Tick(1e6)) == []
    assert desk.versions.links == {"a": "a2"}
    assert desk.handle(sn.ReleaseSnapshot(1, "x", "t"))[2:] == [ev.Collect("a1"), ev.Collect("b1")]


def test_what_it_has_does_not_leave_memory(desk: Desk) -> None:
    """It makes no way for others, is refused when asked for, and what is away has to come back first."""
    _two(desk)
    _take(desk, "a", label="x")
    assert [one.id for one in desk.eviction.candidates("lru")] == ["b1"]
    with pytest.raises(StoreError, match="in the snapshot 'x'"):
        desk.handle(ev.Copied(1, "a1", ev.Copy(1, 50), evict=True))
    desk.handle(ev.Copied(1, "b1", ev.Copy(1, 50), evict=True))
    assert _take(desk, token="u") == [ev.Reply({"bring_back": ["b"]})]
    desk.handle(ev.Collected("b1", gone=True, copy_kept=True))
    assert _take(desk, token="u") == [ev.Reply({"bring_back": ["b"]})]
    with pytest.raises(StoreFull, match="a version 1, 100 B, in the snapshot x"):
        desk.handle(ev.Reserve(1, "c", FULL, FULL))


def test_there_are_only_so_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forgets to release them is told so, before answers grow too long; a question may come again."""
    monkeypatch.setattr(snapshots, "MOST_SNAPSHOTS", 2)
    _two(desk)
    for token in ("t", "u"):
        _take(desk, token=token)
    with pytest.raises(StoreError, match=r"There are 2 snapshots already\. Release some first"):
        _take(desk, token="v")
    assert isinstance(_take(desk, token="u")[0], ev.Reply)
    desk.handle(sn.ReleaseSnapshot(1, "snapshot-1", "t"))
    assert _recorded(_take(desk, token="v")).label == "snapshot-1"
