"""Columns of whatever holds bars: an Arrow table, or a pandas frame, which is imported by whoever made it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import Floats, array, floats_of, starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.errors import InvalidArgument, UnsupportedData

if TYPE_CHECKING:
    import pandas as pd

Data = TypeVar("Data", bound="pa.Table | pd.DataFrame")


def is_frame(data: Any) -> bool:
    """Tell whether it is a pandas frame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def names_of(data: Any) -> list[str]:
    """Return the names of the columns.

    Raises
    ------
    UnsupportedData
        It is neither a table nor a frame.
    """
    if is_frame(data):
        return [str(name) for name in data.columns]
    if not isinstance(data, pa.Table):
        raise UnsupportedData(f"a {type(data).__name__} holds no bars. Pass a pandas.DataFrame or a pyarrow.Table.")
    names: list[str] = data.column_names
    return names


def float_names(data: Any) -> list[str]:
    """Return the names of the columns that are float64."""
    names = names_of(data)
    if is_frame(data):
        return [str(name) for name, kind in data.dtypes.items() if kind == np.float64]
    return [name for name in names if data.schema.field(name).type == pa.float64()]


def stamps_of(data: Any) -> Ints:
    """Return the increasing starts of the bars, ns UTC: the column `timestamp`, or a frame's index of times."""
    if not is_frame(data):
        names_of(data)
        return starts_of(data)
    index = data.index
    found = data["timestamp"] if "timestamp" in data.columns else index if hasattr(index, "tz") else None
    if found is None:
        raise InvalidArgument("the frame has neither a column 'timestamp' nor an index of times.")
    return starts_of(pa.table({"timestamp": pa.array(found)}))


def column_of(data: Any, name: str) -> Floats:
    """Return a column of numbers as float64.

    Raises
    ------
    InvalidArgument
        There is no such column, or it holds something else.
    """
    if not is_frame(data):
        return floats_of(data, name)
    if name not in data.columns:
        raise InvalidArgument(f"the frame has no column {name!r}; it has {', '.join(names_of(data))}.")
    try:
        values: Floats = data[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise InvalidArgument(f"column {name!r} is not made of numbers: {exc}") from exc
    return values


def bars_of(frame: pd.DataFrame, names: Sequence[str]) -> pa.Table:
    """Return stamps and columns of a frame as a table."""
    columns = {name: array(column_of(frame, name)) for name in names if name in frame.columns}
    stamps = pa.Array.from_buffers(pa.timestamp("ns", "UTC"), len(frame), [None, pa.py_buffer(stamps_of(frame).copy())])
    return pa.table({"timestamp": stamps, **columns})


def with_columns(data: Data, columns: Mapping[str, Floats]) -> Data:
    """Return the same with columns put in the place of those of their name, or at the end; the given is not changed."""
    if is_frame(data):
        import pandas as pd

        old = data.drop(columns=[])
        for name in [name for name in columns if name in data.columns]:
            old[name] = columns[name]
        new = {name: values for name, values in columns.items() if name not in data.columns}
        joined: Any = pd.concat([old, pd.DataFrame(new, index=data.index)], axis=1) if new else old
        joined.attrs = dict(data.attrs)
        return joined  # type: ignore[no-any-return]
    table: Any = data
    for name, values in columns.items():
        field, at = pa.field(name, pa.float64(), nullable=False), table.schema.get_field_index(name)
        table = table.append_column(field, array(values)) if at < 0 else table.set_column(at, field, array(values))
    return table  # type: ignore[no-any-return]
