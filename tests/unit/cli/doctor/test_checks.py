"""The doctor's checks of one process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.cli.doctor import checks
from jupyter_nq.cli.doctor.findings import Failed, Finding, attempt
from jupyter_nq.errors import StoreError


def test_a_finding_shows_its_fix() -> None:
    """A finding is one line, and a second one with the fix when there is one."""
    assert str(Finding("lock", True, "fine")) == "ok      lock              fine"
    assert str(Finding("lock", False, "bad", "do this")).splitlines()[1].strip() == "fix: do this"


def test_attempt_turns_errors_into_findings() -> None:
    """An operating-system error, an error of the package and a bad outcome are findings, not exceptions."""

    def denied() -> str:
        raise PermissionError(13, "Permission denied")

    def foreign() -> str:
        raise StoreError("not ours")

    assert attempt("room", denied, fix="f").figure == "Permission denied (EACCES)"
    assert attempt("room", foreign, fix="f").figure == "not ours"
    assert not attempt("room", foreign, fix="f").ok
    assert attempt("room", lambda: "5", fix="f") == Finding("room", True, "5")


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    """A store that nobody used yet is fine, and is not made by looking."""
    found = checks.directory(tmp_path / "store")
    assert found.ok
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("marker", "part"),
    [
        (None, "it is not a store"),
        ("{", "cannot be read"),
        ('{"magic": "other"}', "was not written by jupyter-nq"),
        ("[]", "was not written by jupyter-nq"),
    ],
)
def test_foreign_directory(tmp_path: Path, marker: str | None, part: str) -> None:
    """A directory with other content is refused."""
    (tmp_path / "letter.txt").write_text("dear")
    if marker is not None:
        (tmp_path / "store.json").write_text(marker)
    found = checks.directory(tmp_path)
    assert not found.ok
    assert part in found.figure
    assert "JUPYTER_NQ_STORE" in found.fix


def test_directory_kinds(tmp_path: Path, store: Store) -> None:
    """An empty directory and a store are fine, a file is not."""
    empty, file = tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("")
    assert "empty" in checks.directory(empty).figure
    assert "a store of layout" in checks.directory(store.path).figure
    assert "not a directory" in checks.directory(file).figure


def test_permissions(tmp_path: Path) -> None:
    """Only a directory that nobody else can enter is fine."""
    tmp_path.chmod(0o755)
    assert "other users can enter" in checks.permissions(tmp_path).figure
    tmp_path.chmod(0o700)
    assert checks.permissions(tmp_path).ok
    assert checks.permissions(tmp_path / "new").ok


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_permissions_of_another_owner(tmp_path: Path) -> None:
    """A directory of another user is refused."""
    os.chown(tmp_path, 12345, -1)
    assert "owned by uid 12345" in checks.permissions(tmp_path).figure
    os.chown(tmp_path, 0, -1)


def test_socket_path() -> None:
    """A path that leaves no room for the socket's name is found."""
    assert checks.socket_path(Path("/dev/shm/nq-0")).figure == "22 of 107 bytes"
    assert not checks.socket_path(Path("/" + "d" * 98)).ok


def test_file_system_kind(tmp_path: Path) -> None:
    """The mount that a path lies on decides, the later one where two are on one point."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 0:1 / / rw - ext4 /dev/root rw\n"
        f"2 1 0:2 / {tmp_path}/a rw - tmpfs none rw\n"
        f"3 1 0:3 / {tmp_path}/a rw shared:1 - nfs4 host:/x rw\n"
        f"4 1 0:4 / {tmp_path}/with\\040blank rw - ramfs none rw\n"
    )
    for name in ("a", "ab", "with blank"):
        (tmp_path / name).mkdir()
    kinds = [checks.file_system_kind(tmp_path / name, str(mounts)) for name in ("a", "ab", "with blank", "a/new")]
    assert kinds == ["nfs4", "ext4", "ramfs", "nfs4"]
    assert checks.file_system_kind(tmp_path, str(tmp_path / "absent")) == "unknown"


@pytest.mark.parametrize(("kind", "ok"), [("tmpfs", True), ("ext4", True), ("nfs", False)])
def test_file_system(kind: str, ok: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory and local disks are fine, network file systems are not."""
    monkeypatch.setattr(checks, "file_system_kind", lambda _: kind)
    found = checks.file_system(tmp_path)
    assert found.ok is ok
    assert kind in found.figure


def test_room_is_really_reserved_and_given_back(nq_store_dir: Path) -> None:
    """The trial reserves memory and leaves nothing."""
    with checks.scratch(nq_store_dir) as scratch:
        assert scratch.parent == nq_store_dir
        found = checks.room(scratch)
        assert found.ok
        assert "reserved in" in found.figure
        assert not list(scratch.iterdir())
    assert not list(nq_store_dir.iterdir())


def test_room_in_a_small_file_system(nq_tmpfs: Callable[[str], Path]) -> None:
    """64 MB are enough, 4 MB are not, and the fix says how to get more."""
    assert checks.room(nq_tmpfs("64m")).ok
    found = checks.room(nq_tmpfs("4m"))
    assert not found.ok
    assert "--shm-size" in found.fix


def test_scratch_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    """The trials then run beside it, and the store is not made."""
    with checks.scratch(tmp_path / "a" / "store") as scratch:
        assert scratch.parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_marker(store: Store) -> None:
    """The marker of a real store is read."""
    assert checks.read_marker(store.path) == json.loads((store.path / "store.json").read_text())
    with pytest.raises(Failed):
        checks.read_marker(store.path / "obj")
