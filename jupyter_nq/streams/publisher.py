"""Publishing: write behind the head, then move the head. No other process takes part, and none is waited for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from jupyter_nq.errors import StreamFull
from jupyter_nq.streams import layout
from jupyter_nq.streams.columns import check_same
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.kinds import BATCH, ROW
from jupyter_nq.streams.lanes import Claim
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.rolling import Rolling
from jupyter_nq.streams.tape import TapeForm, TapeWriter


class Publisher:
    """One writer of a stream; threads may share it.

    Parameters
    ----------
    control
        The stream's control file.
    started_ns
        When this process began.
    """

    def __init__(self, control: MappedControl, started_ns: int = 0) -> None:
        # _lock guards all that follows: the lane, its segments, and the head that this process alone moves.
        self._control = control
        self._form = TapeForm(pa.ipc.read_schema(pa.py_buffer(control.static.schema)))
        self._lock = threading.Lock()
        self._claim = Claim(control, started_ns)
        self._started_ns = started_ns
        self._segment_bytes: int = control.static.options["segment_bytes"]
        self._retention_bytes: int = control.static.options["retention_bytes"]
        self._rolling = Rolling(control.path, self._claim.lane, self._retention_bytes, lambda _end: True)
        self._words = control.words
        self._place = layout.lane_word(self._claim.lane.number)
        self._ring = control.news.ring
        self._head = self._claim.lane.head
        self._stamp_ns = 0
        self._writer: TapeWriter | None = None

    def publish_row(self, values: Sequence[Any]) -> int:
        """Publish one row, its values in the order of the columns; returns the sequence of the message."""
        with self._lock:
            writer = self._writer
            if writer is None or not writer.has_room(1):
                writer = self._next(1)
            stamp_ns = time.time_ns()
            if stamp_ns < self._stamp_ns:  # the clock was set back: order and times of a lane never are
                stamp_ns = self._stamp_ns
            writer.write_row(values, stamp_ns, ROW)
            self._stamp_ns = stamp_ns
            seq = self._head
            self._head = self._words[self._place] = seq + 1
        self._ring()
        return seq

    def publish_batch(self, batch: pa.RecordBatch, kind: int = BATCH) -> int:
        """Publish a batch as one message; returns its sequence."""
        check_same(self._form.schema, batch.schema, self._control.static.name)
        rows = batch.num_rows
        with self._lock:
            writer = self._writer
            if writer is None or not writer.has_room(rows):
                writer = self._next(rows)
            stamp_ns = max(time.time_ns(), self._stamp_ns)
            writer.write_batch(batch, stamp_ns, kind)
            self._stamp_ns = stamp_ns
            seq = self._head
            self._head = self._words[self._place] = seq + 1
        self._ring()
        return seq

    def _next(self, rows: int) -> TapeWriter:
        """Begin another segment with room for a message of so many rows."""
        nbytes = max(self._segment_bytes, self._form.file_bytes(rows))
        if nbytes > self._retention_bytes // 2:
            raise StreamFull(
                f"A message of {rows:,} rows takes {nbytes:,} bytes; the stream {self._control.static.name!r} keeps "
                f"{self._retention_bytes:,}. Publish smaller batches, or make it with a larger retention."
            )
        room = max(rows, self._form.rows_in(nbytes))
        lane = self._claim.lane
        segment = Segment(
            self._control.static.stream_id,
            lane.number,
            lane.get(layout.HEAD_SEGMENT) + 1,
            self._head,
            "tape",
            room,
            room,
            nbytes,
            os.getpid(),
            self._started_ns,
            time.time_ns(),
        )
        mapped = self._rolling.begin(segment)
        assert mapped is not None
        self._writer = TapeWriter(self._form, mapped, segment)
        return self._writer

    def close(self) -> None:
        """Give the lane back; what was published stays."""
        with self._lock:
            self._writer = None
            self._rolling.close()
            self._claim.close()
