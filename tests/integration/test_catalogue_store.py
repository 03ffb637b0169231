"""What must happen to a store when something goes wrong, case by case, with real processes and sessions.

The numbers are those of the project's catalogue of cases; 66 and 67, about the disk, are in `test_catalogue_disk`.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq import testing
from jupyter_nq.buffers import Store
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import ChecksumError, StoreError, StoreFull, UnknownDataset
from jupyter_nq.testing import wait_until
from jupyter_nq.testing.forked import Forked
from jupyter_nq.testing.leftovers import leftovers, open_files, settle
from tests.unit.buffers.conftest import publish

_ROWS = np.arange(200_000.0)
_NOBODY = 65534
_SIGBUS = -7

_PRELUDE = """
import numpy as np
from jupyter_nq.client.session import Session
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError, StoreFull
from jupyter_nq.testing.leftovers import leftovers
session = Session(settings=Settings(store_dir=sys.argv[1], connect_seconds=20, spill_bytes=0))
store = session.store
rows = np.arange(200_000.0)
"""


class Child(testing.Child):
    """A process with a `session` on the store."""

    def __init__(self, store_dir: Path, code: str, *arguments: str) -> None:
        super().__init__(_PRELUDE + code, str(store_dir), *arguments)


@pytest.fixture
def session(nq_store_dir: Path) -> Iterator[Session]:
    """A session that hosts the coordinator of an empty store."""
    with _session(nq_store_dir) as opened:
        yield opened


def _session(where: Path) -> Session:
    return Session(settings=Settings(store_dir=str(where), connect_seconds=20, spill_bytes=0))


@pytest.mark.parametrize("moment", [0.2, 0.9])
def test_61_a_put_killed_in_the_middle_leaves_no_object_and_no_byte(session: Session, moment: float) -> None:
    """The name keeps what it had, and the bytes come back by themselves."""
    session.put("a", np.ones(10))
    code = f"session.put('a', rows, progress=lambda done: die() if done > {moment} else None)"
    with Child(session.store.path, code) as child:
        assert child.wait() == -9
    assert settle(session.store) == []
    assert session.get("a").tolist() == [1.0] * 10
    assert session.store.damaged() == []


@pytest.mark.parametrize(
    ("code", "there"),
    [
        ("os.rename = lambda *_: die(); session.put('a', rows)", False),
        ("rename = os.rename; os.rename = lambda *a: (rename(*a), die()); session.put('a', rows)", False),
        ("session.put('a', rows); die()", True),
    ],
    ids=["before the seal", "after the seal", "after the acknowledgement"],
)
def test_62_a_put_killed_around_its_seal_is_absent_or_complete(session: Session, code: str, there: bool) -> None:
    """What was acknowledged is there; an object that nobody named is freed."""
    with Child(session.store.path, code) as child:
        assert child.wait() == -9
    assert settle(session.store) == []
    assert [row.name for row in session.ls()] == ["a"] * there
    if there:
        np.testing.assert_array_equal(session.get("a", verify="always"), _ROWS)


def test_63_an_interrupted_put_leaves_nothing_and_the_kernel_goes_on(session: Session) -> None:
    """SIGINT in the middle of the copy arrives as KeyboardInterrupt."""
    code = """
def interrupt(done):
    if done > 0.3:
        os.kill(os.getpid(), signal.SIGINT)
try:
    session.put("a", rows, progress=interrupt)
except KeyboardInterrupt:
    say(leftovers(store))
say(session.put("a", rows).version)
"""
    with Child(session.store.path, code) as child:
        assert (child.line(), child.line()) == ("[]", "1")
        assert child.wait() == 0
    assert settle(session.store) == []


def test_64_a_full_store_raises_and_kills_nobody(nq_tmpfs: Callable[[str], Path]) -> None:
    """Puts until nothing fits: `StoreFull` with what to do; a reader of the first keeps its values."""
    code = """
