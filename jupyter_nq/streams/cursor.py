"""Where one consumer is in one lane, and what it has mapped of it."""

from __future__ import annotations

import mmap
from typing import Any

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.reading import map_segment
from jupyter_nq.streams.rolling import segment_path
from jupyter_nq.streams.tape import TapeForm, TapeReader

_MOST_TRIES = 1000


class Cursor:
    """A position in a lane: the sequence of the next message, and the segment that has it.

    Parameters
    ----------
    control
        The stream's control file.
    lane
        Words of the lane.
    seq
        Sequence of the first message to be read.
    """

    def __init__(self, control: MappedControl, form: TapeForm, lane: Lane, seq: int) -> None:
        self._control = control
        self._form = form
        self._lane = lane
        self.seq = seq
        self._number = 0
        self._reader: TapeReader | None = None
        self._header: Any = None  # words of the segment's first page

    @property
    def lag(self) -> int:
        """Messages that are committed and not read."""
        return self._lane.head - self.seq

    def take(self, limit: int) -> tuple[TapeReader, int, int] | None:
        """Move behind the next messages of one segment, at most `limit`; returns its reader and the two sequences.

        None when there are none. Where the lane has let go of messages the position moves to the oldest, and the
        caller sees by `seq` how many it missed.
        """
        head = self._lane.head
        if head <= self.seq:
            return None
        while True:
            if self._reader is None and not self._open():
                return None
            end = self._header[layout.END_SEQ]
            if not end or self.seq < end:
                break
            self._leave()
        assert self._reader is not None
        start = self.seq
        self.seq = min(head, end or head, start + limit)
        return self._reader, start, self.seq

    def _leave(self) -> None:
        self._reader = self._header = None

    def _open(self) -> bool:
        """Map the segment that has the next message, or the oldest that is there; False when the lane has none."""
        number = self._number + 1 if self._number else self._find()
        for _ in range(_MOST_TRIES):
            oldest, newest = self._lane.get(layout.TAIL_SEGMENT), self._lane.get(layout.HEAD_SEGMENT)
            number = max(number, oldest)
            if not oldest or number > newest:
                self.seq = max(self.seq, self._lane.tail)
                return False
            found = self._map(number)
            if found is None:
                continue  # it went meanwhile, and the oldest is another
            mapped, segment = found
            self._reader = TapeReader(self._form, mapped, segment)
            self._header = memoryview(mapped)[:PAGE].cast("Q")
            self._number = number
            self.seq = max(self.seq, segment.first_seq)
            return True
        raise ChecksumError(f"{self._control.path}: segment {number} of lane {self._lane.number} cannot be found.")

    def _find(self) -> int:
        """Return the number of the segment that has the next message; of an older one when it is not there."""
        oldest, number = self._lane.get(layout.TAIL_SEGMENT), self._lane.get(layout.HEAD_SEGMENT)
        while number > oldest:
            found = self._map(number)
            if found is None or found[1].first_seq <= self.seq:
                break
            number -= 1
        return number

    def _map(self, number: int) -> tuple[mmap.mmap, Segment] | None:
        path = segment_path(self._control.path, self._lane.number, number)
        return map_segment(path, self._control.static.stream_id, self._lane.number, number)
