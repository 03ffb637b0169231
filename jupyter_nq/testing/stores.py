"""What every store must do, as a test class: inherit it, say where the store lies, and run it with pytest.

>>> class TestMyStore(StoreConformance):
...     @pytest.fixture
...     def directory(self, tmp_path):
...         return tmp_path / "store"

A store of another class overrides `make_store`, which other processes call too. The test of a full store needs a
small file system of the kind that is tested: `small_directory`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jupyter_nq.buffers import Handle, ObjectInfo, Store
from jupyter_nq.errors import CapacityFull, ChecksumError, InvalidName, StoreError, StoreFull, UnknownDataset
from jupyter_nq.testing.forked import Forked
from jupyter_nq.testing.leftovers import leftovers, open_files, settle
from jupyter_nq.testing.samples import Sample, same, samples

_BAD_NAMES = ["", ".", "..", "a/b", "../x", "-x", ".x", "a b", "NQ\n", "NQ\0", "Ν", "x" * 129, "%2e", "\u202eQN"]
_PAGE = 4096


class StoreConformance:
    """The contract of a store."""

    def make_store(self, path: Path) -> Store:
        """Open the store that is tested."""
        return Store(path)

    @pytest.fixture
    def directory(self, nq_store_dir: Path) -> Path:
        """Give the directory in which the store lies; it need not exist."""
        return nq_store_dir

    @pytest.fixture
    def small_directory(self, nq_tmpfs: Callable[[str], Path]) -> Path:
        """Give a directory with room for 4 MiB."""
        return nq_tmpfs("4m") / "store"

    @pytest.fixture
    def store(self, directory: Path) -> Iterator[Store]:
        """Give an empty store; after the test this process has nothing of it open any more."""
        store = self.make_store(directory)
        yield store
        assert open_files(os.getpid(), store) == []

    # -- data ------------------------------------------------------------------------------------
    @pytest.mark.parametrize("sample", samples(), ids=str)
    def test_data_come_back(self, store: Store, sample: Sample) -> None:
        """Every kind of data comes back as what it was, sealed, with a digest that fits."""
        info = publish(store, store.write("a", sample.make()))
        with store.open("a") as handle:
            assert same(handle.view(sample.as_), sample.make())
            assert handle.verify()
            assert (handle.version, handle.rows, handle.info.digest_state) == (1, info.rows, "done")
        assert leftovers(store) == []

    @pytest.mark.parametrize("sample", [s for s in samples() if s.appendable], ids=str)
    def test_appended_data_come_back_behind_the_rows_before(self, store: Store, sample: Sample) -> None:
        """The rows are there twice; a view from before keeps its rows."""
        info = publish(store, store.write("a", sample.make(), reserve_rows=1000))
        with store.open("a") as before:
            after = store.append(info.id, sample.make())
            assert after.rows == 2 * info.rows
            assert same(before.view(sample.as_), sample.make())
        with store.open("a") as handle:
            assert same(handle.view(sample.as_, stop=info.rows), sample.make())
            assert same(handle.view(sample.as_, start=info.rows), sample.make())
            assert handle.verify()

    @pytest.mark.parametrize("sample", [s for s in samples() if s.appendable], ids=str)
    def test_grown_data_come_back(self, store: Store, sample: Sample) -> None:
        """A larger object has the old rows and the new ones, and the old object stays."""
        info = publish(store, store.write("a", sample.make()))
        if info.rows:
            with pytest.raises(CapacityFull):
                store.append(info.id, sample.make())
        larger = publish(store, store.grow(info.id, sample.make()), version=2)
        assert (larger.rows, store.info(info.id).rows) == (2 * info.rows, info.rows)
        with store.open("a") as handle:
            assert same(handle.view(sample.as_, start=info.rows), sample.make())
            assert handle.verify()
        assert settle(store) == []

    # -- views -----------------------------------------------------------------------------------
    def test_views_lie_in_the_mapping_and_cannot_be_written(self, store: Store) -> None:
        """All rows, a slice, and some columns: no byte is copied, and writing says what is the matter."""
        publish(store, store.write("a", _columns(1000)))
        with store.open("a") as handle:
            for view in (handle.numpy(), handle.numpy(start=10, stop=20), handle.numpy(["y"])):
                for values in view.values():
                    assert _inside(handle, values)
                    with pytest.raises(ValueError, match="read-only"):
                        values[0] = 1
            column = handle.arrow(["x"], start=5).column("x").chunk(0)
            assert handle.address <= column.buffers()[1].address < handle.address + handle.nbytes
            frame = handle.pandas(["x", "y"], start=3, stop=7)
            assert all(_inside(handle, frame[name].to_numpy()) for name in frame)
            assert list(frame.index) == [3, 4, 5, 6]
            del view, values, column, frame

    def test_private_views_may_be_written_and_stay_private(self, store: Store) -> None:
        """Copy on write: the store and all others have the bytes as they were."""
        info = publish(store, store.write("a", _columns(1000)))
        with store.open("a", private=True) as private, store.open("a") as other:
            private.numpy()["x"][:] = -1
            assert (private.numpy()["x"] == -1).all()
            assert other.numpy()["x"].tolist() == list(range(1000))
        assert store.verify(info.id)

    def test_a_held_view_outlives_its_name_and_its_store(self, store: Store) -> None:
        """Dropping, replacing and closing take nothing from who looks at it."""
        info = publish(store, store.write("a", _columns(1000)))
        with store.open("a") as handle:
            view = handle.numpy()["x"]
        publish(store, store.write("a", _columns(3)), version=2)
        store.unlink("a")
        assert not store.collect(info.id)
        assert view.tolist() == list(range(1000))
        del view
        assert store.collect(info.id)

    # -- versions, names -------------------------------------------------------------------------
    def test_versions_are_told_apart(self, store: Store) -> None:
        """Each append is a version that can be opened; what is not there is refused with what is."""
        info = publish(store, store.write("a", _columns(10), reserve_rows=100), version=5)
        for _ in range(3):
            info = store.append(info.id, _columns(7))
        assert [(version, rows) for version, rows, _ in info.versions] == [(5, 10), (6, 17), (7, 24), (8, 31)]
        for version, rows in ((5, 10), (7, 24), (8, 31)):
            with store.open("a", version=version) as handle:
                assert (handle.version, len(handle.numpy()["x"])) == (version, rows)
        with pytest.raises(UnknownDataset, match=r"no version 9 .* it holds 5 to 8"):
            store.open("a", version=9)
        with pytest.raises(StoreError, match="is version 5 already"):
            store.stamp(info.id, 4)

    @pytest.mark.parametrize("name", _BAD_NAMES, ids=ascii)
    def test_bad_names_are_refused(self, store: Store, name: str) -> None:
        """Nothing that could leave the directory or look like another name, in any call."""
        for call in (store.open, store.unlink, store.lock, store.writing, lambda n: store.write(n, np.ones(1))):
            with pytest.raises(InvalidName, match="Use 1 to 128 letters"):
                call(name)
        with pytest.raises(InvalidName):
            store.link(name, "0" * 32)
        assert leftovers(store) == []

    def test_unknown_names_come_with_the_nearest(self, store: Store) -> None:
        """And with what there is."""
        publish(store, store.write("NQ.30min", np.ones(1)))
        with pytest.raises(UnknownDataset, match=r"Did you mean 'NQ.30min'\?"):
            store.open("NQ.3min")

    # -- freeing ---------------------------------------------------------------------------------
    def test_collecting_waits_for_the_last_view_and_frees_all(self, store: Store) -> None:
        """False while somebody holds it; then the bytes are back, and the note is gone."""
        info = publish(store, store.write("a", np.ones(100_000)))
        store.annotate(info.id, b"a note")
        assert store.used_bytes() >= 800_000
        view = store.open("a").numpy()
        store.unlink("a")
        assert not store.collect(info.id)
        assert view.sum() == 100_000
        del view
        assert store.collect(info.id)
        assert store.collect(info.id), "what is gone counts as removed"
        assert leftovers(store) == []
        assert store.used_bytes() == 0

    def test_a_sweep_removes_what_the_dead_left(self, store: Store) -> None:
        """A writer killed before and after the seal; what is published and what lives stays."""
        publish(store, store.write("kept", np.ones(10)))
        with Forked(lambda _: store.write("a", np.ones(1 << 18), progress=lambda _: os.kill(os.getpid(), 9))) as child:
            assert child.wait() == -9
        with Forked(lambda _: store.write("a", np.ones(10))) as child:
            assert child.wait() == 0
        assert len(leftovers(store)) >= 2
        mine = store.write("mine", np.ones(10))
        assert len(store.sweep()) == 2
        assert {info.name for info in store.scan()} == {"kept", "mine"}
        assert store.collect(mine.id)
        assert leftovers(store) == []

    def test_a_failed_write_leaves_nothing(self, store: Store) -> None:
        """Whatever the reason: here its progress raises, as an interrupt would."""

        def interrupt(_: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.write("a", np.ones(1 << 18), progress=interrupt)
        assert leftovers(store) == []

    def test_a_full_store_refuses_and_is_as_before(self, small_directory: Path) -> None:
        """`StoreFull` from write, append, grow and annotate; nothing is left of them, and a smaller one fits."""
        store = self.make_store(small_directory)
        info = publish(store, store.write("a", _columns(1000), reserve_rows=1 << 20))
        store.annotate(info.id, b"a note")
        used = store.used_bytes()
        calls: list[Callable[[], ObjectInfo]] = [
            lambda: store.write("b", np.ones(2 << 20)),
            lambda: store.append(info.id, _columns(1 << 19)),
            lambda: store.grow(info.id, _columns(1 << 19)),
        ]
        for call in calls:
            with pytest.raises(StoreFull, match="Drop datasets that nobody needs"):
                call()
            assert (leftovers(store), store.info(info.id).rows) == ([], 1000)
            assert store.used_bytes() < used + _PAGE, "a disk may keep a block for its own tables"
        assert store.verify(info.id)
        assert store.annotation(info.id) == b"a note"
        publish(store, store.write("b", np.ones(1000)))

    # -- damage ----------------------------------------------------------------------------------
    def test_a_changed_byte_is_found_and_its_column_named(self, store: Store) -> None:
        """One bit anywhere in the committed rows."""
        info = publish(store, store.write("a", _columns(100_000)))
        with open(store.path / "obj" / info.id, "r+b") as file:
            file.seek(-_PAGE * 2, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        with pytest.raises(ChecksumError, match=r"column '[xy]' is damaged in its 1 MiB piece 0"):
            store.verify(info.id)

    @pytest.mark.parametrize("how", ["cut", "extended", "header"])
    def test_a_damaged_object_is_named_and_not_opened(self, store: Store, how: str) -> None:
        """The others are as they were."""
        publish(store, store.write("sound", np.ones(10)))
        info = publish(store, store.write("a", _columns(1000)))
        path = store.path / "obj" / info.id
        if how == "header":
            with open(path, "r+b") as file:
                file.write(b"X")
        else:
            os.truncate(path, path.stat().st_size + (_PAGE if how == "extended" else -_PAGE))
        with pytest.raises(ChecksumError, match=f"{info.id} is not a sound object"):
            store.open("a")
        (damaged,) = store.damaged()
        assert damaged.path == path
        assert [info.name for info in store.scan()] == ["sound"]

    # -- files -----------------------------------------------------------------------------------
    def test_files_are_private(self, store: Store) -> None:
        """Directories 0700 and files 0600, whatever the umask."""
        had = os.umask(0)
        try:
            info = publish(store, store.write("a", np.ones(10)))
            store.annotate(info.id, b"a note")
            with store.lock("key"), store.writing("a"):
                modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in _all(store.path)}
        finally:
            os.umask(had)
        assert {mode for path, mode in modes.items() if path.is_dir() and not path.is_symlink()} == {0o700}
        assert {mode for path, mode in modes.items() if path.is_file() and not path.is_symlink()} == {0o600}

    def test_planted_links_are_not_followed(self, store: Store, tmp_path: Path) -> None:
        """Among objects, locks and notes: refused or no note, and what they lead to is untouched."""
        victim = tmp_path / "victim"
        victim.write_text("precious")
        info = publish(store, store.write("a", np.ones(10)))
        store.annotate(info.id, b"a note")
        for where in (f"obj/{'a' * 32}", "tmp/key.build", "tmp/a.write"):
            (store.path / where).symlink_to(victim)
        with pytest.raises(ChecksumError, match="not a file"):
            store.open_id("a" * 32)
        for lock in (store.lock("key"), store.writing("a")):
            with pytest.raises(StoreError, match="symbolic link"), lock:
                pass
        (store.path / "notes" / info.id).unlink()
        (store.path / "notes" / info.id).symlink_to(victim)
        assert store.annotation(info.id) is None
        assert victim.read_text() == "precious"

    # -- processes -------------------------------------------------------------------------------
    def test_two_processes_see_each_other(self, store: Store, directory: Path) -> None:
        """What one writes and appends, the other maps; each sees what the other holds."""

        def work(say: Callable[[Any], None]) -> None:
            own = self.make_store(directory)
            with own.open("a") as handle:
                say(handle.numpy()["x"].tolist())
                say(own.append(handle.info.id, _columns(5)).rows)
                publish(own, own.write("b", np.arange(3)))
                say("held")
                signalled.wait()

        info = publish(store, store.write("a", _columns(10), reserve_rows=100))
        with _Signal() as signalled, Forked(work) as child:
            assert child.hear() == list(range(10))
            assert child.hear() == 15
            assert child.hear() == "held"
            assert store.holders(info.id) == [child.pid]
            assert store.open("b").numpy().tolist() == [0, 1, 2]
            with store.open("a") as handle:
                assert handle.rows == 15
            signalled.send()
            assert child.wait() == 0
        assert store.holders(info.id) == []

    def test_a_fork_after_open_is_safe(self, store: Store) -> None:
        """The child reads what is mapped and opens more; neither its end nor its closing frees the parent's lease."""
        info = publish(store, store.write("a", _columns(10)))
        handle = store.open("a")
        views = [handle.numpy()["x"]]

        def work(say: Callable[[Any], None]) -> None:
            say(views[0].tolist())
            say(publish(store, store.write("b", np.arange(4))).rows)
            handle.close()

        with Forked(work) as child:
            assert [child.hear(), child.hear()] == [list(range(10)), 4]
            assert child.wait() == 0
        assert store.holders(info.id) == [os.getpid()]
        assert not store.collect(info.id)
        assert store.open("b").numpy().tolist() == [0, 1, 2, 3]
        handle.close()
        assert views[0].tolist() == list(range(10))
        views.clear()
        store.unlink("a")
        assert store.collect(info.id)

    def test_one_process_builds_what_many_want(self, store: Store) -> None:
        """Each that waited finds the thing there."""

        def work(say: Callable[[Any], None]) -> None:
            with store.lock("key"):
                there = "built" in store.names()
                if not there:
                    publish(store, store.write("built", np.ones(10)))
                say(there)

        children = [Forked(work) for _ in range(4)]
        assert sorted(child.hear() for child in children) == [False, True, True, True]
        for child in children:
            assert child.wait() == 0
            child.kill()
        assert leftovers(store) == []


def publish(store: Store, info: ObjectInfo, version: int = 1) -> ObjectInfo:
    """Do what the coordinator does with a sealed object, and return what its header then says."""
    store.stamp(info.id, version)
    store.link(info.name, info.id)
    return store.info(info.id)


class _Signal:
    """One word from the parent to a forked child."""

    def __enter__(self) -> _Signal:
        self._hearing, self._saying = os.pipe()
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._hearing)
        os.close(self._saying)

    def send(self) -> None:
        os.write(self._saying, b"x")

    def wait(self) -> None:
        os.read(self._hearing, 1)


def _columns(rows: int) -> dict[str, Any]:
    return {"x": np.arange(rows), "y": np.arange(rows) * 0.5}


def _inside(handle: Handle, values: np.ndarray[Any, Any]) -> bool:
    address: int = values.__array_interface__["data"][0]
    return handle.address <= address < handle.address + handle.nbytes


def _all(path: Path) -> list[Path]:
    return [path, *path.rglob("*")]
