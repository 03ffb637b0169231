"""The tape: rows of a fixed width, each column one array in a segment, so that any run of messages is one batch.

A segment has, behind its header page: the time of each message, where each message ends (the row in the lower 40 bits,
what it was published as above them), and the columns. Nothing of it changes once the lane's head has passed it.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.layout import PAGE, align
from jupyter_nq.buffers.parallel import most_threads
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.errors import ChecksumError, SchemaMismatch, UnsupportedData
from jupyter_nq.streams.columns import FOR_THREADS, Column, cast, check_same, columns_of, numbers, offsets
from jupyter_nq.streams.kinds import FRAME, ROW, as_batch, from_batch
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.messages import Message

ROW_BITS = 40
_ROW = (1 << ROW_BITS) - 1
_SLOT_BYTES = 16  # time and end of a message
_ROW_KIND = ROW << ROW_BITS


@dataclass(frozen=True, slots=True)
class Item:
    """A message on its way onto a tape."""

    kind: int
    rows: int
    values: list[Array]
    """Of each column; views of what was published."""


class TapeForm:
    """What all segments of one tape have in common."""

    def __init__(self, name: str, schema: pa.Schema) -> None:
        self.name = name
        self.schema = schema
        self.columns = columns_of(schema)
        self._row_bytes = _SLOT_BYTES + sum(column.bytes for column in self.columns)

    def known(self) -> pa.Schema:
        """Return the schema."""
        return self.schema

    def item(self, data: Any, metadata: Any) -> Item:
        """Check a message and return it as it is written: rows of the tape's schema, or one as a tuple or dict.

        Raises
        ------
        SchemaMismatch, UnsupportedData
        """
        if metadata:
            raise UnsupportedData(f"The stream {self.name!r} is a tape, which keeps rows and no metadata: make a log.")
        if isinstance(data, (tuple, list)):
            data = self._named(data)
        found = as_batch(data, self.schema)
        batch, kind = found if found is not None else (self._row(data), ROW)
        check_same(self.schema, batch.schema, self.name)
        values = [self._values(column, array) for column, array in zip(self.columns, batch.columns, strict=True)]
        return Item(kind, batch.num_rows, values)

    def _values(self, column: Column, array: pa.Array) -> Array:
        if array.null_count:
            raise UnsupportedData(
                f"Column {column.name!r} has {array.null_count:,} nulls, and a tape has no room for them. Make the "
                "stream with form='log'."
            )
        return numbers(array, column)

    def _named(self, values: Sequence[Any]) -> dict[str, Any]:
        names = self.schema.names
        if len(values) != len(names):
            raise SchemaMismatch(
                f"The row has {len(values)} values; the stream {self.name!r} has {len(names)}: {', '.join(names)}."
            )
        return dict(zip(names, values, strict=True))

    def _row(self, data: Any) -> pa.RecordBatch:
        """Return one row, whose values may be of any type that Arrow converts."""
        if not isinstance(data, Mapping):
            raise UnsupportedData(f"A tape takes rows: frames, tables, dicts, tuples; not {type(data).__name__}.")
        if data.keys() != set(self.schema.names):
            raise SchemaMismatch(
                f"The row has {', '.join(map(str, data))}; the stream {self.name!r} has {', '.join(self.schema.names)}."
            )
        return pa.RecordBatch.from_arrays(
            [self._cell(field, data[field.name]) for field in self.schema], schema=self.schema
        )

    def _cell(self, field: pa.Field, value: Any) -> pa.Array:
        refused = f"A row does not fit the stream {self.name!r}: {field.name}"
        if isinstance(value, datetime) and value.tzinfo is None and getattr(field.type, "tz", None) is not None:
            raise SchemaMismatch(f"{refused} has a zone, {value!r} has none. Give it one: .replace(tzinfo=...).")
        try:
            array = pa.array([value], field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
            raise SchemaMismatch(f"{refused} is {field.type}, not {value!r}.") from exc
        if pa.types.is_integer(field.type) and array[0].as_py() != value:  # Arrow cuts fractions off
            raise SchemaMismatch(f"{refused} is {field.type}, not {value!r}.")
        return array

    def segment_bytes(self, item: Item) -> int:
        """Return the size of a segment that this message needs."""
        return align(self.places(max(1, item.rows))[1])

    def sizes(self, file_bytes: int) -> tuple[int, int]:
        """Return for how many messages and rows a segment has room, as many of the one as of the other."""
        rows = (file_bytes - PAGE) // self._row_bytes
        while self.places(rows)[1] > file_bytes:  # columns begin at cache lines
            rows -= 1
        return rows, rows

    def places(self, rows: int) -> tuple[list[int], int]:
        """Return where the columns of a segment for so many rows begin, and where the last ends."""
        return offsets(self.columns, rows, PAGE + rows * _SLOT_BYTES)

    def writer(self, mapped: mmap.mmap, segment: Segment) -> TapeWriter:
        """Return what writes into a new segment."""
        return TapeWriter(self, mapped, segment)

    def resumed(self, mapped: mmap.mmap, segment: Segment, path: Path, seq: int) -> TapeWriter:
        """Return what writes on in a segment, from a message on; `ChecksumError` when the one before is damaged."""
        count = seq - segment.first_seq
        row = self.reader(mapped, segment, path).batch(segment.first_seq, seq).num_rows if count else 0
        return TapeWriter(self, mapped, segment, count, row)

    def reader(self, mapped: mmap.mmap, segment: Segment, path: Path) -> TapeReader:
        """Return what reads a segment; its file is for errors."""
        return TapeReader(self, mapped, segment, path)


class TapeWriter:
    """A segment that is being written, by one thread at a time."""

    __slots__ = ("_arrays", "_ends", "_first", "_row", "_rows", "_slot", "_stamps", "_views")

    def __init__(self, form: TapeForm, mapped: mmap.mmap, segment: Segment, slot: int = 0, row: int = 0) -> None:
        self._rows = segment.rows
        self._first = segment.first_seq
        raw = memoryview(mapped)
        stop = PAGE + 8 * segment.slots
        self._stamps = raw[PAGE:stop].cast("q")
        self._ends = raw[stop : stop + 8 * segment.slots].cast("Q")
        starts, _ = form.places(segment.rows)
        pieces = [raw[at : at + segment.rows * column.bytes] for at, column in zip(starts, form.columns, strict=True)]
        plain = all(column.format != "e" for column in form.columns)  # no memoryview has half floats
        self._views = tuple(cast(p, c.format) for p, c in zip(pieces, form.columns, strict=True)) if plain else ()
        self._arrays = [np.frombuffer(piece, c.format) for piece, c in zip(pieces, form.columns, strict=True)]
        self._slot, self._row = slot, row

    def write_row(self, values: Sequence[Any], stamp_ns: int, seq: int) -> bool:
        """Write one row of plain numbers as a message; False as for `write`.

        Raises
        ------
        TypeError, ValueError
            A value is not what its column takes. Nothing was written.
        """
        row, slot = self._row, self._slot
        if row == self._rows or slot == self._rows or seq != self._first + slot:
            return False
        for view, value in zip(self._views, values, strict=True):
            view[row] = value
        self._slot = slot + 1  # before the rest: whoever is interrupted here begins another segment
        self._stamps[slot] = stamp_ns
        self._row = row = row + 1
        self._ends[slot] = _ROW_KIND | row
        return True

    def write(self, item: Item, stamp_ns: int, seq: int) -> bool:
        """Write a message, which exists when the lane's head has passed it; False as `Writer.write` says."""
        row, slot = self._row, self._slot
        stop = row + item.rows
        if stop > self._rows or slot == self._rows or seq != self._first + slot:
            return False
        self._slot = slot + 1
        for array, values in zip(self._arrays, item.values, strict=True):
            if values.nbytes < FOR_THREADS:
                array[row:stop] = values
            else:
                _copy_by_threads(array[row:stop], values)
        self._stamps[slot] = stamp_ns
        self._ends[slot] = item.kind << ROW_BITS | stop
        self._row = stop
        return True


