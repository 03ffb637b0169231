"""The directory of cold copies: listed by heads alone, private, swept, never believed."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nq.buffers import ColdCopies, KeyRing, ObjectInfo, Store, freeze
from jupyter_nq.buffers.cold.layout import HEAD_FIELDS
from jupyter_nq.errors import ChecksumError, StoreError, UnknownDataset
from tests.unit.buffers.cold.objects import MASTER_KEY, cold_file, versions
from tests.unit.buffers.conftest import make_bars


@pytest.fixture
def frozen(store: Store, cold: ColdCopies) -> ObjectInfo:
    """Give an object that has a cold copy."""
    info = versions(store)
    freeze(store, info.id, cold)
    return info


def test_a_listing_needs_neither_arrays_nor_keys(cold: ColdCopies, frozen: ObjectInfo) -> None:
    """A coordinator lists the directory without numpy, pyarrow, pandas and cryptography."""
    code = """
import sys
from jupyter_nq.buffers import ColdCopies
(info,) = ColdCopies(sys.argv[1]).scan()
heavy = {"numpy", "pyarrow", "pandas", "cryptography"} & set(sys.modules)
print(info.name, info.rows, sorted(heavy))
"""
    found = subprocess.run([sys.executable, "-c", code, str(cold.path)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"a {frozen.rows} []"


def test_a_directory_that_is_made_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that had to be made is synced by its name; else a power cut could take all copies with it."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    ColdCopies(tmp_path / "a" / "b")
    assert sorted(synced) == [str(tmp_path), str(tmp_path / "a")]
    ColdCopies(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_the_oldest_object_comes_first(store: Store, cold: ColdCopies) -> None:
    """Whatever the order in which they were frozen."""
    infos = [store.write(name, make_bars(5)) for name in ("a", "b", "c")]
    for info in reversed(infos):
        freeze(store, info.id, cold)
    assert [found.name for found in cold.scan()] == ["a", "b", "c"]
    assert cold.scan() == [cold.info(info.id) for info in infos]


def test_an_encrypted_copy_shows_what_a_listing_needs(store: Store, cold: ColdCopies) -> None:
    """Name, rows and versions are plain; the writer's metadata, columns and the note are nowhere in the file."""
    info = store.write("a", {"secret_column": make_bars(10)["open"].to_numpy()}, meta={"source": "secret_path"})
    store.annotate(info.id, b"secret_note")
    ring = KeyRing([MASTER_KEY])
    found = freeze(store, info.id, cold, keys=ring)
    assert (found.name, found.rows, found.meta, found.key_id) == ("a", 10, {}, ring.current_id)
    assert cold.scan() == [found]
    assert b"secret" not in cold_file(cold.path, info.id).read_bytes()
    assert freeze(store, info.id, cold).meta == {"source": "secret_path"}
    assert cold_file(cold.path, info.id).read_bytes().count(b"secret") >= 3


def test_removing(store: Store, cold: ColdCopies, frozen: ObjectInfo) -> None:
    """A copy is gone once, and who reads it reads on."""
    with cold.opened(frozen.id) as (fd, _):
        assert cold.exists(frozen.id)
        assert cold.used_bytes() > 0
        assert cold.remove(frozen.id)
        assert os.pread(fd, 8, 0) == b"NQCOLDOB"
    assert not cold.exists(frozen.id)
    assert not cold.remove(frozen.id)
    assert cold.used_bytes() == 0
    assert cold.scan() == []
    with pytest.raises(UnknownDataset, match="There is no cold copy"):
        cold.info(frozen.id)


def test_ids_are_checked(cold: ColdCopies) -> None:
    """Nothing that leaves the directory is a path in it."""
    assert not cold.exists("../x")
    for call in (cold.info, cold.remove, cold.file):
        with pytest.raises(UnknownDataset, match="is not an object id"):
            call("../x")


