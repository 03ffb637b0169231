"""Nested arrays of Arrow in one form: no slice, no hidden values, the same bytes for equal rows.

An array of Arrow may show a part of its buffers, and hide values under its nulls or behind its offsets. What goes
into shared memory shows all that it has: children have the elements that count and no others, and what lies under a
null is zero or empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.values.lanes import Array

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_map)
_LIST_VIEWS = (pa.types.is_list_view, pa.types.is_large_list_view)
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
_TEXT_VIEWS = (pa.types.is_string_view, pa.types.is_binary_view)


def dense(array: pa.Array) -> pa.Array:
    """Return an equal array without slices and hidden values; a copy.

    Raises
    ------
    ArrowNotImplementedError
        Arrow cannot rearrange a type inside of it.
    """
    return _dense(array, np.ones(len(array), bool), nullable=True)


def _dense(array: pa.Array, shown: Array, *, nullable: bool) -> pa.Array:
    """Return an array with nulls, or zeros where no null may be, in the rows that are not `shown`."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return kind.wrap_array(_dense(array.storage, shown, nullable=nullable))
    if pa.types.is_union(kind):
        return _union(array, shown)
    if pa.types.is_run_end_encoded(kind):
        return _runs(array, shown)
    if pa.types.is_null(kind):
        return pa.nulls(len(array))
    there = shown & np.asarray(array.is_valid())
    bits = None if there.all() or not nullable else _bits(there)
    if _is_any(kind, _LISTS) or _is_any(kind, _LIST_VIEWS):
        return _lists(array, there, bits)
    if pa.types.is_fixed_size_list(kind):
        return _fixed_lists(array, there, bits)
    if pa.types.is_struct(kind):
        return _struct(array, there, bits)
    if _is_any(kind, _TEXT) or _is_any(kind, _TEXT_VIEWS):
        return _text(array, there, bits)
    if pa.types.is_dictionary(kind):
        codes = _dense(array.indices, shown, nullable=nullable)
        return pa.DictionaryArray.from_arrays(codes, dense(array.dictionary), ordered=kind.ordered)
    return _numbers(array, there, bits)


def _is_any(kind: pa.DataType, tests: Sequence[Any]) -> bool:
    return any(test(kind) for test in tests)


# -- what has children ---------------------------------------------------------------------------
def _lists(array: pa.Array, there: Array, bits: pa.Buffer | None) -> pa.Array:
    kind, rows = array.type, len(array)
    views = _is_any(kind, _LIST_VIEWS)
    dtype = np.dtype("<i8" if pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind) else "<i4")
    starts = _items(array, 1, dtype, rows + (not views))
    sizes = _items(array, 2, dtype, rows) if views else np.diff(starts)
    sizes = np.where(there, sizes, 0).astype(dtype)
    offsets = np.zeros(rows + 1, dtype)
    np.cumsum(sizes, out=offsets[1:])
    child = dense(_ranges(array.values, starts[:rows], sizes))
    if views:
        return pa.Array.from_buffers(kind, rows, [bits, _buffer(offsets[:rows]), _buffer(sizes)], children=[child])
    return pa.Array.from_buffers(kind, rows, [bits, _buffer(offsets)], children=[child])


def _ranges(child: pa.Array, starts: Array, sizes: Array) -> pa.Array:
    """Return the elements of ranges, one range behind the other."""
    filled = sizes > 0
    starts, sizes = starts[filled].astype(np.int64), sizes[filled].astype(np.int64)
    if not len(starts):
        return child.slice(0, 0)
    total = int(sizes.sum())
    if np.array_equal(starts[1:], (starts + sizes)[:-1]):
        return child.slice(int(starts[0]), total)
    before = np.cumsum(sizes) - sizes
    return _taken(child, np.repeat(starts - before, sizes) + np.arange(total))


def _taken(array: pa.Array, positions: Array, missing: Array | None = None) -> pa.Array:
    """Return the elements at positions, null where one is missing."""
    where = pa.array(positions, pa.int64(), mask=missing)
    if _is_any(array.type, _TEXT_VIEWS):  # Arrow chooses from no views of text
        return array.cast(_without_views(array.type)).take(where).cast(array.type)
    return array.take(where)


def _fixed_lists(array: pa.Array, there: Array, bits: pa.Buffer | None) -> pa.Array:
    kind, rows, width = array.type, len(array), array.type.list_size
    values = array.values.slice(array.offset * width, rows * width)
    child = _dense(values, np.repeat(there, width), nullable=kind.value_field.nullable)
    return pa.Array.from_buffers(kind, rows, [bits], children=[child])


