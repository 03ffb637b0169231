"""What may be shared, and how it is read: tables, frames, arrays and dicts become lanes of bytes.

A lane is one column (or one whole array) as a sequence of fixed-width values. Nothing is copied here:
`Lane.read(start, stop)` gives the bytes of a range when the copy into shared memory asks for them, a
piece at a time, so that taking in a frame needs no second frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.errors import UnsupportedData
from jupyter_nq.sizes import counted

Array: TypeAlias = np.ndarray[Any, Any]
Read: TypeAlias = Callable[[int, int], Array]
INDEX_COLUMN = "__index__"
_ARRAY_KINDS = "biufcmMSU"
_NAT = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Lane:
    """One column, or one whole array, to be copied."""

    name: str
    dtype: str
    """numpy dtype string of the stored values."""
    row_bytes: int
    """Bytes of one row of this lane."""
    read: Read = field(repr=False)
    """`read(start, stop)`: the bytes [start, stop) as a contiguous array; a view where that is possible."""


@dataclass(frozen=True)
class Content:
    """Data that can be shared, described but not copied."""

    kind: str
    """`table` or `array`."""
    rows: int
    lanes: tuple[Lane, ...]
    schema: pa.Schema | None
    shape: tuple[int, ...] = ()
    """Shape of one row of an array."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How the data came in, so that the same thing comes out."""


def take_in(data: Any) -> Content:
    """Describe `data` as lanes.

    Parameters
    ----------
    data
        `pyarrow.Table` or `RecordBatch`, `pandas.DataFrame` or `Series`, numpy array of any shape, dict of 1-D
        arrays, or what gives an Arrow stream, such as a frame of polars (copied by Arrow where it must). Values have
        a fixed width (numbers, bool, timestamps, durations, dates) and no nulls.

    Raises
    ------
    UnsupportedData
        Names the column, its type and what to do.
    """
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        return _from_arrow(data)
    if isinstance(data, pd.DataFrame):
        return _from_frame(data)
    if isinstance(data, pd.Series):
        return _from_series(data)
    if isinstance(data, np.ndarray):
        return _from_array(data)
    if isinstance(data, Mapping):
        return _from_dict(data)
    if hasattr(data, "__arrow_c_stream__"):
        return _from_arrow(pa.table(data))
    raise UnsupportedData(
        f"{type(data).__name__} cannot be shared. Pass a frame of pandas or polars, a Series, a pyarrow Table, "
        "a numpy array or a dict of 1-D numpy arrays."
    )


def numpy_dtype(kind: pa.DataType) -> str | None:
    """Return the numpy dtype in which an Arrow type is stored, None when it has no fixed width in bytes."""
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
        dtype: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
        return dtype.newbyteorder("<").str
    return None


# -- tables --------------------------------------------------------------------------------------
def _from_arrow(table: pa.Table) -> Content:
    _check_labels(table.column_names)
    lanes = tuple(_arrow_lane(f.name, table.column(i)) for i, f in enumerate(table.schema))
    return Content("table", table.num_rows, lanes, table.schema, origin={"container": "arrow"})


def _from_dict(columns: Mapping[str, Any]) -> Content:
    _check_labels(list(columns))
    lanes, fields = [], []
    for name, values in columns.items():
        array = np.asarray(values) if isinstance(values, np.ndarray) else None
        if array is None or array.ndim != 1:
            raise UnsupportedData(f"Column {name!r} is not a 1-D numpy array. Convert it with numpy.asarray.")
        lanes.append(_numpy_lane(name, array))
        fields.append(pa.field(name, _arrow_type(name, array.dtype), nullable=False))
    lengths = {len(v) for v in columns.values()}
    if len(lengths) > 1:
        raise UnsupportedData(f"The columns have different lengths: {sorted(lengths)}. A table needs one length.")
    rows = lengths.pop() if lengths else 0
    return Content("table", rows, tuple(lanes), pa.schema(fields), origin={"container": "dict"})


def _from_series(series: pd.Series[Any]) -> Content:
    frame = series.to_frame("value" if series.name is None else series.name)
    content = _from_frame(frame)
    origin = {**content.origin, "container": "series", "series_name": series.name}
    return Content("table", content.rows, content.lanes, content.schema, origin=origin)


def _from_frame(frame: pd.DataFrame) -> Content:
    labels = list(frame.columns)
    _check_labels(labels)
    pairs = [_series_lane(label, frame.iloc[:, i]) for i, label in enumerate(labels)]
    index = frame.index
    name = _index_name(index)
    if isinstance(index, pd.RangeIndex):
        described = {"range": [index.start, index.step], "name": name}
    else:
        column = name if isinstance(name, str) and name not in labels else _free_label(labels)
        pairs.insert(0, _series_lane(column, index.to_series()))
        described = {"column": column, "name": name}
    lanes = tuple(lane for lane, _ in pairs)
    schema = pa.schema([field_ for _, field_ in pairs])
    return Content("table", len(frame), lanes, schema, origin={"container": "pandas", "index": described})


