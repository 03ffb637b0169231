"""Allocating on a disk that is full: what the message says is free is free, and nothing is kept."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import Store, segments
from jupyter_nq.errors import StoreFull
from tests.unit.buffers.conftest import publish

_MIB = 1 << 20


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """Mount an empty ext4 of 24 MiB, which keeps in a file what it could allocate; skips where that is not allowed."""
    where = Path(tempfile.mkdtemp(prefix="nqm-", dir="/tmp"))
    image, mounted = where / "image", where / "disk"
    mounted.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(24 * _MIB)
        for command in (["mkfs.ext4", "-q", "-F", "-m", "0", image], ["mount", "-o", "loop", image, mounted]):
            try:
                if subprocess.run(command, check=False, capture_output=True).returncode:
                    pytest.skip("mounting an image of ext4 needs the right to mount, and loop devices")
            except FileNotFoundError:
                pytest.skip("mounting an image of ext4 needs mkfs.ext4 and mount")
        yield mounted
    finally:
        if mounted.is_mount():
            subprocess.run(["umount", str(mounted)], check=True)
        image.unlink(missing_ok=True)
        mounted.rmdir()
        where.rmdir()


def _said_free(error: StoreFull) -> int:
    found = re.search(r"bytes do not fit: ([\d,]+) are free in", str(error))
    assert found is not None, error
    return int(found[1].replace(",", ""))


def test_a_disk_says_how_much_is_free(small_disk: Path) -> None:
    """Not 0 because the file that failed has all of it; and that much does fit."""
    store = Store(small_disk / "store")
    with pytest.raises(StoreFull) as refused:
        store.write("a", np.ones(4 * _MIB))
    free = _said_free(refused.value)
    assert 10 * _MIB < free < 24 * _MIB
    assert store.used_bytes() == 0
    publish(store, store.write("a", np.ones((free - _MIB) // 8)))


def test_an_append_to_a_disk_says_how_much_is_free(small_disk: Path) -> None:
    """What it had taken is given back first, and the object is as before."""
    store = Store(small_disk / "store")
    info = publish(store, store.write("a", np.ones(_MIB // 8), reserve_rows=8 * _MIB))
    with pytest.raises(StoreFull) as refused:
        store.append(info.id, np.ones(4 * _MIB))
    assert _said_free(refused.value) > 10 * _MIB
    assert (store.info(info.id).rows, store.info(info.id).digest) == (info.rows, info.digest)
    assert store.verify(info.id)


def test_what_was_allocated_before_the_failure_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a disk, here without one: the second range does not fit, and the first goes too."""
    allocate = os.posix_fallocate

    def full(fd: int, offset: int, nbytes: int) -> None:
        allocate(fd, offset, nbytes // 2 if offset else nbytes)
        if offset:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(segments.os, "posix_fallocate", full)
    with (tmp_path / "file").open("w+b") as file:
        with pytest.raises(StoreFull, match="2,097,152 bytes do not fit"):
            segments.allocate(file.fileno(), [(0, _MIB), (_MIB, _MIB)], tmp_path)
        assert os.fstat(file.fileno()).st_blocks == 0


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EDQUOT, "the quota of this user is used up"),
        (errno.EFBIG, "no file may be so large there, see ulimit -f"),
        (errno.ENOMEM, "has no memory for them"),
    ],
)
def test_other_limits_are_named(tmp_path: Path, number: int, reason: str) -> None:
    """Then it does not matter how much the file system has."""
    with pytest.raises(StoreFull, match=reason) as refused, segments.store_full(tmp_path, 100):
        raise OSError(number, os.strerror(number))
    assert "are free" not in str(refused.value)
