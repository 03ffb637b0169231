"""The locks of whoever changes a flag: on its page, and on the directory of copies, which machines may share.

Readers take none, and neither does the store that sets a flag: a process that is stopped while it holds a lock delays
the reason of a setting, never the setting.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_nq.buffers.locks import is_current, kept_from_children, open_lock_file, try_flock
from jupyter_nq.buffers.platform import lock_holders
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import StoreError
from jupyter_nq.streams.flags.durable import DISK_LOCK, make_directory
from jupyter_nq.streams.flags.page import Page
from jupyter_nq.streams.flags.places import Places

LOCK_SECONDS = 2.0
_PAUSE_SECONDS = 0.001

_log = logging.getLogger("jupyter_nq")


@contextmanager
def locked(page: Page, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of a page.

    Raises
    ------
    StoreError
        Somebody else has it all the time, or the path leads to another page.
    """
    with kept_from_children(lambda: _taken(page.path, lambda: _open(page.path), seconds)) as fd:
        here, mapped = os.fstat(fd), os.fstat(page.fd)
        if (here.st_ino, here.st_dev) != (mapped.st_ino, mapped.st_dev):
            raise StoreError(f"{page.path} is another file than the one that is mapped. Open the flag again.")
        yield


@contextmanager
def disk_locked(places: Places, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of the copies on the disk, where the file system has locks; the directory is made for it."""
    path = places.disk / DISK_LOCK

    def opened() -> int:  # who removes the last copy removes the directory too, while others wait
        make_directory(places.disk)
        return open_lock_file(path)

    with kept_from_children(lambda: _taken(path, opened, seconds, needed=False)):
        yield


def _open(path: Path) -> int:
    with refused(path):
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _taken(path: Path, opened: Callable[[], int], seconds: float, *, needed: bool = True) -> int:
    """Return a descriptor that has the lock."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while True:
        fd = opened()
        try:
            if _has_lock(fd, path, needed) and is_current(fd, path):
                return fd
            if time.monotonic() > deadline:
                holders = ", ".join(f"pid {pid}" for pid in lock_holders(path)) or "another process"
                raise StoreError(f"{path} is locked by {holders} for more than {seconds:g} s. Continue or end that.")
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        pause.wait(_PAUSE_SECONDS)


def _has_lock(fd: int, path: Path, needed: bool) -> bool:
    try:
        return try_flock(fd, fcntl.LOCK_EX)
    except StoreError as exc:
        if needed:
            raise
        _log.info("%s has no locks, so machines that share it may overwrite each other's history: %s", path, exc)
        return True
