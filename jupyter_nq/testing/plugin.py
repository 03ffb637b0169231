"""The pytest plugin: `pytest_plugins = ["jupyter_nq.testing.plugin"]` makes the fixtures known."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_nq.testing import syscalls

_SHARED_MEMORY = "/dev/shm"


@pytest.fixture
def nq_store_dir() -> Iterator[Path]:
    """Give an empty directory for a store: on tmpfs, private, and with a path short enough for a socket."""
    parent = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="nqt-", dir=parent))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def nq_tmpfs() -> Iterator[Callable[[str], Path]]:
    """Mount an empty, private tmpfs of a given size, such as "64m"; skips where mounting is not allowed."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        where = Path(tempfile.mkdtemp(prefix="nqm-", dir="/tmp"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(where)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            where.rmdir()
            pytest.skip("mounting a tmpfs needs the right to mount")
        mounted.append(where)
        return where

    yield mount
    for where in mounted:
        subprocess.run(["umount", str(where)], check=True)
        where.rmdir()


@pytest.fixture(scope="module")
def light_children() -> Iterator[None]:
    """Keep children that a module forks from collecting the garbage of all tests before it; see `syscalls`."""
    with syscalls.light_children():
        yield
