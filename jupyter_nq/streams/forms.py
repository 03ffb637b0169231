"""The two forms of a stream, tape and log, as publisher and consumer see them."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.streams.control import MappedControl
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.log import LogForm
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.schema import schema_of
from jupyter_nq.streams.tape import TapeForm


class Writer(Protocol):
    """A segment that is being written, by one thread at a time."""

    def write(self, item: Any, stamp_ns: int, seq: int) -> bool:
        """Write a message, which exists when the lane's head has passed it.

        False when there is no room, or the message is not the one behind the last written: an interrupt came between
        writing that and moving the head. Then another segment is begun.
        """


class Reader(Protocol):
    """A segment as a consumer maps it."""

    raw: memoryview
    """All of its bytes."""
    epoch: int
    """Of its schema."""

    def pieces(self, start: int, stop: int) -> list[tuple[int, memoryview]]:
        """Return all bytes of the messages from `start` to before `stop`, each run with its place in the segment."""

    def stamp(self, seq: int) -> int:
        """Return when a message was published, nanoseconds since 1970, UTC."""

    def row_stamps(self, start: int, stop: int) -> Array:
        """Return, of each row of the messages from `start` to before `stop`, when its message was published."""

    def rows(self, start: int, stop: int) -> int:
        """Return how many rows the messages from `start` to before `stop` have; one without columns counts as one."""

    def message(self, seq: int, lane: int) -> Message:
        """Return a message."""

    def batches(self, start: int, stop: int) -> list[pa.RecordBatch]:
        """Return the messages from `start` to before `stop` as batches; a tape has one."""


class Reads(Protocol):
    """What opens segments for reading."""

    def reader(self, mapped: mmap.mmap, segment: Segment, path: Path) -> Reader:
        """Return what reads a segment; its file is for errors."""


class Form(Protocol):
    """What all segments of an epoch of a stream have in common."""

    def known(self) -> pa.Schema | None:
        """Return the schema; None for a log that had no batch yet."""

    def item(self, data: Any, metadata: Any) -> Any:
        """Check a message and return it as it is written."""

    def segment_bytes(self, item: Any) -> int:
        """Return the size of a segment that this message needs."""

    def sizes(self, file_bytes: int) -> tuple[int, int]:
        """Return for how many messages and rows a segment has room; zeros where that depends on them."""

    def writer(self, mapped: mmap.mmap, segment: Segment) -> Writer:
        """Return what writes into a new segment."""

    def resumed(self, mapped: mmap.mmap, segment: Segment, path: Path, seq: int) -> Writer:
        """Return what writes on in a segment, from a message on; `ChecksumError` when the one before is damaged."""

    def reader(self, mapped: mmap.mmap, segment: Segment, path: Path) -> Reader:
        """Return what reads a segment; its file is for errors."""


class Epochs:
    """Opens the segments of a stream, each with the schema of its epoch."""

    def __init__(self, control: MappedControl) -> None:
        self._control = control
        self._forms: dict[int, Form] = {}

    def __repr__(self) -> str:
        return f"<Epochs of {self._control.static.name}, {sorted(self._forms)} known>"

    def reader(self, mapped: mmap.mmap, segment: Segment, path: Path) -> Reader:
        """Return what reads a segment; its file is for errors."""
        return self.form(segment.epoch).reader(mapped, segment, path)

    def form(self, epoch: int) -> Form:
        """Return the form of an epoch."""
        form = self._forms.get(epoch)
        if form is None:
            form = self._forms[epoch] = form_of(self._control, epoch)
        return form


def form_of(control: MappedControl, epoch: int | None = None) -> Form:
    """Return the form of an epoch of a stream, None for that of now."""
    static = control.static
    schema = schema_of(control.path, static, control.epoch if epoch is None else epoch)
    if static.form == "tape":
        assert schema is not None
        return TapeForm(static.name, schema)
    return LogForm(static.name, schema, control.path)


def stamped(reader: Reader, start: int, stop: int) -> list[tuple[pa.RecordBatch, Array]]:
    """Return messages as batches, and of each row when it was published."""
    batches = reader.batches(start, stop)  # checks where they begin and end
    stamps, row = reader.row_stamps(start, stop), 0
    found = []
    for batch in batches:
        found.append((batch, stamps[row : row + batch.num_rows]))
        row += batch.num_rows
    return found
