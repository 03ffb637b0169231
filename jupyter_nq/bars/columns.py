"""Columns of Arrow tables as numpy values and back, without a copy where the memory allows it, and without pandas.

Arrow's own `to_numpy` and `pa.array` import pandas, which would cost a fresh kernel more than the features do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.sizes import counted, together

Floats = npt.NDArray[np.float64]

_STAMP = BAR_SCHEMA.field("timestamp").type
_NS = 1_000_000_000


def floats_of(table: pa.Table, name: str) -> Floats:
    """Return a column of numbers as float64; a view when it is that already and one piece.

    Raises
    ------
    InvalidArgument
        There is no such column, it has nulls, or values that float64 cannot hold.
    """
    return values_of(table, name, pa.float64(), np.dtype("f8"))


def starts_of(table: pa.Table | pa.RecordBatch) -> Ints:
    """Return the starts of bars, ns UTC.

    Raises
    ------
    InvalidArgument
        No column `timestamp`, one without a zone, nulls, or stamps that do not strictly increase.
    """
    index = table.schema.get_field_index("timestamp")
    kind = table.schema.field(index).type if index >= 0 else None
    if kind is not None and not (pa.types.is_timestamp(kind) and kind.tz is not None):
        raise InvalidArgument(
            f"column 'timestamp' is {kind}, not a time with a zone. Localise it, for example to 'UTC'."
        )
    starts: Ints = values_of(table, "timestamp", _STAMP, np.dtype("i8"))
    wrong = np.flatnonzero(starts[1:] <= starts[:-1])
    if len(wrong):
        row = int(wrong[0]) + 1
        raise InvalidArgument(
            f"the stamps do not strictly increase in {counted(len(wrong), 'row')}, first in row {row:,} "
            f"({iso(starts[row])} after {iso(starts[row - 1])}). Sort the bars and remove what is there twice."
        )
    return starts


def array(column: Floats) -> pa.Array:
    """Return float64 values as an Arrow array over the same memory."""
    return pa.Array.from_buffers(pa.float64(), len(column), [None, pa.py_buffer(np.ascontiguousarray(column))])


def iso(nanos: np.int64 | int) -> str:
    """Return an instant as people read it, `2024-05-06 13:30:00Z`."""
    return datetime.fromtimestamp(int(nanos) // _NS, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def values_of(table: pa.Table | pa.RecordBatch, name: str, kind: pa.DataType, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a column in a type of fixed width; a view when it is of that type already and one piece.

    Raises
    ------
    InvalidArgument
        There is no such column, it has nulls, or values that the type cannot hold.
    """
    if name not in table.schema.names:
        raise InvalidArgument(f"the bars have no column {name!r}; they have {together(table.schema.names) or 'none'}.")
    column = table[name] if isinstance(table, pa.Table) else pa.chunked_array([table[name]])
    if column.null_count:
        raise InvalidArgument(f"column {name!r} has {counted(column.null_count, 'null')}. Fill or remove them first.")
    try:
        column = column if column.type == kind else pc.cast(column, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
        raise InvalidArgument(f"column {name!r} is {column.type} and cannot be {kind}: {exc}") from exc
    parts = [_view(chunk, dtype) for chunk in column.chunks if len(chunk)]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, dtype)])


def _view(chunk: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(chunk.buffers()[1], dtype)[chunk.offset : chunk.offset + len(chunk)]
