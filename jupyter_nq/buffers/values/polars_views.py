"""polars over a mapped object: series whose buffers lie in the mapping, by way of Arrow.

polars holds what Arrow gives it and never writes to it, so a frame keeps the mapping, and its lease, like any view.
Copied are what Arrow views copy, and what polars lays out in its own way: the places of text (its bytes are not), codes
of categories, bytes of a fixed size, times in seconds, decimals, and arrays of two dimensions.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers.values.arrow_views import column_of
from jupyter_nq.buffers.values.columns import storage_of
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.buffers.values.views import Window, array_of
from jupyter_nq.errors import MissingLibrary, UnsupportedData


def to_polars(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a frame with the columns of a table, those of a pandas index too; a Series or a frame for an array.

    Raises
    ------
    MissingLibrary
        polars is not installed.
    UnsupportedData
        It has no type for a column, or the array has too many dimensions.
    """
    polars = _library()
    if window.static.kind == "table":
        schema = window.static.arrow_schema
        assert schema is not None  # a table has one
        fields = [schema.field(name) for name in window.chosen(columns)]
        return polars.DataFrame([_series(polars, field, column_of(window, field.name)) for field in fields])
    array = array_of(window, columns)
    if array.ndim == 1:
        return _of_array(polars, array)
    if array.ndim == 2:
        return polars.from_numpy(array)
    raise UnsupportedData(f"An array with {array.ndim} dimensions is no frame. Use as_='numpy'.")


def _library() -> Any:
    try:
        return importlib.import_module("polars")
    except ImportError as exc:
        raise MissingLibrary("polars is not installed here. Run: pip install polars") from exc


def _of_array(polars: Any, array: Array) -> Any:
    try:
        column = pa.chunked_array([pa.array(array)])
    except pa.ArrowException as exc:
        raise UnsupportedData(f"polars has no type for an array of dtype {array.dtype}. Use as_='numpy'.") from exc
    return _series(polars, pa.field("", column.type), column)


def _series(polars: Any, field: pa.Field, column: pa.ChunkedArray) -> Any:
    """Return a column; what polars wrote beside its type, such as the values of an Enum, makes it that type again."""
    try:
        if _is_too_wide(column.type):
            raise polars.exceptions.ComputeError("a decimal of 256 bits")
        if not field.metadata:
            return polars.Series(field.name, column)
        table = pa.Table.from_arrays([column], schema=pa.schema([field.with_nullable(True)]))
        return polars.from_arrow(table).to_series()
    except (polars.exceptions.PolarsError, TypeError, ValueError) as exc:
        reason = str(exc).splitlines()[0].rstrip(".")
        raise UnsupportedData(
            f"polars has no type for column {field.name!r} ({column.type}): {reason}. Choose other columns, or use "
            "as_='arrow'."
        ) from exc


def _is_too_wide(kind: pa.DataType) -> bool:
    """Return whether a decimal is in a type of which polars would panic, which is no exception to Python."""
    kind = storage_of(kind)
    inside = [kind.field(i).type for i in range(kind.num_fields)]
    inside += [kind.value_type] if pa.types.is_dictionary(kind) else []
    return bool(pa.types.is_decimal256(kind)) or any(map(_is_too_wide, inside))