view = None
try:
    for number in range(1000):
        session.put(f"a{number}", rows)
        view = session.get("a0") if view is None else view
except StoreFull as exc:
    say(exc)
say(number, (view == rows).all())
session.drop("a1")
say(session.put("small", np.ones(10)).version)
"""
    with Child(nq_tmpfs("16m") / "store", code) as child:
        assert "Drop what is not needed" in child.line()
        number, same = child.line().split()
        assert (int(number) >= 5, same) == (True, "True")
        assert child.line() == "1"
        assert child.wait() == 0


def test_65_more_than_the_machine_has_is_refused_before_a_byte_is_allocated(nq_store_dir: Path) -> None:
    """Also when the configured pool is larger than the memory: what is free counts."""
    with Session(settings=Settings(store_dir=str(nq_store_dir), pool_bytes=1 << 50)) as session:
        huge = np.broadcast_to(np.float64(1), (1 << 42,))
        start = time.monotonic()
        with pytest.raises(StoreFull, match=r"needs 3\d.*80 % of what its file system"):
            session.put("a", huge)
        assert time.monotonic() - start < 5
        assert leftovers(session.store) == []
        assert session.store.used_bytes() == 0


def test_68_a_file_system_that_became_read_only_is_named(nq_tmpfs: Callable[[str], Path]) -> None:
    """Reading goes on; writing says which file system refuses."""
    where = nq_tmpfs("8m")
    store = Store(where / "store")
    publish(store, store.write("a", _ROWS))
    subprocess.run(["mount", "-o", "remount,ro", str(where)], check=True)
    with pytest.raises(StoreError, match="Read-only file system"):
        store.write("b", np.ones(10))
    with pytest.raises(StoreError, match="Read-only file system"):
        store.append(store.resolve("a"), np.ones(10))
    np.testing.assert_array_equal(store.open("a").numpy(), _ROWS)
    subprocess.run(["mount", "-o", "remount,rw", str(where)], check=True)
    store.write("b", np.ones(10))


def test_68_a_file_system_without_inodes_is_full(nq_tmpfs: Callable[[str], Path]) -> None:
    """There is room for bytes and none for files: `StoreFull`, and it works again after a file went."""
    store = Store(nq_tmpfs("8m,nr_inodes=16") / "store")
    ids: list[str] = []

    def fill() -> None:
        while len(ids) < 20:
            ids.append(publish(store, store.write("a", np.ones(10))).id)

    with pytest.raises(StoreFull, match=r"no more files \(inodes\)\. Drop datasets that nobody needs"):
        fill()
    assert store.damaged() == []
    assert store.open("a").numpy().sum() == 10
    for object_id in ids[:-1]:
        assert store.collect(object_id)
    publish(store, store.write("b", np.ones(10)))
    store.unlink("a")
    assert settle(store) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user in a child")
def test_68_a_directory_that_may_not_be_written_is_named(nq_store_dir: Path) -> None:
    """As a user for whom permissions count."""
    path = nq_store_dir / "store"
    nq_store_dir.chmod(0o755)
    path.mkdir(mode=0o700)
    os.chown(path, _NOBODY, _NOBODY)

    def work(say: Callable[[object], None]) -> None:
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
        store = Store(path)
        publish(store, store.write("a", np.ones(10)))
        for part in ("tmp", "obj"):
            os.chmod(path / part, 0o500)
            try:
                store.write("b", np.ones(1))
            except StoreError as exc:
                say(str(exc))
            os.chmod(path / part, 0o700)
        say([store.open("a").numpy().sum(), leftovers(store)])

    with Forked(work) as child:
        for part in ("tmp", "obj"):
            assert f"/{part}/" in (message := child.hear())
            assert "Permission denied. Check its owner and its permission" in message
        assert child.hear() == [10.0, []]


def test_69_a_bit_that_flipped_is_named_with_its_column_and_megabyte(session: Session) -> None:
    """`verify` finds it, and putting again replaces it."""
    session.put("a", {"x": _ROWS, "y": _ROWS})
    _flip_bit(session, "a", "y", 150_000)
    with pytest.raises(ChecksumError, match=r"a: column 'y' is damaged in its 1 MiB piece 1"):
        session.get("a", verify="always")
    session.put("a", {"x": _ROWS, "y": _ROWS})
    session.get("a", verify="always")


@pytest.mark.parametrize("change", [-4096, 4096], ids=["truncated", "extended"])
def test_70_an_object_that_was_cut_or_extended_is_refused_and_replaced(session: Session, change: int) -> None:
    """The message names the file and the command that removes it; a new version works."""
    session.put("a", _ROWS)
    path = session.store.path / "obj" / session.store.resolve("a")
    os.truncate(path, path.stat().st_size + change)
    with pytest.raises(ChecksumError, match=r"was cut or extended\. Remove it with `jupyter nq clean`"):
        session.get("a")
    assert session.put("a", _ROWS).version == 2
    np.testing.assert_array_equal(session.get("a"), _ROWS)
    assert settle(session.store) == []


def test_71_locks_of_the_dead_are_taken_over_whatever_pid_they_show(nq_store_dir: Path) -> None:
    """A pid beside a lock is a note to people: the lock itself died with its process."""
    store = Store(nq_store_dir)
    (store.path / "coordinator.lock").write_text(f"{os.getpid():<20}\n")  # of a process that lives and has no lock
    (store.path / "tmp" / "key.build").write_bytes(b"\x81\xa8fraction\xcb?\xe0\0\0\0\0\0\0")
    with Child(nq_store_dir, "lock = store.lock('other'); lock.__enter__(); say(session); input()") as child:
        assert "hosting" in child.line()
        child.kill()
    start = time.monotonic()
    with store.lock("key"), store.lock("other"), _session(nq_store_dir) as session:
        assert session.channel.is_host
    assert time.monotonic() - start < 5
    assert leftovers(store) == []


def test_72_links_that_somebody_planted_are_refused(session: Session, tmp_path: Path) -> None:
    """As a name, as an object, as a lock: what they lead to is neither read nor written."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    store = session.store
    (store.path / "names" / "a").symlink_to(victim)
    (store.path / "obj" / ("b" * 32)).symlink_to(victim)
    (store.path / "tmp" / "c.write").symlink_to(victim)
    with pytest.raises(UnknownDataset, match="'victim' is not an object id"):
        store.open("a")
    with pytest.raises(ChecksumError, match="it is not a file"):
        store.open_id("b" * 32)
    with pytest.raises(StoreError, match=r"symbolic link.*The store makes no such link: remove it"):
        session.put("c", _ROWS)
    assert session.put("a", _ROWS).version == 1
    np.testing.assert_array_equal(session.get("a"), _ROWS)
    assert victim.read_text() == "precious"


