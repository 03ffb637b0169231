"""Freezing: a cold copy is there whole, with what the object had at one moment, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq import testing
from jupyter_nq.buffers import ColdCopies, KeyRing, ObjectInfo, Store, freeze, layout, thaw, words
from jupyter_nq.buffers.cold import freezing
from jupyter_nq.buffers.cold.replacing import replacing
from jupyter_nq.buffers.platform import lock_holders
from jupyter_nq.errors import ChecksumError, MissingLibrary, StoreError, StoreFull, UnknownDataset
from tests.unit.buffers.child import Child
from tests.unit.buffers.cold.objects import (
    MASTER_KEY,
    cold_file,
    committed,
    committed_ranges,
    long_table,
    ticks,
    versions,
)
from tests.unit.buffers.conftest import publish


@pytest.fixture
def info(store: Store) -> ObjectInfo:
    """Give an object of three versions with a note."""
    return versions(store)


def _files(cold: ColdCopies) -> list[str]:
    return sorted(path.name for path in cold.path.rglob("*") if path.is_file())


def test_a_copy_says_what_the_object_says(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Its record is that of the object, with the file's size; the object stays in the store."""
    frozen = freeze(store, info.id, cold, durable=True)
    for name in (
        "id",
        "name",
        "version",
        "first_version",
        "rows",
        "created_ns",
        "owner_pid",
        "kind",
        "meta",
        "versions",
    ):
        assert getattr(frozen, name) == getattr(info, name)
    assert (frozen.raw_bytes, frozen.durable, frozen.key_id) == (info.nbytes, True, None)
    path = cold_file(cold.path, info.id)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (frozen.nbytes, 0o600)
    assert store.info(info.id) == info
    assert _files(cold) == [path.name]


def test_bars_become_small(store: Store, cold: ColdCopies) -> None:
    """Ticks, times and volumes take at most 0.15 of their bytes in memory, other floats less than they did."""
    rows = 200_000
    random = np.random.default_rng(0)
    close = ticks(rows)
    high, low = close + random.integers(0, 9, rows) * 0.25, close - random.integers(0, 9, rows) * 0.25
    times = np.datetime64("2020-01-01", "ns") + np.arange(rows) * np.timedelta64(60, "s")
    bars = {"t": times, "open": close, "high": high, "low": low, "close": close, "v": random.integers(0, 5000, rows)}
    frozen = freeze(store, store.write("bars", bars).id, cold)
    assert frozen.nbytes < 0.15 * frozen.raw_bytes
    frozen = freeze(store, store.write("random", random.random(rows)).id, cold)
    assert frozen.nbytes < 0.95 * frozen.raw_bytes


def test_what_is_not_there_is_unknown(store: Store, cold: ColdCopies) -> None:
    """Nothing is written for an object that was dropped."""
    with pytest.raises(UnknownDataset):
        freeze(store, "0" * 32, cold)
    assert _files(cold) == []


