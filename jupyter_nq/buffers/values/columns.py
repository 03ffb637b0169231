"""One column of a table as lanes of bytes: numbers, times, text, categories and nested ones, with nulls or without.

Values lie in shared memory in the form that Arrow has too, except for what Arrow packs in bits: a bool, and whether a
row is there, take a byte each, so that rows can be appended at any place. What lies under a null is always the same
(zero, no time, no category), so that equal columns have equal digests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.buffers.places import DATA, OFFSETS, VALID, VALUES
from jupyter_nq.buffers.values.lanes import Array, Lane, of_array
from jupyter_nq.buffers.values.nested import STREAMS, stream_lanes
from jupyter_nq.buffers.values.python_values import check_times, nested_of
from jupyter_nq.errors import UnsupportedData

_NAT = np.iinfo(np.int64).min
_EMPTY = np.empty(0, np.uint8)


@dataclass(frozen=True)
class Column:
    """A column to be copied."""

    field: pa.Field
    lanes: tuple[Lane, ...]
    categories: pa.Array | None = None
    """What the codes of a column of categories mean."""


def stored_as(kind: pa.DataType) -> tuple[tuple[str, str], ...]:
    """Return (role, numpy dtype) of the lanes of a column without nulls."""
    kind = storage_of(kind)
    if pa.types.is_null(kind):
        return ()
    if is_coded(kind):
        return ((VALUES, _dtype_of(kind.index_type)),)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return (OFFSETS, "<i4"), (DATA, "|u1")
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return (OFFSETS, "<i8"), (DATA, "|u1")
    dtype = numpy_dtype(kind)
    return STREAMS if dtype is None else ((VALUES, dtype),)


def storage_of(kind: pa.DataType) -> pa.DataType:
    """Return the type in which Arrow stores an extension type; any other as it is."""
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind


def is_coded(kind: pa.DataType) -> bool:
    """Return whether a column has codes in its lane, and categories in the header."""
    kind = storage_of(kind)
    return bool(pa.types.is_dictionary(kind)) and _is_flat(kind.value_type)


def is_nested(kind: pa.DataType) -> bool:
    """Return whether a column is stored as streams of Arrow: what no other lanes can hold."""
    return not is_coded(kind) and not _is_flat(storage_of(kind))


def _is_flat(kind: pa.DataType) -> bool:
    """Return whether numbers, or offsets and bytes, hold a type, or nothing does because it is all nulls."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
        return False
    return bool(pa.types.is_null(kind)) or _is_text(kind) or numpy_dtype(kind) is not None


def _is_text(kind: pa.DataType) -> bool:
    short, large = pa.types.is_string(kind) or pa.types.is_binary(kind), pa.types.is_large_string(kind)
    return bool(short or large or pa.types.is_large_binary(kind))


def numpy_dtype(kind: pa.DataType) -> str | None:
    """Return the numpy dtype in which an Arrow type of a fixed width is stored, None when it has none in bytes."""
    if pa.types.is_boolean(kind):
        return "|b1"
    if pa.types.is_timestamp(kind):
        return f"<M8[{kind.unit}]"
    if pa.types.is_duration(kind):
        return f"<m8[{kind.unit}]"
    if pa.types.is_date64(kind):
        return "<M8[ms]"
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return "<i4"
    if pa.types.is_time64(kind):
        return "<i8"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _dtype_of(kind)
    if (pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind)) and kind.byte_width:
        return f"|S{kind.byte_width}"
    return None


def _dtype_of(kind: pa.DataType) -> str:
    dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return dtype.newbyteorder("<").str


# -- from Arrow ----------------------------------------------------------------------------------
def of_arrow(field: pa.Field, column: pa.ChunkedArray) -> Column:
    """Describe a column of Arrow; text in several chunks is copied into one by Arrow, and nested columns are packed.

    Raises
    ------
    UnsupportedData
        Its text is longer than its offsets can say, or Arrow cannot pack its type.
    """
    name, kind = field.name, field.type
    if kind in (pa.string_view(), pa.binary_view()):
        kind = pa.large_string() if kind == pa.string_view() else pa.large_binary()
        column = column.cast(kind)
        field = field.with_type(kind)
    if is_nested(kind):
        return Column(field, stream_lanes(name, column))
    if isinstance(kind, pa.BaseExtensionType):
        return replace(of_arrow(field.with_type(kind.storage_type), _storage_of(column)), field=field)
    stored = stored_as(kind)
    valid = (_valid_lane(name, column),) if column.null_count and stored else ()
    if is_coded(kind):
        column, categories = _with_one_dictionary(column)
        under_null = null_value(np.dtype(stored[0][1]), codes=True)
        return Column(field, (*valid, _fixed_lane(name, column, stored[0][1], under_null)), categories)
    if len(stored) == 2:
        return Column(field, (*valid, *_text_lanes(name, column, stored[0][1])))
    values = (_fixed_lane(name, column, dtype, null_value(np.dtype(dtype))) for _, dtype in stored)
    return Column(field, (*valid, *values))


def _storage_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _with_one_dictionary(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.Array]:
    """Return the codes of a column of categories, and what they mean."""
    column = column.unify_dictionaries()
    kind = column.type
    if not column.num_chunks:
        return pa.chunked_array([], kind.index_type), pa.array([], kind.value_type)
    codes = pa.chunked_array([chunk.indices for chunk in column.chunks], kind.index_type)
    return codes, column.chunk(0).dictionary