def test_73_writing_through_a_view_is_an_error_and_changes_nothing(session: Session) -> None:
    """numpy, pandas and Arrow's own buffers are read-only, also for who put them."""
    session.put("a", {"x": _ROWS})
    with pytest.raises(ValueError, match="read-only"):
        session.get("a", as_="numpy")["x"][0] = 1
    with pytest.raises(ValueError, match="read-only"):
        session.get("a")["x"].to_numpy()[0] = 1
    assert not session.get("a", as_="arrow").column("x").chunk(0).buffers()[1].is_mutable
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
        session.get("a", as_="numpy")["x"].setflags(write=True)
    session.get("a", verify="always")


def test_74_an_object_that_a_peer_cut_is_named_by_the_next_open(session: Session) -> None:
    """One uid's processes can damage files. Who had mapped it may die of it, alone; everybody else is told."""
    session.put("a", _ROWS)
    path = session.store.path / "obj" / session.store.resolve("a")
    with Child(
        session.store.path, "view = session.get('a', as_='numpy'); say(view[-1]); input(); say(view[-1])"
    ) as reader:
        assert reader.line() == "199999.0"
        os.truncate(path, 4096)
        reader.tell()
        assert reader.wait() in (0, _SIGBUS)
    with pytest.raises(ChecksumError, match=f"{path} is not a sound object"):
        session.get("a")
    assert [Path(damaged.path) for damaged in session.store.damaged()] == [path]
    assert session.put("a", _ROWS).version == 2


