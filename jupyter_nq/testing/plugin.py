"""The pytest plugin: `pytest_plugins = ["jupyter_nq.testing.plugin"]` makes the fixtures known."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_SHARED_MEMORY = "/dev/shm"


@pytest.fixture
def nq_store_dir() -> Iterator[Path]:
    """Give an empty directory for a store: on tmpfs, private, and with a path short enough for a socket."""
    parent = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="nqt-", dir=parent))
    yield path
    shutil.rmtree(path, ignore_errors=True)
