"""What a message was published as, so that a consumer gets the same back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa

from jupyter_nq.errors import UnsupportedData
from jupyter_nq.streams.fitting import fitted

ROW, BATCH, TABLE, FRAME, JSON, BYTES = range(6)


def as_batch(data: Any, schema: pa.Schema | None) -> tuple[pa.RecordBatch, int] | None:
    """Return data of columns as one batch, and its kind; None for anything else.

    A pandas index is sent as a column, one that counts as a note. A table of several chunks is copied into one.
    """
    if isinstance(data, pa.RecordBatch):
        return data, BATCH
    if isinstance(data, pa.Table):
        return _joined(data), TABLE
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _from_frame(data, schema), FRAME
    if isinstance(data, Mapping) and data and all(_is_column(value) for value in data.values()):
        return _from_columns(data, schema), BATCH
    return None


def _is_column(value: Any) -> bool:
    """Tell whether a value of a dict is a column of rows: JSON has lists too, but no arrays."""
    return (hasattr(value, "dtype") and hasattr(value, "__len__")) or isinstance(value, (pa.Array, pa.ChunkedArray))


def _from_frame(frame: Any, schema: pa.Schema | None) -> pa.RecordBatch:
    try:
        found = _with_nan(pa.RecordBatch.from_pandas(frame, nthreads=1), frame)
        if _is_plain(frame):
            found = found.replace_schema_metadata(None)
        return found if schema is None else fitted(found, schema)
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise UnsupportedData(f"The frame cannot be sent: {exc}") from exc


def _with_nan(batch: pa.RecordBatch, frame: Any) -> pa.RecordBatch:
    """Give back the NaN of a frame, which Arrow took for nulls."""
    for place, kind in enumerate(frame.dtypes):
        if isinstance(kind, np.dtype) and kind.kind == "f" and batch.column(place).null_count:
            values = pa.array(frame.iloc[:, place].to_numpy(), from_pandas=False)
            batch = batch.set_column(place, batch.schema.field(place), values)
    return batch


def _is_plain(frame: Any) -> bool:
    """Tell whether pandas makes the same frame of its columns without what it notes in the schema."""
    index, labels = frame.index, frame.columns
    if not isinstance(index, sys.modules["pandas"].RangeIndex) or (index.start, index.step, index.name) != (0, 1, None):
        return False
    if labels.nlevels > 1 or labels.name is not None or not all(isinstance(label, str) for label in labels):
        return False
    zoned = sys.modules["pandas"].DatetimeTZDtype
    return all(
        (isinstance(kind, np.dtype) and kind.kind in "biufM") or isinstance(kind, zoned) for kind in frame.dtypes
    )


def _from_columns(columns: Mapping[str, Any], schema: pa.Schema | None) -> pa.RecordBatch:
    try:
        found = pa.RecordBatch.from_pydict({name: _arrow(values) for name, values in columns.items()})
        return found if schema is None else fitted(found, schema)
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise UnsupportedData(f"The columns cannot be sent: {exc}") from exc


def _arrow(values: Any) -> Any:
    """Return a column as Arrow has it; NaN stays NaN, also that of a pandas series."""
    kind = getattr(values, "dtype", None)
    if isinstance(kind, np.dtype) and kind.kind == "f":
        return pa.array(np.asarray(values), from_pandas=False)
    return values


def _joined(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    if len(batches) > 1:
        raise UnsupportedData("The table is too large to be one message. Publish it in slices.")
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)


def from_batch(batch: pa.RecordBatch, kind: int) -> Any:
    """Return a batch as what it was published as; frames share the memory of columns where pandas can."""
    if kind == FRAME:
        return batch.to_pandas()
    if kind == TABLE:
        return pa.Table.from_batches([batch])
    if kind == ROW:
        return batch.to_pylist()[0]
    return batch


def pack(value: Any, what: str) -> bytes:
    """Return what JSON can express as msgpack; `UnsupportedData` for anything else."""
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise UnsupportedData(
            f"{what} cannot be sent: {exc}. It takes frames, Arrow tables, dicts of columns, bytes, and what JSON has."
        ) from exc
    return packed


def unpack(packed: Any) -> Any:
    """Return what was packed; tuples come back as lists, unless they are keys, which only tuples can be."""
    try:
        return msgpack.unpackb(packed, strict_map_key=False)
    except TypeError:
        return msgpack.unpackb(packed, strict_map_key=False, use_list=False)