def _copy_by_threads(target: Array, values: Array) -> None:
    """Copy a large column with Arrow's threads: two are nearly twice as fast as one."""
    writer = pa.FixedSizeBufferWriter(pa.py_buffer(target))
    writer.set_memcopy_threads(most_threads())
    writer.write(values)


class TapeReader:
    """A segment as a consumer maps it; its batches keep the mapping."""

    def __init__(self, form: TapeForm, mapped: mmap.mmap, segment: Segment, path: Path) -> None:
        if form.places(segment.rows)[1] > segment.file_bytes or segment.slots != segment.rows:
            raise ChecksumError(f"{path} is damaged: it has room for fewer rows than it says.")
        self.raw = raw = memoryview(mapped)
        stop = PAGE + 8 * segment.slots
        self.first = segment.first_seq
        self.epoch = segment.epoch
        self._form = form
        self._slots = segment.slots
        self._name = form.name
        self._path = path
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

    def batch(self, start: int, stop: int) -> pa.RecordBatch:
        """Return the rows of the messages from `start` to before `stop` as one batch; nothing is copied.

        Raises
        ------
        ChecksumError
            The segment does not have them.
        """
        first = self._end(start - 1) & _ROW if start > self.first else 0
        last = self._end(stop - 1) & _ROW
        if not first <= last <= self._whole.num_rows:
            raise ChecksumError(f"{self._path} is damaged: messages {start} to {stop} would be rows {first} to {last}.")
        return self._whole.slice(first, last - first)

    def _end(self, seq: int) -> int:
        try:
            return self._ends[seq - self.first]
        except IndexError:
            raise ChecksumError(f"{self._path} is damaged: message {seq} should be there, and has no place.") from None

    def rows(self, start: int, stop: int) -> int:
        """Return how many rows the messages from `start` to before `stop` have."""
        return (self._end(stop - 1) & _ROW) - (self._end(start - 1) & _ROW if start > self.first else 0)

    def pieces(self, start: int, stop: int) -> list[tuple[int, memoryview]]:
        """Return times, ends, and values of each column of the messages from `start` to before `stop`."""
        first = self._end(start - 1) & _ROW if start > self.first else 0
        rows = self.rows(start, stop)
        slot, slots = start - self.first, stop - start
        spans = [(PAGE + 8 * slot, 8 * slots), (PAGE + 8 * (self._slots + slot), 8 * slots)]
        starts, _ = self._form.places(self._slots)
        spans += [(at + first * c.bytes, rows * c.bytes) for at, c in zip(starts, self._form.columns, strict=True)]
        return [(at, self.raw[at : at + nbytes]) for at, nbytes in spans]

    def batches(self, start: int, stop: int) -> list[pa.RecordBatch]:
        """Return the messages from `start` to before `stop` as one batch."""
        return [self.batch(start, stop)]

    def stamp(self, seq: int) -> int:
        """Return when a message was published, nanoseconds since 1970, UTC."""
        self._end(seq)
        return self._stamps[seq - self.first]

    def row_stamps(self, start: int, stop: int) -> Array:
        """Return, of each row of the messages from `start` to before `stop`, when its message was published."""
        if stop == start + 1:
            return np.full(self.rows(start, stop), self.stamp(start))
        slots = slice(start - self.first, stop - self.first)
        ends = (np.asarray(self._ends[slots]) & np.uint64(_ROW)).astype(np.int64)
        counts = np.diff(ends, prepend=self._end(start - 1) & _ROW if start > self.first else 0)
        if counts.min(initial=0) < 0:
            raise ChecksumError(f"{self._path} is damaged: a message from {start} to {stop} ends before it begins.")
        return np.repeat(np.asarray(self._stamps[slots]), counts)

    def message(self, seq: int, lane: int) -> Message:
        """Return a message; the memory of its rows is the segment's."""
        batch, kind = self.batch(seq, seq + 1), self._end(seq) >> ROW_BITS
        if kind > FRAME or (kind == ROW and batch.num_rows != 1):
            raise ChecksumError(f"{self._path} is damaged: message {seq} is no row, or more than one.")
        return Message(from_batch(batch, kind), {}, self.stamp(seq), seq, lane, self._name, self.epoch)
