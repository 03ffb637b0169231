"""What wakes who waits for a mutex."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_nq.client.mutex.waiting import Watcher
from jupyter_nq.errors import StoreError
from jupyter_nq.testing import Child


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give a file to watch."""
    path = tmp_path / "record"
    path.write_bytes(b"a")
    return path


def test_a_write_wakes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came before the wait, too, unless it was heard."""
    monkeypatch.setattr("jupyter_nq.client.mutex.waiting._LONGEST_SECONDS", 60.0)
    with closing(Watcher(file)) as watcher:
        watcher.open()
        file.write_bytes(b"b")
        begin = time.monotonic()
        assert not watcher.wait(0, 60)
        assert time.monotonic() - begin < 30
        watcher.heard()
        begin = time.monotonic()
        assert not watcher.wait(os.getpid(), 0.1)
        assert time.monotonic() - begin >= 0.09


def test_the_end_of_a_process_wakes(file: Path) -> None:
    """And is told; one that has ended is no process any more."""
    with Child("input()") as child, closing(Watcher(file)) as watcher:
        watcher.open()
        os.kill(child.pid, 9)
        assert watcher.wait(child.pid, 30)
        child.wait()
        assert not watcher.wait(child.pid, 0.01)


def test_what_cannot_be_watched_is_told(tmp_path: Path) -> None:
    """With what to raise, and nothing stays open."""
    before = len(os.listdir("/proc/self/fd"))
    watcher = Watcher(tmp_path / "x")
    with pytest.raises(StoreError, match=r"cannot be watched: No such file.*max_user_instances"):
        watcher.open()
    watcher.close()
    watcher.close()
    assert len(os.listdir("/proc/self/fd")) == before
