"""Lock files: `flock`, which the kernel frees when its last holder is gone, however that died.

A lock file may be removed by its holder or by a sweep, so whoever gets the lock checks that the path still
leads to the file it locked, and starts over when it does not.

A build lock also carries a record for those who wait: how far the builder is and, when it failed, why. The
builder removes the file before it lets go; the waiters still hold the old file open and read the record
there, so a failure reaches exactly those who waited for it, and nothing is left behind. That holds for what is
wrong with the source or the store. A builder's own trouble (its callback, its memory, its line to the
coordinator, an interrupt) is nobody else's: whoever waited first builds.

A forked child keeps no copy of an exclusive lock (`forking`): a worker that outlives a killed builder keeps
nobody waiting, and unwinding the builder's code in the child neither frees nor removes what is the parent's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack

from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import (
    AmbiguousSource,
    AmbiguousStamps,
    NQError,
    SourceNotFound,
    StoreFull,
    UnknownDataset,
    UnknownInstrument,
    UnknownTimeframe,
    UnknownZone,
    UnreadableSource,
    UnsupportedData,
    by_name,
)

# What whoever waited would run into too: an error of the source, or of the store as it is for everybody.
_FOR_ALL = (
    AmbiguousSource,
    AmbiguousStamps,
    SourceNotFound,
    StoreFull,
    UnknownDataset,
    UnknownInstrument,
    UnknownTimeframe,
    UnknownZone,
    UnreadableSource,
    UnsupportedData,
)

_POLL_SECONDS = 0.02
_SHORT_POLL_SECONDS = 0.002
_RECORD_BYTES = 64 << 10  # 64 KiB: a record is a fraction or one error message


def try_flock(fd: int, operation: int) -> bool:
    """Take a lock without waiting; False when somebody else has one that excludes it."""
    with refused(fd):
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def is_current(fd: int, path: str | os.PathLike[str]) -> bool:
    """Tell whether `path` still leads to the open file."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return here.st_ino == there.st_ino and here.st_dev == there.st_dev


def open_lock_file(path: Path) -> int:
    """Open or create a private lock file; a planted symbolic link is refused."""
    try:  # not `refused`: an interrupt while that ends would lose what was opened
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise refusal(path, exc) from exc


@contextlib.contextmanager
def kept_from_children(take: Callable[[], int]) -> Iterator[int]:
    """Give the descriptor that `take` opens, keep its lock out of the hands of children forked meanwhile, and close it.

    It is opened in here, so that an interrupt finds it closed: what stays open stays locked.
    """
    fd = -1
    try:
        fd = take()
        own(fd)
        yield fd
    finally:
        if fd >= 0:
            try:
                disown(fd)
            except BaseException:  # interrupted before it was done: the number would be taken for one of these
                disown(fd)
                raise
            finally:
                os.close(fd)


def remove_own(fd: int, path: Path) -> None:
    """Remove a locked file, unless `fd` is a child's replacement for it."""
    with refused(path):
        if is_current(fd, path):
            os.unlink(path)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone, waiting for it; it is removed afterwards."""
    while True:
        with kept_from_children(lambda: open_lock_file(path)) as fd:
            with refused(path):
                fcntl.flock(fd, fcntl.LOCK_EX)
            if not is_current(fd, path):
                continue
            try:
                yield
            finally:
                remove_own(fd, path)
            return


@contextlib.contextmanager
def exclusive_within(path: Path, seconds: float) -> Iterator[bool]:
    """Hold a lock file as `exclusive` does, if that is to be had in time; gives whether it is."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        with kept_from_children(lambda: open_lock_file(path)) as fd:
            taken = try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path)
            if taken or time.monotonic() >= deadline:
                try:
                    yield taken
                finally:
                    if taken:
                        remove_own(fd, path)
                return
        pause.wait(_SHORT_POLL_SECONDS)


class BuildLock:
    """The exclusive right to build one thing, with a record for those who wait."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()

    def write_progress(self, fraction: float) -> None:
        """Tell the waiters how much is done, 0 to 1."""
        self._write({"fraction": float(fraction)})

    def write_error(self, error: NQError) -> None:
        """Tell the waiters why the build failed."""
        self._write({"error": [type(error).__name__, str(error)[:4096]]})

    def _write(self, record: dict[str, Any]) -> None:
        if os.getpid() != self._pid:  # a forked child is not the builder
            return
        packed = msgpack.packb(record)
        with contextlib.suppress(OSError):  # a full store has no room for it: the build goes on, nobody hears of it
            os.pwrite(self._fd, packed, 0)
            os.ftruncate(self._fd, len(packed))


@contextlib.contextmanager
def build_lock(path: Path, waiting: Callable[[float | None], None] | None) -> Iterator[BuildLock]:
    """Become the builder, or wait for the one who is; see `Store.lock`."""
    with kept_from_children(lambda: _acquire(path, waiting)) as fd:
        os.ftruncate(fd, 0)  # what a builder that was killed had written
        lock = BuildLock(fd)
        try:
            yield lock
        except _FOR_ALL as exc:
            lock.write_error(exc)
            raise
        finally:
            remove_own(fd, path)


def _acquire(path: Path, waiting: Callable[[float | None], None] | None) -> int:
    pause = threading.Event()
    while True:
        fd = open_lock_file(path)
        try:
            while not try_flock(fd, fcntl.LOCK_EX):
                if waiting is not None:
                    waiting(_fraction(_read_record(fd)))
                pause.wait(_POLL_SECONDS)
            if is_current(fd, path):
                return fd
            _raise_failure(_read_record(fd))
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _read_record(fd: int) -> dict[str, Any]:
    try:
        record = msgpack.unpackb(os.pread(fd, _RECORD_BYTES, 0))
    except (ValueError, msgpack.UnpackException):
        return {}  # nothing written yet, or caught between two writes
    return record if isinstance(record, dict) else {}


def _fraction(record: dict[str, Any]) -> float | None:
    value = record.get("fraction")
    return value if isinstance(value, float) else None


def _raise_failure(record: dict[str, Any]) -> None:
    match record.get("error"):
        case [str(name), str(message)] if issubclass(kind := by_name(name), _FOR_ALL):
            raise kind(message)
