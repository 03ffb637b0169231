"""Where one consumer is in one lane, and what it has mapped of it."""

from __future__ import annotations

import mmap
from pathlib import Path

from jupyter_nq.buffers.layout import PAGE
from jupyter_nq.errors import ChecksumError
from jupyter_nq.streams import layout
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.forms import Reader, Reads
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

    def __init__(self, control: MappedControl, form: Reads, lane: Lane, seq: int) -> None:
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
    def number(self) -> int:
        """Number of the segment that was read last; 0 before the first."""
        return self._number

    @property
    def lag(self) -> int:
        """Messages that are committed and were not read."""
        return max(0, self.lane.head - self.seq)

    def available(self) -> tuple[Reader, int] | None:
        """Return what reads the next messages, and the sequence behind them; None when there are none.

        They are those of one segment. Where the lane has let go of messages, the position moves to the oldest one that
        is there: the caller sees by `seq` how many it missed.

        Raises
        ------
        ChecksumError
            What should be there is not.
        """
        while (head := self.lane.head) > self.seq:
            if self._reader is None:
                if not self._open():
                    return None
                continue  # perhaps with a later message, which the head has to have passed
            end = self._page[layout.END_SEQ]
            if not end or self.seq < end:
                return self._reader, min(head, end or head)
            self._reader = None
        return None

    def advance(self, seq: int) -> bool:
        """Move to a sequence of what was available; tells whether that was the last of its segment."""
        self.seq = seq
        return bool(seq == self._page[layout.END_SEQ])

    def seek(self, seq: int) -> None:
        """Move anywhere."""
        self.seq = seq
        self._number = 0
        self._reader = None

    def _open(self) -> bool:
        """Map the segment that has the next message, which the head has passed, or the oldest that is there.

        False when the stream was dropped, and all of them with it.
        """
        number = self._number + 1 if self._number else self._find()
        for _ in range(_MOST_TRIES):
            oldest, newest = self.lane.get(layout.TAIL_SEGMENT), self.lane.get(layout.HEAD_SEGMENT)
            number = max(number, oldest)
            if not oldest or number > newest:
                break
            found = self._map(number)
            if found is not None:
                self._enter(number, *found)
                return True
            if self._control.closed:
                return False
            # it went meanwhile, and the oldest is another
        raise ChecksumError(
            f"{self._path(number)} is damaged or gone: lane {self.lane.number} says that it has message {self.seq}. "
            "Seek another position, or remove the stream."
        )

    def _enter(self, number: int, mapped: mmap.mmap, segment: Segment) -> None:
        self._reader = self._form.reader(mapped, segment, self._path(number))
        self._page = memoryview(mapped)[:PAGE].cast("Q")
        self._number = number
        self.seq = max(self.seq, segment.first_seq)

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
        return map_segment(self._path(number), self._control.static.stream_id, self.lane.number, number)

    def _path(self, number: int) -> Path:
        return segment_path(self._control.path, self.lane.number, number)
