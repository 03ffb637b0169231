"""Which rows and columns of a bar dataset a load shows; a selection is a view, never a copy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
import pandas as pd

from jupyter_nq.buffers import Handle
from jupyter_nq.errors import InvalidArgument, nearest

Stamp = str | date | datetime | pd.Timestamp
HIDDEN = frozenset({"flags"})
"""Columns that are shown only when they are named."""


def visible(handle: Handle, columns: Sequence[str] | None) -> list[str] | None:
    """Return the columns to show, in the order asked for; None when the object is an array."""
    schema = handle.info.schema
    if schema is None:
        return None
    if columns is None:
        return [name for name in schema.names if name not in HIDDEN]
    for name in columns:
        if name not in schema.names:
            known = ", ".join(schema.names)
            raise InvalidArgument(
                f"{handle.info.name} has no column {name!r}.{nearest(name, schema.names)} The columns are: {known}."
            )
    return list(columns)


def row_range(handle: Handle, start: Stamp | None, end: Stamp | None) -> tuple[int, int]:
    """Return the half-open row range of the bars that start in `[start, end]`.

    Both ends are inclusive, as in pandas: a bare date as `end` means the whole day. Stamps without a
    zone are UTC.
    """
    rows = handle.rows
    if start is None and end is None:
        return 0, rows
    stamps = handle.numpy(columns=["timestamp"])["timestamp"].view(np.int64)
    first = 0 if start is None else int(np.searchsorted(stamps, _to_ns(start, "start"), side="left"))
    last = rows if end is None else int(np.searchsorted(stamps, _last_ns(end), side="right"))
    if first > last:
        raise InvalidArgument(f"start {start} is after end {end}.")
    return first, last


def _to_ns(stamp: Stamp, what: str) -> int:
    try:
        moment = pd.Timestamp(stamp)
        moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
        return int(moment.as_unit("ns").value)
    except (ValueError, TypeError) as exc:
        raise InvalidArgument(f"{what}={stamp!r} is not a date or time. Write 2024-06-12 or 2024-06-12 14:30.") from exc


def _last_ns(end: Stamp) -> int:
    ns = _to_ns(end, "end")
    whole_day = isinstance(end, date) and not isinstance(end, datetime)
    if whole_day or (isinstance(end, str) and len(end.strip()) == len("2024-06-12")):
        return ns + 24 * 3600 * 10**9 - 1
    return ns
