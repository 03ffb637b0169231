"""Spare segments: the memory of freed objects is written again, by one writer at a time, and never seen."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.buffers.objects import open_object
from jupyter_nq.errors import StoreFull
from tests.unit.buffers.child import Child

_ALL = 1 << 30
_ROWS = 1 << 18  # 2 MiB of float64


def _inode(store: Store, info: ObjectInfo) -> int:
    return os.stat(store.path / "obj" / info.id).st_ino


def _freed(store: Store, data: object) -> int:
    """Write an object and free it into the pool; returns its inode."""
    info = store.write("a", data)
    inode = _inode(store, info)
    assert store.collect(info.id, _ALL)
    return inode


def test_a_segment_is_written_again_in_place(store: Store) -> None:
    """The next object of such a size lies in the same file, with other content and another id."""
    inode = _freed(store, np.ones(_ROWS))
    for value in range(3):
        info = store.write("a", np.full(_ROWS, value, float))
        assert _inode(store, info) == inode
        assert store.pool.spares() == []
        with store.open_id(info.id) as handle:
            assert (handle.numpy() == value).all()
            assert handle.verify()
        del handle
        assert store.collect(info.id, _ALL)


@pytest.mark.parametrize("share", [0.8, 1.0, 1.9])
def test_another_shape_takes_just_the_memory_that_it_needs(store: Store, share: float) -> None:
    """What is too much goes back, what is missing is allocated, and what lies between the columns is a hole."""
    _freed(store, {"x": np.ones(_ROWS), "y": np.ones(_ROWS)})
    rows = int(_ROWS * share)
    data = {"x": np.arange(rows), "y": np.arange(rows).astype("f4"), "z": np.arange(rows) % 2 == 0}
    plan = store.plan(data, reserve_rows=rows)
    info = store.write("b", plan)
    assert store.pool.spares() == []
    assert info.nbytes == plan.nbytes
    with store.open_id(info.id) as handle:
        for name, values in handle.numpy().items():
            np.testing.assert_array_equal(values, data[name])
        assert handle.verify()
    more = {"x": np.arange(9), "y": np.ones(9, "f4"), "z": np.ones(9, bool)}
    assert store.append(info.id, more).rows == rows + 9
    assert store.verify(info.id)


def test_nothing_of_an_older_object_is_left_in_its_file(store: Store) -> None:
    """Header, digest table and the ends of pages are zero where the new object has nothing."""
    old = b"\xa5" * (4 << 20)
    _freed(store, old)
    info = store.write("a", {"x": np.zeros(_ROWS + 7, "f4"), "t": np.zeros(_ROWS + 7)})
    content = (store.path / "obj" / info.id).read_bytes()
    assert b"\xa5" * 64 not in content


@pytest.mark.parametrize("rows", [_ROWS // 3, _ROWS * 3])
def test_a_segment_of_another_size_stays(store: Store, rows: int) -> None:
    """More than twice or less than half as large: a fresh file is made."""
    inode = _freed(store, np.ones(_ROWS))
    assert _inode(store, store.write("a", np.ones(rows))) != inode
    assert [spare.inode[1] for spare in store.pool.spares()] == [inode]


def test_small_objects_are_freed_at_once(store: Store) -> None:
    """Below 1 MiB a fresh file is as fast."""
    _freed(store, np.ones(1000))
    assert store.pool.spares() == []
    assert store.used_bytes() == 0


def test_the_pool_keeps_no_more_than_it_may(store: Store) -> None:
    """What was freed last stays; what is over the limit goes, longest there first."""
    infos = [store.write("a", np.ones(_ROWS)) for _ in range(4)]
    inodes = [_inode(store, info) for info in infos]
    for info in infos:
        assert store.collect(info.id, 2 * info.nbytes)
    assert [spare.inode[1] for spare in store.pool.spares()] == inodes[2:]
    assert store.pool.nbytes() == store.used_bytes() == 2 * infos[0].nbytes
    assert store.pool.trim(infos[0].nbytes) == infos[0].nbytes
    assert [spare.inode[1] for spare in store.pool.spares()] == inodes[3:]
    assert store.pool.trim(0) == infos[0].nbytes
    assert store.used_bytes() == 0


def test_what_is_held_is_not_taken(store: Store) -> None:
    """A reader's view keeps its file out of the pool, and its bytes, whatever is written meanwhile."""
    info = store.write("a", np.arange(_ROWS))
    view = store.open_id(info.id).numpy()
    assert not store.collect(info.id, _ALL)
    for _ in range(3):
        _freed(store, np.zeros(_ROWS))
    assert (view == np.arange(_ROWS)).all()


