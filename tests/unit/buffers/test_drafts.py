"""Objects written in place: sealed without a copy, a lease of their views, and gone when they are not sealed."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.buffers import Store, drafts
from jupyter_nq.buffers.drafts import Unsealed, blank
from jupyter_nq.buffers.plan import plan_content
from jupyter_nq.errors import InvalidArgument, StoreError, StoreFull, UnsupportedData
from jupyter_nq.testing import wait_until
from tests.unit.buffers.child import Child

_ALL = 1 << 30
_ROWS = 1 << 18  # 2 MiB of float64


def begin(store: Store, schema: Any = "f8", rows: Any = _ROWS, reserve_rows: int = 0) -> Unsealed:
    """Make room for an object."""
    return store.begin("a", plan_content(blank(schema, rows), reserve_rows, None))


def sealed_with(store: Store, value: float) -> tuple[Unsealed, Any]:
    """Return a sealed array of one value, and a view of it from before."""
    unsealed = begin(store)
    view = unsealed.array()
    view[:] = value
    unsealed.seal()
    return unsealed, view


def test_what_is_written_is_the_object(store: Store) -> None:
    """Columns of each kind come out as they were written, with room to append, and the digest follows."""
    kinds: dict[str, Any] = {
        "t": pa.timestamp("ns", "UTC"),
        "day": pa.date32(),
        "x": "f8",
        "y": np.float64,
        "n": ">i4",
        "flag": bool,
    }
    unsealed = begin(store, kinds, 1000, reserve_rows=100)
    for name in kinds:
        view = unsealed.column(name)
        view[:] = np.arange(1000).astype(view.dtype)
    unsealed.seal()
    unsealed.part()
    info = store.info(unsealed.id)
    assert (info.rows, info.capacity_rows, info.digest_state, info.version) == (1000, 1100, "pending", 0)
    store.complete(unsealed.id)
    assert store.info(unsealed.id).digest_state == "done"
    assert store.verify(unsealed.id)
    frame = store.open_id(unsealed.id).pandas()
    assert list(frame) == list(kinds)
    assert (frame["x"] == np.arange(1000)).all()
    assert str(frame["t"].dtype) == "datetime64[ns, UTC]"
    rows = {name: values[:7] for name, values in store.open_id(unsealed.id).numpy().items()}
    rows["n"] = rows["n"].astype("i4")
    more = pa.table({name: pa.array(values).cast(info.schema.field(name).type) for name, values in rows.items()})  # type: ignore[union-attr]
    assert store.append(unsealed.id, more).rows == 1007
    assert store.verify(unsealed.id)


def test_it_is_what_a_put_of_the_same_data_is(store: Store) -> None:
    """Same digest, same bytes of memory, same schema."""
    data = {"x": np.arange(_ROWS, dtype="f8"), "n": np.arange(_ROWS, dtype="i4")}
    put = store.write("a", data)
    unsealed = begin(store, {"x": "f8", "n": "i4"})
    for name, values in data.items():
        unsealed.column(name)[:] = values
    assert unsealed.nbytes == put.nbytes
    unsealed.seal()
    unsealed.part()
    store.complete(unsealed.id)
    info = store.info(unsealed.id)
    assert (info.digest, info.schema, info.nbytes) == (put.digest, put.schema, put.nbytes)


def test_views_lie_in_the_file_and_start_with_zeros(store: Store) -> None:
    """Of any shape; nothing is copied on the way to readers."""
    unsealed = begin(store, "i4", (100, 3))
    view = unsealed.array()
    assert view.shape == (100, 3)
    assert view.flags.writeable
    assert not view.any()
    start = unsealed.mapping.view.ctypes.data
    assert start <= view.ctypes.data < start + len(unsealed.mapping.view)
    view[:] = 7
    unsealed.seal()
    assert (store.open_id(unsealed.id).numpy() == 7).all()


@pytest.mark.parametrize(
    ("schema", "rows", "error", "says"),
    [
        (pa.schema([("name", pa.string())]), 5, UnsupportedData, "'name' has type string"),
        (pa.schema([("c", pa.dictionary(pa.int8(), pa.string()))]), 5, UnsupportedData, "'c' has type dictionary"),
        (pa.schema([("d", pa.decimal128(5, 2))]), 5, UnsupportedData, "decimal128"),
        (pa.schema([("z", pa.null())]), 5, UnsupportedData, "'z' has type null"),
        (pa.schema([("x", pa.int8()), ("x", pa.int8())]), 5, UnsupportedData, "'x' is there twice"),
        ({"x": "f8", 3: "f8"}, 5, UnsupportedData, "label 3 is int"),
        ({"x": "U5"}, 5, UnsupportedData, "'x'"),
        ({"x": "float99"}, 5, UnsupportedData, "'float99', is no dtype"),
        ({"x": None}, 5, UnsupportedData, "column 'x', None, is no dtype"),
        (None, 5, UnsupportedData, "array, None, is no dtype"),
        (object, 5, UnsupportedData, "dtype object cannot be written in place"),
        ("nonsense", 5, UnsupportedData, "The type of the array, 'nonsense'"),
        ({"x": "f8"}, -1, InvalidArgument, "rows=-1"),
        ({"x": "f8"}, 2.5, InvalidArgument, "rows=2.5"),
        ({"x": "f8"}, (3, 4), InvalidArgument, r"rows=\(3, 4\)"),
        ("f8", (3, -4), InvalidArgument, "rows=-4"),
        ("f8", (), InvalidArgument, r"rows=\(\)"),
        ("f8", True, InvalidArgument, "rows=True"),
        ("f8", 1 << 61, InvalidArgument, "more than a file can hold"),
    ],
)
def test_what_cannot_be_written_in_place_is_refused(schema: Any, rows: Any, error: type[Exception], says: str) -> None:
    """The message names the column and its type."""
    with pytest.raises(error, match=says):
        blank(schema, rows)


def test_unknown_columns_are_refused_with_the_nearest(store: Store) -> None:
    """As for a reader."""
    with pytest.raises(UnsupportedData, match="close"):
        begin(store, {"close": "f8"}).column("clsoe")


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(store: Store, rows: int) -> None:
    """None at all are an object too."""
    unsealed = begin(store, {"x": "f8"}, rows)
    unsealed.column("x")[:] = 1
    unsealed.seal()
    unsealed.part()
    store.complete(unsealed.id)
    assert store.verify(unsealed.id)
    assert store.open_id(unsealed.id).numpy()["x"].tolist() == [1.0] * rows


# -- copy-on-write -------------------------------------------------------------------------------
def test_writing_reaches_nobody_after_parting(store: Store) -> None:
    """Before, the views are the object; after, each page that is written is this process's own."""
    unsealed, view = sealed_with(store, 1)
    other = store.open_id(unsealed.id).numpy()
    view[0] = 2
    assert other[0] == 2
    unsealed.part()
    view[1] = 3
    assert (view[0], view[1], view[2]) == (2, 3, 1)
    assert (other[0], other[1], other[2]) == (2, 1, 1)
    store.complete(unsealed.id)
    assert store.verify(unsealed.id)


