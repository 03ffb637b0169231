"""The store directory: ours, made once, and never somebody else's."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.errors import StoreError
from tests.unit.buffers.child import Child


def test_a_new_directory_becomes_a_store(nq_store_dir: Path) -> None:
    """It is private, has a marker, and a second opener finds the same epoch."""
    path = nq_store_dir / "new"
    first = Store(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert sorted(os.listdir(path)) == ["names", "obj", "pool", "store.json", "streams", "tmp"]
    assert Store(path, create=False).epoch == first.epoch
    assert len(first.epoch) == 32
    assert stat.S_IMODE((path / "store.json").stat().st_mode) == 0o600


def test_an_empty_directory_becomes_private(nq_store_dir: Path) -> None:
    """A directory that the user made with ordinary permissions is taken and closed to others."""
    nq_store_dir.chmod(0o755)
    Store(nq_store_dir)
    assert stat.S_IMODE(nq_store_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_store_that_others_may_enter_is_refused(nq_store_dir: Path, mode: int) -> None:
    """Permissions that were opened afterwards are named."""
    Store(nq_store_dir)
    nq_store_dir.chmod(mode)
    with pytest.raises(StoreError, match="chmod 700"):
        Store(nq_store_dir)


def test_a_foreign_directory_is_left_alone(nq_store_dir: Path) -> None:
    """A directory with other files is refused by name, and nothing is added."""
    (nq_store_dir / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"holds other files \(thesis.tex\).*empty or new"):
        Store(nq_store_dir)
    assert os.listdir(nq_store_dir) == ["thesis.tex"]


def test_a_file_is_no_directory(nq_store_dir: Path) -> None:
    """A plain file at the path is refused."""
    path = nq_store_dir / "file"
    path.touch()
    with pytest.raises(StoreError, match="is not a directory"):
        Store(path)


def test_without_create_a_store_must_exist(nq_store_dir: Path) -> None:
    """Neither an absent nor an empty directory is made into a store."""
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(nq_store_dir / "absent", create=False)
    with pytest.raises(StoreError, match="not a store of jupyter-nq"):
        Store(nq_store_dir, create=False)
    assert os.listdir(nq_store_dir) == []


def test_a_path_too_long_for_a_socket_is_refused(nq_store_dir: Path) -> None:
    """The length is checked before anything is made."""
    path = nq_store_dir / ("x" * 100)
    with pytest.raises(StoreError, match=r"too long.*107"):
        Store(path)
    assert os.listdir(nq_store_dir) == []


def test_a_parent_that_is_missing_is_named(nq_store_dir: Path) -> None:
    """Only the last part of the path is made."""
    with pytest.raises(StoreError, match="cannot be made: No such file"):
        Store(nq_store_dir / "a" / "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_another_users_directory_is_refused(nq_store_dir: Path) -> None:
    """The owner is named."""
    path = nq_store_dir / "theirs"
    path.mkdir()
    os.chown(path, 12345, -1)
    with pytest.raises(StoreError, match="belongs to user 12345"):
        Store(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(nq_store_dir: Path) -> None:
    """The permission to give is named."""
    nq_store_dir.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            Store(nq_store_dir)
    finally:
        nq_store_dir.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user in a child")
def test_a_directory_that_is_not_writable_is_refused_as_a_user(nq_store_dir: Path) -> None:
    """The same as another user, for whom permissions count."""
    path = nq_store_dir / "ro"
    path.mkdir(mode=0o500)
    os.chown(path, 12345, 12345)
    nq_store_dir.chmod(0o755)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setresuid(12345, 12345, 12345)
            Store(path)
        except StoreError as exc:
            status = 0 if "cannot be written" in str(exc) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.listdir(path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"magic": "jupyter-nq"}', "cannot be read"),
        ('{"magic": "other", "layout": 3, "epoch": "0", "created": 1}', "not a store of jupyter-nq"),
        (
            '{"magic": "jupyter-nq", "layout": 4, "epoch": "0", "created": 1}',
            "layout 4, this jupyter-nq reads layout 3",
        ),
    ],
)
def test_a_strange_marker_is_refused(nq_store_dir: Path, content: str, message: str) -> None:
    """A damaged marker, another program's, and another layout each get their sentence."""
    Store(nq_store_dir)
    (nq_store_dir / "store.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        Store(nq_store_dir)


def test_a_maker_that_died_is_followed(nq_store_dir: Path) -> None:
    """What a killed first process left (no marker yet) does not make the directory foreign."""
    for name in ("tmp", "obj"):
        (nq_store_dir / name).mkdir()
    (nq_store_dir / ".store.json").write_text("{")
    assert Store(nq_store_dir).scan() == []


def test_processes_that_come_first_together_agree(nq_store_dir: Path) -> None:
    """Eight processes open one absent directory at once: one epoch, no error."""
    path = nq_store_dir / "shared"
    code = "input(); say(Store(sys.argv[2]).epoch)"
    Store(nq_store_dir / "other")
    children = [Child(nq_store_dir / "other", code, str(path)) for _ in range(8)]
    try:
        for child in children:
            child.tell()
        epochs = {child.line() for child in children}
    finally:
        for child in children:
            child.__exit__()
    assert epochs == {json.loads((path / "store.json").read_text())["epoch"]}


def test_ones_own_link_leads_to_a_store(nq_store_dir: Path) -> None:
    """Where nobody else may write, a link to another disk is the user's own affair."""
    (nq_store_dir / "disk").mkdir()
    (nq_store_dir / "link").symlink_to("disk")
    assert Store(nq_store_dir / "link").epoch == Store(nq_store_dir / "disk").epoch


def test_a_link_where_others_may_write_is_refused(nq_store_dir: Path) -> None:
    """It could lead the data anywhere; its target is not touched."""
    shared, target = nq_store_dir / "shared", nq_store_dir / "target"
    shared.mkdir()
    shared.chmod(0o1777)
    target.mkdir()
    (shared / "nq").symlink_to(target)
    with pytest.raises(StoreError, match="is a symbolic link where others may write"):
        Store(shared / "nq")
    assert os.listdir(target) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link to another user")
def test_another_users_link_is_refused(nq_store_dir: Path) -> None:
    """Even where it leads to a directory of ours."""
    (nq_store_dir / "disk").mkdir()
    (nq_store_dir / "link").symlink_to("disk")
    os.lchown(nq_store_dir / "link", 12345, -1)
    with pytest.raises(StoreError, match="is a symbolic link of user 12345"):
        Store(nq_store_dir / "link")


def test_a_marker_that_cannot_be_opened_is_not_called_damaged(nq_store_dir: Path) -> None:
    """At the limit of open files the error says so."""
    code = """
import resource
lowest = os.open(os.devnull, os.O_RDONLY); os.close(lowest)
resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, lowest))
try:
    Store(store.path)
except errors.StoreError as exc:
    say(exc)
"""
    Store(nq_store_dir)
    with Child(nq_store_dir, "from jupyter_nq import errors\n" + code) as child:
        assert "store.json: Too many open files. This process has too many files open" in child.line()
