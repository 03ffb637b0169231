"""What may be shared, and how it is read: tables, frames, arrays, bytes and JSON become lanes of bytes.

Nothing is copied here: `Lane.read(start, stop)` gives the bytes of a range when the copy into shared memory asks
for them, a piece at a time, so that taking in a frame needs no second frame.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers.values.columns import Column, of_arrow, of_numpy, of_values
from jupyter_nq.buffers.values.lanes import Array, Lane, Read
from jupyter_nq.buffers.values.python_values import ARRAYS, form_of
from jupyter_nq.errors import UnsupportedData

INDEX_COLUMN = "__index__"
_ARRAY_KINDS = "biufcmMSU"
_JSON = (Mapping, list, str, int, float, bool, type(None))


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
    categories: Mapping[str, pa.Array] = field(default_factory=dict)
    """What the codes of each column of categories mean."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns; one empty name for an array."""
        return ("",) if self.schema is None else tuple(self.schema.names)


def table_of(columns: Sequence[Column], rows: int, origin: Mapping[str, Any], metadata: Any = None) -> Content:
    """Put columns of one length together."""
    return Content(
        "table",
        rows,
        tuple(lane for column in columns for lane in column.lanes),
        pa.schema([column.field for column in columns], metadata=metadata),
        origin=origin,
        categories={c.field.name: c.categories for c in columns if c.categories is not None},
    )


