"""Freezing and thawing killed at their system calls: the copy and the object are there whole, or as before.

As in `test_kill_points`; of many calls every so-manieth is taken, the last always.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_nq.buffers import ColdCopies, Store, freeze, thaw
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.testing import syscalls
from jupyter_nq.testing.leftovers import settle
from tests.unit.buffers.conftest import publish

pytestmark = pytest.mark.usefixtures("light_children")

_MOST_POINTS = 60
_NOTE = b"what is to be known" * 100


@dataclass(frozen=True)
class Place:
    """A store whose dataset `a` has 1,500 rows, of which a copy on the disk has the first 1,000."""

    store: Store
    cold: ColdCopies
    id: str


def _prepared(path: Path) -> Place:
    path.mkdir()
    store, cold = Store(path / "store"), ColdCopies(path / "disk")
    (store.path / COLD).symlink_to(cold.path)
    info = publish(store, store.write("a", _table(0, 1000), reserve_rows=1000))
    store.annotate(info.id, _NOTE)
    freeze(store, info.id, cold, durable=True)
    store.append(info.id, _table(1000, 1500))
    return Place(store, cold, info.id)


def _out_of_memory(path: Path) -> Place:
    place = _prepared(path)
    freeze(place.store, place.id, place.cold, durable=True)
    assert place.store.collect(place.id)
    return place


def _freeze(place: Place) -> None:
    freeze(place.store, place.id, place.cold, durable=True)


def _thaw(place: Place) -> None:
    thaw(place.store, place.id, place.cold)


def _table(first: int, stop: int) -> dict[str, Any]:
    numbers = np.arange(first, stop)
    return {"n": numbers, "s": np.array([f"{i}" * (i % 5) for i in numbers], dtype=object)}


@pytest.mark.parametrize(
    ("prepared", "work", "copied"),
    [(_prepared, _freeze, {1000, 1500}), (_out_of_memory, _thaw, {1500})],
    ids=["freeze", "thaw"],
)
def test_killed_at_system_calls(
    nq_store_dir: Path, prepared: Callable[[Path], Place], work: Callable[[Place], None], copied: set[int]
) -> None:
    """The rows are on the disk all the time, and in memory whole or not at all; no file is left."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    start = time.monotonic()
    work(prepared(nq_store_dir / "first"))  # here, so that none of the children reads what is read once in a process
    place = prepared(nq_store_dir / "recorded")
    found = syscalls.points(lambda: work(place), nq_store_dir / "recorded")
    seen = set()
    chosen = [*found[: -1 : -(-len(found) // _MOST_POINTS)], found[-1]]
    for i, point in enumerate(chosen):
        place = prepared(nq_store_dir / str(i))
        assert syscalls.killed_at(lambda place=place: work(place), point), point  # type: ignore[misc]
        seen.add(_check(place, copied))
    print(f"\n{len(chosen)} of {len(found)} system calls in {time.monotonic() - start:.1f} s")
    assert len(found) > 20
    assert {rows for rows, _ in seen} == copied
    assert {there for _, there in seen} == ({True} if prepared is _prepared else {False, True})


def _check(place: Place, copied: set[int]) -> tuple[int, bool]:
    """Check what a kill left; returns the rows of the copy, and whether the object was in memory."""
    store, cold = place.store, ColdCopies(place.cold.path)
    assert store.damaged() == cold.damaged() == []
    there = store.exists(place.id)
    with Channel(store, Settings(connect_seconds=10)):  # a coordinator that comes afterwards
        assert settle(store) == []
    assert store.exists(place.id) is there
    (copy,) = cold.scan()
    assert copy.durable
    assert copy.rows in copied
    _thaw(place)  # does nothing when it is in memory
    with store.open("a") as handle:
        assert (handle.rows, handle.version) == (1500, 2)
        for name, values in _table(0, 1500).items():
            np.testing.assert_array_equal(handle.numpy()[name], values)
        assert handle.verify()
        assert handle.note() == _NOTE
    _freeze(place)
    assert cold.info(place.id).rows == 1500
    assert cold.sweep() == store.sweep() == []
    return copy.rows, there