def _struct(array: pa.Array, there: Array, bits: pa.Buffer | None) -> pa.Array:
    kind = array.type
    children = [_dense(array.field(i), there, nullable=kind.field(i).nullable) for i in range(kind.num_fields)]
    return pa.Array.from_buffers(kind, len(array), [bits], children=children)


def _union(array: pa.Array, shown: Array) -> pa.Array:
    """Return a union whose children have what its rows choose; rows that are not shown are nulls of the first."""
    kind, rows = array.type, len(array)
    codes = np.where(shown, _items(array, 1, np.dtype("i1"), rows), kind.type_codes[0]).astype("i1")
    if kind.mode == "sparse":
        children = [
            _dense(array.field(i), shown & (codes == code), nullable=True) for i, code in enumerate(kind.type_codes)
        ]
        return pa.Array.from_buffers(kind, rows, [None, _buffer(codes)], children=children)
    positions, offsets = _items(array, 2, np.dtype("<i4"), rows), np.zeros(rows, "<i4")
    children = []
    for i, code in enumerate(kind.type_codes):
        chosen = codes == code
        offsets[chosen] = np.arange(np.count_nonzero(chosen))
        children.append(dense(_taken(array.field(i), positions[chosen], ~shown[chosen])))
    return pa.Array.from_buffers(kind, rows, [None, _buffer(codes), _buffer(offsets)], children=children)


def _runs(array: pa.Array, shown: Array) -> pa.Array:
    """Return runs that begin and end where the rows do; rows that are not shown are runs of nulls."""
    kind, rows = array.type, len(array)
    ends = np.asarray(array.run_ends)
    runs = np.searchsorted(ends, np.arange(rows) + array.offset, side="right")
    runs[~shown] = -1
    first = np.flatnonzero(np.diff(runs, prepend=-2))
    found = dense(_taken(array.values, runs[first], runs[first] < 0))
    last = pa.array(np.append(first[1:], rows)[: len(first)], kind.run_end_type)
    return pa.Array.from_buffers(kind, rows, [None], children=[last, found])


# -- what has none -------------------------------------------------------------------------------
def _text(array: pa.Array, there: Array, bits: pa.Buffer | None) -> pa.Array:
    kind = array.type
    if _is_any(kind, _TEXT_VIEWS):
        return _text(array.cast(_without_views(kind)), there, bits).cast(kind)
    large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    dtype = np.dtype("<i8" if large else "<i4")
    starts = _items(array, 1, dtype, len(array) + 1)
    sizes = np.where(there, np.diff(starts), 0).astype(dtype)
    offsets = np.zeros(len(array) + 1, dtype)
    np.cumsum(sizes, out=offsets[1:])
    data = array.buffers()[2]
    octets = pa.Array.from_buffers(pa.uint8(), 0 if data is None else data.size, [None, data or pa.py_buffer(b"")])
    chosen = _ranges(octets, starts[:-1], sizes).to_numpy()
    return pa.Array.from_buffers(kind, len(array), [bits, _buffer(offsets), _buffer(chosen)])


def _without_views(kind: pa.DataType) -> pa.DataType:
    return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()


def _numbers(array: pa.Array, there: Array, bits: pa.Buffer | None) -> pa.Array:
    """Return an array of a fixed width, zero where nothing is there."""
    kind, rows = array.type, len(array)
    if pa.types.is_boolean(kind):
        packed = np.frombuffer(array.buffers()[1] or b"", np.uint8)
        values = np.unpackbits(packed, bitorder="little")[array.offset : array.offset + rows]
        return pa.Array.from_buffers(kind, rows, [bits, _bits(values.astype(bool) & there)])
    width = kind.bit_width // 8
    if not width:
        return pa.Array.from_buffers(kind, rows, [bits, pa.py_buffer(b"")])
    values = _items(array, 1, np.dtype((np.uint8, width)), rows)
    return pa.Array.from_buffers(kind, rows, [bits, _buffer(np.where(there[:, None], values, np.uint8(0)))])


def _items(array: pa.Array, buffer: int, dtype: np.dtype[Any], count: int) -> Array:
    """Return the items of a buffer from where the array begins."""
    found = array.buffers()[buffer]
    if found is None or not found.size:  # Arrow may leave out what an array of no rows does not need
        return np.zeros((count, *dtype.shape), dtype.base)
    width = dtype.itemsize
    flat = np.frombuffer(found, dtype.base, count * (width // dtype.base.itemsize), array.offset * width)
    return flat.reshape(count, *dtype.shape)


def _bits(there: Array) -> pa.Buffer:
    return _buffer(np.packbits(there, bitorder="little"))


def _buffer(values: Array) -> pa.Buffer:
    return pa.py_buffer(np.ascontiguousarray(values))
