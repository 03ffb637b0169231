"""Columns of Python objects: lists, dicts, arrays and what else Arrow has a type for, there and back.

A column of objects goes in only when the same values come out of Arrow: dicts whose keys differ from row to row
would get keys that they did not have, tuples would be lists, and numbers and NaN must stay what they are. Of dates
and times, which Arrow changes without a word, nothing may be cut off.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers.values.lanes import Array

OBJECTS, ARRAYS = "object", "arrays"
"""Forms of a column: values of Python, or one-dimensional numpy arrays where values of Python would be lists."""


def form_of(values: Any) -> str:
    """Return the form of a column of objects."""
    return ARRAYS if any(isinstance(value, np.ndarray) for value in values) else OBJECTS


def objects_of(column: pa.ChunkedArray, form: str | None = None) -> Array:
    """Return the values of a column as Python objects in an array, None where there is none. Copies."""
    if form == ARRAYS:
        rows = [None if row.values is None else row.values.to_numpy(zero_copy_only=False) for row in column]
    else:
        rows = _decoded(column).to_pylist()
    objects = np.empty(len(rows), object)
    for i, row in enumerate(rows):  # numpy would make arrays of one length two-dimensional
        objects[i] = row
    return objects


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return categories as the values that they mean: one by one, Arrow would look each up with a scalar."""
    meant = column.type.value_type if pa.types.is_dictionary(column.type) else None
    if meant is None or pa.types.is_nested(meant) or isinstance(meant, pa.BaseExtensionType):
        return column
    return pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks], meant)


def nested_of(values: Any) -> pa.Array:
    """Return lists, dicts and arrays as an array of Arrow in which NaN inside of them stays NaN.

    Raises
    ------
    ValueError
        Other values would come back.
    """
    objects = np.empty(len(values), object)
    for i, value in enumerate(values):
        objects[i] = value
    missing = np.array([not isinstance(v, list | dict | tuple | np.ndarray) and bool(pd.isna(v)) for v in objects])
    found = pa.array(objects, mask=missing, from_pandas=False)
    back = objects_of(pa.chunked_array([found]), form_of(objects))
    for row, (before, after) in enumerate(zip(objects, back, strict=True)):
        if not missing[row] and not _same(before, after):
            raise ValueError(f"row {row:,} would come back as {str(after)[:60]}")
    return found


def check_times(values: Any, kind: pa.DataType) -> None:
    """Look at objects of which Arrow makes dates, times or durations; only the values say what it would leave out.

    Raises
    ------
    ValueError
        A time among dates, nanoseconds, or a second zone would be lost; it names the first such row.
    """
    objects = np.asarray(values, object)
    rows = np.flatnonzero(~pd.isna(objects))
    if set(map(type, objects[rows])) <= {date, timedelta}:  # they have nothing that could be lost
        return
    dates, clock = pa.types.is_date(kind), pa.types.is_time(kind)
    cuts = dates or getattr(kind, "unit", "ns") != "ns"
    zone = None if clock else getattr(objects[rows[0]], "tzinfo", None)
    for row, value in zip(rows, objects[rows], strict=True):
        if dates and isinstance(value, datetime):
            raise ValueError(f"row {row:,}, {value}, would become a date")
        if cuts and (getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)):
            raise ValueError(f"row {row:,}, {value}, would lose its nanoseconds")
        own = getattr(value, "tzinfo", None)
        if own is not zone and str(own) != str(zone):
            raise ValueError(
                f"row {row:,}, {value}, would " + ("lose its zone" if clock else "get the zone of the first row")
            )


def _same(before: Any, after: Any) -> bool:
    """Return whether a value of Python is another one, type and all; a number of numpy may be one of Python."""
    if isinstance(before, np.ndarray):
        alike = isinstance(after, np.ndarray) and before.dtype == after.dtype and before.shape == after.shape
        return alike and bool(np.array_equal(before, after, equal_nan=before.dtype.kind in "fcmM"))
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, dict):
        alike = isinstance(after, dict) and list(before) == list(after)
        return alike and all(_same(before[key], after[key]) for key in before)
    if isinstance(before, np.generic):
        before = before.item()
    if type(before) is not type(after):
        return False
    return bool(before == after) or (before != before and after != after)
