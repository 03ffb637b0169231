"""Longer bars from shorter ones, cut where the session cuts them.

A bar of two hours begins at its session's open and every two hours from there, never at a clock's even hours,
and the last one of a session ends with it. A bar exists when at least one source bar lies in it. Nothing is
invented and nothing left out: a source bar outside the sessions is an error, unless regular hours are asked
for, which leave out what lies outside them.

All aggregates are exact (first, last, largest, smallest, a sum of whole numbers), so that any way of cutting
the rows into batches gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.calendar import regular_hours, sessions
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.errors import InvalidArgument

HOURS = ("eth", "rth")
_MINUTE_NS = 60 * 1_000_000_000
_DAY_MINUTES = 1440
_COLUMNS = tuple(name for name in BAR_SCHEMA.names if name != "flags")
_MOST_NAMED = 3


@dataclass(frozen=True)
class _Rule:
    """How bars are cut."""

    minutes: int
    """Length of a result."""
    source_minutes: int
    calendar: str
    regular: bool


def resample(table: pa.Table, timeframe: str, *, minutes: int, calendar: str, hours: str = "eth") -> pa.Table:
    """Return longer bars, cut at the sessions of a calendar.

    Parameters
    ----------
    table
        Bars: `timestamp` (UTC ns, increasing), `open high low close` (float64), `volume` (int64), `flags` if there.
    timeframe
        Length of the results, a multiple of the source's up to "1D", which is one bar for a session.
    minutes
        Length of the source's bars.
    calendar
        Trading calendar, for example "CME Globex Equity".
    hours
        "eth" takes whole sessions, anchored at their open; "rth" only the regular hours, anchored at 09:30.

    Returns
    -------
    pa.Table
        New bars of `BAR_SCHEMA`: the stamp is the start of the bar (a day's is its session's open), `flags`
        has every bit that a source bar has. The last bar may be partial: its session or length may not be over.

    Raises
    ------
    InvalidArgument
        The lengths do not fit, a column is missing, or a bar lies outside the sessions or across two results.
    ConfigError
        The calendar's sessions, or its regular hours, are not known.
    """
    rule = _rule(timeframe, minutes, calendar, hours)
    rows, keys, stamps = _buckets(table, rule)
    return _aggregated(rows, keys, stamps)


class Resampler:
    """`resample` for rows that arrive in batches; what it returns, put together, is `resample` of the whole.

    Only the source rows of the bar that is not complete yet are kept. Parameters are those of `resample`.
    """

    def __init__(self, timeframe: str, *, minutes: int, calendar: str, hours: str = "eth") -> None:
        self._rule = _rule(timeframe, minutes, calendar, hours)
        self._pending: pa.Table | None = None

    def __repr__(self) -> str:
        waiting = 0 if self._pending is None else self._pending.num_rows
        return f"<Resampler {self._rule.source_minutes} to {self._rule.minutes} min, {waiting} rows in the forming bar>"

    def add(self, batch: pa.Table | pa.RecordBatch) -> pa.Table:
        """Take the next rows, and return the bars that a later row has completed, which may be none."""
        rows, keys, stamps = _buckets(self._with_pending(batch), self._rule)
        if not len(keys):
            return BAR_SCHEMA.empty_table()
        last = int(np.searchsorted(keys, keys[-1]))
        self._pending = rows.slice(last)
        return _aggregated(rows.slice(0, last), keys[:last], stamps[:last])

    def finish(self) -> pa.Table:
        """Return the last bar, or none, and begin anew. Nothing tells whether it is whole: no row came after it."""
        pending, self._pending = self._pending, None
        if pending is None:
            return BAR_SCHEMA.empty_table()
        return _aggregated(*_buckets(pending, self._rule))

    def _with_pending(self, batch: pa.Table | pa.RecordBatch) -> pa.Table:
        new = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        if self._pending is None:
            return new
        return pa.concat_tables([self._pending, new.select(self._pending.column_names)])


def starts_of(table: pa.Table) -> Ints:
    """Return the stamps of a table of bars, ns UTC, without a copy when they lie in one piece.

    Raises
    ------
    InvalidArgument
        There is no such column, or it is not UTC in nanoseconds, has nulls, or does not increase.
    """
    kind = BAR_SCHEMA.field("timestamp").type
    if "timestamp" not in table.column_names or table.schema.field("timestamp").type != kind:
        raise InvalidArgument(f"the bars need a column 'timestamp' of type {kind}; they have {_listed(table)}.")
    starts = column(table, "timestamp", np.int64)
    back = np.flatnonzero(np.diff(starts) <= 0)
    if len(back):
        raise InvalidArgument(f"the stamps do not increase at row {int(back[0]) + 1:,}. Sort the bars by timestamp.")
    return starts


def column(table: pa.Table, name: str, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return a fixed-width column as an array, without a copy when it lies in one piece; nulls are refused."""
    chunked = table[name]
    if chunked.null_count:
        raise InvalidArgument(f"the column {name!r} has {chunked.null_count:,} nulls. Remove these rows first.")
    parts = [np.frombuffer(c.buffers()[1], dtype)[c.offset : c.offset + len(c)] for c in chunked.chunks if len(c)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _rule(timeframe: str, minutes: int, calendar: str, hours: str) -> _Rule:
    wanted = parse_timeframe(timeframe).minutes
    if hours not in HOURS:
        raise InvalidArgument(f"hours={hours!r} is neither 'eth' nor 'rth'.")
    if wanted < minutes or wanted % minutes:
        raise InvalidArgument(
            f"{minutes}-minute bars give no {timeframe} bars: that length is no multiple of {minutes} minutes."
        )
    return _Rule(wanted, minutes, calendar, hours == "rth")


def _buckets(table: pa.Table, rule: _Rule) -> tuple[pa.Table, Ints, Ints]:
    """Return the rows that count, and for each the number of its result and that result's stamp."""
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise InvalidArgument(f"the bars have no column {' and '.join(missing)}; they have {_listed(table)}.")
    starts = starts_of(table)
    if not len(starts):
        return table, starts, starts
    sess = sessions(rule.calendar, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    _refuse(starts, at < 0, f"outside the sessions of {rule.calendar}", "Check the zone, or remove them.")
    anchors = sess.opens
    if rule.regular:
        anchors, ends = regular_hours(sess)
        inside = (starts >= anchors[at]) & (starts < ends[at])
        table, starts, at = table.filter(pa.array(inside)), starts[inside], at[inside]
    since = starts - anchors[at]
    uneven = since % (rule.source_minutes * _MINUTE_NS) != 0
    opening = "09:30" if rule.regular else "the open of their session"
    _refuse(starts, uneven, f"at no multiple of {rule.source_minutes} minutes from {opening}", "Use shorter bars.")
    if rule.minutes == _DAY_MINUTES:
        return table, at, anchors[at]
    number = since // (rule.minutes * _MINUTE_NS)
    return table, at * (_DAY_MINUTES + 1) + number, anchors[at] + number * rule.minutes * _MINUTE_NS


def _refuse(starts: Ints, wrong: npt.NDArray[np.bool_], what: str, remedy: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        named = ", ".join(f"row {row:,} ({_text(starts[row])})" for row in rows[:_MOST_NAMED].tolist())
        more = " and more" if len(rows) > _MOST_NAMED else ""
        raise InvalidArgument(f"{len(rows):,} of {len(starts):,} bars start {what}: {named}{more}. {remedy}")


def _text(ns: np.int64) -> str:
    return str(np.datetime64(int(ns), "ns").astype("datetime64[s]")).replace("T", " ") + " UTC"


def _listed(table: pa.Table) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in table.schema) or "no column"


def _aggregated(table: pa.Table, keys: Ints, stamps: Ints) -> pa.Table:
    if not len(keys):
        return BAR_SCHEMA.empty_table()
    first = np.concatenate([[0], np.flatnonzero(np.diff(keys)) + 1])
    last = np.append(first[1:], len(keys)) - 1
    open_, high, low, close = (column(table, name, np.float64) for name in PRICES)
    volume = column(table, "volume", np.int64)
    if int(volume.max()) * len(volume) >= 2**63 and volume.astype(float).sum() >= 2.0**62:
        raise InvalidArgument("the volumes are too large to be added in 64 bits. Correct them.")
    if "flags" in table.column_names:
        flags = np.bitwise_or.reduceat(column(table, "flags", np.uint32), first)
    else:
        flags = np.zeros(len(first), np.uint32)
    columns: Sequence[npt.NDArray[Any]] = (
        stamps[first],
        open_[first],
        np.maximum.reduceat(high, first),
        np.minimum.reduceat(low, first),
        close[last],
        np.add.reduceat(volume, first),
        flags,
    )
    arrays = [
        pa.Array.from_buffers(field.type, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
        for values, field in zip(columns, BAR_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)
