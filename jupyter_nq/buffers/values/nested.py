"""Nested columns (lists, structs, maps, unions and what else has no lanes of its own) as streams of Arrow.

The rows that were written at once are one Arrow IPC stream. Such streams follow each other in the lane `data`, and
the lane `offsets` says for each row where its stream ends. So a nested column is appended to and committed like text,
and its arrays are read where they lie. Each stream begins at a multiple of 64 bytes, and says its own type, so that
categories inside of it may differ from stream to stream.

A stream is looked through before any of its values are shown: Arrow trusts what it is given, and a damaged offset
would end the kernel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.places import DATA, OFFSETS
from jupyter_nq.buffers.values.dense import dense
from jupyter_nq.buffers.values.lanes import Array, Lane, of_array
from jupyter_nq.errors import ChecksumError, UnsupportedData

STREAMS = ((OFFSETS, "<i8"), (DATA, "|u1"))
"""The lanes of a nested column."""
_BOUNDARY = 64  # bytes; what Arrow recommends for its buffers
_UNREADABLE = (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError, MemoryError)


def stream_lanes(name: str, column: pa.ChunkedArray) -> tuple[Lane, Lane]:
    """Return the lanes of a nested column; it is packed here, in memory of this process.

    Raises
    ------
    UnsupportedData
        It is not valid, or Arrow cannot pack its type.
    """
    try:
        column.validate(full=True)
        _check_readable(column.type)
        stream = _packed(column) if len(column) else b""
    except (pa.ArrowException, ValueError, TypeError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        raise UnsupportedData(
            f"Column {name!r} has type {column.type}, and Arrow cannot pack it: {reason}. Flatten it into columns of "
            "numbers, text or times, or leave it out."
        ) from exc
    data = np.frombuffer(stream, np.uint8)
    return _ends(name, len(column), len(data)), of_array(name, data, DATA)


def _check_readable(kind: pa.DataType) -> None:
    """Raise `ValueError` unless Arrow reads a type as it wrote it; of categories with an extended type it does not."""
    try:
        again = pa.ipc.read_schema(pa.schema([pa.field("", kind)]).serialize()).field(0).type
    except (pa.ArrowException, TypeError, ValueError, KeyError, AttributeError):  # from the extension's own reader
        again = None
    if again != kind:
        raise ValueError(
            "it would not read it as it was written. Categories that are intervals or periods may become text, as with "
            ".cat.rename_categories(str)"
        )


def _packed(column: pa.ChunkedArray) -> pa.Buffer:
    schema = pa.schema([pa.field("", column.type)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for chunk in _joined(column):
            writer.write_batch(pa.record_batch([dense(chunk)], schema=schema))
    sink.write(bytes(-sink.tell() % _BOUNDARY))
    return sink.getvalue()


def _joined(column: pa.ChunkedArray) -> list[pa.Array]:
    """Return one array where its type can hold all rows, so that chunks make no difference; else the chunks."""
    try:
        joined = pa.concat_arrays(column.chunks)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return list(column.chunks)
    return [joined]


def _ends(name: str, rows: int, end: int) -> Lane:
    """Return the offsets of rows in one stream: zero, then where it ends for each row."""

    def read(start: int, stop: int) -> Array:
        found = np.full((stop - start) // 8, end, "<i8")
        if start == 0:
            found[:1] = 0
        return found

    return Lane(name, "<i8", 8, 8 * (rows + 1), read, OFFSETS)


def column_of_streams(what: str, kind: pa.DataType, offsets: Array, data: Array, start: int = 0) -> pa.ChunkedArray:
    """Return the rows of a nested column from `start` on, over the bytes of its streams.

    Parameters
    ----------
    what
        What errors call it.
    offsets
        Those of all rows from the first one of the object on, looked through: none is outside `data`.

    Raises
    ------
    ChecksumError
        A stream is damaged.
    """
    chunks: list[pa.Array] = []
    stop = len(offsets) - 1
    for first, last in _streams(what, offsets):
        if last <= start:
            continue
        try:
            found = _read(kind, data[offsets[first] : offsets[first + 1]])
        except _UNREADABLE as exc:
            reason = (str(exc).splitlines() or [repr(exc)])[0].rstrip(".")
            raise ChecksumError(f"{what} is damaged: rows {first:,} to {last:,} cannot be read: {reason}.") from exc
        if len(found) < last - first or (last < stop and len(found) != last - first):
            raise ChecksumError(f"{what} is damaged: rows {first:,} to {last:,} are {len(found):,} rows.")
        skipped = max(start - first, 0)
        chunks += found.slice(skipped, last - first - skipped).chunks
    return pa.chunked_array(chunks, kind)


def _streams(what: str, offsets: Array) -> Iterator[tuple[int, int]]:
    """Yield the first row and the one behind the last of each stream."""
    firsts = np.flatnonzero(np.diff(offsets)).tolist()
    stop = len(offsets) - 1
    if offsets[0] != 0 or firsts[:1] != [0][:stop]:
        raise ChecksumError(f"{what} is damaged: its first rows are in no stream.")
    yield from itertools.pairwise([*firsts, stop])


def rejoined(name: str, kind: pa.DataType, pieces: Sequence[tuple[Lane, Lane]]) -> tuple[Lane, Lane]:
    """Return the lanes of the rows of several, as one stream: so what was appended often is read at once again."""
    chunks: list[pa.Array] = []
    for offsets, data in pieces:
        ends = offsets.read(0, offsets.nbytes).view("<i8")
        chunks += column_of_streams(f"column {name!r}", kind, ends, data.read(0, data.nbytes)).chunks
    return stream_lanes(name, pa.chunked_array(chunks, kind))


def _read(kind: pa.DataType, stream: Array) -> pa.ChunkedArray:
    with pa.ipc.open_stream(pa.py_buffer(stream)) as reader:
        if len(reader.schema) != 1 or reader.schema.field(0).type != kind:
            raise ChecksumError(f"its type is not {kind}")
        table = reader.read_all()
    table.validate(full=True)
    return table.column(0)
