"""Views on a mapped object: numpy, pandas, Arrow and torch over the same bytes.

Every view is built from `numpy.ndarray(buffer=mapping)`, so it keeps the mapping alive, and it is read-only
because the mapping is. One block becomes one pandas block: a 2-D array (columns, rows) that is strided by
the object's capacity.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers.intake import Array
from jupyter_nq.buffers.layout import Block, Static
from jupyter_nq.buffers.objects import array_shape
from jupyter_nq.errors import MissingLibrary, UnsupportedData, nearest

Span = tuple[int, int]


def to_numpy(mapping: mmap.mmap, static: Static, span: Span, columns: Sequence[str] | None) -> Any:
    """Return a dict of 1-D views, or the array."""
    if static.kind == "array":
        return _array(mapping, static, span, columns)
    return _columns(mapping, static, span, _chosen(static, columns))


def to_pandas(
    mapping: mmap.mmap, static: Static, schema: pa.Schema | None, span: Span, columns: Sequence[str] | None
) -> Any:
    """Return a frame with one block per run of columns of one dtype."""
    if schema is None:
        return _array_to_pandas(_array(mapping, static, span, columns), span)
    index_column = _index_column(static)
    names = [n for n in _chosen(static, columns) if n != index_column]
    parts = [_frame_part(mapping, static, schema, span, run) for run in _runs(static, names)]
    index = _index(mapping, static, schema, span)
    frame = _join(parts, index)
    if static.origin.get("container") == "series" and columns is None:
        return frame.iloc[:, 0].rename(static.origin["series_name"])
    return frame


def to_arrow(
    mapping: mmap.mmap, static: Static, schema: pa.Schema | None, span: Span, columns: Sequence[str] | None
) -> Any:
    """Return a table whose buffers lie in the mapping; a tensor for an array."""
    if schema is None:
        return pa.Tensor.from_numpy(_array(mapping, static, span, columns))
    names = _chosen(static, columns)
    values = _columns(mapping, static, span, names)
    fields = [schema.field(name) for name in names]
    arrays = [_arrow_array(values[f.name], f.type) for f in fields]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata))


def to_torch(mapping: mmap.mmap, static: Static, span: Span, columns: Sequence[str] | None) -> Any:
    """Return a dict of tensors, or one tensor; times are int64."""
    try:
        import torch
    except ImportError as exc:
        raise MissingLibrary('torch is not installed here. Run: pip install "jupyter-nq[torch]"') from exc
    found = to_numpy(mapping, static, span, columns)
    if isinstance(found, dict):
        return {name: torch.from_numpy(_numeric(name, values)) for name, values in found.items()}
    return torch.from_numpy(_numeric("the array", found))


# -- choosing ------------------------------------------------------------------------------------
def _chosen(static: Static, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(static.columns)
    for name in columns:
        if name not in static.columns:
            known = ", ".join(static.columns)
            raise UnsupportedData(
                f"{static.name} has no column {name!r}.{nearest(str(name), static.columns)} It has: {known}."
            )
    return list(columns)


def _places(static: Static) -> dict[str, tuple[Block, int]]:
    """Return for each column its block and its position there."""
    return {static.columns[c]: (block, i) for block in static.blocks for i, c in enumerate(block.columns)}


def _runs(static: Static, names: list[str]) -> list[tuple[Block, int, list[str]]]:
    """Cut the names into runs of neighbours in one block: (block, first position, names)."""
    places = _places(static)
    runs: list[tuple[Block, int, list[str]]] = []
    for name in names:
        block, position = places[name]
        if runs and runs[-1][0] is block and runs[-1][1] + len(runs[-1][2]) == position:
            runs[-1][2].append(name)
        else:
            runs.append((block, position, [name]))
    return runs


# -- arrays over the mapping ---------------------------------------------------------------------
def _block(mapping: mmap.mmap, block: Block, first: int, count: int, span: Span) -> Array:
    dtype = np.dtype(block.dtype)
    start, stop = span
    return np.ndarray(
        (count, stop - start),
        dtype,
        buffer=mapping,
        offset=block.offset + first * block.stride + start * dtype.itemsize,
        strides=(block.stride, dtype.itemsize),
    )


def _columns(mapping: mmap.mmap, static: Static, span: Span, names: list[str]) -> dict[str, Array]:
    places = _places(static)
    blocks = {id(b): _block(mapping, b, 0, len(b.columns), span) for b in static.blocks}
    return {name: blocks[id(places[name][0])][places[name][1]] for name in names}


def _array(mapping: mmap.mmap, static: Static, span: Span, columns: Sequence[str] | None) -> Array:
    if columns is not None:
        raise UnsupportedData(f"{static.name} is an array and has no columns. Leave `columns` out.")
    block = static.blocks[0]
    start, stop = span
    row_bytes = np.dtype(block.dtype).itemsize * int(np.prod(static.shape, dtype=np.int64))
    shape = array_shape(static, stop - start)
    return np.ndarray(shape, np.dtype(block.dtype), buffer=mapping, offset=block.offset + start * row_bytes)


# -- pandas --------------------------------------------------------------------------------------
def _frame_part(
    mapping: mmap.mmap, static: Static, schema: pa.Schema, span: Span, run: tuple[Block, int, list[str]]
) -> list[tuple[str, Any] | tuple[list[str], Array]]:
    block, first, names = run
    values = _block(mapping, block, first, len(names), span)
    kinds = [schema.field(n).type for n in names]
    if all(_is_plain(k) for k in kinds):
        return [(names, values)]
    return [(n, _pandas_column(values[i], k)) for i, (n, k) in enumerate(zip(names, kinds, strict=True))]


def _is_plain(kind: pa.DataType) -> bool:
    return not (pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None))


def _pandas_column(values: Array, kind: pa.DataType) -> Any:
    if pa.types.is_date32(kind):
        return values.astype("M8[D]").astype("M8[s]")
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pd.DatetimeIndex(values.view("<i8"), dtype=_tz_dtype(kind.unit, kind.tz), copy=False).array
    return values


@functools.lru_cache(maxsize=64)
def _tz_dtype(unit: str, tz: str) -> pd.DatetimeTZDtype:
    return pd.DatetimeTZDtype(unit, tz)


def _join(parts: list[list[Any]], index: pd.Index[Any]) -> pd.DataFrame:
    frames = []
    for names, values in (piece for part in parts for piece in part):
        if isinstance(names, list):
            frames.append(pd.DataFrame(values.T, index=index, columns=names, copy=False))
        else:
            frames.append(pd.DataFrame({names: values}, index=index, copy=False))
    if not frames:
        return pd.DataFrame(index=index)
    return frames[0] if len(frames) == 1 else pd.concat(frames, axis=1)


def _index_column(static: Static) -> str | None:
    column: str | None = static.origin.get("index", {}).get("column")
    return column


def _index(mapping: mmap.mmap, static: Static, schema: pa.Schema, span: Span) -> pd.Index[Any]:
    described = static.origin.get("index", {})
    column = described.get("column")
    if column is None:
        first, step = described.get("range", (0, 1))
        start, stop = span
        return pd.RangeIndex(first + start * step, first + stop * step, step, name=described.get("name"))
    values = _columns(mapping, static, span, [column])[column]
    return pd.Index(_pandas_column(values, schema.field(column).type), name=described["name"], copy=False)


def _array_to_pandas(array: Array, span: Span) -> Any:
    if array.ndim == 1:
        return pd.Series(array, index=pd.RangeIndex(*span), copy=False)
    if array.ndim == 2:
        return pd.DataFrame(array, index=pd.RangeIndex(*span), copy=False)
    raise UnsupportedData(f"An array with {array.ndim} dimensions is no frame. Use as_='numpy'.")


# -- arrow and torch -----------------------------------------------------------------------------
def _arrow_array(values: Array, kind: pa.DataType) -> pa.Array:
    if values.dtype.kind == "b":
        return pa.array(values)  # Arrow packs bits: the one copy here
    buffer = pa.py_buffer(values.view(np.uint8)) if len(values) else None
    return pa.Array.from_buffers(kind, len(values), [None, buffer])


def _numeric(name: str, values: Array) -> Array:
    if values.dtype.kind in "mM":
        return values.view("<i8")
    if values.dtype.kind in "SU":
        raise UnsupportedData(f"{name} holds text (dtype {values.dtype}), which torch has no tensor for.")
    return values
