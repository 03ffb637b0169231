"""The published contract of a store, on a tmpfs and on a disk."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_nq.buffers import platform
from jupyter_nq.testing.stores import StoreConformance

_DISK_DIRECTORY = "/var/tmp"


class TestOnTmpfs(StoreConformance):
    """A store in shared memory."""

    @pytest.fixture
    def directory(self, nq_store_dir: Path) -> Path:
        """Give a directory on a tmpfs."""
        if not platform.is_in_memory(nq_store_dir.stat().st_dev):
            pytest.skip("there is no tmpfs at /dev/shm")
        return nq_store_dir


class TestOnDisk(StoreConformance):
    """A store in a plain directory."""

    @pytest.fixture
    def directory(self) -> Iterator[Path]:
        """Give a directory on a disk."""
        path = Path(tempfile.mkdtemp(prefix="nqt-", dir=_DISK_DIRECTORY))
        if platform.is_in_memory(path.stat().st_dev):
            path.rmdir()
            pytest.skip(f"{_DISK_DIRECTORY} is no disk")
        yield path
        shutil.rmtree(path)

    @pytest.fixture
    def small_directory(self, tmp_path: Path) -> Iterator[Path]:
        """Give an ext4 file system with little room."""
        image, where = tmp_path / "image", tmp_path / "disk"
        where.mkdir()
        image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(6 << 20)
        commands = (["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop", str(image), str(where)])
        for command in commands:
            if shutil.which(command[0]) is None or subprocess.run(command, check=False, capture_output=True).returncode:
                pytest.skip(f"{command[0]} is not here or not allowed")
        yield where / "store"
        subprocess.run(["umount", str(where)], check=True)
