"""What a message was published as, so that a consumer gets the same back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgpack
import pyarrow as pa

from jupyter_nq.errors import UnsupportedData

ROW, BATCH, TABLE, FRAME, JSON, BYTES = range(6)


def as_batch(data: Any, schema: pa.Schema | None) -> tuple[pa.RecordBatch, int] | None:
    """Return data of columns as one batch, and its kind; None for anything else.

    A pandas index is sent as a column, unless it only counts the rows. A table of several chunks is copied into one.
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
    keeps_index = not isinstance(frame.index, sys.modules["pandas"].RangeIndex)
    try:
        found = pa.RecordBatch.from_pandas(frame, preserve_index=keeps_index, nthreads=1)
        return found if schema is None else _cast(found, schema)
    except pa.ArrowException as exc:
        raise UnsupportedData(f"The frame cannot be sent: {exc}") from exc


def _from_columns(columns: Mapping[str, Any], schema: pa.Schema | None) -> pa.RecordBatch:
    try:
        found = pa.RecordBatch.from_pydict(dict(columns))
        return found if schema is None else _cast(found, schema)
    except (pa.ArrowException, TypeError) as exc:
        raise UnsupportedData(f"The columns cannot be sent: {exc}") from exc


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Give columns the types of a schema where no value changes; what has other columns is left to be refused."""
    if batch.schema.names != schema.names or batch.schema.types == schema.types:
        return batch
    try:
        return batch.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return batch


def _joined(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
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
