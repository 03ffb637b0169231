"""The coordinator's lock, and becoming the host."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jupyter_nq.buffers import Store
from jupyter_nq.client.line.hosting import LOCK_NAME, become_host, host_pid, take_lock
from jupyter_nq.config import Settings
from jupyter_nq.errors import CoordinatorUnavailable, StoreError


def test_one_process_at_a_time_hosts(nq_store_dir: Path) -> None:
    """The second attempt gets nothing; after the first stopped, it does."""
    store = Store(nq_store_dir)
    assert host_pid(nq_store_dir) is None
    first = become_host(store, Settings())
    assert first is not None
    assert become_host(store, Settings()) is None
    assert host_pid(nq_store_dir) == os.getpid()
    first.stop()
    second = become_host(store, Settings())
    assert second is not None
    second.stop()


def test_clients_are_told_the_settings_that_differ_from_the_defaults(nq_store_dir: Path) -> None:
    """A kernel learns the server's data directory, and nothing that it would have anyway."""
    service = become_host(Store(nq_store_dir), Settings(data_dir="/bars", feed_hz=10.0), "server")
    assert service is not None
    try:
        assert service._operations._settings == {"data_dir": "/bars"}
        assert service.role == "server"
    finally:
        service.stop()


def test_the_lock_file_is_private_and_never_followed(nq_store_dir: Path) -> None:
    """It is 0600; a symbolic link in its place is refused."""
    store = Store(nq_store_dir)
    fd = take_lock(store)
    assert fd is not None
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    os.close(fd)
    (nq_store_dir / LOCK_NAME).unlink()
    (nq_store_dir / LOCK_NAME).symlink_to("/etc/hostname")
    with pytest.raises(StoreError, match=LOCK_NAME):
        take_lock(store)


def test_a_service_that_cannot_start_gives_the_lock_back(nq_store_dir: Path) -> None:
    """The next attempt may succeed."""
    store = Store(nq_store_dir)
    (nq_store_dir / "ctl.sock").mkdir()
    with pytest.raises(CoordinatorUnavailable):
        become_host(store, Settings())
    (nq_store_dir / "ctl.sock").rmdir()
    service = become_host(store, Settings())
    assert service is not None
    service.stop()
