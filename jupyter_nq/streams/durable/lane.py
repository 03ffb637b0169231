"""Copying one lane to the disk: what is committed in memory and is not there yet, then one `fdatasync` for all of it.

Whoever holds the lock of a lane on the disk does it: its publisher while it lives; then the next one, or whoever opens
the stream. It reads the lane as a consumer does, so it needs nothing of the publisher, which waits for nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

from jupyter_nq.buffers.cold.copies import sync_directory
from jupyter_nq.buffers.cold.keys import KeyRing
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import open_lock_file, try_flock
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.errors import StoreError, StreamBusy
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.cursor import Cursor
from jupyter_nq.streams.durable.frames import MESSAGES, Frame, FrameReader, FrameWriter, Head, Piece
from jupyter_nq.streams.durable.home import Part, check_keys, is_unborn, part_path, parts
from jupyter_nq.streams.durable.schema import Schemas
from jupyter_nq.streams.forms import Reader, Reads

_FRAME_BYTES = 1 << 20  # 1 MiB: a frame is joined while other threads of the process wait
_PATIENCE_SECONDS = 1.0  # whoever catches up for a dead publisher is done in that time
_PAUSE_SECONDS = 0.002


class LaneWriter:
    """What copies a lane; one thread uses it at a time.

    Parameters
    ----------
    control, form, lane
        The stream, and the words of its lane.
    home
        Directory of the stream on the disk.
    keys
        Master keys, None when nothing is to be encrypted.
    patience_seconds
        How long to wait for somebody else who copies this lane.

    Raises
    ------
    StreamBusy
        Somebody else copies this lane.
    StoreError, ChecksumError, UnknownKey
        The disk refuses; what is there is damaged, another stream's, or encrypted.
    """

    def __init__(
        self,
        control: MappedControl,
        form: Reads,
        lane: Lane,
        home: Path,
        keys: KeyRing | None,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        check_keys(home, keys)
        self._stream_id = control.static.stream_id
        self._lane = lane
        self._home = home
        self._keys = keys
        self._schemas = Schemas(control, home, keys)
        self._file: FrameWriter | None = None
        self._number = 0
        self._head_bytes = self._synced_bytes = 0
        self._is_new = False  # the disk does not have the file's name yet
        self._tail_segment = 0
        self._lock = _locked(home / f"{lane.number}.lock", patience_seconds)
        try:
            self._cursor = Cursor(control, form, lane, self._begin())
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<LaneWriter of {self._lane!r}, {self._lane.get(layout.DURABLE)} on the disk>"

    def _begin(self) -> int:
        """Return what the disk has, and cut off what a writer that died had not finished."""
        end = 0
        found = parts(self._home, self._lane.number)
        newest = 0
        for part in reversed(found):
            if end and part.number != newest:  # all that is older ends before
                break
            newest = part.number
            end = max(end, self._end_of(part, is_last=part is found[-1]))
        if end > self._lane.head:
            raise StoreError(
                f"{self._home} has {end} messages of lane {self._lane.number}, memory {self._lane.head}: that is an "
                "older stream. Drop it (nq.drop_stream), or open it in the store that it belongs to."
            )
        self._lane.set(layout.DURABLE, end)
        return end

    def _end_of(self, part: Part, *, is_last: bool) -> int:
        if is_last and is_unborn(part.path):
            with refused(part.path):
                os.unlink(part.path)
            return 0
        reader = FrameReader(part.path)
        if reader.head.stream_id != self._stream_id:
            raise StoreError(f"{part.path} is of another stream. Remove it.")
        end = max((end for _, end in reader.spans()), default=0)
        if is_last and not reader.is_whole:
            with refused(part.path):
                os.truncate(part.path, reader.sound_bytes)
        return end

    # -- copying ---------------------------------------------------------------------------------
    def flush(self) -> None:
        """Return when the disk has all that was committed before the call.

        Raises
        ------
        StoreError, StoreFull
            The disk refuses; what it does not have is copied by the next call, as far as it is in memory then.
        """
        try:
            self._flush(self._lane.head)
        except BaseException:
            self._give_up()
            raise
        self._forget_old()

    def _flush(self, target: int) -> None:
        cursor = self._cursor
        if cursor.seq < target:
            self._schemas.keep()
        while (before := cursor.seq) < target:
            ready = cursor.available()
            if cursor.seq > before:
                self._count_missed(cursor.seq - before)
            if ready is None:  # it was dropped
                break
            self._copy(ready[0], min(ready[1], max(target, cursor.seq)))
        self._sync()

    def _count_missed(self, missed: int) -> None:
        self._lane.set(layout.MISSED, self._lane.get(layout.MISSED) + missed)

    def _copy(self, reader: Reader, stop: int) -> None:
        if self._file is None or self._number != self._cursor.number:
            self._sync()
            self._begin_file(reader)
        while self._cursor.seq < stop:
            assert self._file is not None
            start = self._cursor.seq
            end, pieces = _group(reader, start, stop)
            if self._file.size == self._head_bytes:
                pieces.insert(0, (0, reader.raw[: layout.STATIC_BYTES]))
            self._file.append(Frame(start, end, pieces))
            self._cursor.advance(end)

    def _begin_file(self, reader: Reader) -> None:
        self._close_file()
        lane, number = self._lane.number, self._cursor.number
        part = 1 + max((found.part for found in parts(self._home, lane) if found.number == number), default=-1)
        head = Head(self._stream_id, MESSAGES, lane, number, part)
        self._file = FrameWriter(part_path(self._home, lane, number, part), head, self._keys)
        self._head_bytes = self._synced_bytes = self._file.size
        self._number, self._is_new = number, True

    def _sync(self) -> None:
        """Have the disk take what was written, and only then say that it has it."""
        if self._file is not None and self._file.size > self._synced_bytes:
            self._file.sync()
            if self._is_new:
                with refused(self._home):
                    sync_directory(self._home)
                self._is_new = False
            self._synced_bytes = self._file.size
        self._lane.set(layout.DURABLE, self._cursor.seq)

    def _give_up(self) -> None:
        """Go back to what the disk has: what was written since may be there or not, and is written anew elsewhere."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # a torn frame is known by its digest, too
                os.truncate(self._file.path, self._synced_bytes)
            self._close_file()
        self._cursor.seek(self._lane.get(layout.DURABLE))

    def _forget_old(self) -> None:
        """Remove the files of segments that memory keeps no more; the newest stays, as it says how far the lane is."""
        oldest = self._lane.get(layout.TAIL_SEGMENT)
        if oldest == self._tail_segment:
            return
        found = parts(self._home, self._lane.number)
        for part in found:
            if part.number < oldest and part.number < found[-1].number:
                with refused(part.path):
                    part.path.unlink(missing_ok=True)
        self._tail_segment = oldest

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Give the lane on the disk back. Closing twice is fine."""
        self._close_file()
        fd, self._lock = self._lock, -1
        if fd >= 0:
            disown(fd)
            os.close(fd)


def _group(reader: Reader, start: int, stop: int) -> tuple[int, list[Piece]]:
    """Return messages from `start` on that make one frame: the sequence behind them, and their pieces."""
    while True:
        pieces = reader.pieces(start, stop)
        nbytes = sum(len(raw) for _, raw in pieces)
        if nbytes <= _FRAME_BYTES or stop == start + 1:
            return stop, pieces
        stop = start + max(1, (stop - start) * _FRAME_BYTES // (nbytes + 1))


def _locked(path: Path, patience_seconds: float) -> int:
    pause = threading.Event()
    deadline = time.monotonic() + patience_seconds
    fd = own(open_lock_file(path))
    while not try_flock(fd, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            disown(fd)
            os.close(fd)
            raise StreamBusy(f"Another process copies this lane to the disk: it holds {path}. End it, or wait for it.")
        pause.wait(_PAUSE_SECONDS)
    return fd
