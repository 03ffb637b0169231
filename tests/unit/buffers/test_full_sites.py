"""No room, at every place that allocates: an exception, never a SIGBUS, and it works again when there is room.

A small tmpfs is filled so that a number of pages are left, from none to as many as the operation needs. Each attempt is
made by a child, which a SIGBUS would kill.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.coordinator.drops import Drops
from jupyter_nq.errors import StoreError, StoreFull
from jupyter_nq.testing.forked import Forked, Say
from jupyter_nq.testing.leftovers import leftovers, settle
from tests.unit.buffers.conftest import publish

pytestmark = pytest.mark.usefixtures("light_children")

_PAGE = 4096
_MOST_PAGES = 60
_CGROUP = Path("/sys/fs/cgroup/memory")
_TABLE = pa.table({"n": pa.array(range(2000)), "x": pa.array([None, 1.5] * 1000), "s": pa.array(["", "RTH"] * 1000)})


def _append(store: Store) -> None:
    store.append(store.resolve("a"), _TABLE)


def _grow(store: Store) -> None:
    publish(store, store.grow(store.resolve("a"), _TABLE), version=2)


def _annotate(store: Store) -> None:
    store.annotate(store.resolve("a"), b"another note" * 1000)


def _build(store: Store) -> None:
    with store.lock("key") as lock:
        lock.write_progress(0.5)
        lock.write_error(StoreError("it failed" * 100))
        publish(store, store.write("b", np.arange(1000)))


def _drop(store: Store) -> None:
    Drops(store.path).record("a", 1)
    Drops(store.path).forget("a", 1)


def _link(store: Store) -> None:
    store.link("another", store.resolve("a"))
    store.unlink("another")


def _session(store: Store) -> None:
    with Session(settings=Settings(store_dir=str(store.path), pool_bytes=1 << 40, spill_bytes=0)) as session:
        session.put("b", _TABLE)
        session.append("b", _TABLE)


_OPERATIONS: dict[str, Callable[[Store], object]] = {
    "put a table": lambda store: publish(store, store.write("b", _TABLE)),
    "put an array": lambda store: publish(store, store.write("b", np.ones((100, 30)))),
    "put bytes": lambda store: publish(store, store.write("b", b"x" * 10_000)),
    "put JSON": lambda store: publish(store, store.write("b", {"a": list(range(2000))})),
    "put with long metadata": lambda store: publish(store, store.write("b", np.ones(1), meta={"m": "x" * 20_000})),
    "append": _append,
    "grow": _grow,
    "annotate": _annotate,
    "build": _build,
    "drop": _drop,
    "link": _link,
    "verify": lambda store: store.verify(store.resolve("a")),
    "open a store": lambda store: Store(store.path.parent / "another"),
    "session": _session,
}


@pytest.fixture
def filler(nq_tmpfs: Callable[[str], Path]) -> _Filler:
    """A tmpfs of 2 MB with a store in it."""
    return _Filler(nq_tmpfs("2m"))


class _Filler:
    """A file that takes all room but a number of pages."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self._path = where / "filler"

    def leave(self, pages: int) -> None:
        """Take what is free but this."""
        self.remove()
        found = os.statvfs(self.where)
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (found.f_bfree - pages) * found.f_frsize)
        assert os.statvfs(self.where).f_bfree == pages

    def remove(self) -> None:
        """Give everything back."""
        self._path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", _OPERATIONS)
def test_with_any_number_of_pages_left_it_works_or_raises(name: str, filler: _Filler) -> None:
    """From no page to as many as it needs; what was there stays sound, and a failure leaves nothing."""
    operation = _OPERATIONS[name]
    for pages in range(_MOST_PAGES):
        store = _prepared(filler)
        filler.leave(pages)
        said, status = _attempt(operation, store)
        assert status == 0, f"with {pages} pages left: {said or status}"
        _check_sound(store)
        if said == "done":
            break
        assert said in ("StoreFull", "StoreError", "CoordinatorUnavailable"), f"with {pages} pages left: {said}"
        filler.remove()
        assert leftovers(store) == []
        assert _attempt(operation, store) == ("done", 0), f"after {pages} pages were left"
        _clear(store, filler)
    else:
        pytest.fail(f"{_MOST_PAGES} pages are not enough for {name}")
    print(f"\n{name}: done with {pages} pages")


def test_in_a_memory_cgroup_the_pool_ends_before_the_memory(nq_tmpfs: Callable[[str], Path], cgroup: Path) -> None:
    """The file system would hold more than the group may take: `StoreFull`, and nobody is killed for memory."""
    (cgroup / "memory.limit_in_bytes").write_text(str(128 << 20))
    where = nq_tmpfs("256m") / "store"

    def work(say: Say) -> None:
        (cgroup / "cgroup.procs").write_text(str(os.getpid()))
        with Session(settings=Settings(store_dir=str(where), spill_bytes=0)) as session:
            try:
                for number in range(60):
                    session.put(f"a{number}", np.full(1 << 19, number))
            except StoreFull:
                say(number)
            say(all(session.get(row.name)[0] == int(row.name[1:]) for row in session.ls()))

    with Forked(work) as child:
        said = child.rest()
        assert child.wait() == 0, said
    assert 3 <= said[0] <= 0.8 * 32
    assert said[1:] == [True]


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A memory cgroup of its own; skips where none can be made."""
    path = _CGROUP / f"nqt-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").read_text()
    except OSError as exc:
        pytest.skip(f"no memory cgroup of version 1 can be made here: {exc}")
    yield path
    path.rmdir()


def _prepared(filler: _Filler) -> Store:
    store = Store(filler.where / "store")
    info = publish(store, store.write("a", _TABLE, reserve_rows=10_000))
    store.annotate(info.id, b"a note")
    return store


def _attempt(operation: Callable[[Store], object], store: Store) -> tuple[str, int]:
    """Try it in a child; return what became of it and the child's exit status."""

    def work(say: Say) -> None:
        try:
            operation(store)
        except (StoreFull, StoreError, ConnectionError) as exc:
            say(type(exc).__name__)
        else:
            say("done")

    with Forked(work) as child:
        said = child.rest()
        return said[0] if said else "", child.wait()


def _check_sound(store: Store) -> None:
    assert store.damaged() == []
    for object_id in store.names().values():
        with store.open_id(object_id) as handle:
            handle.verify()
            rows = handle.rows
            if handle.info.name == "a":
                assert handle.arrow(stop=2000).equals(_TABLE)
                assert rows in (2000, 4000)


def _clear(store: Store, filler: _Filler) -> None:
    """Make the file system as empty as it was."""
    for name in store.names():
        store.unlink(name)
    for record in (store.path / "drops").glob("*"):
        record.unlink()
    assert settle(store) == []
