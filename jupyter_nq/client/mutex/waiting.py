"""Waiting for a mutex: until its record is written, its holder dies, or a time has passed; nothing runs meanwhile.

A write wakes through inotify, a death through a pidfd, and both are waited for at once, so that an interrupt ends it.
Once a second a waiter looks in any case: a holder in another pid namespace has no pidfd here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
from collections.abc import Iterator
from pathlib import Path

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.errors import StoreError

_MODIFIED = 0x2  # IN_MODIFY
_LONGEST_SECONDS = 1.0
_POLL_SECONDS = 0.02  # where the system has no inotify
_READ_BYTES = 4096


class Watcher:
    """Hears of writes to one file, from `open` to `close`.

    Those are no context manager: an interrupt at the end of its entry would leave the descriptor open.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def open(self) -> None:
        """Hear from now on; `StoreError` when the system gives this user no more of that."""
        system = ctypes.CDLL(None, use_errno=True)
        if not hasattr(system, "inotify_init1"):
            return
        self._fd = system.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd >= 0:
            own(self._fd)
        if self._fd < 0 or system.inotify_add_watch(self._fd, os.fsencode(self._path), _MODIFIED) < 0:
            reason = os.strerror(ctypes.get_errno())
            raise StoreError(
                f"{self._path} cannot be watched: {reason}. Raise fs.inotify.max_user_instances and "
                "max_user_watches, or end processes that watch many files."
            )

    def close(self) -> None:
        """Hear no more. Closing twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            disown(fd)
            os.close(fd)

    def heard(self) -> None:
        """Forget what was written so far; look at the file after that, then `wait`."""
        with contextlib.suppress(BlockingIOError):
            while self._fd >= 0:
                os.read(self._fd, _READ_BYTES)

    def wait(self, pid: int, seconds: float) -> bool:
        """Wait until the file is written, a process has ended, or a time has passed; or, seldom, for no reason.

        Returns whether the process has ended; no process has the pid 0.
        """
        longest = _LONGEST_SECONDS if self._fd >= 0 else _POLL_SECONDS
        poll = select.poll()
        if self._fd >= 0:
            poll.register(self._fd, select.POLLIN)
        with _process(pid) as process:
            if process is not None:
                poll.register(process, select.POLLIN)
            ready = poll.poll(max(0.0, min(seconds, longest)) * 1000)
            return process is not None and any(fd == process for fd, _ in ready)


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """Give a descriptor that can be read when a process has ended; None when it has, or is not seen from here."""
    try:
        fd = own(os.pidfd_open(pid))
    except (OSError, AttributeError):
        yield None
        return
    try:
        yield fd
    finally:
        disown(fd)
        os.close(fd)