def _series_lane(name: str, series: pd.Series[Any]) -> tuple[Lane, pa.Field]:
    dtype = series.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        kind = pa.Array.from_pandas(series.iloc[:0]).type
        values = np.asarray(pd.DatetimeIndex(series).asi8).view(f"<M8[{dtype.unit}]")
        return _numpy_lane(name, values), pa.field(name, kind, nullable=False)
    if isinstance(dtype, np.dtype):
        values = series.to_numpy()
        return _numpy_lane(name, values), pa.field(name, _arrow_type(name, values.dtype), nullable=False)
    if isinstance(dtype, pd.CategoricalDtype):
        raise UnsupportedData(f"Column {name!r} is categorical. Share its codes: frame[{name!r}].cat.codes.")
    column = pa.chunked_array(pa.array(series, from_pandas=True))
    return _arrow_lane(name, column), pa.field(name, column.type, nullable=False)


def _check_labels(labels: list[Any]) -> None:
    seen = set()
    for label in labels:
        if not isinstance(label, str):
            raise UnsupportedData(
                f"Column label {label!r} is {type(label).__name__}, not text. Rename the columns: "
                "frame.columns = frame.columns.map(str)."
            )
        if label in seen:
            raise UnsupportedData(f"Column {label!r} is there twice. Rename or drop one of the two.")
        seen.add(label)


def _index_name(index: pd.Index[Any]) -> str | int | None:
    name: Any = index.name
    if isinstance(index, pd.MultiIndex):
        raise UnsupportedData("A frame with a MultiIndex cannot be shared. Call reset_index() first.")
    if name is None or isinstance(name, str):
        return name
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return int(name)
    raise UnsupportedData(f"The name of the index, {name!r}, is neither text nor a whole number. Set frame.index.name.")


def _free_label(labels: list[str]) -> str:
    """Return a name for the column of an index that no other column has."""
    column = INDEX_COLUMN
    while column in labels:
        column = f"_{column}"
    return column


# -- arrays --------------------------------------------------------------------------------------
def _from_array(array: Array) -> Content:
    if array.dtype.kind not in _ARRAY_KINDS:
        raise UnsupportedData(
            f"An array of dtype {array.dtype} cannot be shared. Use numbers, bool, datetime64 or fixed-width text; "
            "a structured array goes in as {name: array[name] for name in array.dtype.names}."
        )
    dtype = array.dtype.newbyteorder("<")
    scalar = array.ndim == 0
    rows = 1 if scalar else array.shape[0]
    shape = array.shape[1:]
    row_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    lane = Lane("", dtype.str, row_bytes, _flat_reader(array, dtype))
    return Content("array", rows, (lane,), None, shape, origin={"container": "numpy", "scalar": scalar})


def _flat_reader(array: Array, dtype: np.dtype[Any]) -> Read:
    flat: list[Array] = []  # made on first use: only an array that is not contiguous costs a copy

    def read(start: int, stop: int) -> Array:
        if not flat:
            flat.append(np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8))
        return flat[0][start:stop]

    return read


# -- lanes ---------------------------------------------------------------------------------------
def _arrow_type(name: str, dtype: np.dtype[Any]) -> pa.DataType:
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


def _numpy_lane(name: str, values: Array) -> Lane:
    dtype = values.dtype.newbyteorder("<")
    size = dtype.itemsize

    def read(start: int, stop: int) -> Array:
        part = np.ascontiguousarray(values[start // size : stop // size], dtype=dtype)
        if dtype.kind in "mM" and len(part) and part.view("<i8").min() == _NAT:
            raise UnsupportedData(f"Column {name!r} has NaT values. Drop or fill these rows before sharing.")
        return part

    return Lane(name, dtype.str, size, read)


def _arrow_lane(name: str, column: pa.ChunkedArray) -> Lane:
    stored = numpy_dtype(column.type)
    if stored is None:
        raise UnsupportedData(
            f"Column {name!r} has type {column.type}, which has no fixed width in shared memory. Convert it "
            "to numbers, bool or timestamps, or leave it out."
        )
    if column.null_count:
        raise UnsupportedData(
            f"Column {name!r} ({column.type}) has {counted(column.null_count, 'null')}. "
            "Fill them (fill_null, fillna) or drop the rows."
        )
    dtype = np.dtype(stored)

    def read(start: int, stop: int) -> Array:
        first, last = start // dtype.itemsize, stop // dtype.itemsize
        chunks = [_chunk_values(c, dtype) for c in column.slice(first, last - first).chunks]
        return chunks[0] if len(chunks) == 1 else np.concatenate([np.empty(0, dtype), *chunks])

    return Lane(name, dtype.str, dtype.itemsize, read)


def _chunk_values(chunk: pa.Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "b":  # Arrow packs bits; shared memory holds a byte each
        return np.asarray(pc.cast(chunk, pa.uint8()).to_numpy(zero_copy_only=False)).view(dtype)
    if len(chunk) == 0:
        return np.empty(0, dtype)
    return np.frombuffer(chunk.buffers()[1], dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)
