"""Reading: every consumer has a cursor of its own in each lane, and sees every message."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.cursor import Cursor
from jupyter_nq.streams.tape import TapeForm


@dataclass(frozen=True, slots=True)
class Message:
    """One message, as it was published."""

    data: Any
    timestamp_ns: int
    sequence_number: int
    lane: int


class Subscription:
    """A consumer of one stream."""

    def __init__(self, control: MappedControl, start: str = "latest") -> None:
        self._control = control
        self._form = TapeForm(pa.ipc.read_schema(pa.py_buffer(control.static.schema)))
        self._start = start
        self._cursors: list[Cursor] = []
        self._known: set[int] = set()
        self.lost = 0
        self._look_for_lanes(start)

    def _look_for_lanes(self, start: str) -> None:
        for number in range(self._control.static.lanes):
            if number in self._known:
                continue
            lane = self._control.lane(number)
            seq = lane.head if start == "latest" else lane.tail
            self._cursors.append(Cursor(self._control, self._form, lane, seq))
            self._known.add(number)

    def read_batch(self, timeout: float = 0.0, limit: int = 1 << 62) -> pa.RecordBatch | None:
        """Return what was published since the last call, of one lane and segment, as one batch; None for nothing."""
        deadline = time.monotonic() + timeout if timeout else 0.0
        while True:
            for cursor in self._cursors:
                before = cursor.seq
                found = cursor.take(limit)
                if found is not None:
                    reader, start, stop = found
                    self._count_lost(start - before)
                    return reader.batch(start, stop)
            if not timeout:
                return None
            seen = self._control.news.seen()
            if any(cursor.lag for cursor in self._cursors):
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._control.news.wait(seen, left)

    def _count_lost(self, lost: int) -> None:
        self.lost += lost
