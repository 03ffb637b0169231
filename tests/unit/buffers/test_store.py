"""Write, publish, open, drop: the life of an object, its lease and its name."""

from __future__ import annotations

import gc
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.errors import InvalidName, StoreError, UnknownDataset
from jupyter_nq.testing import wait_until
from tests.unit.buffers.child import Child
from tests.unit.buffers.conftest import make_bars, publish


def test_a_written_object_is_sealed_but_not_published(store: Store, bars: pd.DataFrame) -> None:
    """It has an id, no version and no name until the coordinator gives them."""
    info = store.write("NQ.30min", bars, meta={"key": "k"})
    assert (info.version, info.first_version, info.rows, info.capacity_rows) == (0, 0, 1000, 1000)
    assert (info.name, info.kind, info.owner_pid, info.meta) == ("NQ.30min", "table", os.getpid(), {"key": "k"})
    assert info.schema is not None
    assert info.schema.names == list(bars.columns)
    assert store.names() == {}
    assert store.scan() == [store.info(info.id)]
    with pytest.raises(UnknownDataset, match=r"no dataset 'NQ\.30min'.*empty"):
        store.open("NQ.30min")


def test_a_published_object_is_found_by_its_name(store: Store, bars: pd.DataFrame) -> None:
    """The name leads to the newest object, also after a replacement; the old one stays by id."""
    first = publish(store, store.write("NQ.30min", bars), 1)
    second = publish(store, store.write("NQ.30min", make_bars(10)), 2)
    assert store.names() == {"NQ.30min": second.id}
    with store.open("NQ.30min") as handle:
        assert (handle.version, handle.rows) == (2, 10)
    with store.open_id(first.id) as handle:
        assert handle.version == 1
    with pytest.raises(UnknownDataset, match="no version 1 in this object; it holds 2 to 2"):
        store.open("NQ.30min", version=1)


def test_a_stamp_is_given_once(store: Store, bars: pd.DataFrame) -> None:
    """Repeating a stamp is fine, changing it is not."""
    info = publish(store, store.write("a", bars), 3)
    store.stamp(info.id, 3)
    with pytest.raises(StoreError, match="version 3 already"):
        store.stamp(info.id, 4)
    with pytest.raises(ValueError, match="count from 1"):
        store.stamp(info.id, 0)


def test_unlinking_forgets_the_name_only(store: Store, bars: pd.DataFrame) -> None:
    """The object stays, and unlinking twice is fine."""
    info = publish(store, store.write("a", bars))
    store.unlink("a")
    store.unlink("a")
    assert store.names() == {}
    assert store.info(info.id).rows == 1000


def test_unknown_names_suggest_known_ones(store: Store, bars: pd.DataFrame) -> None:
    """The error says what the store holds and which name is near."""
    publish(store, store.write("NQ.30min", bars))
    with pytest.raises(UnknownDataset, match=r"Did you mean 'NQ.30min'\? The store holds: NQ.30min"):
        store.open("NQ.30mn")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "NQ\n", "a" * 129, "Ν", "a b", "\0", None, 7, "-x"], ids=repr
)
def test_names_are_checked_in_full(store: Store, name: str) -> None:
    """Nothing that could leave the directory, or look like another name, is accepted."""
    with pytest.raises(InvalidName, match="is not a dataset name"):
        store.write(name, np.zeros(3))
    with pytest.raises((InvalidName, TypeError)):
        store.open(name)
    assert store.used_bytes() == 0


def test_ids_are_checked_too(store: Store) -> None:
    """A path is no object id, and an id of nothing is said to be dropped."""
    with pytest.raises(UnknownDataset, match="is not an object id"):
        store.info("../../etc/passwd")
    for call in (store.info, store.open_id):
        with pytest.raises(UnknownDataset, match="dropped"):
            call("0" * 32)


def test_a_name_that_looks_like_an_id_is_a_name(store: Store) -> None:
    """A dataset may be called by 32 hexadecimal digits, even by those of another object."""
    other = store.write("other", np.zeros(3))
    info = publish(store, store.write(other.id, np.ones(3)))
    with store.open(other.id) as handle:
        assert handle.info.id == info.id
    with store.open_id(other.id) as handle:
        assert handle.info.id == other.id


