"""Killed at every system call that touches the store: what was there before is there, or what comes after it.

The calls are recorded first, then a child dies at each of them (`testing.syscalls`). What lies between two system
calls of an append, the words that commit it, is reached by a child that dies at each line of the code.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from jupyter_nq.buffers import Store, appending, words
from jupyter_nq.buffers.digests import refresh_digest
from jupyter_nq.client.line.channel import Channel
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.drops import Drops
from jupyter_nq.testing import syscalls
from jupyter_nq.testing.forked import Forked
from jupyter_nq.testing.leftovers import settle
from tests.unit.buffers.conftest import publish

pytestmark = pytest.mark.usefixtures("light_children")

_NOTES = (b"the note before" * 100, b"the note after" * 300)
_COMMITTING = {
    function.__code__
    for function in (
        appending.append_rows,
        appending._write_rows,
        appending._commit,
        words.put_slot,
        words.put,
        refresh_digest,
    )
}


@dataclass(frozen=True)
class Case:
    """A piece of work over a store that has a dataset `a`, and what may be there afterwards."""

    work: Callable[[Store], object]
    rows: tuple[int | None, int | None]
    """Rows of `a` before and after; None when there is no such name."""
    notes: tuple[bytes, bytes] = (_NOTES[0], _NOTES[0])


def _put(store: Store) -> None:
    publish(store, store.write("a", _table(0, 500), reserve_rows=1000), version=2)


def _append(store: Store) -> None:
    store.append(store.resolve("a"), _table(1000, 1500))


def _grow(store: Store) -> None:
    publish(store, store.grow(store.resolve("a"), _table(1000, 2500)), version=2)


def _annotate(store: Store) -> None:
    store.annotate(store.resolve("a"), _NOTES[1])


def _drop(store: Store) -> None:
    object_id = store.resolve("a")
    Drops(store.path).record("a", 1)
    store.collect(object_id)
    Drops(store.path).forget("a", 1)


def _verify(store: Store) -> None:
    store.verify(store.resolve("a"))


_CASES = {
    "put": Case(_put, (1000, 500), notes=(_NOTES[0], b"")),
    "append": Case(_append, (1000, 1500)),
    "grow": Case(_grow, (1000, 2500), notes=(_NOTES[0], b"")),
    "annotate": Case(_annotate, (1000, 1000), notes=_NOTES),
    "drop": Case(_drop, (1000, None), notes=(_NOTES[0], b"")),
    "verify": Case(_verify, (1000, 1000)),
}


def _table(first: int, stop: int) -> dict[str, Any]:
    numbers = np.arange(first, stop)
    return {"n": numbers, "x": numbers * 0.5, "s": np.array([f"{i}" * (i % 5) for i in numbers], dtype=object)}


@pytest.mark.parametrize("name", _CASES)
def test_killed_at_each_system_call(name: str, nq_store_dir: Path) -> None:
    """The dataset is as before or as after, everything is sound, and no byte is left."""
    if not syscalls.available():
        pytest.skip("strace is not here, or may not attach")
    case = _CASES[name]
    start = time.monotonic()
    store = _prepared(nq_store_dir / "first")
    case.work(store)  # here, so that what is read once in a process is read in none of the children
    _check(store, case)
    store = _prepared(nq_store_dir / "recorded")
    found = syscalls.points(lambda: case.work(store), store.path)
    seen = set()
    for i, point in enumerate(found):
        store = _prepared(nq_store_dir / str(i))
        assert syscalls.killed_at(lambda store=store: case.work(store), point), point  # type: ignore[misc]
        seen.add(_check(store, case))
    print(f"\n{name}: {len(found)} system calls in {time.monotonic() - start:.1f} s; {_counted(found)}")
    assert len(found) > 5
    assert False in seen or case.rows[0] == case.rows[1], "killed at its first call, it was not done"


def test_an_append_killed_at_each_line(nq_store_dir: Path) -> None:
    """Also between two of the words that commit it, the rows are the old ones or the new ones."""
    case = _CASES["append"]
    start = time.monotonic()
    seen = set()
    lines = 0
    while True:
        store = _prepared(nq_store_dir / str(lines))
        with Forked(lambda say, store=store, lines=lines: _die_at_line(case.work, store, lines)) as child:  # type: ignore[misc]
            child.rest()
            status = child.wait()
        if status == 0:
            break
        assert status == -signal.SIGKILL
        seen.add(_check(store, case))
        lines += 1
    print(f"\nappend: {lines} lines in {time.monotonic() - start:.1f} s")
    assert lines > 30
    assert seen == {True, False}


def _die_at_line(work: Callable[[Store], object], store: Store, number: int) -> None:
    """Do the work, and die at this line of the functions that write and commit rows, counted from 0."""
    left = number

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if frame.f_code not in _COMMITTING:
            return None
        if event == "line":
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return trace

    sys.settrace(trace)
    work(store)
    sys.settrace(None)


def _prepared(path: Path) -> Store:
    """Make a store with a dataset of 1,000 rows that has room for 2,000, and a note."""
    store = Store(path)
    info = publish(store, store.write("a", _table(0, 1000), reserve_rows=1000))
    store.annotate(info.id, _NOTES[0])
    return store


def _check(store: Store, case: Case) -> bool:
    """Check the store after a kill; tell whether the work was done."""
    assert store.damaged() == []
    with Channel(store, Settings(connect_seconds=10)):  # a coordinator that comes afterwards
        assert settle(store) == []
    rows = None
    if "a" in store.names():
        with store.open("a") as handle:
            rows = handle.rows
            assert store.annotation(handle.info.id) in [note or None for note in case.notes]
            _same(handle.numpy(), _table(0, rows))
            assert handle.verify()
        again = store.append(store.resolve("a"), _table(rows, rows + 10))
        assert (again.rows, again.digest_state) == (rows + 10, "done")
        assert store.verify(again.id)
    assert rows in case.rows
    return rows == case.rows[1]


def _same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values)


def _counted(found: list[syscalls.Point]) -> str:
    calls = [point.call for point in found]
    return ", ".join(f"{call} {calls.count(call)}" for call in dict.fromkeys(calls))
