"""Views on a mapped object: numpy, pandas, Arrow and torch over the same bytes.

Every view is built from `numpy.ndarray(buffer=mapping)`, so it keeps the mapping alive, and it is read-only
because the mapping is. Neighbouring columns of one dtype become one pandas block: a 2-D array
(columns, rows) that is strided by the object's capacity.
"""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers.intake import Array, numpy_dtype
from jupyter_nq.buffers.layout import Block, Static, parse_schema
from jupyter_nq.buffers.objects import array_shape
from jupyter_nq.errors import ChecksumError, MissingLibrary, UnsupportedData, nearest

# pandas 3 builds a frame from blocks; before, it is put together from one frame per block, which pandas 2
# copies unless it is told not to.
_from_blocks: Callable[..., Any] | None = getattr(
    getattr(pd.api, "internals", None), "create_dataframe_from_blocks", None
)
_NO_COPY: dict[str, Any] = {"copy": False} if pd.__version__.startswith("2.") else {}


@dataclass(frozen=True)
class Window:
    """Rows [start, stop) of a mapped object."""

    mapping: mmap.mmap
    static: Static
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


def to_numpy(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a dict of 1-D views, or the array."""
    if window.static.kind == "array":
        return _array(window, columns)
    return _columns(window, _chosen(window.static, columns))


def to_pandas(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a frame with one block per run of columns of one dtype, or a Series for what was one."""
    static = window.static
    if static.kind == "array":
        return _array_to_pandas(_array(window, columns), window)
    names = [n for n in _chosen(static, columns) if n != _index_column(static)]
    frame = _join([part for run in _runs(static, names) for part in _frame_parts(window, run)], _index(window))
    if static.origin.get("container") == "series" and columns is None:
        return frame.iloc[:, 0].rename(static.origin["series_name"])
    return frame


def to_arrow(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a table whose buffers lie in the mapping; a tensor for an array."""
    schema = window.static.arrow_schema
    if schema is None:
        return pa.Tensor.from_numpy(_array(window, columns))
    names = _chosen(window.static, columns)
    fields = [schema.field(name) for name in names]
    arrays = [_arrow_array(v, f.type) for f, v in zip(fields, _columns(window, names).values(), strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=schema.metadata))


def to_torch(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a dict of tensors, or one tensor; times are int64."""
    try:
        import torch
    except ImportError as exc:
        raise MissingLibrary('torch is not installed here. Run: pip install "jupyter-nq[torch]"') from exc
    found = to_numpy(window, columns)
    if isinstance(found, dict):
        return {name: torch.from_numpy(_numeric(name, values)) for name, values in found.items()}
    return torch.from_numpy(_numeric("the array", found))


def check_types(path: Path, static: Static) -> None:
    """Raise `ChecksumError` unless the Arrow types of a table are those in which its columns are stored."""
    if static.schema is None:
        return
    try:
        sound = _types_agree(static.schema, static.columns, static.blocks)
    except (pa.ArrowException, ValueError, TypeError, OSError) as exc:
        raise ChecksumError(f"{path} is not a sound object: its schema cannot be read ({exc!r}).") from exc
    if not sound:
        raise ChecksumError(f"{path} is not a sound object: its schema is not that of its columns.")


@functools.lru_cache(maxsize=512)
def _types_agree(schema: bytes, columns: tuple[str, ...], blocks: tuple[Block, ...]) -> bool:
    stored = {columns[c]: block.dtype for block in blocks for c in block.columns}
    fields = parse_schema(schema)
    return fields.names == list(columns) and all(numpy_dtype(f.type) == stored[f.name] for f in fields)


# -- choosing ------------------------------------------------------------------------------------
def _chosen(static: Static, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return list(static.columns)
    for name in columns:
        if name not in static.columns:
            hint = nearest(str(name), static.columns)
            raise UnsupportedData(f"{static.name} has no column {name!r}.{hint} It has: {', '.join(static.columns)}.")
    return list(dict.fromkeys(columns))


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
def _block(window: Window, block: Block, first: int, count: int) -> Array:
    dtype = np.dtype(block.dtype)
    return np.ndarray(
        (count, window.rows),
        dtype,
        buffer=window.mapping,
        offset=block.offset + first * block.stride + window.start * dtype.itemsize,
        strides=(block.stride, dtype.itemsize),
    )


def _columns(window: Window, names: list[str]) -> dict[str, Array]:
    places = _places(window.static)
    return {name: _block(window, *places[name], 1)[0] for name in names}


def _array(window: Window, columns: Sequence[str] | None) -> Array:
    static = window.static
    if columns is not None:
        raise UnsupportedData(f"{static.name} is an array and has no columns. Leave `columns` out.")
    block = static.blocks[0]
    dtype = np.dtype(block.dtype)
    row_bytes = dtype.itemsize * int(np.prod(static.shape, dtype=np.int64))
    first = 0 if static.origin.get("scalar") else window.start  # what has no dimension has no rows to choose
    offset = block.offset + first * row_bytes
    return np.ndarray(array_shape(static, window.rows), dtype, buffer=window.mapping, offset=offset)


# -- pandas --------------------------------------------------------------------------------------
def _frame_parts(window: Window, run: tuple[Block, int, list[str]]) -> list[tuple[list[str], Any]]:
    """Return (names, values) per pandas block: a 2-D array, or one special column."""
    block, first, names = run
    values = _block(window, block, first, len(names))
    types = [window.static.column_type(n) for n in names]
    if any(_is_special(t) for t in types):
        return [([n], _pandas_column(values[i], t)) for i, (n, t) in enumerate(zip(names, types, strict=True))]
    return [(names, values.T)]


def _is_special(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None))


def _pandas_column(values: Array, kind: pa.DataType) -> Any:
    if pa.types.is_date32(kind):
        return values.astype("M8[D]").astype("M8[s]")
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pd.DatetimeIndex(values.view("<i8"), dtype=_tz_dtype(kind.unit, kind.tz), copy=False).array
    return values


@functools.lru_cache(maxsize=64)
def _tz_dtype(unit: Any, tz: str) -> pd.DatetimeTZDtype:
    return pd.DatetimeTZDtype(unit, tz)


def _join(parts: list[tuple[list[str], Any]], index: pd.Index[Any]) -> pd.DataFrame:
    if _from_blocks is None:
        frames = [_frame_of(names, values, index) for names, values in parts]
        return pd.concat(frames, axis=1, **_NO_COPY) if frames else pd.DataFrame(index=index)
    blocks: list[tuple[Any, Array]] = []
    labels: list[str] = []
    for names, values in parts:
        block = values.T if values.ndim == 2 else values.reshape(1, -1)
        blocks.append((block, np.arange(len(labels), len(labels) + len(names))))
        labels += names
    frame: pd.DataFrame = _from_blocks(blocks, index=index, columns=pd.Index(labels))
    return frame


def _frame_of(names: list[str], values: Any, index: pd.Index[Any]) -> pd.DataFrame:
    data = {names[0]: values} if values.ndim == 1 else values
    return pd.DataFrame(data, index=index, columns=names, copy=False)


def _index_column(static: Static) -> str | None:
    column: str | None = static.origin.get("index", {}).get("column")
    return column


def _index(window: Window) -> pd.Index[Any]:
    described = window.static.origin.get("index", {})
    name = described.get("name")
    column = described.get("column")
    if column is None:
        first, step = described.get("range", (0, 1))
        return pd.RangeIndex(first + window.start * step, first + window.stop * step, step, name=name)
    values = _columns(window, [column])[column]
    index: pd.Index[Any] = pd.Index(_pandas_column(values, window.static.column_type(column)), name=name, copy=False)
    return index


def _array_to_pandas(array: Array, window: Window) -> Any:
    if array.ndim == 1:
        return pd.Series(array, index=pd.RangeIndex(window.start, window.stop), copy=False)
    if array.ndim == 2:
        return pd.DataFrame(array, index=pd.RangeIndex(window.start, window.stop), copy=False)
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
