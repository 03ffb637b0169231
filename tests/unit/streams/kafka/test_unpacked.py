"""Messages that would take far more memory than they came with: refused before anybody makes room for them."""

from __future__ import annotations

import contextlib
import resource
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jupyter_nq.errors import UnreadableMessage
from jupyter_nq.streams.kafka.envelope import decode, encode, fingerprint
from jupyter_nq.streams.kafka.foreign import read_foreign
from jupyter_nq.streams.kafka.unpacked import check_cells, check_packed
from jupyter_nq.streams.messages import Message

_ROWS = 10_000_000
_ID = "ab" * 16


def _stream(batch: pa.RecordBatch, codec: str | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as stream:
        stream.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _own(content: bytes, batch: pa.RecordBatch) -> Any:
    """Read an Arrow stream as what a stream of this package sent."""
    arrow = batch.schema.serialize().to_pybytes()
    sent = encode(Message(pa.RecordBatch.from_pydict({"x": [1]}), {}, 0, 0, 0, "s"), _ID, None, tape=False)
    headers = {**dict(sent.headers), "nq.arrow": arrow, "nq.schema": fingerprint(arrow)}
    return decode(content.removeprefix(arrow), list(headers.items()), 1 << 20).data


def _foreign(content: bytes, batch: pa.RecordBatch) -> Any:
    return read_foreign(content, "arrow", 1 << 20)


_READERS = pytest.mark.parametrize("read", [_own, _foreign])


@_READERS
@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("categories", [False, True])
def test_much_in_little_is_refused(read: Callable[..., Any], codec: str, categories: bool) -> None:
    """Columns, and categories before them; the process does not grow by what they would take."""
    column: Any = pa.array(np.zeros(_ROWS))
    if categories:
        column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), column)
    batch = pa.record_batch({"x": column})
    content = _stream(batch, codec)
    assert len(content) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnreadableMessage, match=r"compressed, and would take 7[0-9](\.\d)? MiB: more than 1(\.0)? MiB"):
        read(content, batch)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 << 10, "KiB"


@_READERS
@pytest.mark.parametrize("codec", ["zstd", "lz4", None])
def test_what_is_not_too_large_is_read(read: Callable[..., Any], codec: str | None) -> None:
    """Compressed or not; a buffer that does not become smaller stands as it is."""
    random = np.random.default_rng(1).integers(0, 1 << 62, 1000)
    text = pa.array(["RTH", None] * 500).dictionary_encode()
    batch = pa.record_batch({"zeros": pa.array(np.zeros(1000)), "random": random, "text": text})
    assert read(_stream(batch, codec), batch) == batch


@_READERS
def test_rows_without_bytes_are_refused(read: Callable[..., Any]) -> None:
    """Millions of nulls take none, and would become objects of Python."""
    batch = pa.record_batch({"x": pa.nulls(1 << 28)})
    with pytest.raises(UnreadableMessage, match=r"claims 268,435,456 values in 0"):
        read(_stream(batch, None), batch)
    for hidden in (
        pa.FixedSizeListArray.from_arrays(pa.nulls(1 << 28), 1 << 28),
        pa.ListArray.from_arrays(pa.array([0, 1 << 28], pa.int32()), pa.nulls(1 << 28)),
        pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.nulls(1 << 28)),
        pa.StructArray.from_arrays([pa.nulls(1 << 28)], names=["x"]),
    ):
        batch = pa.record_batch({"x": hidden})
        with pytest.raises(UnreadableMessage, match=r"claims 268,435,457 values in|claims 536,870,912 values in"):
            read(_stream(batch, None), batch)
    check_cells(pa.record_batch({"x": pa.nulls(1000)}))
    check_cells(pa.record_batch({"x": pa.array([True] * 100_000_000)}))


def _claiming(batch: pa.RecordBatch, rows: int) -> bytes:
    """Return the message of a batch of one column, which says that it has other rows."""
    content = batch.serialize().to_pybytes()
    packed = bytearray(pa.ipc.read_message(content).metadata)
    told = struct.pack("<q", batch.num_rows)
    assert packed.count(told) >= 2, "the length of the batch, and of its column"
    return content[:8] + bytes(packed).replace(told, struct.pack("<q", rows)) + content[8 + len(packed) :]


@_READERS
@pytest.mark.parametrize("messages", [1, 2])
def test_more_rows_than_there_is_memory_for_are_unreadable(read: Callable[..., Any], messages: int) -> None:
    """Nobody follows an offset before it was looked at where it leads: that would end the process."""
    batch = pa.record_batch({"x": ["abc"] * 1_234})
    arrow = batch.schema.serialize().to_pybytes()
    with pytest.raises(UnreadableMessage, match="too small"):
        read(arrow + messages * _claiming(batch, 1 << 28), batch)


def test_columns_in_the_header_of_the_schema_are_counted() -> None:
    """Where a stream begins with categories it is read from that header on."""
    batch = pa.record_batch({"x": pa.array(["a"] * _ROWS).dictionary_encode()})
    arrow = _stream(batch, "zstd").removesuffix(b"\xff\xff\xff\xff" + bytes(4))
    sent = encode(Message(batch.slice(0, 1), {}, 0, 0, 0, "s"), _ID, None, tape=False)
    headers = {**dict(sent.headers), "nq.arrow": arrow, "nq.schema": fingerprint(arrow)}
    with pytest.raises(UnreadableMessage, match="compressed, and would take 38"):
        decode(sent.value, list(headers.items()), 1 << 20)


def test_damaged_messages_are_unreadable_or_counted() -> None:
    """Whatever byte of the description is another, nothing but one kind of error comes out."""
    batch = pa.record_batch({"x": np.zeros(1000), "y": pa.array(["a", "b"] * 500).dictionary_encode()})
    content = _stream(batch, "zstd")
    refused = 0
    for place in range(len(content)):
        for value in (0, 7, 127, 255):
            damaged = content[:place] + bytes([value]) + content[place + 1 :]
            with contextlib.suppress(OSError, pa.ArrowInvalid, EOFError):
                try:
                    check_packed(damaged, 1 << 20)
                except UnreadableMessage:
                    refused += 1
    assert refused