def test_the_lease_is_held_meanwhile(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Nobody can remove the object while it is frozen, and it can be read."""

    def look(fraction: float) -> None:
        assert lock_holders(store.path / "obj" / info.id) == [os.getpid()]
        assert not store.collect(info.id)

    freeze(store, info.id, cold, progress=look)
    assert store.collect(info.id)


def test_rows_that_come_meanwhile_are_not_in_it(store: Store, other: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """The copy is of the moment in which it began, and sound."""
    more = pa.table({"x": [0.25], "n": [3], "s": ["later"]})
    appended = []

    def append(fraction: float) -> None:
        if not appended:
            appended.append(store.append(info.id, more))

    before = committed(store, info)
    frozen = freeze(store, info.id, cold, progress=append)
    assert (frozen.version, frozen.rows) == (info.version, info.rows)
    assert thaw(other, info.id, cold).versions == info.versions
    assert committed(other, info) == before
    assert other.verify(info.id)


def test_freezing_beside_an_appender(store: Store, other: Store, cold: ColdCopies) -> None:
    """Whatever moment it meets, the copy is that of one version."""
    info = publish(store, store.write("a", np.arange(1), reserve_rows=1000))
    code = "say('go')\nfor i in range(1, 1000): store.append(sys.argv[2], np.arange(i, i + 1))\nsay('done')"
    done = threading.Event()
    with Child(store.path, code, info.id) as child:
        child.line()
        threading.Thread(target=lambda: (child.line(), done.set())).start()
        while not done.is_set():
            rows = freeze(store, info.id, cold).rows
            thawed = thaw(other, info.id, cold)
            assert (thawed.rows, thawed.version, thawed.versions[-1][1]) == (rows, rows, rows)
            with other.open_id(info.id) as handle:
                assert (handle.numpy() == np.arange(rows)).all()
            assert other.verify(info.id)
            assert other.collect(info.id)


def test_what_a_dead_appender_did_not_digest_is_digested(store: Store, other: Store, cold: ColdCopies) -> None:
    """So that the copy, and what is thawed of it, can be compared."""
    info = store.write("a", np.arange(300_000), reserve_rows=300_000)
    _leave_pending(store, info)
    freeze(store, info.id, cold)
    assert thaw(other, info.id, cold).digest == store.info(info.id).digest is not None


def test_a_copy_without_a_digest_gets_one_of_all_rows(
    store: Store, other: Store, cold: ColdCopies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that met an append between its commit and its digest has no table: the digest is made anew."""
    info = store.write("a", np.arange(300_000), reserve_rows=300_000)
    _leave_pending(store, info)
    monkeypatch.setattr(store, "complete", lambda object_id: None)
    freeze(store, info.id, cold)
    assert thaw(other, info.id, cold).digest_state == "pending"
    assert other.verify(info.id)
    assert other.info(info.id).digest == store.write("b", np.arange(500_000)).digest


def _leave_pending(store: Store, info: ObjectInfo) -> None:
    """Have rows appended by a process that dies before it digests them."""
    code = """
from jupyter_nq.buffers import appending
appending.refresh_digest = lambda *a: die()
store.append(sys.argv[2], np.arange(300_000, 500_000))
"""
    with Child(store.path, code, info.id) as child:
        assert child.wait() == -9
    assert store.info(info.id).digest_state == "pending"


def test_an_append_that_died_is_not_in_it(store: Store, other: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Its slot in the version ring, and its count, are left out."""
    path = store.path / "obj" / info.id
    count = layout.CHANGING_FIELDS["version_count"][0]
    with path.open("r+b") as file:
        slot = layout.RING_OFFSET + 3 * layout.SLOT_BYTES
        for at, place, value in ((slot, (1 << 32) + 3, 9999), (count, count // 8, 4)):
            os.pwrite(file.fileno(), words.seal(info.id, place, value).to_bytes(8, "little"), at)
    freeze(store, info.id, cold)
    assert thaw(other, info.id, cold) == info
    ring = (other.path / "obj" / info.id).read_bytes()[slot : slot + 8]
    assert ring == bytes(8)


# -- damage --------------------------------------------------------------------------------------
def _flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        byte = os.pread(file.fileno(), 1, at)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1]), at)


def test_what_is_damaged_in_memory_is_not_kept(store: Store, cold: ColdCopies) -> None:
    """The error names the column and the piece; the copy before stays."""
    info = store.write("t", long_table())
    freeze(store, info.id, cold)
    before = cold_file(cold.path, info.id).read_bytes()
    start, _ = next(iter(committed_ranges(store, info)))
    _flip(store.path / "obj" / info.id, start + (4 << 20) + 5)
    with pytest.raises(ChecksumError, match="column 'close' is damaged in its 1 MiB piece 4 "):
        freeze(store, info.id, cold)
    assert cold_file(cold.path, info.id).read_bytes() == before
    assert len(_files(cold)) == 1


def test_a_damaged_table_of_digests_is_found(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """It is told from one that an append is about to change."""
    _flip(store.path / "obj" / info.id, layout.CHANGING_FIELDS["digest_root"][0])
    with pytest.raises(ChecksumError, match="its table of digests is damaged"):
        freeze(store, info.id, cold)
    assert _files(cold) == []


# -- what the disk refuses -----------------------------------------------------------------------
def test_a_full_disk(store: Store, nq_tmpfs: Callable[[str], Path]) -> None:
    """The error says what is free there; the older copy is intact, nothing else is left, and less fits."""
    cold = ColdCopies(nq_tmpfs("2m") / "cold")
    info = publish(store, store.write("t", {"x": np.zeros(1000)}, reserve_rows=2_000_000))
    freeze(store, info.id, cold)
    before = cold_file(cold.path, info.id).read_bytes()
    store.append(info.id, {"x": np.random.default_rng(0).random(1_000_000)})
    with pytest.raises(StoreFull, match=r"The cold copy does not fit: [\d,]+ bytes are free in .*larger disk"):
        freeze(store, info.id, cold)
    assert cold_file(cold.path, info.id).read_bytes() == before
    assert _files(cold) == [f"{info.id}.cold"]
    assert freeze(store, store.write("b", np.arange(100.0)).id, cold).rows == 100


@pytest.mark.parametrize("which", ["the file", "the directory"])
@pytest.mark.parametrize("older", [True, False], ids=["replacing", "new"])
def test_a_disk_that_cannot_sync(
    store: Store, cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch, which: str, older: bool
) -> None:
    """Nothing is acknowledged that the disk did not take, and the copy before has its name again."""
    before = []
    if older:
        freeze(store, info.id, cold)
        before = [cold_file(cold.path, info.id).read_bytes()]
    sync = os.fsync

    def fail(fd: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}") == (which == "the directory"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(fd)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"Input/output error. The disk failed"):
        freeze(store, info.id, cold)
    assert [path.read_bytes() for path in cold.path.glob("*.cold")] == before
    assert len(_files(cold)) == len(before)


def test_a_user_without_rights() -> None:
    """A directory that its owner may not write, and one of somebody else, are errors that say what to check."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs the rights of root")
    where = Path(tempfile.mkdtemp(prefix="nqu-", dir="/tmp"))
    code = """
import numpy as np
from pathlib import Path
from jupyter_nq.buffers import ColdCopies, Store, freeze, thaw
from jupyter_nq.errors import StoreError
where = Path(sys.argv[1])
def made(where):
    where.mkdir()
    store, cold = Store(where / "nq"), ColdCopies(where / "cold")
    return store, cold, store.write("a", np.arange(3))
store, cold, info = made(where / "first")
freeze(store, info.id, cold)
thaw(Store(where / "first" / "other"), info.id, cold)  # what Python imports late may not be readable for others
os.setuid(65534)
store, cold, info = made(where / "second")
os.chmod(cold.tmp, 0o500)
try:
    freeze(store, info.id, cold)
except StoreError as exc:
    say(exc)
os.chmod(cold.tmp, 0o700)
freeze(store, info.id, cold)
os.chmod(cold.file(info.id), 0)
try:
    thaw(Store(where / "second" / "other"), info.id, cold)
except StoreError as exc:
    say(exc)
try:
    ColdCopies(where / "first" / "cold")
except StoreError as exc:
    say(exc)
"""
    os.chown(where, 65534, 65534)
    try:
        with testing.Child(code, str(where)) as child:
            for says in (
                "Permission denied. Check its owner",
                "Permission denied. Check its owner",
                "belongs to user 0",
            ):
                assert says in child.line()
    finally:
        shutil.rmtree(where)


def test_a_refused_write(store: Store, cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is mounted read-only, or rights that are missing: `StoreError` with the path and a way out."""
    opened = os.open

    def refusing(number: int) -> Callable[..., int]:
        def refuse(path: str, flags: int, *mode: int) -> int:
            if flags & os.O_CREAT and Path(path).is_relative_to(cold.path):
                raise OSError(number, os.strerror(number))
            return opened(path, flags, *mode)

        return refuse

    for number, says in ((errno.EROFS, "mounted read-only"), (errno.EACCES, "Check its owner")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refusing(number))
            with pytest.raises(StoreError, match=says):
                freeze(store, info.id, cold)
    assert freeze(store, info.id, cold).rows == info.rows


def test_without_cryptography(
    store: Store, cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain copy needs none; an encrypted one says what to install, and leaves nothing."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingLibrary, match=r"pip install 'jupyter-nq\[crypto\]'"):
        freeze(store, info.id, cold, keys=KeyRing([MASTER_KEY]))
    assert _files(cold) == []
    assert freeze(store, info.id, cold).rows == info.rows


def test_a_copy_that_is_kept_for_good_stays_so(store: Store, cold: ColdCopies, info: ObjectInfo) -> None:
    """Who evicts may have looked before who keeps had written, and writes the same object after."""
    assert not freeze(store, info.id, cold).durable
    assert freeze(store, info.id, cold, durable=True).durable
    assert freeze(store, info.id, cold).durable


def test_who_waited_to_write_a_copy_reads_the_object_afterwards(
    store: Store, cold: ColdCopies, info: ObjectInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were appended and copied while it waited for its turn are in its copy too."""

    @contextlib.contextmanager
    def waited(*arguments: Any) -> Iterator[int]:
        store.append(info.id, pa.table({"x": ticks(3), "n": pa.array([1, 2, 3]), "s": ["a", "b", "c"]}))
        with replacing(*arguments) as fd:
            yield fd

    monkeypatch.setattr(freezing, "replacing", waited)
    assert freeze(store, info.id, cold).rows == cold.info(info.id).rows == info.rows + 3