def test_75_a_child_forked_after_connecting_works_and_so_does_its_parent(nq_store_dir: Path) -> None:
    """The child has a line of its own: it gets, puts and appends; the parent, which hosts, goes on."""
    code = """
session.put("a", {"x": rows})
frame = session.get("a")
pid = os.fork()
if pid == 0:
    try:
        same = (frame["x"] == session.get("a")["x"]).all()
        session.put("b", rows)
        version = session.append("a", {"x": rows}).version
        os._exit(0 if same and version == 2 else 1)
    except BaseException as exc:
        say(repr(exc))
        os._exit(2)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
say(len(session.get("a")), len(frame), len(session.get("b")), session.put("c", rows).version)
"""
    with Child(nq_store_dir, code) as child:
        assert child.line() == "0"
        assert child.line() == "400000 200000 200000 1"
        assert child.wait() == 0


def test_76_what_a_reader_held_is_released_when_it_dies(session: Session) -> None:
    """Within five seconds, without anybody asking; what it held can be freed."""
    session.put("a", _ROWS)
    with Child(session.store.path, "view = session.get('a'); say(view.sum()); session.ls(); input()") as reader:
        reader.line()
        wait_until(lambda: [holder.pid for holder in session.ls()[0].holders] == [reader.pid], message="its hold")
        reader.kill()
    start = time.monotonic()
    wait_until(lambda: not session.ls()[0].holders, timeout=5, message="its release")
    session.drop("a")
    wait_until(lambda: session.gc() and session.store.used_bytes() == 0, timeout=5, message="the bytes")
    print(f"\nreleased and freed {time.monotonic() - start:.3f} s after kill -9")


def test_77_objects_that_come_and_go_leave_no_descriptor_mapping_or_byte(session: Session) -> None:
    """A few hundred here; ten thousand in the test of churn."""
    for number in range(300):
        session.put(f"a{number % 7}", np.full(100, number))
        assert session.get(f"a{number % 7}")[0] == number
        if number % 3 == 0:
            session.drop(f"a{number % 7}")
    for row in session.ls():
        session.drop(row.name)
    assert settle(session.store) == []
    assert session.store.used_bytes() == 0
    assert open_files(os.getpid(), session.store) == []
    assert "/obj/" not in Path("/proc/self/maps").read_text()


def test_78_what_is_dropped_while_it_is_mapped_stays_valid_for_who_maps_it(session: Session) -> None:
    """In this process and in another, until the last view goes; then the bytes are freed."""
    session.put("a", _ROWS)
    view = session.get("a")
    with Child(session.store.path, "view = session.get('a'); say(view.sum()); input(); say(view.sum())") as reader:
        before = reader.line()
        session.drop("a")
        session.put("a", np.ones(3))
        assert session.get("a").tolist() == [1.0] * 3
        reader.tell()
        assert reader.line() == before
        assert reader.wait() == 0
    np.testing.assert_array_equal(view, _ROWS)
    assert settle(session.store, seconds=0.05) != []
    del view
    assert settle(session.store) == []


def _flip_bit(session: Session, name: str, column: str, row: int) -> None:
    """Flip a bit of a value in the file of a dataset."""
    with session.open(name) as handle:
        path = session.store.path / "obj" / handle.info.id
        offset = handle.numpy()[column][row:].__array_interface__["data"][0] - handle.address
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 4]))
