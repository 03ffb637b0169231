"""Which rows and columns of a bar dataset a load shows; a selection is a view, never a copy.

A stamp as text is ISO 8601 only, because `03/04/2025` means two days. What is left out of it makes it a
period: `2024-06` is the whole month, so as a start it means its first and as an end its last nanosecond.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime

import numpy as np
import pandas as pd

from jupyter_nq.buffers import Handle
from jupyter_nq.buffers.handle import FORMS
from jupyter_nq.errors import InvalidArgument, nearest

Stamp = str | date | datetime | pd.Timestamp
HIDDEN = frozenset({"flags"})
"""Columns that are shown only when they are named."""

_ISO = re.compile(
    r"(?P<period>\d{4}(-\d{2}(-\d{2})?)?)"
    r"|(?P<moment>\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?)"
)
_EARLIEST, _LATEST = np.iinfo(np.int64).min + 1, np.iinfo(np.int64).max
_YEARS = range(1678, 2262)  # that ns since 1970 can hold in full


def checked_form(as_: str) -> str:
    """Return the form in which a view is wanted, or raise `InvalidArgument` with the forms there are."""
    if as_ not in FORMS:
        raise InvalidArgument(f"as_={as_!r} is not a form.{nearest(str(as_), FORMS)} Use one of {', '.join(FORMS)}.")
    return as_


def visible(handle: Handle, columns: Sequence[str] | None) -> list[str] | None:
    """Return the columns to show, in the order asked for; None for all of an array, or of what somebody put."""
    schema = handle.info.schema
    if schema is None or (columns is None and "bars" not in handle.info.meta):
        return None
    return shown(handle.info.name, schema.names, columns)


def shown(dataset: str, names: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    """Return which of the columns of some bars are shown, in the order asked for."""
    if columns is None:
        return [name for name in names if name not in HIDDEN]
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise InvalidArgument(f"columns={columns!r} is no list. Write a list of names: columns=['close'].")
    for name in columns:
        if name not in names:
            known = ", ".join(names)
            raise InvalidArgument(f"{dataset} has no column {name!r}.{nearest(name, names)} The columns are: {known}.")
    return list(columns)


def row_range(handle: Handle, start: Stamp | None, end: Stamp | None) -> tuple[int, int]:
    """Return the half-open row range of the bars that start in `[start, end]`, both inclusive."""
    if start is None and end is None:
        return 0, handle.rows
    first_ns, last_ns = span_of(start, end)
    stamps = handle.numpy(columns=["timestamp"])["timestamp"].view(np.int64)
    first, stop = np.searchsorted(stamps, first_ns, side="left"), np.searchsorted(stamps, last_ns, side="right")
    return int(first), int(stop)


def span_of(start: Stamp | None, end: Stamp | None) -> tuple[int, int]:
    """Return the first and the last nanosecond of `[start, end]`, both inclusive; None is no bound."""
    first_ns = _EARLIEST if start is None else span_ns(start, "start")[0]
    last_ns = _LATEST if end is None else span_ns(end, "end")[1]
    if first_ns > last_ns:
        raise InvalidArgument(f"start {start} is after end {end}.")
    return first_ns, last_ns


def span_ns(stamp: Stamp, what: str = "stamp") -> tuple[int, int]:
    """Return the first and the last nanosecond (UTC, since 1970) that a stamp means.

    Without a zone it is UTC. A stamp beyond what int64 can hold becomes the nearest one that it can.

    Raises
    ------
    InvalidArgument
        Not ISO 8601, no such day, or no stamp at all; `what` names the argument.

    >>> [str(np.datetime64(ns, "s")) for ns in (s // 10**9 for s in span_ns("2024-02"))]
    ['2024-02-01T00:00:00', '2024-02-29T23:59:59']
    """
    try:
        if isinstance(stamp, np.datetime64) and np.datetime_data(stamp.dtype)[0] in "YMD":
            stamp = str(stamp)  # a period, as it is written; NaT is none
        if isinstance(stamp, str):
            return _text_ns(stamp.strip())
        if isinstance(stamp, datetime | np.datetime64) and not pd.isna(stamp):
            return (_moment_ns(pd.Timestamp(stamp)),) * 2
        if isinstance(stamp, date) and not pd.isna(stamp):
            return _period_ns(stamp.isoformat())
    except (ValueError, OverflowError):  # a month 13, a day 31 of June
        pass
    raise InvalidArgument(
        f"{what}={stamp!r} is not a date or time. Write 2024-06-12, 2024-06 or 2024-06-12 14:30, in UTC or with a zone."
    )


def _text_ns(text: str) -> tuple[int, int]:
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(text)
    if match["period"]:
        return _period_ns(text)
    return (_moment_ns(pd.Timestamp(text)),) * 2


def _period_ns(text: str) -> tuple[int, int]:
    year = int(text[:4])
    if year not in _YEARS:
        return (_EARLIEST, _EARLIEST) if year < _YEARS.start else (_LATEST, _LATEST)
    period = pd.Period(text, freq={4: "Y", 7: "M", 10: "D"}[len(text)])
    return _moment_ns(period.start_time), _moment_ns((period + 1).start_time) - 1


def _moment_ns(moment: pd.Timestamp) -> int:
    if moment.year not in _YEARS:
        return _EARLIEST if moment.year < _YEARS.start else _LATEST
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return int(moment.as_unit("ns").value)
