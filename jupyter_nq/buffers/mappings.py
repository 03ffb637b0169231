"""Writable mappings of segments, kept by the process that wrote them: writing there again is as fast as memcpy.

A mapping is made over a descriptor of its own, which has no lock, so it is no lease: the object can be freed, and its
memory too, while the mapping is kept. It is touched only by who has `LOCK_EX` on the file, after all of the memory has
been allocated.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from jupyter_nq.buffers import platform
from jupyter_nq.buffers.layout import PAGE, align
from jupyter_nq.buffers.pool import Inode
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.values.lanes import Array

_MOST = 8
"""Mappings that are kept; each takes two descriptors, page tables, and no memory of its own."""

_AT_ONCE = 64 << 20  # 64 MiB of pages are mapped in some 20 ms


class Stopped(Exception):
    """What was done ahead of time is not wanted any more."""


@dataclass(frozen=True)
class Mapping:
    """A file, mapped to be written; also a sink for copies."""

    mapped: mmap.mmap
    view: Array
    """All of its bytes."""
    fd: int
    """An open file of its own, which the mapping shares; it has no lock."""
    new: bool = True
    """It was not written before, so its pages must be mapped first."""
    dumped: bool = True
    """Its pages may come into a core dump."""

    def write(self, offset: int, piece: Array) -> None:
        """Copy bytes to an offset of the file."""
        if self.new and len(piece):
            start = offset // PAGE * PAGE
            platform.populate(self.view.ctypes.data + start, align(offset + len(piece)) - start)
        np.copyto(self.view[offset : offset + len(piece)], piece)

    def populate(self, offset: int, nbytes: int, stopped: Callable[[], bool]) -> None:
        """Map the pages of a range that has memory, a piece at a time; `Stopped` when it is not wanted any more."""
        for start in range(offset, offset + nbytes, _AT_ONCE):
            if stopped():
                raise Stopped
            platform.populate(self.view.ctypes.data + start, min(_AT_ONCE, offset + nbytes - start))

    def close(self) -> None:
        """Give the descriptor back; the memory is unmapped with the last view of it."""
        os.close(self.fd)


class Mappings:
    """The mappings of one process. Each change is one atomic operation of the dictionary, so there is no lock."""

    def __init__(self) -> None:
        self._kept: dict[Inode, Mapping] = {}

    def __contains__(self, inode: object) -> bool:
        return inode in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    @contextlib.contextmanager
    def over(self, fd: int, nbytes: int) -> Iterator[Mapping]:
        """Map a locked and allocated file, or find the mapping that was kept; it is kept when all went well."""
        seen = os.fstat(fd)
        inode = seen.st_dev, seen.st_ino
        mapping = self._kept.pop(inode, None)
        if mapping is not None and len(mapping.view) < nbytes:
            mapping.close()
            mapping = None
        if mapping is None:
            mapping = map_writable(fd, nbytes)
        try:
            yield mapping
        except BaseException:
            mapping.close()
            raise
        self._kept[inode] = replace(mapping, new=False)
        self._forget()

    def _forget(self) -> None:
        """Let go of mappings whose file is gone, and of the oldest when there are too many."""
        for inode, mapping in list(self._kept.items()):
            gone = os.fstat(mapping.fd).st_nlink == 0
            if (gone or len(self._kept) > _MOST) and self._kept.pop(inode, None) is not None:
                mapping.close()


def map_writable(fd: int, nbytes: int) -> Mapping:
    """Map a locked and allocated file over an open file of its own, which has no share in the lock."""
    with refused(fd):
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        try:
            mapped = mmap.mmap(own, nbytes)
        except BaseException:
            os.close(own)
            raise
    return Mapping(mapped, np.frombuffer(mapped, np.uint8), own)
