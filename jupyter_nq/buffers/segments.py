"""Files under construction: locked, allocated before anything is written, and gone when the writing fails.

A file under construction lies in `tmp/` and its writer holds `LOCK_EX` on it, so an unlocked one is
provably an orphan. Memory is allocated with `posix_fallocate` before anything is mapped or written: on a
full tmpfs that is an error here, where touching a sparse page would be a SIGBUS that kills the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import xxhash

from jupyter_nq.buffers.layout import Static, align
from jupyter_nq.buffers.locks import is_current, kept_from_children, remove_own
from jupyter_nq.buffers.platform import file_system_free, punch_hole
from jupyter_nq.buffers.refusals import refusal, refused
from jupyter_nq.errors import StoreFull

Progress = Callable[[float], None]
_OTHER_LIMITS = {
    errno.EDQUOT: "the quota of this user is used up",
    errno.EFBIG: "no file may be so large there, see ulimit -f",
    errno.ENOMEM: "the machine, or the memory cgroup of this process, has no memory for them",
}


@contextlib.contextmanager
def fresh_file(path: Path, sealed: Path, take: Callable[[Path], int | None] = lambda path: None) -> Iterator[int]:
    """Create `path` and hold `LOCK_EX` on it until it was renamed to `sealed`.

    On any error, an interrupt included, the file is removed under either name. `take` may give a file that lies there
    already, open and locked: a spare segment.
    """

    def opened() -> int:
        fd = take(path)
        return _create_locked(path) if fd is None else fd

    with kept_from_children(opened) as fd:
        try:
            yield fd
        except BaseException:
            for leftover in (path, sealed):
                remove_own(fd, leftover)
            raise


def allocate(fd: int, spans: Sequence[tuple[int, int]], where: Path) -> None:
    """Reserve memory for each (offset, bytes); raises `StoreFull` when it is not there, and then keeps none of it."""
    with store_full(where, sum(nbytes for _, nbytes in spans)):
        try:
            for offset, nbytes in spans:
                if nbytes:
                    os.posix_fallocate(fd, offset, nbytes)
        except OSError:
            give_back(fd, spans)  # a disk that is full leaves in the file what it had: then nothing would be free
            raise


def give_back(fd: int, spans: Sequence[tuple[int, int]]) -> None:
    """Free the whole pages that begin in each (offset, bytes)."""
    for offset, nbytes in spans:
        punch_hole(fd, align(offset), align(offset + nbytes) - align(offset))


@contextlib.contextmanager
def store_full(where: Path, nbytes: int) -> Iterator[None]:
    """Turn "no space left" into `StoreFull` with the sizes and what to do."""
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.ENOSPC:
            reason = f"{file_system_free(where):,} are free in {where}"
        elif exc.errno in _OTHER_LIMITS:
            reason = f"{_OTHER_LIMITS[exc.errno]} ({where})"
        else:
            raise refusal(where, exc) from exc
        raise StoreFull(
            f"{nbytes:,} bytes do not fit: {reason}. Drop datasets that nobody needs, or give the store more room (in "
            "a container: --shm-size)."
        ) from exc


def root_digest(rows: int, pieces: bytes, static: Static) -> bytes:
    """Return the digest of an object: over its rows, the digests of all committed pieces, and what its codes mean."""
    meanings = b"".join(static.dictionaries.get(name, b"") for name in static.columns)
    return xxhash.xxh3_128_digest(rows.to_bytes(8, "little") + pieces + meanings)


def progress_steps(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Return a function that adds up bytes and reports the fraction of `total`."""
    done = 0

    def step(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done / total if total else 1.0)

    return step


def _create_locked(path: Path) -> int:
    while True:
        try:  # not `refused`: an interrupt while that ends would lose what was opened
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise refusal(path, exc) from exc
        try:
            with refused(path):
                fcntl.flock(fd, fcntl.LOCK_EX)
            if is_current(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # a sweep took it for an orphan between the two calls


def write_all(fd: int, piece: memoryview, offset: int) -> None:
    """Write bytes at an offset, in as many calls as the system wants."""
    while piece:
        with refused(fd):
            written = os.pwrite(fd, piece, offset)
        piece, offset = piece[written:], offset + written
