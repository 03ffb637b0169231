"""The log: messages of any kind behind each other in a segment, and a slot of 64 bytes for each from its end.

Batches are written by Arrow straight into the segment, as a stream of its IPC format; what is no batch goes between
them. Nothing of a segment changes once the lane's head has passed it.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from jupyter_nq.buffers.layout import PAGE, UNREADABLE, align
from jupyter_nq.buffers.parallel import most_threads
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.errors import ChecksumError, UnsupportedData
from jupyter_nq.streams.columns import FOR_THREADS, check_same
from jupyter_nq.streams.kinds import BYTES, JSON, as_batch, from_batch, pack, unpack
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.schema import decide, decided

SLOT_BYTES = 64
_SLOT = struct.Struct(
    "<7Q"
)  # sequence, offset, bytes, bytes of the metadata, rows, time, kind; a digest is behind them
_ALIGNED = 64
_WHOLE_STREAM = 1 << 8  # in the kind: the payload is an Arrow stream of its own, with its categories


@dataclass(frozen=True, slots=True)
class Item:
    """A message on its way into a log."""

    kind: int
    payload: bytes
    """Of what is no batch, or a batch that needs a stream of its own."""
    rows: int
    batch: pa.RecordBatch | None = None
    """Written by Arrow when there is no payload."""
    metadata: bytes = b""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, its metadata included."""
        payload = len(self.payload) if self.batch is None else pa.ipc.get_record_batch_size(self.batch)
        return payload + len(self.metadata)


class _Slot(NamedTuple):
    """Where a message lies in its segment."""

    seq: int
    offset: int
    bytes: int
    metadata_bytes: int
    rows: int
    stamp_ns: int
    kind: int


class LogForm:
    """What all segments of one log have in common.

    Parameters
    ----------
    name
        Of the stream, for errors.
    schema
        That of its batches; None when the first one decides.
    stream
        Its directory.
    """

    def __init__(self, name: str, schema: pa.Schema | None, stream: Path) -> None:
        self.name = name
        self.schema = schema
        self._stream = stream

    def item(self, data: Any, metadata: Any) -> Item:
        """Check a message and return it as it is written.

        Raises
        ------
        SchemaMismatch, UnsupportedData
        """
        noted = b"" if not metadata else pack(metadata, "The metadata")
        if isinstance(data, (bytes, bytearray, memoryview)):
            return Item(BYTES, bytes(data), 0, metadata=noted)
        found = as_batch(data, self.schema)
        if found is None:
            return Item(JSON, pack(data, f"The {type(data).__name__}"), 0, metadata=noted)
        batch, kind = found
        if self.schema is None:
            self.schema = decide(self._stream, batch.schema)
        check_same(self.schema, batch.schema, self.name)
        if _has_own(batch.schema, self.schema):
            return Item(kind | _WHOLE_STREAM, _whole_stream(batch), batch.num_rows, metadata=noted)
        return Item(kind, b"", batch.num_rows, batch, noted)

    def known(self) -> pa.Schema | None:
        """Return the schema; None as long as there was no batch."""
        if self.schema is None:
            self.schema = decided(self._stream)
        return self.schema

    def segment_bytes(self, item: Item) -> int:
        """Return the size of a segment that this message needs."""
        before = 0 if item.batch is None else _prologue_bytes(item.batch)
        return align(PAGE + before + item.nbytes + SLOT_BYTES + 4 * _ALIGNED)

    def sizes(self, file_bytes: int) -> tuple[int, int]:
        """Return the slots and rows of a segment: it has as many as fit."""
        return 0, 0

    def writer(self, mapped: mmap.mmap, segment: Segment) -> LogWriter:
        """Return what writes into a new segment."""
        return LogWriter(mapped, segment)

    def resumed(self, mapped: mmap.mmap, segment: Segment, path: Path, seq: int) -> LogWriter:
        """Return what writes on in a segment, from a message on; `ChecksumError` when the one before is damaged."""
        count = seq - segment.first_seq
        start = self.reader(mapped, segment, path).end(seq - 1) if count else PAGE
        return LogWriter(mapped, segment, count, start)

    def reader(self, mapped: mmap.mmap, segment: Segment, path: Path) -> LogReader:
        """Return what reads a segment; its file is for errors."""
        return LogReader(self, mapped, segment, path)


