"""The futex system call on a word of a shared mapping: sleep until another process changes it.

The kernel compares the word with the value the caller last saw and puts it to sleep only if they are
equal, so a wake between the look and the sleep is not lost.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import time

_NUMBERS = {"x86_64": 202, "aarch64": 98}
_WAIT, _WAKE = 0, 1
_WORD_BYTES = 4


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Word:
    """A 32-bit word at the start of a shared, writable mapping."""

    def __init__(self, mapping: mmap.mmap, *, number: int | None = None) -> None:
        self._call = number if number is not None else call_number()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._cell = ctypes.c_uint32.from_buffer(mapping)

    @property
    def value(self) -> int:
        """The word as it is now."""
        return self._cell.value

    def set(self, value: int) -> None:
        """Store a value and wake whoever waits for a change."""
        self._cell.value = value
        self._futex(_WAKE, 1, None)

    def wait_for(self, value: int, timeout: float) -> None:
        """Sleep until the word is `value`; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while (seen := self._cell.value) != value:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no wake-up within {timeout:g} s")
            self._futex(_WAIT, seen, _Timespec(int(left), int(left % 1 * 1e9)))

    def close(self) -> None:
        """Give the mapping's buffer back, so that the mapping can be closed."""
        del self._cell

    def _futex(self, operation: int, value: int, timeout: _Timespec | None) -> None:
        wait = ctypes.byref(timeout) if timeout is not None else None
        done = self._libc.syscall(self._call, ctypes.byref(self._cell), operation, value, wait, None, 0)
        code = ctypes.get_errno()
        if done < 0 and code not in {errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT}:
            raise OSError(code, os.strerror(code))


def call_number() -> int:
    """Return the number of the futex call on this machine; NotImplementedError where it is not known."""
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _NUMBERS:
        raise NotImplementedError(f"{platform.system()} on {machine}")
    return _NUMBERS[machine]