def take_in(data: Any) -> Content:
    """Describe `data` as lanes.

    Parameters
    ----------
    data
        `pyarrow.Table` or `RecordBatch`, `pandas.DataFrame` or `Series`, numpy array of any shape, tensor of torch,
        dict of 1-D arrays, or what gives an Arrow stream, such as a frame of polars (copied by Arrow where it must):
        columns of any type that Arrow has, with nulls or without, and with any index of pandas. Bytes come back as
        bytes; other dicts, lists, text and numbers as the same JSON values.

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
    if isinstance(data, bytes | bytearray | memoryview):
        return _from_bytes(data, "bytes")
    if isinstance(data, Mapping) and any(isinstance(values, np.ndarray) for values in data.values()):
        return _from_dict(data)
    if isinstance(data, _JSON):
        return _from_json(data)
    if hasattr(data, "__arrow_c_stream__"):
        return _from_stream(data)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(data, torch.Tensor):
        return _from_tensor(data)
    raise UnsupportedData(
        f"{type(data).__name__} cannot be shared. Pass a frame of pandas or polars, a Series, a pyarrow Table, "
        "a numpy array, a tensor, a dict of 1-D numpy arrays, bytes, or what JSON can hold."
    )


# -- tables --------------------------------------------------------------------------------------
def _from_arrow(table: pa.Table) -> Content:
    check_labels(table.column_names)
    columns = [of_arrow(field_, table.column(i)) for i, field_ in enumerate(table.schema)]
    return table_of(columns, table.num_rows, {"container": "arrow"}, table.schema.metadata)


def _from_stream(data: Any) -> Content:
    try:
        return _from_arrow(pa.table(data))
    except (pa.ArrowException, TypeError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        raise UnsupportedData(
            f"{type(data).__name__} gives no table of Arrow: {reason}. Share a frame or a table: a column goes in as "
            "series.to_frame() or pyarrow.table({name: array}); a type that Arrow does not have must be cast."
        ) from exc


def _from_dict(data: Mapping[str, Any]) -> Content:
    check_labels(list(data))
    columns, forms = [], {}
    for name, values in data.items():
        if not isinstance(values, np.ndarray) or values.ndim != 1:
            raise UnsupportedData(f"Column {name!r} is not a 1-D numpy array. Convert it with numpy.asarray.")
        columns.append(of_numpy(name, values))
        if values.dtype.kind == "O" and form_of(values) == ARRAYS:
            forms[name] = ARRAYS
    lengths = {len(values) for values in data.values()}
    if len(lengths) > 1:
        raise UnsupportedData(f"The columns have different lengths: {sorted(lengths)}. A table needs one length.")
    return table_of(columns, lengths.pop(), {"container": "dict"} | ({"forms": forms} if forms else {}))


def _from_series(series: pd.Series[Any]) -> Content:
    content = _from_frame(series.to_frame("value" if series.name is None else series.name))
    origin = {**content.origin, "container": "series", "series_name": series.name}
    return Content("table", content.rows, content.lanes, content.schema, (), origin, content.categories)


def _from_frame(frame: pd.DataFrame) -> Content:
    labels = list(frame.columns)
    check_labels(labels)
    series = {label: frame.iloc[:, i] for i, label in enumerate(labels)}
    levels, described = _from_index(frame.index, labels)
    series = levels | series
    columns = [_from_column(label, values) for label, values in series.items()]
    forms = {label: form for label, values in series.items() if (form := _form(values)) is not None}
    origin = {"container": "pandas", "index": described} | ({"forms": forms} if forms else {})
    return table_of(columns, len(frame), origin)


def _from_index(index: pd.Index[Any], labels: list[str]) -> tuple[dict[str, pd.Series[Any]], dict[str, Any]]:
    """Return the columns that an index takes, in front of those with `labels`, and how it is made of them again."""
    names = [_index_name(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {}, {"range": [index.start, index.step], "name": names[0]}
    levels: dict[str, pd.Series[Any]] = {}
    for i, name in enumerate(names):
        taken = [*labels, *levels]
        column = name if isinstance(name, str) and name not in taken else _free_label(taken)
        values = _level_values(index, i) if isinstance(index, pd.MultiIndex) else index
        levels[column] = pd.Series(values, index=pd.RangeIndex(len(index)))
    if isinstance(index, pd.MultiIndex):
        dtypes = [level.dtype.name if _is_whole(level.dtype) else None for level in index.levels]
        return levels, {"columns": list(levels), "names": names, "dtypes": dtypes}
    return levels, {"column": next(iter(levels)), "name": names[0]}


def _level_values(index: pd.MultiIndex, i: int) -> Any:
    """Return a level row by row; pandas itself would make floats of whole numbers of which one is missing."""
    level, codes = index.levels[i], index.codes[i]
    if not _is_whole(level.dtype) or codes.min(initial=0) >= 0:
        return index.get_level_values(i)
    return pd.array(level.to_numpy()).take(codes, allow_fill=True)


def _is_whole(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "iub"


def _form(values: pd.Series[Any]) -> str | None:
    """Return what a column of pandas is to become again, None when the lanes tell."""
    dtype: Any = values.dtype
    if isinstance(dtype, pd.DatetimeTZDtype | pd.CategoricalDtype):
        return None
    if isinstance(dtype, np.dtype):
        return form_of(values) if dtype.kind == "O" else None
    return "arrow" if isinstance(dtype, pd.ArrowDtype) else str(dtype)


def _from_column(name: str, series: pd.Series[Any]) -> Column:
    dtype = series.dtype
    if isinstance(dtype, pd.DatetimeTZDtype):
        kind = pa.Array.from_pandas(series.iloc[:0]).type
        return of_numpy(name, np.asarray(pd.DatetimeIndex(series).asi8).view(f"<M8[{dtype.unit}]"), kind)
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return of_numpy(name, series.to_numpy())
    return of_values(name, series)


def check_labels(labels: list[Any]) -> None:
    """Raise `UnsupportedData` unless all names of columns are text and each is there once."""
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


def _index_name(name: Any) -> str | int | None:
    if name is None or isinstance(name, str):
        return name
    if isinstance(name, int | np.integer) and not isinstance(name, bool):
        return int(name)
    raise UnsupportedData(
        f"The name of the index, {name!r}, is neither text nor a whole number. Set frame.index.names."
    )


def _free_label(labels: list[str]) -> str:
    """Return a name for the column of an index that no other column has."""
    column = INDEX_COLUMN
    while column in labels:
        column = f"_{column}"
    return column


# -- arrays --------------------------------------------------------------------------------------
def _from_array(array: Array, container: str = "numpy") -> Content:
    if array.dtype.kind not in _ARRAY_KINDS:
        raise UnsupportedData(
            f"An array of dtype {array.dtype} cannot be shared. Use numbers, bool, datetime64 or fixed-width text; "
            "a structured array goes in as {name: array[name] for name in array.dtype.names}."
        )
    if np.ma.is_masked(array):
        raise UnsupportedData(
            "An array with masked values cannot be shared. Fill them, or share it as a column: {name: array}."
        )
    dtype = array.dtype.newbyteorder("<")
    scalar = array.ndim == 0
    rows = 1 if scalar else array.shape[0]
    shape = array.shape[1:]
    row_bytes = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    lane = Lane("", dtype.str, row_bytes, rows * row_bytes, _flat_reader(array, dtype))
    return Content("array", rows, (lane,), None, shape, {"container": container, "scalar": scalar})


def _from_tensor(tensor: Any) -> Content:
    try:
        return _from_array(tensor.detach().cpu().numpy())
    except (TypeError, RuntimeError) as exc:
        raise UnsupportedData(
            f"A tensor of {tensor.dtype} ({tensor.layout}) cannot be shared: {exc}. Convert it, as with .float() or "
            ".to_dense()."
        ) from exc


def _from_bytes(data: bytes | bytearray | memoryview, container: str) -> Content:
    return _from_array(np.frombuffer(data, np.uint8), container)


def _from_json(data: Any) -> Content:
    try:
        text = json.dumps(data, allow_nan=False, ensure_ascii=False).encode()
        same = json.loads(text) == data
    except (TypeError, ValueError, RecursionError) as exc:
        raise UnsupportedData(
            f"The {type(data).__name__} is no JSON value: {exc}. Share arrays as a dict of numpy arrays alone."
        ) from exc
    if not same:
        raise UnsupportedData(
            f"The {type(data).__name__} would not come back from JSON as it is: keys must be text, and sequences lists."
        )
    return _from_bytes(text, "json")


def _flat_reader(array: Array, dtype: np.dtype[Any]) -> Read:
    flat: list[Array] = []  # made on first use: only an array that is not contiguous costs a copy

    def read(start: int, stop: int) -> Array:
        if not flat:
            flat.append(np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8))
        return flat[0][start:stop]

    return read