def test_nobody_digests_or_extends_what_its_writer_may_still_change(store: Store) -> None:
    """Who verifies or appends waits for the parting; so what is written until then is in the digest."""
    unsealed = begin(store, reserve_rows=10)
    view = unsealed.array()
    unsealed.seal()
    found: list[object] = []
    works = [lambda: store.verify(unsealed.id), lambda: store.append(unsealed.id, np.ones(1)).digest_state]
    threads = [threading.Thread(target=lambda work=work: found.append(work())) for work in works]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    lock = store.path / "tmp" / f"{unsealed.id}.append"
    wait_until(lambda: _waiters(lock) == 2, message="both to wait for the lock")
    view[:] = 2
    assert found == []
    unsealed.part()
    for thread in threads:
        thread.join()
    assert sorted(map(str, found)) == ["True", "done"]
    assert store.verify(unsealed.id)


def _waiters(lock: Path) -> int:
    """Return how many wait for a lock, from the kernel's table."""
    inode = f":{lock.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_writer_that_died_before_it_parted_leaves_a_digest_to_be_made(store: Store) -> None:
    """Its lock died with it: who verifies makes the digest, and it is that of the bytes."""
    code = """
from jupyter_nq.buffers import drafts
from jupyter_nq.buffers.plan import plan_content
unsealed = store.begin("a", plan_content(drafts.blank("f8", 1 << 18), 10, None))
unsealed.array()[:] = 1
unsealed.seal()
say(unsealed.id); input(); die()
"""
    with Child(store.path, code) as child:
        id_ = child.line()
        assert store.info(id_).digest_state == "pending"
        child.tell()
        assert child.wait() == -9
    assert store.verify(id_)
    assert store.info(id_).digest == store.write("b", np.ones(_ROWS)).digest


