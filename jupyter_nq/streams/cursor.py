"""Where one consumer is in one lane, and what it has mapped of it."""

from __future__ import annotations

import mmap

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.forms import Form, Reader
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.reading import map_segment
from jupyter_nq.streams.rolling import segment_path

_MOST_TRIES = 1000


class Cursor:
    """A position in a lane: the sequence of the next message, and the segment that has it.

    Parameters
    ----------
    control
        The stream's control file.
    form
        What its segments have in common.
    lane
        Words of the lane.
    seq
        Sequence of the first message to be read.
    """

    def __init__(self, control: MappedControl, form: Form, lane: Lane, seq: int) -> None:
        self._control = control
        self._form = form
        self.lane = lane
        self.seq = seq
        self._number = 0
        self._reader: Reader | None = None
        self._page = memoryview(b"")  # words of the segment's first page

    def __repr__(self) -> str:
        return f"<Cursor at {self.seq} of {self.lane!r}>"

    @property
    def lag(self) -> int:
        """Messages that are committed and were not read."""
        return self.lane.head - self.seq

    def available(self) -> tuple[Reader, int] | None:
        """Return what reads the next messages, and the sequence behind them; None when there are none.

        They are those of one segment. Where the lane has let go of messages, the position moves to the oldest one that
        is there: the caller sees by `seq` how many it missed.
        """
        head = self.lane.head
        if head <= self.seq:
            return None
        while True:
            if self._reader is None and not self._open():
                return None
            end = self._page[layout.END_SEQ]
            if not end or self.seq < end:
                assert self._reader is not None
                return self._reader, min(head, end or head)
            self._reader = None

    def advance(self, seq: int) -> bool:
        """Move to a sequence of what was available; tells whether that was the last of its segment."""
        self.seq = seq
        return seq == self._page[layout.END_SEQ]

    def seek(self, seq: int) -> None:
        """Move anywhere."""
        self.seq = seq
        self._number = 0
        self._reader = None

    def _open(self) -> bool:
        """Map the segment that has the next message, or the oldest that is there; False when the lane has none."""
        number = self._number + 1 if self._number else self._find()
        for _ in range(_MOST_TRIES):
            oldest, newest = self.lane.get(layout.TAIL_SEGMENT), self.lane.get(layout.HEAD_SEGMENT)
            number = max(number, oldest)
            if not oldest or number > newest:
                self.seq = max(self.seq, self.lane.tail)
                return False
            found = self._map(number)
            if found is None:
                continue  # it went meanwhile, and the oldest is another
            mapped, segment = found
            self._reader = self._form.reader(mapped, segment)
            self._page = memoryview(mapped)[:PAGE].cast("Q")
            self._number = number
            self.seq = max(self.seq, segment.first_seq)
            return True
        raise ChecksumError(f"{self._control.path}: segment {number} of lane {self.lane.number} cannot be found.")

    def _find(self) -> int:
        """Return the number of the segment that has the next message; of an older one when it is not there."""
        oldest, number = self.lane.get(layout.TAIL_SEGMENT), self.lane.get(layout.HEAD_SEGMENT)
        while number > oldest:
            found = self._map(number)
            if found is None or found[1].first_seq <= self.seq:
                break
            number -= 1
        return number

    def _map(self, number: int) -> tuple[mmap.mmap, Segment] | None:
        path = segment_path(self._control.path, self.lane.number, number)
        return map_segment(path, self._control.static.stream_id, self.lane.number, number)