def test_a_reader_that_comes_late_finds_the_object_gone(store: Store) -> None:
    """A descriptor of the old object locks a spare segment, and is told that its path leads elsewhere."""
    info = store.write("a", np.ones(_ROWS))
    path = store.path / "obj" / info.id
    late = open_object(path, os.O_RDONLY)
    try:
        assert store.collect(info.id, _ALL)
        assert try_flock(late, fcntl.LOCK_SH)
        assert not is_current(late, path)
        again = store.write("a", np.zeros(_ROWS))  # its lock keeps the segment from being written
        assert _inode(store, again) != os.fstat(late).st_ino
    finally:
        os.close(late)


def test_freeing_gives_the_memory_back_though_the_writer_keeps_its_mapping(store: Store) -> None:
    """The pages go at once; the mapping goes with the next write."""
    _freed(store, np.ones(_ROWS))
    info = store.write("a", np.ones(_ROWS))
    before = store.used_bytes()
    assert store.collect(info.id)
    assert store.used_bytes() == before - info.nbytes == 0
    _freed(store, np.ones(_ROWS))
    store.write("a", np.ones(_ROWS))
    assert _deleted_mappings(store) == 0


def _deleted_mappings(store: Store) -> int:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(str(store.path) in line and line.endswith("(deleted)") for line in lines)


def test_descriptors_and_mappings_stay_few(store: Store) -> None:
    """Sixty objects of sizes of their own, in turn: no more than eight mappings are kept."""
    before = len(os.listdir("/proc/self/fd"))
    for i in range(60):
        _freed(store, np.ones(_ROWS + (i % 12) * 20_000))
    assert len(os.listdir("/proc/self/fd")) <= before + 16
    assert Path("/proc/self/maps").read_text().count(str(store.path)) <= 8


def test_a_killed_writer_of_a_spare_segment_leaves_an_orphan(store: Store) -> None:
    """It is swept like any other file under construction."""
    _freed(store, np.ones(_ROWS))
    code = """
from jupyter_nq.buffers import store as module
module.fill = lambda *a, **k: die()
store.write("a", np.ones(1 << 18))
"""
    with Child(store.path, code) as child:
        assert child.wait() == -9
    assert store.pool.spares() == []
    assert len(store.sweep()) == 1
    assert store.used_bytes() == 0


def test_two_writers_never_take_the_same_segment(store: Store) -> None:
    """Processes write, check and free in turn; every object holds what was written into it."""
    code = """
for i in range(40):
    info = store.write("a", np.full(1 << 18, os.getpid() + i, float))
    view = store.open_id(info.id).numpy()
    assert (view == os.getpid() + i).all()
    assert store.verify(info.id)
    del view
    while not store.collect(info.id, 1 << 30):
        pass  # the other opened it as a spare segment, and is about to see that it is none
"""
    with Child(store.path, code) as one, Child(store.path, code) as other:
        assert one.wait() == other.wait() == 0
    assert store.scan() == store.damaged() == []
    assert len(store.pool.spares()) <= 4, "a segment that the other looks at is passed over, and a fresh file made"


def test_a_fork_writes_on(store: Store) -> None:
    """A child has the parent's mappings, and both write what they mean."""
    _freed(store, np.ones(_ROWS))
    _freed(store, np.ones(_ROWS))
    pid = os.fork()
    if pid == 0:
        info = store.write("child", np.full(_ROWS, 2.0))
        with store.open_id(info.id) as handle:
            os._exit(0 if (handle.numpy() == 2).all() else 1)
    info = store.write("parent", np.full(_ROWS, 1.0))
    assert os.waitpid(pid, 0)[1] == 0
    assert (store.open_id(info.id).numpy() == 1).all()
    assert all(store.verify(i.id) for i in store.scan())