class LogWriter:
    """A segment that is being written, by one thread at a time.

    Parameters
    ----------
    mapped, segment
        Its memory, and what its header says.
    count
        Messages that it has.
    start
        Where the next one begins, a multiple of 64.
    """

    def __init__(self, mapped: mmap.mmap, segment: Segment, count: int = 0, start: int = PAGE) -> None:
        raw = memoryview(mapped)
        self._raw = raw
        self._first = segment.first_seq
        self._start = start
        self._sink = pa.FixedSizeBufferWriter(pa.py_buffer(raw[start:]))
        self._sink.set_memcopy_threads(most_threads())
        self._sink.set_memcopy_threshold(FOR_THREADS)
        self._room = segment.file_bytes - start
        self._count = count
        self._stream: Any = None

    def write(self, item: Item, stamp_ns: int, seq: int) -> bool:
        """Write a message, which exists when the lane's head has passed it; False as `Writer.write` says."""
        if seq != self._first + self._count:
            return False
        if item.batch is not None and self._stream is None and not self._begin_stream(item.batch):
            return False
        start = self._sink.tell()
        gap = -start % _ALIGNED if item.batch is None else 0
        if start + gap + item.nbytes > self._room - SLOT_BYTES * (self._count + 1) - _ALIGNED:
            return False
        self._count += 1  # before the rest: whoever is interrupted here begins another segment
        if item.batch is None:
            self._sink.write(bytes(gap))
            self._sink.write(item.payload)
            start += gap
        else:
            self._stream.write_batch(item.batch)
        stop = self._sink.tell()
        if item.metadata:
            self._sink.write(item.metadata)
        self._sink.write(bytes(-self._sink.tell() % _ALIGNED))
        at = len(self._raw) - SLOT_BYTES * self._count
        slot = _SLOT.pack(seq, self._start + start, stop - start, len(item.metadata), item.rows, stamp_ns, item.kind)
        self._raw[at : at + SLOT_BYTES] = slot + xxhash.xxh3_64_digest(slot)
        return True

    def _begin_stream(self, batch: pa.RecordBatch) -> bool:
        """Write the schema, with an empty batch: Arrow writes it with the first batch only."""
        if self._sink.tell() + _prologue_bytes(batch) > self._room - SLOT_BYTES * (self._count + 1):
            return False
        self._stream = pa.ipc.new_stream(self._sink, batch.schema)
        self._stream.write_batch(batch.slice(0, 0))
        return True


