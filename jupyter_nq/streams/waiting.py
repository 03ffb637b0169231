"""Waiting for a word in shared memory to change: a futex on Linux, looking every millisecond elsewhere.

A waiter says that it waits before it looks a last time, and a writer looks for waiters after it has written; between
the two each passes a full memory fence, so that one of them sees the other. Taking and releasing a lock is one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
import threading
import time
from collections.abc import Sequence

_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine()) if sys.platform == "linux" else None
_WAIT, _WAKE = 0, 1
_FUTEX_WAITV = 449  # since Linux 5.16, on every machine
_32_BITS = 2
_MOST_AT_ONCE = 128
_EVERYBODY = 2**31 - 1
_POLL_SECONDS = 0.001
_LONGEST_SECONDS = 1.0  # a wake-up that was lost costs no more

# Guards nothing: taking and releasing it is the fence. A forked child has its own, as a thread may hold it just then.
_fence = threading.Lock()


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def _syscall() -> ctypes._NamedFuncPointer:
    found = ctypes.CDLL(None, use_errno=True).syscall
    found.restype = ctypes.c_long
    return found


class _Waiter(ctypes.Structure):
    _fields_ = [
        ("value", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    ]


class Bell:
    """A word on which processes wait, and the flag beside it that says that somebody does.

    Parameters
    ----------
    words
        The mapped file, as 64-bit words; writable.
    address
        Of its first byte in this process.
    word, flag
        Places of the two.
    """

    def __init__(self, words: memoryview, address: int, word: int, flag: int) -> None:
        self._words = words
        self._word, self._flag = word, flag
        self._address = ctypes.c_void_p(address + 8 * word)
        self._call = _syscall() if _FUTEX else None

    def ring(self) -> None:
        """Wake everybody who waits; who has just looked and is about to wait does not."""
        words = self._words
        words[self._word] = time.monotonic_ns() & 0xFFFFFFFF
        with _fence:
            pass
        if words[self._flag]:
            self.wake()

    def wake(self) -> None:
        """Wake everybody who waits.

        The word changes once more after the flag: who said in between that it waits saw the last value, and would sleep
        with the flag down.
        """
        self._words[self._flag] = 0
        self._words[self._word] = time.monotonic_ns() & 0xFFFFFFFF
        if self._call is not None:
            self._call(_FUTEX, self._address, _WAKE, _EVERYBODY, None, None, 0)

    def seen(self) -> int:
        """Say that this process waits, and return the word; look at what it is about after that, then `wait`."""
        self._words[self._flag] = 1
        with _fence:
            pass
        return self._words[self._word]

    def wait(self, seen: int, seconds: float) -> None:
        """Wait until the word is another than the one that was seen, or for a time, or for no reason.

        An interrupt is raised at once.
        """
        seconds = min(seconds, _LONGEST_SECONDS)
        if seconds <= 0:
            return
        if self._call is None:
            deadline = time.monotonic() + seconds
            while self._words[self._word] == seen and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            return
        limit = _Timespec(int(seconds), int(seconds % 1 * 1e9))
        if self._call(_FUTEX, self._address, _WAIT, ctypes.c_uint32(seen), ctypes.byref(limit), None, 0):
            _check(ctypes.get_errno())

    def changed(self, seen: int) -> bool:
        """Tell whether the word is another than the one that was seen."""
        return self._words[self._word] != seen

    def waiter(self, seen: int) -> tuple[int, int]:
        """Return the value and the address on which the system waits."""
        assert self._address.value is not None
        return seen, self._address.value


def wait_for_any(bells: Sequence[tuple[Bell, int]], seconds: float) -> None:
    """Wait until one of several words is another than the one that was seen of it, or for a time, or for no reason."""
    seconds = min(seconds, _LONGEST_SECONDS)
    if len(bells) == 1:
        bells[0][0].wait(bells[0][1], seconds)
    elif not (_FUTEX and len(bells) <= _MOST_AT_ONCE and _wait_in_system(bells, seconds)):
        deadline = time.monotonic() + seconds
        while not any(bell.changed(seen) for bell, seen in bells) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)


def _wait_in_system(bells: Sequence[tuple[Bell, int]], seconds: float) -> bool:
    """Wait in the system; False when it is too old for that."""
    waiters = (_Waiter * len(bells))(*(_Waiter(*bell.waiter(seen), _32_BITS, 0) for bell, seen in bells))
    until = time.monotonic() + seconds
    limit = _Timespec(int(until), int(until % 1 * 1e9))
    found = _syscall()(_FUTEX_WAITV, waiters, len(bells), 0, ctypes.byref(limit), time.CLOCK_MONOTONIC)
    number = ctypes.get_errno() if found < 0 else 0
    if number == errno.ENOSYS:
        return False
    _check(number)
    return True


def _check(number: int) -> None:
    """Raise what the system says, unless it is that the waiting has ended."""
    if number not in (0, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR):
        raise OSError(number, os.strerror(number))


def _renew_fence_in_child() -> None:
    global _fence
    _fence = threading.Lock()


os.register_at_fork(after_in_child=_renew_fence_in_child)
