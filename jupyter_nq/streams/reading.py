"""Segments as a consumer maps them: held by a shared lock that lives as long as any view, so they never change."""

from __future__ import annotations

import fcntl
import mmap
import os
from pathlib import Path

from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.layout import Segment, decode_segment


def map_segment(path: Path, stream_id: str, lane: int, number: int) -> tuple[mmap.mmap, Segment] | None:
    """Map a segment for reading; None when it is not there any more, or is being written anew.

    Raises
    ------
    ChecksumError
        It is damaged.
    """
    with refused(path):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
    try:
        if not try_flock(fd, fcntl.LOCK_SH):
            return None
        with refused(path):
            size = os.fstat(fd).st_size
            mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if size > layout.STATIC_BYTES else None
    finally:
        os.close(fd)
    if mapped is None:
        raise ChecksumError(f"{path} is damaged: it has {size} bytes.")
    segment = header_of(mapped, path)
    if (segment.stream_id, segment.lane, segment.number) != (stream_id, lane, number):
        return None  # it was written anew between the two calls
    return mapped, segment


def header_of(mapped: mmap.mmap, path: Path) -> Segment:
    """Return what a mapped segment is.

    Raises
    ------
    ChecksumError
        It is damaged, or shorter or longer than it says.
    """
    try:
        with memoryview(mapped) as raw:
            segment = decode_segment(raw[: layout.STATIC_BYTES])
    except ChecksumError as exc:
        raise ChecksumError(f"{path} is damaged: {exc}.") from exc
    if segment.file_bytes != len(mapped):
        raise ChecksumError(f"{path} is damaged: it has {len(mapped):,} bytes, its header says {segment.file_bytes:,}.")
    return segment