def test_a_name_without_its_object_is_unknown(store: Store, bars: pd.DataFrame) -> None:
    """A link whose object is gone is an error, not a hang."""
    info = publish(store, store.write("a", bars))
    assert store.collect(info.id)
    with pytest.raises(UnknownDataset, match="dropped"):
        store.open("a")


def test_files_are_private(store: Store, bars: pd.DataFrame) -> None:
    """Directories are 0700 and objects 0600, whatever the umask."""
    old = os.umask(0)
    try:
        info = store.write("a", bars)
    finally:
        os.umask(old)
    assert stat.S_IMODE((store.path / "obj" / info.id).stat().st_mode) == 0o600
    for part in ("", "obj", "tmp", "names"):
        assert stat.S_IMODE((store.path / part).stat().st_mode) == 0o700


def test_a_plan_takes_no_memory_and_bounds_what_the_write_takes(store: Store) -> None:
    """`plan` allocates nothing; `write` of it allocates at most its bytes, the reserve not included."""
    plan = store.plan(make_bars(100_000), reserve_rows=1_000_000, meta={"evidence": "x" * 5000})
    assert store.used_bytes() == 0
    info = store.write("a", plan)
    assert (info.rows, info.capacity_rows) == (100_000, 1_100_000)
    assert info.nbytes <= plan.nbytes <= info.nbytes + (8 << 10)
    assert store.used_bytes() == info.nbytes
    with pytest.raises(ValueError, match="0 or more"):
        store.plan(make_bars(1), reserve_rows=-1)


