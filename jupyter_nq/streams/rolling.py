"""The segments of one lane as its publisher keeps them: the newest is written, the oldest is written anew.

A consumer holds `flock` shared on each segment that it maps. A segment is written anew only by who gets it exclusive;
one that somebody still reads is unlinked instead, and its memory is free when the last view is gone. So what a
consumer has in its hands never changes, and what the lane keeps never exceeds its retention.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jupyter_nq.buffers import platform
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.segments import allocate
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane
from jupyter_nq.streams.forms import Reads
from jupyter_nq.streams.layout import Segment, encode_segment
from jupyter_nq.streams.owners import forget
from jupyter_nq.streams.reading import header_of


def segment_path(stream: Path, lane: int, number: int) -> Path:
    """Return where a segment lies.

    >>> segment_path(Path("nq"), 0, 7).name
    '0-7'
    """
    return stream / f"{lane}-{number}"


@dataclass
class Kept:
    """One segment, mapped."""

    number: int
    first_seq: int
    path: Path
    fd: int
    mapped: mmap.mmap
    file_bytes: int
    stamp_ns: int = 0
    """When it was full, monotonic."""


class Rolling:
    """The segments of a lane, oldest first. Its publisher's lock guards it.

    Parameters
    ----------
    stream
        Directory of the stream.
    stream_id
        32 hexadecimal digits.
    lane
        The words of the lane, which this process owns.
    retention_bytes
        What the segments may take together.
    may_go
        Tells whether a segment whose messages end before a sequence may go.
    """

    def __init__(
        self, stream: Path, stream_id: str, lane: Lane, retention_bytes: int, may_go: Callable[[int], bool]
    ) -> None:
        self._stream = stream
        self._lane = lane
        self._retention_bytes = retention_bytes
        self._may_go = may_go
        self._stream_id = stream_id
        self._kept: deque[Kept] = deque(adopted(stream, stream_id, lane))
        self._spare: Kept | None = None

    def __repr__(self) -> str:
        return f"<Rolling {self._stream.name} lane {self._lane.number}, {len(self._kept)} segments>"

    def begin(self, segment: Segment) -> mmap.mmap | None:
        """Return the memory of the lane's next segment, with its header; None when the oldest may not go.

        Raises
        ------
        StoreFull
            There is no memory for another segment. What is kept can be read, and the publisher can go on.
        """
        if not self._has_room(segment.file_bytes):
            return None
        try:
            return self._begin(segment)
        except BaseException:  # an interrupt may come between any two steps: what the files say holds
            self.close()
            self._kept.extend(adopted(self._stream, self._stream_id, self._lane))
            raise

    def _begin(self, segment: Segment) -> mmap.mmap:
        self._retire(segment.file_bytes)
        kept = self._fresh(segment) if self._spare is None else self._anew(self._spare, segment)
        self._spare = kept  # until it is one of those that are kept
        with memoryview(kept.mapped) as raw:
            raw[: layout.STATIC_BYTES] = encode_segment(segment)
            with raw[:PAGE].cast("Q") as words:
                words[layout.END_SEQ] = 0
        forget(kept.mapped)
        with refused(kept.path):
            os.rename(kept.path, segment_path(self._stream, self._lane.number, segment.number))
            fcntl.flock(kept.fd, fcntl.LOCK_SH)
        kept.path = segment_path(self._stream, self._lane.number, segment.number)
        self._seal_newest(segment)
        self._kept.append(kept)
        self._spare = None
        return kept.mapped

    def _seal_newest(self, following: Segment) -> None:
        """Say where the newest segment ends, and that another follows; readers find it by its number."""
        if self._kept:
            newest = self._kept[-1]
            newest.stamp_ns = time.monotonic_ns()
            with memoryview(newest.mapped) as raw, raw[:PAGE].cast("Q") as words:
                words[layout.END_SEQ] = following.first_seq
        self._lane.set(layout.HEAD_SEGMENT, following.number)  # before the tail, which never is beyond it
        if not self._lane.get(layout.TAIL_SEGMENT):
            self._lane.set(layout.TAIL_SEGMENT, following.number)

    def unfinished(self) -> tuple[mmap.mmap, Segment, Path] | None:
        """Return the newest segment when it has not ended, mapped, for a publisher to go on in it; None else."""
        if not self._kept or self._kept[-1].number != self._lane.get(layout.HEAD_SEGMENT):
            return None
        newest = self._kept[-1]
        if not self._lane.get(layout.TAIL_SEGMENT):  # who made the first one was killed before it said so
            self._lane.set(layout.TAIL_SEGMENT, self._kept[0].number)
        with memoryview(newest.mapped) as raw, raw[:PAGE].cast("Q") as words:
            ended = words[layout.END_SEQ]
        return None if ended else (newest.mapped, header_of(newest.mapped, newest.path), newest.path)

    def oldest_end(self) -> int:
        """Return the sequence behind the last message of the oldest segment."""
        return self._kept[1].first_seq if len(self._kept) > 1 else self._lane.head

    def around(self, seq: int) -> tuple[Kept, int]:
        """Return the segment that has a committed message, and the sequence behind its last one."""
        end = self._lane.head
        for kept in reversed(self._kept):
            if kept.first_seq <= seq:
                return kept, end
            end = kept.first_seq
        raise ChecksumError(f"{self._stream} is damaged: lane {self._lane.number} does not have message {seq}.")

    def forget(self, seq: int) -> None:
        """Let go of the segments whose messages are all before a sequence; the newest stays."""
        while len(self._kept) > 1 and self._kept[1].first_seq <= seq:
            oldest = self._kept.popleft()
            self._lane.set(layout.TAIL_SEGMENT, self._kept[0].number)
            _let_go(oldest)

    def leaving(self, wanted: int) -> int:
        """Return the sequence before which messages leave memory when a segment of so many bytes is begun."""
        total = wanted + sum(kept.file_bytes for kept in self._kept)
        ends = [*(kept.first_seq for kept in self._kept), self._lane.head]
        gone = 0
        while gone < len(self._kept) and total > self._retention_bytes:
            total -= self._kept[gone].file_bytes
            gone += 1
        return ends[gone]

    def newest_stamp_ns(self, form: Reads) -> int:
        """Return when the last message was published, as far as it is there; 0 else."""
        head = self._lane.head
        for kept in reversed(self._kept):
            if kept.first_seq < head:
                return form.reader(kept.mapped, header_of(kept.mapped, kept.path), kept.path).stamp(head - 1)
        return 0

    def _has_room(self, wanted: int) -> bool:
        """Tell whether another segment fits when those go that may."""
        total = wanted + sum(kept.file_bytes for kept in self._kept)
        ends = [*(kept.first_seq for kept in self._kept), self._lane.head][1:]
        for kept, end in zip(self._kept, ends, strict=False):
            if total <= self._retention_bytes:
                return True
            if not self._may_go(end):
                return False
            total -= kept.file_bytes
        return True

    def _retire(self, wanted: int) -> None:
        """Let the oldest segments go until another fits; one of that size that nobody reads is the spare, locked."""
        total = wanted + sum(kept.file_bytes for kept in self._kept)
        while self._kept and total > self._retention_bytes:
            oldest = self._kept.popleft()
            total -= oldest.file_bytes
            first = self._kept[0] if self._kept else None
            self._lane.set(layout.TAIL, max(self._lane.tail, first.first_seq if first else self._lane.head))
            self._lane.set(layout.TAIL_SEGMENT, first.number if first else 0)
            if self._spare is None and oldest.file_bytes == wanted and try_flock(oldest.fd, fcntl.LOCK_EX):
                self._spare = oldest
            else:
                _let_go(oldest)

    def _anew(self, spare: Kept, segment: Segment) -> Kept:
        return Kept(segment.number, segment.first_seq, spare.path, spare.fd, spare.mapped, spare.file_bytes)

    def _fresh(self, segment: Segment) -> Kept:
        """Make a segment, with all of its memory, under a name that no reader looks for."""
        path = segment_path(self._stream, self._lane.number, segment.number).with_suffix(".part")
        with refused(path):
            fd = own(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        try:
            with refused(path):
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.ftruncate(fd, segment.file_bytes)
            allocate(fd, [(0, segment.file_bytes)], self._stream)
            with refused(path):
                mapped = mmap.mmap(fd, segment.file_bytes)
        except BaseException:
            os.unlink(path)
            _close(fd)
            raise
        platform.populate(np.frombuffer(mapped, np.uint8).ctypes.data, segment.file_bytes)
        return Kept(segment.number, segment.first_seq, path, fd, mapped, segment.file_bytes)

    def close(self) -> None:
        """Let go of all segments; they stay for readers, and for the next publisher of the lane."""
        spare, self._spare = self._spare, None
        for fd in {kept.fd for kept in (*self._kept, spare) if kept is not None}:
            _close(fd)
        self._kept.clear()


def adopted(stream: Path, stream_id: str, lane: Lane) -> list[Kept]:
    """Return the segments that the lane's last publisher left, oldest first; what it did not finish is removed."""
    oldest, newest = lane.get(layout.TAIL_SEGMENT), lane.get(layout.HEAD_SEGMENT)
    found: list[Kept] = []
    try:
        for path in stream.glob(f"{lane.number}-*"):
            number = path.name.partition("-")[2]
            wanted = number.isdecimal() and oldest <= int(number) <= newest
            kept = _adopt(path, stream_id, lane.number, int(number)) if wanted else None
            if kept is None:
                path.unlink(missing_ok=True)
            else:
                found.append(kept)
    except BaseException:
        for kept in found:
            _close(kept.fd)
        raise
    return sorted(found, key=lambda kept: kept.number)


def _adopt(path: Path, stream_id: str, lane: int, number: int) -> Kept | None:
    with refused(path):
        fd = own(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC))
    try:
        with refused(path):
            fcntl.flock(fd, fcntl.LOCK_SH)
            size = os.fstat(fd).st_size
            if size < PAGE:
                raise ChecksumError(f"{path} is damaged: it has {size} bytes. Remove the stream.")
            mapped = mmap.mmap(fd, 0)
        segment = header_of(mapped, path)
    except BaseException:
        _close(fd)
        raise
    if (segment.stream_id, segment.lane, segment.number) != (stream_id, lane, number):
        _close(fd)
        return None
    return Kept(number, segment.first_seq, path, fd, mapped, segment.file_bytes)


def _let_go(kept: Kept) -> None:
    """Remove a segment; its memory is free at once when nobody reads it, else with the last view."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(kept.path)
    if try_flock(kept.fd, fcntl.LOCK_EX):
        platform.punch_hole(kept.fd, 0, kept.file_bytes)
    _close(kept.fd)


def _close(fd: int) -> None:
    disown(fd)
    os.close(fd)
