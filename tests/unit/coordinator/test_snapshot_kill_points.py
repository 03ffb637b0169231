"""A coordinator killed at every system call of a snapshot: it is there whole or not at all, and nothing leaks."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.session import Session
from jupyter_nq.client.versions.snapshots import snapshots
from jupyter_nq.config import Settings
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import snapshot_events as sn
from jupyter_nq.coordinator.files import stored_object
from jupyter_nq.testing import syscalls
from jupyter_nq.testing.leftovers import settle
from tests.unit.buffers.conftest import publish
from tests.unit.coordinator.test_kill_points import Coordinator

pytestmark = pytest.mark.usefixtures("light_children")


def _prepared(path: Path) -> Coordinator:
    store = Store(path)
    for name in ("a", "b"):
        publish(store, store.write(name, np.arange(100)))
    return Coordinator(store)


def _take(coordinator: Coordinator) -> None:
    coordinator.apply(sn.TakeSnapshot(1, (), "x", "t", 5))
    coordinator.store.names()  # the last call at which it dies comes behind the snapshot


def _released(path: Path) -> Coordinator:
    """Return a coordinator with a snapshot of which one dataset was replaced, and which is about to be released."""
    coordinator = _prepared(path)
    _take(coordinator)
    coordinator.apply(ev.Publish(1, stored_object(coordinator.store.write("a", np.arange(50)))))
    return coordinator


def _release(coordinator: Coordinator) -> None:
    coordinator.apply(sn.ReleaseSnapshot(1, "x", "t"))
    coordinator.store.names()


@pytest.mark.parametrize(("prepare", "work"), [(_prepared, _take), (_released, _release)], ids=["take", "release"])
def test_killed_at_each_system_call(prepare, work, nq_store_dir: Path) -> None:  # type: ignore[no-untyped-def]
    """Whatever the next coordinator finds, old versions are there exactly when the snapshot is."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    start = time.monotonic()
    work(prepare(nq_store_dir / "first"))  # so that no child reads what is read once
    recorded = prepare(nq_store_dir / "recorded")
    found = syscalls.points(lambda: work(recorded), nq_store_dir / "recorded")
    seen = set()
    for i, point in enumerate(found):
        coordinator = prepare(nq_store_dir / str(i))
        assert syscalls.killed_at(lambda coordinator=coordinator: work(coordinator), point), point  # type: ignore[misc]
        seen.add(_kept_after(coordinator.store.path))
    print(f"\n{len(found)} system calls in {time.monotonic() - start:.1f} s")
    assert len(found) > 2
    assert seen == {False, True}


def _kept_after(path: Path) -> bool:
    """Check the store with a coordinator that comes afterwards; returns whether the snapshot is there."""
    with Session(settings=Settings(store_dir=str(path), connect_seconds=10)) as session:
        assert settle(session.store) == []
        there = snapshots(session)
        session.put("a", np.arange(7))
        session.drop("b")
        assert settle(session.store) == []
        for taken in there:
            assert taken.versions == {"a": 1, "b": 1}
            for name in taken:
                np.testing.assert_array_equal(taken.get(name, "numpy", verify="always"), np.arange(100))
            taken.release()
        assert settle(session.store) == []
        assert len(session.store.scan()) == 1
        return bool(there)