def test_an_old_view_keeps_the_memory_from_being_written_anew(store: Store) -> None:
    """It is a lease: the next object lies elsewhere, and nothing that is written through the view reaches it."""
    unsealed, view = sealed_with(store, 1)
    id_ = unsealed.id
    unsealed.part()
    del unsealed
    assert not store.collect(id_, _ALL)
    again = store.open_id(store.write("b", np.full(_ROWS, 5.0)).id).numpy()
    view[:] = 9
    assert (again == 5).all()
    del view
    assert store.collect(id_, _ALL)
    assert len(store.pool.spares()) == 1


def test_memory_that_was_handed_out_is_written_anew_through_another_mapping(store: Store) -> None:
    """After the last view a put and a draft take the segment; the mapping that was handed out is not kept."""
    unsealed, view = sealed_with(store, 1)
    inode = os.stat(store.path / "obj" / unsealed.id).st_ino
    unsealed.part()
    id_ = unsealed.id
    del unsealed, view
    assert len(store._mapped) == 0
    assert str(store.path) not in Path("/proc/self/maps").read_text()
    assert store.collect(id_, _ALL)
    info = store.write("b", np.full(_ROWS, 5.0))
    assert os.stat(store.path / "obj" / info.id).st_ino == inode
    assert store.collect(info.id, _ALL)
    kept = next(iter(store._mapped._kept.values()))
    again = begin(store)
    assert os.fstat(again.mapping.fd).st_ino == inode
    assert again.mapping.view.ctypes.data != kept.view.ctypes.data
    again.array()[:] = 6
    again.seal()
    again.part()
    store.complete(again.id)
    assert store.verify(again.id)
    assert np.frombuffer(kept.view, "f8")[-1] == 6, "what is kept still shows the file, and nobody else has it"


def test_a_refused_parting_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error reaches the caller, and the lease still ends with the last view."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOMEM, "no memory")

    unsealed, view = sealed_with(store, 1)
    monkeypatch.setattr(drafts.platform, "map_private", fail)
    with pytest.raises(OSError, match="no memory"):
        unsealed.part()
    id_ = unsealed.id
    assert not store.verify(id_), "it may change, so no digest of it is ever made"
    assert store.info(id_).digest_state == "off"
    del unsealed, view
    assert store.collect(id_)


def test_nothing_of_an_older_object_is_left_but_in_the_rows(store: Store) -> None:
    """Header, digest table and the ends of pages are zero in a segment that was written before."""
    assert store.collect(store.write("a", b"\xa5" * (4 << 20)).id, _ALL)
    unsealed = begin(store, {"x": "f4", "y": "f8"}, _ROWS + 7)
    assert store.pool.spares() == []
    unsealed.column("x")[:] = 0
    unsealed.column("y")[:] = 0
    unsealed.seal()
    assert b"\xa5" * 4 not in (store.path / "obj" / unsealed.id).read_bytes()


