"""Copying lanes into an object file, piece by piece, with the digest of each piece, by as many threads as help.

A fresh file is filled by `pwrite`, which costs half of what first faults through a mapping cost. A segment that was
written before (`pool`) is filled through a mapping: at the speed of memcpy when this process kept the one that it
wrote through before. numpy's copy and the digest leave the interpreter to other threads, so two copy more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import xxhash

from jupyter_nq.buffers.layout import DIGEST_BLOCK_BYTES
from jupyter_nq.buffers.parallel import in_order, most_threads
from jupyter_nq.buffers.segments import write_all
from jupyter_nq.buffers.values.lanes import Array, Lane

_FOR_THREADS = 32 << 20  # 32 MiB: below, starting threads costs more than they save
_SMALLEST_SPAN = 16 << 20  # 16 MiB
_LARGEST_SPAN = 128 << 20  # 128 MiB: a cancelled copy ends after one
_AT_ONCE = 64 << 20  # 64 MiB: a copy of so much passes the caches by, and digesting it afterwards costs less

Step = Callable[[int], None]


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, offset: int, piece: Array) -> None:
        """Write bytes at an offset of the file; called by several threads."""


class FileSink:
    """Writes through the descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, offset: int, piece: Array) -> None:
        """Write bytes at an offset of the file."""
        write_all(self._fd, piece.data, offset)


@dataclass(frozen=True)
class Copy:
    """One lane, or the rest of one, that goes into the file."""

    offset: int
    """Where the lane starts in the file."""
    lane: Lane
    """It is read from its own byte 0."""
    start: int = 0
    """Bytes of the lane that are in the file already: the copy goes behind them."""


@dataclass(frozen=True)
class _Span:
    """A range of a lane that one thread copies."""

    copy: Copy
    first: int
    last: int
    sink: Sink = field(repr=False)
    digest: bool

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield the ranges that have a digest each: cut where the file's lane has a multiple of 1 MiB."""
        at = self.first
        while at < self.last:
            room = DIGEST_BLOCK_BYTES - (self.copy.start + at) % DIGEST_BLOCK_BYTES
            yield at, min(at + room, self.last)
            at = min(at + room, self.last)

    def write(self, start: int, stop: int) -> Array:
        """Copy a range and return its bytes."""
        piece = self.copy.lane.piece(start, stop)
        self.sink.write(self.copy.offset + self.copy.start + start, piece)
        return piece

    def run(self, step: Step) -> bytes:
        """Copy it all and return the digests of its pieces, one after the other."""
        digests = bytearray()
        whole = self.write(self.first, self.last) if self._is_view() else None
        for start, stop in self.pieces():
            piece = self.write(start, stop) if whole is None else whole[start - self.first : stop - self.first]
            if self.digest:
                digests += xxhash.xxh3_128_digest(piece.data)
            step(stop - start)
        return bytes(digests)

    def _is_view(self) -> bool:
        """Tell whether it is so large that it is copied at once, and reading it all takes no memory of its own."""
        if self.last - self.first < _AT_ONCE:
            return False
        twice = [self.copy.lane.piece(self.first, self.first + 1) for _ in range(2)]
        return twice[0].ctypes.data == twice[1].ctypes.data


def copy_lanes(sink: Sink, copies: Iterable[Copy], *, digest: bool, step: Step) -> list[bytes]:
    """Copy lanes into a file and return, for each, the digests of its 1 MiB pieces, one after the other.

    Parameters
    ----------
    step
        Called in this thread with the bytes of each piece, or of a range of many; may raise to cancel.
    """
    copies = list(copies)
    total = sum(copy.lane.nbytes for copy in copies)
    threads = most_threads() if total >= _FOR_THREADS else 1
    spans = [list(_spans(copy, sink, digest, threads)) for copy in copies]
    if threads == 1:
        return [b"".join(span.run(step) for span in lane) for lane in spans]
    for copy in copies:
        copy.lane.read(0, 0)  # what a lane makes on first use, it makes once
    with in_order(lambda span: span.run(_nothing), [span for lane in spans for span in lane]) as results:
        return [b"".join(_finished(results, lane, step)) for lane in spans]


def _spans(copy: Copy, sink: Sink, digest: bool, threads: int) -> Iterator[_Span]:
    """Cut a lane where the file's lane has a multiple of 1 MiB, so that each piece is one thread's."""
    total = copy.lane.nbytes
    size = total
    if threads > 1:
        share = -(-total // threads)
        size = -(-min(max(share, _SMALLEST_SPAN), _LARGEST_SPAN) // DIGEST_BLOCK_BYTES) * DIGEST_BLOCK_BYTES
    first = 0
    while first < total:
        last = min(first + max(size, 1) - copy.start % DIGEST_BLOCK_BYTES * (first == 0 and size < total), total)
        yield _Span(copy, first, last, sink, digest)
        first = last


def _finished(results: Iterator[bytes], lane: Iterable[_Span], step: Step) -> Iterator[bytes]:
    """Yield the digests of the spans of a lane, as far as they are copied."""
    for span in lane:
        yield next(results)
        step(span.last - span.first)


def _nothing(_nbytes: int) -> None:
    pass