def _fixed_lane(name: str, column: pa.ChunkedArray, stored: str, under_null: Any) -> Lane:
    dtype = np.dtype(stored)

    def read(start: int, stop: int) -> Array:
        first, last = start // dtype.itemsize, stop // dtype.itemsize
        chunks = [_chunk_values(c, dtype, under_null) for c in column.slice(first, last - first).chunks]
        return chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, dtype), *chunks])

    return Lane(name, dtype.str, dtype.itemsize, len(column) * dtype.itemsize, read)


def null_value(dtype: np.dtype[Any], *, codes: bool = False) -> Any:
    """Return what is stored under a null: no time, for signed codes of categories -1, else zero."""
    if dtype.kind in "mM":
        return np.int64(_NAT).view(dtype)
    if dtype.kind == "S":
        return b""
    return dtype.type(-1 if codes and dtype.kind == "i" else 0)


def _chunk_values(chunk: pa.Array, dtype: np.dtype[Any], under_null: Any) -> Array:
    if len(chunk) == 0:
        return np.empty(0, dtype)
    if dtype.kind == "b":  # Arrow packs bits; shared memory holds a byte each
        bits = pc.cast(pc.fill_null(chunk, False), pa.uint8())
        return np.asarray(bits.to_numpy(zero_copy_only=False)).view(dtype)
    values = np.frombuffer(chunk.buffers()[1], dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)
    return np.where(_is_valid(chunk), values, under_null) if chunk.null_count else values


def _is_valid(chunk: pa.Array) -> Array:
    found: Array = np.asarray(pc.cast(chunk.is_valid(), pa.uint8()).to_numpy(zero_copy_only=False)).view(bool)
    return found


def _valid_lane(name: str, column: pa.ChunkedArray) -> Lane:
    def read(start: int, stop: int) -> Array:
        return np.concatenate([np.empty(0, bool), *map(_is_valid, column.slice(start, stop - start).chunks)])

    return Lane(name, "|b1", 1, len(column), read, VALID)


def _text_lanes(name: str, column: pa.ChunkedArray, stored: str) -> tuple[Lane, Lane]:
    text = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(text, pa.ChunkedArray):
        raise UnsupportedData(f"Column {name!r} has more text than {text.type} can hold. Cast it to large_string.")
    if text.null_count:
        text = pc.fill_null(text, pa.scalar(b"", pa.binary()).cast(text.type))
    _, offsets_buffer, data_buffer = text.buffers()
    dtype = np.dtype(stored)
    count = len(text) + 1
    if offsets_buffer is None or not len(text):
        offsets, data = np.zeros(1, dtype), np.empty(0, np.uint8)
    else:
        offsets = np.frombuffer(offsets_buffer, dtype, count=count, offset=text.offset * dtype.itemsize)
        first, last = int(offsets[0]), int(offsets[-1])
        data = np.frombuffer(data_buffer, np.uint8, count=last - first, offset=first) if last > first else _EMPTY
        offsets = offsets - dtype.type(first) if first else offsets
    return of_array(name, offsets, OFFSETS), of_array(name, data, DATA)


# -- from numpy ----------------------------------------------------------------------------------
def of_numpy(name: str, values: Array, kind: pa.DataType | None = None) -> Column:
    """Describe a one-dimensional array; what is masked, and a time that is none (NaT), is a null.

    Raises
    ------
    UnsupportedData
        Its dtype has no fixed width in shared memory, and is no text.
    """
    if values.dtype.kind in "OSU":
        return of_values(name, values)
    if isinstance(values, np.ma.MaskedArray):
        return _of_masked(name, values)
    kind = arrow_type(name, values.dtype) if kind is None else kind
    missing = values.dtype.kind in "mM" and bool(np.isnat(values).any())
    valid = (_present_lane(name, values),) if missing else ()
    return Column(pa.field(name, kind, nullable=missing), (*valid, of_array(name, values)))


def of_values(name: str, values: Any) -> Column:
    """Describe an array or Series of objects, text, or values that pandas has a dtype of its own for, by way of Arrow.

    Raises
    ------
    UnsupportedData
        They are of no one type that can be shared.
    """
    try:
        found = pa.array(values, from_pandas=True)
        if values.dtype == object and is_nested(found.type):
            found = nested_of(values)
        elif values.dtype == object and pa.types.is_temporal(found.type):
            check_times(values, found.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        raise UnsupportedData(
            f"Column {name!r} has dtype {values.dtype}, and its values are of no one type that can be shared: "
            f"{reason}. Convert them to numbers, text or times, or leave the column out."
        ) from exc
    column = found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])
    return of_arrow(pa.field(name, column.type), column)


def _of_masked(name: str, values: Any) -> Column:
    mask = np.ma.getmaskarray(values)
    known = of_numpy(name, values.filled(null_value(values.dtype)))
    if not mask.any():
        return known
    valid = of_array(name, ~mask, VALID)
    return Column(known.field.with_nullable(True), (valid, *(lane for lane in known.lanes if lane.role != VALID)))


def _present_lane(name: str, values: Array) -> Lane:
    def read(start: int, stop: int) -> Array:
        return ~np.isnat(values[start:stop])

    return Lane(name, "|b1", 1, len(values), read, VALID)


def arrow_type(name: str, dtype: np.dtype[Any]) -> pa.DataType:
    """Return the type of a column of numbers, bools or times; `UnsupportedData` when a dtype has none."""
    try:
        kind = pa.from_numpy_dtype(dtype)
    except pa.ArrowNotImplementedError:
        kind = None
    stored = None if kind is None else numpy_dtype(kind)
    if stored is None or np.dtype(stored).itemsize != dtype.itemsize:
        raise UnsupportedData(
            f"Column {name!r} has dtype {dtype}, which has no fixed width in shared memory. Convert it to numbers, "
            "bool or datetime64[ns], or leave it out."
        )
    return kind