def test_a_sweep_takes_what_nobody_holds(cold: ColdCopies) -> None:
    """Files under construction of the living stay, and so does what is no file."""
    held, dead, folder, link = (cold.tmp / name for name in ("a.part", "b.part", "folder", "link"))
    dead.write_bytes(b"x")
    folder.mkdir()
    link.symlink_to(dead)
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert cold.sweep() == [dead]
        assert held.exists()
    assert cold.sweep() == [held]
    assert sorted(path.name for path in cold.tmp.iterdir()) == ["folder", "link"]


def test_a_sweep_spares_a_copy_that_has_a_second_name(cold: ColdCopies, frozen: ObjectInfo) -> None:
    """A freeze that was killed in the middle of replacing leaves one; its pages are those of the copy."""
    path = cold_file(cold.path, frozen.id)
    before = path.read_bytes()
    os.link(path, cold.tmp / f"{frozen.id}.before")
    assert len(cold.sweep()) == 1
    assert path.read_bytes() == before


# -- damage --------------------------------------------------------------------------------------
def test_another_format_is_named_and_left(cold: ColdCopies, frozen: ObjectInfo) -> None:
    """The message says which format; sweeping leaves the file alone."""
    path = cold_file(cold.path, frozen.id)
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), b"\x07", HEAD_FIELDS["format"][0])
    with pytest.raises(ChecksumError, match=f"{path} .*format 7, this version of jupyter-nq reads format 1"):
        cold.info(frozen.id)
    assert cold.scan() == []
    assert [found.path for found in cold.damaged()] == [path]
    assert cold.sweep() == []
    assert path.exists()


def test_what_is_no_cold_copy(cold: ColdCopies, frozen: ObjectInfo, tmp_path: Path) -> None:
    """Other names, folders, links, short files and a copy under another name are listed with a reason."""
    content = cold_file(cold.path, frozen.id).read_bytes()
    (cold.path / "notes.txt").write_text("mine")
    cold_file(cold.path, "a" * 32).mkdir()
    cold_file(cold.path, "b" * 32).symlink_to(cold_file(cold.path, frozen.id))
    cold_file(cold.path, "c" * 32).write_bytes(content[:100])
    cold_file(cold.path, "d" * 32).write_bytes(content)
    cold_file(cold.path, "e" * 32).write_bytes(b"")
    os.mkfifo(cold_file(cold.path, "f" * 32))
    reasons = {found.path.stem[:5]: found.reason for found in cold.damaged()}
    assert [info.id for info in cold.scan()] == [frozen.id]
    expected = {
        "notes": "its name is not",
        "aaaaa": "not a file",
        "bbbbb": "not a file",
        "ccccc": "does not start with the magic",
        "ddddd": "under another name",
        "eeeee": "does not start with the magic",
        "fffff": "not a file",
    }
    assert set(reasons) == set(expected)
    assert all(says in reasons[name] for name, says in expected.items())


# -- the directory -------------------------------------------------------------------------------
def test_the_directory_is_private(tmp_path: Path) -> None:
    """It is made with its parents, whatever the umask; one that others may enter is refused."""
    old = os.umask(0)
    try:
        cold = ColdCopies(tmp_path / "a" / "cold")
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in (cold.path, cold.tmp)] == [0o700, 0o700]
    assert repr(ColdCopies(cold.path, create=False)) == f"<ColdCopies {cold.path}>"
    os.chmod(cold.path, 0o750)
    with pytest.raises(StoreError, match=r"Others may enter .* \(mode 750\).*chmod 700"):
        ColdCopies(cold.path)


def test_a_directory_that_cannot_be_one(tmp_path: Path) -> None:
    """Absent, or a file: the error says so."""
    with pytest.raises(StoreError, match="cannot be opened: No such file"):
        ColdCopies(tmp_path / "cold", create=False)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "cold"):
        with pytest.raises(StoreError, match="cannot be made"):
            ColdCopies(path)
    with pytest.raises(StoreError, match="is not a directory"):
        ColdCopies(tmp_path / "file", create=False)
