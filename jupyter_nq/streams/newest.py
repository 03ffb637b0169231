"""What was published last, for somebody who wants to see it and is no consumer: nothing is moved or counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from jupyter_nq.errors import UnsupportedData
from jupyter_nq.streams.control import Lane, MappedControl
from jupyter_nq.streams.cursor import Cursor
from jupyter_nq.streams.forms import Epochs, Reader, Reads
from jupyter_nq.streams.starting import visible_tail


@dataclass(frozen=True)
class Newest:
    """The newest message of a stream, or its last rows."""

    timestamp_ns: int
    """When it was published, nanoseconds since 1970, UTC."""
    sequence_number: int
    lane: int
    """Number of its publisher's lane."""
    table: pa.Table | None
    """The last rows, without a copy; of a tape those of several messages. None for a message without columns."""
    value: Any = None
    """What a message without columns is: JSON, or bytes."""


def newest(control: MappedControl, rows: int) -> Newest | None:
    """Return what was published last, of all publishers; None when nothing is kept.

    Parameters
    ----------
    control
        The stream's control file.
    rows
        How many rows at most.

    Raises
    ------
    ChecksumError
        It is damaged.
    """
    form = Epochs(control)
    found = [last for lane in control.lanes() if (last := _last(control, form, lane)) is not None]
    if not found:
        return None
    stamp_ns, seq, number, reader = max(found, key=lambda last: last[:3])
    try:
        batches = _batches(control, form, control.lane(number), seq, rows)
    except UnsupportedData:
        return Newest(stamp_ns, seq, number, None, reader.message(seq, number).data)
    if not batches:  # it was dropped, or let go of, meanwhile
        return None
    table = pa.Table.from_batches(batches)
    return Newest(stamp_ns, seq, number, table.slice(max(0, len(table) - rows)))


def _last(control: MappedControl, form: Reads, lane: Lane) -> tuple[int, int, int, Reader] | None:
    """Return time, sequence and number of the lane's newest message, and what reads it."""
    if lane.head == visible_tail(control, form, lane):
        return None
    cursor = Cursor(control, form, lane, lane.head - 1)
    ready = cursor.available()
    return None if ready is None else (ready[0].stamp(cursor.seq), cursor.seq, lane.number, ready[0])


def _batches(control: MappedControl, form: Reads, lane: Lane, seq: int, rows: int) -> list[pa.RecordBatch]:
    """Return the newest message, of a tape the newest ones of its schema: each has a row, unless it has none."""
    first = seq if control.static.form == "log" else max(visible_tail(control, form, lane), seq + 1 - rows)
    cursor = Cursor(control, form, lane, first)
    found: list[pa.RecordBatch] = []
    epoch = 0
    while cursor.seq <= seq and (ready := cursor.available()):
        reader, stop = ready
        stop = min(stop, seq + 1)
        if reader.epoch != epoch:  # no table mixes two schemas
            found, epoch = [], reader.epoch
        if stop > cursor.seq:
            found += reader.batches(cursor.seq, stop)
        cursor.advance(stop)
    return found
