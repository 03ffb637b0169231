"""The tape: rows of a fixed width, each column one array in a segment, so that any run of messages is one batch.

A segment has, behind its header page: the time of each message, where each message ends (the row in the lower 40 bits,
what it was published as above them), and the columns. Nothing of it changes once the lane's head has passed it.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.layout import PAGE, align
from jupyter_nq.errors import ChecksumError, SchemaMismatch
from jupyter_nq.streams.columns import Column, columns_of, offsets, values_of
from jupyter_nq.streams.layout import Segment

ROW_BITS = 40
_ROW = (1 << ROW_BITS) - 1
_SLOT_BYTES = 16  # time and end of a message


class TapeForm:
    """What all segments of one tape have in common."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.columns = columns_of(schema)
        self._row_bytes = sum(column.bytes for column in self.columns)

    def rows_in(self, file_bytes: int) -> int:
        """Return how many rows, each a message of its own, a segment of this size has room for."""
        slack = PAGE + 64 * len(self.columns)
        return (file_bytes - slack) // (_SLOT_BYTES + self._row_bytes)

    def file_bytes(self, rows: int) -> int:
        """Return the size of a segment for so many rows, each a message of its own."""
        return align(self.places(rows)[1])

    def places(self, rows: int) -> tuple[list[int], int]:
        """Return where the columns of a segment for so many rows begin, and where the last ends."""
        return offsets(self.columns, rows, PAGE + rows * _SLOT_BYTES)


class TapeWriter:
    """A segment that is being written, by one thread at a time."""

    __slots__ = ("_arrays", "_ends", "_form", "_row", "_slot", "_stamps", "_views", "rows")

    def __init__(self, form: TapeForm, mapped: mmap.mmap, segment: Segment) -> None:
        self._form = form
        self.rows = segment.rows
        raw = memoryview(mapped)
        stop = PAGE + 8 * segment.slots
        self._stamps = raw[PAGE:stop].cast("q")
        self._ends = raw[stop : stop + 8 * segment.slots].cast("Q")
        starts, _ = form.places(segment.rows)
        pieces = [raw[at : at + self.rows * column.bytes] for at, column in zip(starts, form.columns, strict=True)]
        self._views = tuple(piece.cast(_castable(c)) for piece, c in zip(pieces, form.columns, strict=True))
        self._arrays = [np.frombuffer(piece, c.format) for piece, c in zip(pieces, form.columns, strict=True)]
        self._row = self._slot = 0

    def has_room(self, rows: int) -> bool:
        """Tell whether a message of so many rows fits."""
        return self._row + rows <= self.rows and self._slot < self.rows

    def write_row(self, values: Sequence[Any], stamp_ns: int, kind: int) -> None:
        """Write one row as the next message; it exists when the lane's head has passed it.

        Raises
        ------
        TypeError, ValueError
            A value is not what its column takes. Nothing was written.
        """
        row = self._row
        for view, value in zip(self._views, values, strict=True):
            view[row] = value
        self._end(row + 1, stamp_ns, kind)

    def write_batch(self, batch: pa.RecordBatch, stamp_ns: int, kind: int) -> None:
        """Write a batch of the tape's schema as the next message; it exists when the lane's head has passed it."""
        row, stop = self._row, self._row + batch.num_rows
        columns = self._form.columns
        found = [values_of(batch, column, position) for position, column in enumerate(columns)]
        for array, values in zip(self._arrays, found, strict=True):
            array[row:stop] = values
        self._end(stop, stamp_ns, kind)

    def _end(self, row: int, stamp_ns: int, kind: int) -> None:
        slot = self._slot
        self._stamps[slot] = stamp_ns
        self._ends[slot] = kind << ROW_BITS | row
        self._slot = slot + 1
        self._row = row


class TapeReader:
    """A segment as a consumer maps it; its batches keep the mapping."""

    def __init__(self, form: TapeForm, mapped: mmap.mmap, segment: Segment) -> None:
        if form.places(segment.rows)[1] > segment.file_bytes or segment.slots != segment.rows:
            raise ChecksumError(f"segment {segment.number} has room for fewer rows than it says")
        raw = memoryview(mapped)
        stop = PAGE + 8 * segment.slots
        self.first = segment.first_seq
        self._stamps = raw[PAGE:stop].cast("q")
        self._ends = raw[stop : stop + 8 * segment.slots].cast("Q")
        buffer = pa.py_buffer(mapped)
        starts, _ = form.places(segment.rows)
        self._whole = pa.RecordBatch.from_arrays(
            [
                pa.Array.from_buffers(c.type, segment.rows, [None, buffer.slice(at, segment.rows * c.bytes)])
                for at, c in zip(starts, form.columns, strict=True)
            ],
            schema=form.schema,
        )

    def rows_before(self, seq: int) -> int:
        """Return the row at which a message begins."""
        return self._ends[seq - self.first - 1] & _ROW if seq > self.first else 0

    def batch(self, start: int, stop: int) -> pa.RecordBatch:
        """Return the rows of the messages from `start` to before `stop` as one batch; nothing is copied."""
        first, last = self.rows_before(start), self.rows_before(stop)
        if not first <= last <= self._whole.num_rows:
            raise ChecksumError(f"messages {start} to {stop} have rows {first} to {last}")
        return self._whole.slice(first, last - first)

    def stamp(self, seq: int) -> int:
        """Return when a message was published, nanoseconds since 1970, UTC."""
        return self._stamps[seq - self.first]

    def kind(self, seq: int) -> int:
        """Return what a message was published as."""
        return self._ends[seq - self.first] >> ROW_BITS

    def stamps(self, start: int, stop: int) -> memoryview:
        """Return the times of the messages from `start` to before `stop`."""
        return self._stamps[start - self.first : stop - self.first]


def _castable(column: Column) -> str:
    """Return the format for `memoryview.cast`, which has no half floats: their bits are written then."""
    return "H" if column.format == "e" else column.format


def row_of(values: Any, form: TapeForm) -> Sequence[Any]:
    """Return the values of a mapping in the order of the columns; `SchemaMismatch` when it has others."""
    names = form.schema.names
    if values.keys() != set(names):
        raise SchemaMismatch(f"The row has {', '.join(map(str, values))}; the stream has {', '.join(names)}.")
    return [values[name] for name in names]