def test_spare_memory_is_given_back_when_it_is_needed(nq_tmpfs: Callable[[str], Path]) -> None:
    """A full file system, and a quota, take what the pool has before they refuse."""
    store = Store(nq_tmpfs("16m"))
    _freed(store, b"x" * (2 << 20))
    info = store.write("a", b"y" * (14 << 20))
    assert store.pool.spares() == []
    assert store.collect(info.id)
    _freed(store, b"x" * (2 << 20))
    store.write("a", b"y" * (5 << 20), spare_bytes=0)
    assert store.pool.spares() == []
    with pytest.raises(StoreFull):
        store.write("a", b"y" * (14 << 20))


def test_spare_memory_is_given_back_for_rows_that_are_appended(nq_tmpfs: Callable[[str], Path]) -> None:
    """Rows that fit when the pool is empty are appended, whatever is in it."""
    store = Store(nq_tmpfs("16m"))
    grown = store.write("b", np.ones(1000), reserve_rows=16 * _ROWS)
    _freed(store, np.ones(4 * _ROWS))
    assert store.append(grown.id, np.full(5 * _ROWS, 2.0)).rows == 1000 + 5 * _ROWS
    assert store.pool.spares() == []
    with pytest.raises(StoreFull):
        store.append(grown.id, np.ones(4 * _ROWS))


def test_a_spare_segment_is_never_written_without_memory(nq_tmpfs: Callable[[str], Path]) -> None:
    """A larger object than the segment that it takes: refused when the rest does not fit, never a SIGBUS."""
    store = Store(nq_tmpfs("16m"))
    store.write("kept", b"k" * (6 << 20))
    _freed(store, b"x" * (8 << 20))
    with pytest.raises(StoreFull):
        store.write("a", b"y" * (12 << 20))
    assert store.used_bytes() < (7 << 20)
    info = store.write("a", b"y" * (8 << 20))
    assert store.verify(info.id)


def test_no_pool_on_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only memory is worth keeping."""
    store = Store(tmp_path / "store")
    monkeypatch.setattr(store, "_in_memory", False)
    _freed(store, np.ones(_ROWS))
    assert store.pool.spares() == []


def test_what_was_appended_since_is_not_freed(store: Store) -> None:
    """An object goes only in the version that was copied."""
    info = store.write("a", np.ones(10), reserve_rows=10)
    store.stamp(info.id, 1)
    store.append(info.id, np.ones(2))
    assert not store.collect(info.id, version=1)
    assert store.info(info.id).rows == 12
    assert store.collect(info.id, version=2)


def test_a_segment_is_made_ahead_of_the_write(store: Store) -> None:
    """The next write of that kind lies in it, and needs neither memory nor a mapping; there is never a second one."""
    plan = store.plan({"x": np.arange(_ROWS), "y": np.ones(_ROWS)}, reserve_rows=_ROWS)
    need = plan.need("a")
    assert need.nbytes == plan.nbytes
    assert store.prefault(need)
    (spare,) = store.pool.spares()
    assert spare.nbytes == need.nbytes
    assert not store.prefault(need)
    info = store.write("a", plan)
    assert _inode(store, info) == spare.inode[1]
    assert info.nbytes == plan.nbytes
    with store.open_id(info.id) as handle:
        assert handle.verify()
        assert (handle.numpy()["x"] == np.arange(_ROWS)).all()
    assert store.pool.spares() == []


def test_small_writes_have_no_segment_made(store: Store) -> None:
    """Below 1 MiB it would gain nothing."""
    assert not store.prefault(store.plan(np.zeros(1000)).need("a"))
    assert store.pool.spares() == []


def test_a_segment_that_is_not_wanted_any_more_leaves_nothing(store: Store) -> None:
    """Neither in the pool, nor under construction, nor a mapping of it."""
    assert not store.prefault(store.plan(np.zeros(_ROWS)).need("a"), stopped=lambda: True)
    assert store.pool.spares() == []
    assert os.listdir(store.path / "tmp") == []
    assert len(store._mapped) == 0
