"""Mounts, lock tables and processes: read from copies of what kernels show, and from this one."""

from __future__ import annotations

import fcntl
import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyter_nq.buffers import platform


def test_the_file_system_of_a_path_is_the_deepest_mount(tmp_path: Path) -> None:
    """A mount below another wins, and a name with a space is understood."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 0:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:2 / /dev/shm rw shared:1 - tmpfs tmpfs rw\n"
        "3 2 0:3 / /dev/shm/my\\040disk rw - xfs /dev/b rw\n"
    )
    assert platform.is_in_memory(os.makedev(0, 2), table)
    assert not platform.is_in_memory(os.makedev(0, 3), table)
    assert not platform.is_in_memory(os.makedev(0, 9), table)
    assert not platform.is_in_memory(os.makedev(0, 2), tmp_path / "absent")


def test_the_lock_table_names_holders_but_not_waiters(tmp_path: Path) -> None:
    """Only granted flocks on the very file count."""
    path = tmp_path / "file"
    path.touch()
    found = path.stat()
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    table = tmp_path / "locks"
    table.write_text(
        f"1: FLOCK  ADVISORY  READ  41 {place} 0 EOF\n"
        f"1: -> FLOCK  ADVISORY  WRITE 42 {place} 0 EOF\n"
        f"2: POSIX  ADVISORY  WRITE 43 {place} 0 EOF\n"
        f"3: FLOCK  ADVISORY  READ  44 {place}9 0 EOF\n"
        f"4: FLOCK  ADVISORY  READ  40 {place} 0 EOF\n"
    )
    assert platform.lock_holders(path, table) == [40, 41]
    assert platform.lock_holders(tmp_path / "absent", table) == []


def test_the_kernels_own_table_names_this_process(tmp_path: Path) -> None:
    """A real lock is found under our own pid."""
    with (tmp_path / "file").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert platform.lock_holders(tmp_path / "file") == [os.getpid()]


def test_a_process_is_alive_until_it_is_not() -> None:
    """Ours is; one that ended is not."""
    assert platform.process_is_alive(os.getpid())
    assert platform.process_is_alive(1)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not platform.process_is_alive(ended.pid)


def test_private_memory_is_what_no_file_backs(tmp_path: Path) -> None:
    """The figure comes in kibibytes; what is not there, or is no process, has none."""
    (tmp_path / "41").mkdir()
    (tmp_path / "41" / "status").write_text("Name:\tpython\nRssAnon:\t  300 kB\nRssFile:\t  999 kB\n")
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "status").write_text("Name:\tkthreadd\n")
    assert platform.private_bytes(41, tmp_path) == 300 << 10
    assert platform.private_bytes(42, tmp_path) is None
    assert platform.private_bytes(43, tmp_path) is None


def test_shared_pages_are_not_private(nq_store_dir: Path) -> None:
    """A mapping of shared memory that is read whole adds nothing; memory of one's own does."""
    path = nq_store_dir / "file"
    path.write_bytes(b"x" * (16 << 20))
    before = platform.private_bytes(os.getpid())
    assert before is not None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapping:
        assert np.frombuffer(mapping, np.uint8).max() == ord("x")
        mapped = platform.private_bytes(os.getpid())
    with mmap.mmap(-1, 16 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own:  # never memory that was freed
        own.write(b"x" * len(own))
        private = platform.private_bytes(os.getpid())
    assert mapped is not None
    assert private is not None
    assert mapped - before < 4 << 20
    assert private - mapped > 12 << 20


def test_punching_frees_pages_under_a_reader(nq_store_dir: Path) -> None:
    """The pages of a range go at once; an empty range is nothing to do."""
    path = nq_store_dir / "file"
    path.write_bytes(b"x" * (1 << 20))
    with path.open("r+b") as file:
        assert not platform.punch_hole(file.fileno(), 0, 0)
        if not platform.punch_hole(file.fileno(), 4096, 1 << 20):
            pytest.skip("this file system cannot punch holes")
        assert path.stat().st_blocks * 512 == 4096
    assert path.read_bytes()[4095:4097] == b"x\0"