def test_progress_grows_to_one(store: Store) -> None:
    """The fraction grows and ends at 1."""
    seen: list[float] = []
    store.write("a", np.zeros(1 << 19), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert len(seen) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_cancelled_write_leaves_nothing(store: Store, error: type[BaseException]) -> None:
    """Whatever the progress call raises, the half-written file is gone."""

    def cancel(fraction: float) -> None:
        if fraction > 0.4:
            raise error

    with pytest.raises(error):
        store.write("a", np.zeros(1 << 19), progress=cancel)
    assert store.used_bytes() == 0
    assert os.listdir(store.path / "tmp") == os.listdir(store.path / "obj") == []


def test_a_held_object_is_not_collected(store: Store, bars: pd.DataFrame) -> None:
    """The handle holds it; closed without views, it lets go, and closing twice is fine."""
    info = store.write("a", bars)
    handle = store.open_id(info.id)
    assert "mapped" in repr(handle)
    assert not store.collect(info.id)
    handle.close()
    handle.close()
    assert repr(handle) == f"<Handle a v0 1,000 rows {info.nbytes:,} bytes closed>"
    with pytest.raises(ValueError, match="closed"):
        handle.numpy()
    assert store.collect(info.id)
    assert store.collect(info.id)
    assert store.used_bytes() == 0


@pytest.mark.parametrize("form", ["numpy", "pandas", "arrow"])
def test_the_lease_lives_with_the_last_view(store: Store, bars: pd.DataFrame, form: str) -> None:
    """One derived view is enough; `on_release` fires when it dies, and the lock goes with it."""
    info = store.write("a", bars)
    released = threading.Event()
    handle = store.open_id(info.id)
    handle.on_release(released.set)
    whole = handle.view(form)
    one = whole["open"][5:50]
    handle.close()
    del whole
    gc.collect()
    assert not released.is_set()
    assert not store.collect(info.id)
    del one
    gc.collect()
    assert released.is_set()
    assert store.collect(info.id)


def test_another_process_sees_the_lease_and_kill_ends_it(store: Store, nq_store_dir: Path, bars: pd.DataFrame) -> None:
    """The kernel's lock table names the holder; after kill -9 the object can go."""
    info = publish(store, store.write("a", bars))
    with Child(nq_store_dir, "view = store.open('a').numpy()['open']; say(view[0]); input()") as child:
        assert float(child.line()) == bars["open"][0]
        assert store.holders(info.id) == [child.process.pid]
        assert not store.collect(info.id)
        child.kill()
        wait_until(lambda: store.collect(info.id), message="the lease to end")
    assert store.holders(info.id) == []


def test_views_survive_the_writer_and_the_drop(store: Store, nq_store_dir: Path) -> None:
    """kill -9 of the writer takes nothing from a reader, nor does forgetting the name."""
    code = """
info = store.write("a", np.arange(1000.0)); store.stamp(info.id, 1); store.link("a", info.id); say(info.id); input()
"""
    with Child(nq_store_dir, code) as child:
        object_id = child.line()
        view = store.open("a").numpy()
        child.kill()
    store.unlink("a")
    assert not store.collect(object_id)
    assert view.sum() == 499_500


def test_a_forked_child_shares_the_lease_until_it_exits(store: Store, bars: pd.DataFrame) -> None:
    """The child's copy of the mapping keeps the lock after the parent let go."""
    info = store.write("a", bars)
    handle = store.open_id(info.id)
    go, ready = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            sound = handle.numpy()["open"][0] == bars["open"][0]
            os.write(ready[1], b"y" if sound else b"n")
            os.read(go[0], 1)
        finally:
            os._exit(0)
    assert os.read(ready[0], 1) == b"y"
    handle.close()
    assert not store.collect(info.id)
    os.write(go[1], b"x")
    os.waitpid(pid, 0)
    assert store.collect(info.id)
    for fd in (*go, *ready):
        os.close(fd)


def test_closing_in_a_forked_child_leaves_the_parent_its_views(store: Store, bars: pd.DataFrame) -> None:
    """A child that closes its handle and exits ends nobody else's lease."""
    info = store.write("a", bars)
    handle = store.open_id(info.id)
    pid = os.fork()
    if pid == 0:
        handle.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert not store.collect(info.id)
    assert handle.numpy()["open"][0] == bars["open"][0]


def test_collecting_gives_the_memory_back(store: Store) -> None:
    """The pages go at once and the file with them."""
    info = store.write("a", np.ones(1 << 20))
    before = os.statvfs(store.path).f_bfree
    assert store.collect(info.id)
    assert os.statvfs(store.path).f_bfree > before
    assert store.used_bytes() == 0


def test_readers_and_a_replacing_writer_never_collide(store: Store) -> None:
    """Readers that open a name while it is replaced and collected always get a whole object."""
    stop = threading.Event()
    failures: list[BaseException] = []
    publish(store, store.write("a", np.full(1000, 0)))

    def read() -> None:
        try:
            while not stop.is_set():
                with store.open("a") as handle:
                    values = handle.numpy()
                    assert values.min() == values.max()
                    del values
        except BaseException as exc:
            failures.append(exc)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(2, 60):
        publish(store, store.write("a", np.full(1000, version)), version)
        for info in store.scan()[:-1]:
            store.collect(info.id)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_a_reader_waits_for_a_lock_that_is_held_for_a_moment(store: Store, bars: pd.DataFrame) -> None:
    """An exclusive lock that another process takes and gives back costs the reader a moment, not an error."""
    info = store.write("a", bars)
    code = """
import fcntl
fd = os.open(str(store.path / "obj" / sys.argv[2]), os.O_RDWR)
fcntl.flock(fd, fcntl.LOCK_EX); say("locked"); input(); fcntl.flock(fd, fcntl.LOCK_UN); say("free"); input()
"""
    with Child(store.path, code, info.id) as child:
        assert child.line() == "locked"
        threading.Timer(0.05, child.tell).start()
        with store.open_id(info.id) as handle:
            assert handle.rows == 1000


def test_many_objects_leak_nothing(store: Store) -> None:
    """Descriptors, mappings and bytes are the same after 300 objects."""

    def state() -> tuple[int, int]:
        with open("/proc/self/maps") as maps:
            mapped = sum(str(store.path) in line for line in maps)
        return len(os.listdir("/proc/self/fd")), mapped

    before = state()
    for i in range(300):
        info = store.write("a", np.full(100, i))
        with store.open_id(info.id) as handle:
            assert handle.numpy()[0] == i
        assert store.collect(info.id)
    assert state() == before
    assert store.used_bytes() == 0


def test_a_store_says_where_it_is(store: Store) -> None:
    """The repr is the path."""
    assert repr(store) == f"<Store {store.path}>"