class LogReader:
    """A segment as a consumer maps it; its batches keep the mapping."""

    def __init__(self, form: LogForm, mapped: mmap.mmap, segment: Segment, path: Path) -> None:
        self.first = segment.first_seq
        self.epoch = segment.epoch
        self._form = form
        self._path = path
        self.raw = memoryview(mapped)
        self._buffer = pa.py_buffer(mapped)

    def _slot(self, seq: int) -> _Slot:
        stop = len(self.raw) - SLOT_BYTES * (seq - self.first)
        slot = bytes(self.raw[max(stop - SLOT_BYTES, PAGE) : stop])
        if slot[_SLOT.size :] != xxhash.xxh3_64_digest(slot[: _SLOT.size]):
            raise ChecksumError(f"{self._path} is damaged: the slot of message {seq} differs from its digest.")
        found = _Slot(*_SLOT.unpack_from(slot))
        end = found.offset + found.bytes + found.metadata_bytes
        if found.seq != seq or not PAGE <= found.offset <= end <= stop - SLOT_BYTES:
            raise ChecksumError(f"{self._path} is damaged: the slot of message {seq} is another's, or leads elsewhere.")
        return found

    def end(self, seq: int) -> int:
        """Return where the message behind another one begins."""
        end = self._end(seq)
        return end + -end % _ALIGNED

    def rows(self, start: int, stop: int) -> int:
        """Return how many rows the messages from `start` to before `stop` have; one that is no batch counts as one."""
        slots = map(self._slot, range(start, stop))
        return sum(1 if slot.kind in (BYTES, JSON) else slot.rows for slot in slots)

    def pieces(self, start: int, stop: int) -> list[tuple[int, memoryview]]:
        """Return payloads and slots of the messages from `start` to before `stop`, with what stands between."""
        before = self._end(start - 1) if start > self.first else PAGE
        end = self._end(stop - 1)
        slots = [len(self.raw) - SLOT_BYTES * (seq - self.first) for seq in (stop, start)]
        return [(before, self.raw[before:end]), (slots[0], self.raw[slots[0] : slots[1]])]

    def _end(self, seq: int) -> int:
        slot = self._slot(seq)
        return slot.offset + slot.bytes + slot.metadata_bytes

    def stamp(self, seq: int) -> int:
        """Return when a message was published, nanoseconds since 1970, UTC."""
        return self._slot(seq).stamp_ns

    def row_stamps(self, start: int, stop: int) -> Array:
        """Return, of each row of the batches from `start` to before `stop`, when it was published."""
        slots = [self._slot(seq) for seq in range(start, stop)]
        return np.repeat(np.array([slot.stamp_ns for slot in slots], np.int64), [slot.rows for slot in slots])

    def message(self, seq: int, lane: int) -> Message:
        """Return a message; the memory of a batch is the segment's."""
        slot = self._slot(seq)
        noted = self._buffer.slice(slot.offset + slot.bytes, slot.metadata_bytes)
        metadata = self._unpacked(noted, seq) if slot.metadata_bytes else {}
        return Message(self._data(slot), metadata, slot.stamp_ns, seq, lane, self._form.name, self.epoch)

    def _data(self, slot: _Slot) -> Any:
        if slot.kind == BYTES:
            return self._payload(slot).to_pybytes()
        if slot.kind == JSON:
            return self._unpacked(self._payload(slot), slot.seq)
        return from_batch(self._batch(slot), slot.kind % _WHOLE_STREAM)

    def _payload(self, slot: _Slot) -> pa.Buffer:
        return self._buffer.slice(slot.offset, slot.bytes)

    def _unpacked(self, packed: pa.Buffer, seq: int) -> Any:
        try:
            return unpack(packed)
        except UNREADABLE as exc:
            raise self._damaged(seq, exc) from exc

    def _batch(self, slot: _Slot) -> pa.RecordBatch:
        try:
            if slot.kind & _WHOLE_STREAM:
                found = pa.ipc.open_stream(self._payload(slot)).read_next_batch()
            else:
                found = pa.ipc.read_record_batch(self._payload(slot), self._form.known())
        except (OSError, *UNREADABLE) as exc:
            raise self._damaged(slot.seq, exc) from exc
        return found

    def _damaged(self, seq: int, exc: Exception) -> ChecksumError:
        return ChecksumError(f"{self._path} is damaged: message {seq} cannot be read: {exc}")

    def batches(self, start: int, stop: int) -> list[pa.RecordBatch]:
        """Return the batches among the messages from `start` to before `stop`; `UnsupportedData` for another kind."""
        found = []
        for seq in range(start, stop):
            slot = self._slot(seq)
            if slot.kind in (BYTES, JSON):
                raise UnsupportedData(f"Message {seq} of the stream {self._form.name!r} is no batch. Use get_messages.")
            found.append(self._batch(slot))
        return found


def _prologue_bytes(batch: pa.RecordBatch) -> int:
    """Return what stands before the first batch of a segment: the schema, and a batch without rows."""
    empty: int = pa.ipc.get_record_batch_size(batch.slice(0, 0))
    return len(batch.schema.serialize()) + empty + 2 * _ALIGNED


def _has_own(schema: pa.Schema, common: pa.Schema) -> bool:
    """Tell whether a batch must bring its schema along: it has categories, or says more of itself than the log does."""
    return not schema.equals(common, check_metadata=True) or any(_has_dictionary(kind) for kind in schema.types)


def _has_dictionary(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _has_dictionary(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return True
    return any(_has_dictionary(kind.field(place).type) for place in range(kind.num_fields))


def _whole_stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written
