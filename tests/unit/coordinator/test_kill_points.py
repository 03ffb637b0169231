"""A coordinator killed at every system call that touches the store, and the next one that finds what it left.

What it does by itself is short: stamp and link, forget, free. Here it is done without the socket and the loop around
it, in a child that dies at each call in turn, before it is carried out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, Store, freeze, thaw
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.files import copy_of, remove_copy, stored_object, survey
from jupyter_nq.coordinator.memory import MemoryRules
from jupyter_nq.coordinator.operations import Operations
from jupyter_nq.testing import syscalls
from jupyter_nq.testing.forked import Forked
from jupyter_nq.testing.leftovers import settle
from tests.unit.buffers.conftest import publish

pytestmark = pytest.mark.usefixtures("light_children")

_OLD, _NEW = np.arange(1000), np.arange(500)


class Coordinator:
    """One without a socket, which frees at once; it is its own `Effects`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.operations = Operations(
            store, Desk(), self, pool_bytes=0, rules=MemoryRules(), settings={}, host={"role": "client"}
        )
        self.apply = self.operations.apply
        self.apply(survey(store))
        self.apply(ev.PeerArrived(1, os.getpid(), (), "test", "client"))

    def collect(self, id_: str, *, keep_copy: bool = False) -> None:
        """Free an object as the worker of `freeing` does."""
        gone = self.store.collect(id_)
        if gone and not keep_copy:
            remove_copy(self.store, id_)
        self.apply(ev.Collected(id_, gone, keep_copy))

    def clean(self) -> None:
        """Nothing is left before."""

    def ask_who(self) -> None:
        """There is no server."""

    def yield_host(self) -> None:
        """Nobody asks."""


@dataclass(frozen=True)
class Case:
    """What is there before, what the coordinator does, and the rows of `a` that may be there afterwards."""

    prepare: Callable[[Store, ColdCopies], object]
    work: Callable[[Coordinator], object]
    rows: set[int | None]
    versions: set[int]
    copies: set[int]
    """How many copies on the disk there may be."""


def _durable(store: Store, cold: ColdCopies) -> None:
    freeze(store, publish(store, store.write("a", _OLD)).id, cold, durable=True)


def _sealed(store: Store, cold: ColdCopies) -> None:
    """Have a second object sealed by a process that dies before it asks for its name."""
    publish(store, store.write("a", _OLD))
    with Forked(lambda say: store.write("a", _NEW)) as child:
        assert child.wait() == 0


def _replaced(store: Store, cold: ColdCopies) -> None:
    _durable(store, cold)
    freeze(store, publish(store, store.write("a", _NEW), version=2).id, cold, durable=True)


def _publish(coordinator: Coordinator) -> None:
    (sealed,) = [info for info in coordinator.store.scan() if not info.version]
    coordinator.apply(ev.Publish(1, stored_object(sealed)))


def _evict(coordinator: Coordinator) -> None:
    id_ = coordinator.store.resolve("a")
    copy = ColdCopies(coordinator.store.path / COLD).info(id_)
    coordinator.apply(ev.Copied(1, id_, copy_of(copy), evict=True))


_CASES = {
    "publish": Case(_sealed, _publish, {1000, 500}, {1, 2}, {0}),
    "drop": Case(_durable, lambda coordinator: coordinator.apply(ev.Drop(1, "a")), {1000, None}, {1}, {0, 1}),
    "free": Case(_replaced, lambda coordinator: coordinator.apply(ev.Tick(1.0)), {500}, {2}, {1}),
    "evict": Case(_durable, _evict, {1000}, {1}, {1}),
}


@pytest.mark.parametrize("name", _CASES)
def test_killed_at_each_system_call(name: str, nq_store_dir: Path) -> None:
    """The name has what it had, or what it was to have; the next coordinator frees the rest."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    case = _CASES[name]
    start = time.monotonic()
    case.work(_prepared(case, nq_store_dir / "first"))  # so that no child reads what is read once
    recorded = _prepared(case, nq_store_dir / "recorded")
    found = syscalls.points(lambda: case.work(recorded), nq_store_dir / "recorded")
    seen = set()
    for i, point in enumerate(found):
        coordinator = _prepared(case, nq_store_dir / str(i))
        assert syscalls.killed_at(lambda coordinator=coordinator: case.work(coordinator), point), point  # type: ignore[misc]
        seen.add(_rows_after(case, coordinator.store))
    print(f"\n{name}: {len(found)} system calls in {time.monotonic() - start:.1f} s")
    assert len(found) > 5
    assert seen == case.rows


def _prepared(case: Case, path: Path) -> Coordinator:
    path.mkdir()
    store, cold = Store(path / "store"), ColdCopies(path / "disk")
    (store.path / COLD).symlink_to(cold.path)
    case.prepare(store, cold)
    return Coordinator(store)


def _rows_after(case: Case, known: Store) -> int | None:
    """Check the store with a coordinator that comes afterwards; returns the rows of `a`, None when it is gone."""
    store = Store(known.path)
    cold = ColdCopies(os.path.realpath(store.path / COLD))
    with Channel(store, Settings(connect_seconds=10)) as channel:
        assert settle(store) == []
        assert [row["name"] for row in channel.request("ls")] == list(store.names())
    assert store.damaged() == cold.damaged() == []
    assert len(cold.scan()) in (case.copies if store.names() else {0})
    if not store.names():
        return None
    id_ = store.resolve("a")
    if not store.exists(id_):
        thaw(store, id_, cold)
    with store.open("a") as handle:
        values = _OLD if handle.rows == len(_OLD) else _NEW
        np.testing.assert_array_equal(handle.numpy(), values)
        assert handle.verify()
        assert handle.version in case.versions
        return handle.rows
