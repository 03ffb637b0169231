"""Spare segments: what freed objects leave in `pool/`, memory and all, for the next write.

The first touch of a page of shared memory costs five to ten times what copying it costs, so the memory of an object
that nobody needs is worth keeping for a while. A segment moves by `rename`, and only in the hands of who has
`LOCK_EX` on it: from `obj/` when it is freed, to `tmp/` when it is written anew. So no reader has it mapped, and
nobody can take it twice. Who frees objects decides how many bytes stay; whoever needs the room may trim them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from jupyter_nq.buffers import platform
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.buffers.refusals import refused

SMALLEST_BYTES = 1 << 20  # 1 MiB: a smaller object is written as fast into a fresh file
_LARGEST_RATIO = 2  # a segment more than twice, or less than half as large as wanted stays for another
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Inode = tuple[int, int]


@dataclass(frozen=True)
class Spare:
    """One segment of the pool."""

    path: Path
    nbytes: int
    """Allocated bytes."""
    inode: Inode
    """Device and inode, by which a process knows what it mapped before."""
    since_ns: int
    """When it was freed, nanoseconds since 1970, UTC."""


class Pool:
    """The directory of spare segments; it keeps no state of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<Pool {self.path}>"

    def spares(self) -> list[Spare]:
        """Return the segments, longest there first."""
        found = []
        with refused(self.path), os.scandir(self.path) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                inode = seen.st_dev, seen.st_ino
                found.append(Spare(Path(entry.path), seen.st_blocks * 512, inode, seen.st_ctime_ns))
        return sorted(found, key=lambda spare: (spare.since_ns, spare.path))

    def nbytes(self) -> int:
        """Return the bytes that the segments take."""
        return sum(spare.nbytes for spare in self.spares())

    def keep(self, path: Path) -> None:
        """Move the file of a freed object here; the caller has `LOCK_EX` on it."""
        with refused(path):
            os.rename(path, self.path / path.name)

    def take(self, nbytes: int, to: Path, mapped: Container[Inode]) -> int | None:
        """Move a segment to `to`, for an object of `nbytes`, and return its descriptor, locked.

        Those that this process has `mapped` come first, then those whose size is the nearest. None when no segment
        is of such a size, or others are taking them.
        """
        for spare in sorted(self._fitting(nbytes), key=lambda s: (s.inode not in mapped, abs(s.nbytes - nbytes))):
            fd = _locked(spare.path)
            if fd is None:
                continue
            try:
                with refused(to):
                    os.rename(spare.path, to)
            except BaseException:
                os.close(fd)
                raise
            return fd
        return None

    def has(self, nbytes: int, mapped: Container[Inode]) -> bool:
        """Tell whether there is a segment for an object of `nbytes` that this process has `mapped`."""
        return any(spare.inode in mapped for spare in self._fitting(nbytes))

    def _fitting(self, nbytes: int) -> list[Spare]:
        return [s for s in self.spares() if nbytes <= _LARGEST_RATIO * s.nbytes <= nbytes * _LARGEST_RATIO**2]

    def trim(self, keep_bytes: int) -> int:
        """Free segments, longest there first, until at most `keep_bytes` are left; returns the bytes freed."""
        spares = self.spares()
        excess = sum(spare.nbytes for spare in spares) - keep_bytes
        freed = 0
        for spare in spares:
            if freed >= excess:
                break
            fd = _locked(spare.path)
            if fd is None:
                continue
            try:
                with refused(spare.path):
                    os.unlink(spare.path)
                    platform.punch_hole(fd, 0, os.fstat(fd).st_size)
            finally:
                os.close(fd)
            freed += spare.nbytes
        return freed


def _locked(path: Path) -> int | None:
    """Open a segment and lock it; None when somebody else is about to take it, or has."""
    with refused(path):
        try:
            fd = os.open(path, _OPEN)
        except FileNotFoundError:
            return None
    if try_flock(fd, fcntl.LOCK_EX) and is_current(fd, path):
        return fd
    os.close(fd)
    return None
