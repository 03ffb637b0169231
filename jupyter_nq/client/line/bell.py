"""A bell that wakes one waiting thread: rung from anywhere, a finalizer or a signal handler included.

It is an eventfd, so that the waiter can wait for a socket at the same time. It is closed when nobody can
ring it any more, never earlier: a number that was closed and used again must not be written to.
"""

from __future__ import annotations

import contextlib
import os
import weakref

from jupyter_nq.buffers.forking import disown, own


class Bell:
    """Rings until it is heard; ringing twice is one ring."""

    def __init__(self) -> None:
        self._fd = own(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._rung = False
        # Not at the interpreter's exit: the keeper still listens then, and the system closes what is left.
        weakref.finalize(self, _close, self._fd).atexit = False

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._fd

    def ring(self) -> None:
        """Wake the waiter."""
        if not self._rung:
            self._rung = True
            os.eventfd_write(self._fd, 1)

    def heard(self) -> None:
        """Make the bell ready for the next ring; to be called before looking at what it was rung for."""
        with contextlib.suppress(BlockingIOError):  # heard by an earlier call
            os.eventfd_read(self._fd)
        # In this order: a ring between the two lines is heard now, because what it was rung for is already there.
        self._rung = False


def _close(fd: int) -> None:
    disown(fd)
    os.close(fd)
