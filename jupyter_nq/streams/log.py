"""The log: messages of any kind behind each other in a segment, and a slot of 64 bytes for each from its end.

Batches are written by Arrow straight into the segment, as a stream of its IPC format; what is no batch goes between
them. Nothing of a segment changes once the lane's head has passed it.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pyarrow as pa

from jupyter_nq.buffers.layout import PAGE, align
from jupyter_nq.errors import ChecksumError, UnsupportedData
from jupyter_nq.streams.columns import check_same
from jupyter_nq.streams.kinds import BYTES, JSON, as_batch, from_batch, pack
from jupyter_nq.streams.layout import Segment
from jupyter_nq.streams.messages import Message
from jupyter_nq.streams.schema import decide, decided

SLOT_BYTES = 64
_OFFSET, _BYTES, _METADATA_BYTES, _ROWS, _STAMP, _KIND = range(6)
_WORDS = SLOT_BYTES // 8
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
        if any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
            return Item(kind | _WHOLE_STREAM, _whole_stream(batch), batch.num_rows, metadata=noted)
        return Item(kind, b"", batch.num_rows, batch, noted)

    def known(self) -> pa.Schema | None:
        """Return the schema; None as long as there was no batch."""
        if self.schema is None:
            self.schema = decided(self._stream)
        return self.schema

    def segment_bytes(self, item: Item) -> int:
        """Return the size of a segment that this message needs."""
        schema = 0 if self.schema is None else len(self.schema.serialize())
        return align(PAGE + schema + item.nbytes + SLOT_BYTES + 4 * _ALIGNED)

    def sizes(self, file_bytes: int) -> tuple[int, int]:
        """Return the slots and rows of a segment: it has as many as fit."""
        return 0, 0

    def writer(self, mapped: mmap.mmap, segment: Segment) -> LogWriter:
        """Return what writes into a segment."""
        return LogWriter(self, mapped, segment)

    def reader(self, mapped: mmap.mmap, segment: Segment) -> LogReader:
        """Return what reads a segment."""
        return LogReader(self, mapped, segment)


class LogWriter:
    """A segment that is being written, by one thread at a time."""

    def __init__(self, form: LogForm, mapped: mmap.mmap, segment: Segment) -> None:
        raw = memoryview(mapped)
        self._slots = raw.cast("Q")
        self._sink = pa.FixedSizeBufferWriter(pa.py_buffer(raw[PAGE:]))
        self._room = segment.file_bytes - PAGE
        self._count = 0
        self._form = form
        self._stream: Any = None

    def write(self, item: Item, stamp_ns: int) -> bool:
        """Write the next message, which exists when the lane's head has passed it; False when there is no room."""
        if item.batch is not None and self._stream is None and not self._begin_stream(item.batch):
            return False
        start = self._sink.tell()
        gap = -start % _ALIGNED if item.batch is None else 0
        if start + gap + item.nbytes > self._room - SLOT_BYTES * (self._count + 1) - _ALIGNED:
            return False
        if item.batch is None:
            self._sink.write(bytes(gap) + item.payload)
            start += gap
        else:
            self._stream.write_batch(item.batch)
        stop = self._sink.tell()
        if item.metadata:
            self._sink.write(item.metadata)
        self._pad()
        self._count += 1
        at = len(self._slots) - _WORDS * self._count
        for place, value in enumerate((PAGE + start, stop - start, len(item.metadata), item.rows, stamp_ns, item.kind)):
            self._slots[at + place] = value
        return True

    def _begin_stream(self, batch: pa.RecordBatch) -> bool:
        """Write the schema, with an empty batch: Arrow writes it with the first batch only."""
        if self._sink.tell() + len(batch.schema.serialize()) + _ALIGNED * 8 > self._room - SLOT_BYTES * (
            self._count + 1
        ):
            return False
        self._stream = pa.ipc.new_stream(self._sink, batch.schema)
        self._stream.write_batch(batch.slice(0, 0))
        return True

    def _pad(self) -> None:
        self._sink.write(bytes(-self._sink.tell() % _ALIGNED))


class LogReader:
    """A segment as a consumer maps it; its batches keep the mapping."""

    def __init__(self, form: LogForm, mapped: mmap.mmap, segment: Segment) -> None:
        self.first = segment.first_seq
        self._form = form
        self._slots = memoryview(mapped).cast("Q")
        self._buffer = pa.py_buffer(mapped)

    def _slot(self, seq: int) -> list[int]:
        stop = len(self._slots) - _WORDS * (seq - self.first)
        offset, nbytes, noted, *rest = self._slots[stop - _WORDS : stop].tolist()
        if not PAGE <= offset <= offset + nbytes + noted <= 8 * (stop - _WORDS):
            raise ChecksumError(f"message {seq} of the stream {self._form.name!r} is damaged: its slot leads elsewhere")
        return [offset, nbytes, noted, *rest]

    def stamp(self, seq: int) -> int:
        """Return when a message was published, nanoseconds since 1970, UTC."""
        return self._slot(seq)[_STAMP]

    def message(self, seq: int, lane: int) -> Message:
        """Return a message; the memory of a batch is the segment's."""
        offset, nbytes, noted, _, stamp_ns, kind = self._slot(seq)[:6]
        payload = self._buffer.slice(offset, nbytes)
        metadata = msgpack.unpackb(self._buffer.slice(offset + nbytes, noted)) if noted else {}
        return Message(self._data(payload, kind), metadata, stamp_ns, seq, lane, self._form.name)

    def _data(self, payload: pa.Buffer, kind: int) -> Any:
        if kind == BYTES:
            return payload.to_pybytes()
        if kind == JSON:
            return msgpack.unpackb(payload, strict_map_key=False)
        return from_batch(self._batch(payload, kind), kind % _WHOLE_STREAM)

    def _batch(self, payload: pa.Buffer, kind: int) -> pa.RecordBatch:
        if kind & _WHOLE_STREAM:
            return pa.ipc.open_stream(payload).read_next_batch()
        return pa.ipc.read_record_batch(payload, self._form.known())

    def batches(self, start: int, stop: int) -> list[pa.RecordBatch]:
        """Return the batches among the messages from `start` to before `stop`; `UnsupportedData` for another kind."""
        found = []
        for seq in range(start, stop):
            offset, nbytes, *_, kind = self._slot(seq)[:6]
            if kind in (BYTES, JSON):
                raise UnsupportedData(f"Message {seq} of the stream {self._form.name!r} is no batch. Use get_messages.")
            found.append(self._batch(self._buffer.slice(offset, nbytes), kind))
        return found


def _whole_stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written