# -- nothing is left -----------------------------------------------------------------------------
def test_what_is_not_sealed_is_removed(store: Store) -> None:
    """By discarding, which is fine twice, and with the last reference; views that exist keep their memory."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    unsealed = begin(store)
    view = unsealed.array()
    view[:] = 4
    assert "under construction" in repr(unsealed)
    unsealed.discard()
    unsealed.discard()
    assert "gone" in repr(unsealed)
    assert store.used_bytes() == 0
    assert (view == 4).all()
    del unsealed, view
    begin(store)
    gc.collect()
    assert store.used_bytes() == 0
    assert store.sweep() == []
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("stage", ["write_header", "os.rename", "fcntl.flock"])
def test_an_interrupted_seal_leaves_nothing(store: Store, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is under its way: no object, no bytes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    unsealed = begin(store)
    target, _, name = f"drafts.{stage}".rpartition(".")
    with monkeypatch.context() as patch:
        patch.setattr(f"jupyter_nq.buffers.{target}.{name}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            unsealed.seal()
    assert store.scan() == []
    assert store.used_bytes() == 0


@pytest.mark.parametrize("stage", ["write_header", "os.rename"])
def test_a_killed_writer_leaves_an_orphan(store: Store, stage: str) -> None:
    """It is swept like any other file under construction, and only when the writer is dead."""
    code = f"""
from jupyter_nq.buffers import drafts
from jupyter_nq.buffers.plan import plan_content
unsealed = store.begin("a", plan_content(drafts.blank("f8", 1 << 18), 0, None))
unsealed.array()[:] = 1
say("written"); input()
drafts.{stage} = lambda *a, **k: die()
unsealed.seal()
"""
    with Child(store.path, code) as child:
        assert child.line() == "written"
        assert store.sweep() == []
        child.tell()
        assert child.wait() == -9
    swept = sorted(path.suffix for path in store.sweep())
    assert swept == [".append", ".part"] if stage == "os.rename" else [".part"]
    assert store.used_bytes() == 0


def test_a_child_can_neither_seal_nor_remove(store: Store) -> None:
    """A forked child reads what was written; what it writes stays its own, and the object is the parent's."""
    unsealed = begin(store)
    view = unsealed.array()
    view[:] = 1
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            view[0] = 5
            try:
                unsealed.seal()
            except StoreError:
                unsealed.discard()
                status = 0 if view[1] == 1 else 2
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    view[1] = 2
    unsealed.seal()
    assert store.open_id(unsealed.id).numpy()[:3].tolist() == [1, 2, 1]


def test_a_child_that_outlives_its_parent_keeps_nothing_locked(store: Store) -> None:
    """A fork during a draft has no copy of the writer's lock."""
    code = """
from jupyter_nq.buffers import drafts
from jupyter_nq.buffers.plan import plan_content
unsealed = store.begin("a", plan_content(drafts.blank("f8", 1 << 18), 0, None))
if os.fork() == 0:
    input(); os._exit(0)
say("forked"); die()
"""
    with Child(store.path, code) as child:
        assert child.line() == "forked"
        assert child.wait() == -9
        assert len(store.sweep()) == 1
        child.tell()


def test_a_child_without_free_descriptors_removes_nothing(store: Store) -> None:
    """Where no descriptor is left for /dev/null, a child that ends as usual still leaves the parent's draft alone."""
    code = """
import resource, sys
from jupyter_nq.buffers import drafts
from jupyter_nq.buffers.plan import plan_content
unsealed = store.begin("a", plan_content(drafts.blank("f8", 1 << 18), 0, None))
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
pid = os.fork()
if pid == 0:
    sys.exit(0)
os.waitpid(pid, 0)
for fd in taken:
    os.close(fd)
unsealed.seal()
say(unsealed.id)
"""
    with Child(store.path, code) as child:
        assert store.open_id(child.line()).rows == 1 << 18
        assert child.wait() == 0


def test_no_room_is_an_error_and_never_a_bus_error(nq_tmpfs: Callable[[str], Path]) -> None:
    """All memory is there before a view is handed out; a refused one leaves nothing."""
    store = Store(nq_tmpfs("16m"))
    with pytest.raises(StoreFull):
        begin(store, "f8", 3 << 20)
    assert store.used_bytes() == 0
    unsealed = begin(store, "f8", 7 << 17)
    with pytest.raises(StoreFull):
        store.write("b", b"x" * (12 << 20))
    unsealed.array()[:] = 1
    unsealed.seal()
    unsealed.part()
    assert store.verify(unsealed.id)
