"""Limits and lock tables: read from copies of what kernels show, and from this one."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nq.buffers import platform


def _cgroup(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_v2_limit_is_the_least_on_the_way_up(tmp_path: Path) -> None:
    """The parent's limit counts, and pages that can be dropped count as free."""
    _cgroup(
        tmp_path,
        {
            "user/job/memory.max": "max\n",
            "user/job/memory.current": "10\n",
            "user/memory.max": "1000\n",
            "user/memory.current": "400\n",
            "user/memory.stat": "anon 100\ninactive_file 150\n",
            "self": "0::/user/job\n",
        },
    )
    assert platform.cgroup_rest(tmp_path / "self", tmp_path) == 750


def test_a_v1_limit_is_found(tmp_path: Path) -> None:
    """The memory controller of the old hierarchy has its own tree and names."""
    _cgroup(
        tmp_path,
        {
            "memory/docker/x/memory.limit_in_bytes": "1000\n",
            "memory/docker/x/memory.usage_in_bytes": "1200\n",
            "memory/docker/x/memory.stat": "total_inactive_file 50\n",
            "memory/docker/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/docker/memory.usage_in_bytes": "1200\n",
            "self": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
        },
    )
    assert platform.cgroup_rest(tmp_path / "self", tmp_path) == 0


@pytest.mark.parametrize(("line", "folder"), [("4:memory:/host/path", "memory"), ("0::/../host", "")])
def test_inside_a_container_the_root_is_ours(tmp_path: Path, line: str, folder: str) -> None:
    """A path that is the host's is not mounted; the files lie at the root."""
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if folder else ("memory.max", "memory.current")
    _cgroup(tmp_path / "fs" / folder, {names[0]: "500", names[1]: "100"})
    (tmp_path / "self").write_text(line + "\n")
    assert platform.cgroup_rest(tmp_path / "self", tmp_path / "fs") == 400


def test_without_a_limit_there_is_none(tmp_path: Path) -> None:
    """Absent files, or no cgroups at all, mean no limit."""
    assert platform.cgroup_rest(tmp_path / "absent", tmp_path) is None
    (tmp_path / "self").write_text("0::/\n")
    assert platform.cgroup_rest(tmp_path / "self", tmp_path) is None
    rest = platform.cgroup_rest()
    assert rest is None or rest >= 0


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
