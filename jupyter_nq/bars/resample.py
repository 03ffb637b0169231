"""Longer bars from shorter ones, cut where the session cuts them.

A bar of two hours begins at its session's open and every two hours from there, never at a clock's even hours,
and the last one of a session ends with it. A bar exists when at least one source bar lies in it. Nothing is
invented and nothing left out: a source bar outside the sessions is an error, or on request part of a bar of
its own; only regular hours, when they are asked for, leave out what lies around them in their session.

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

from jupyter_nq.bars.columns import floats_of, starts_of, values_of
from jupyter_nq.bars.hours import RegularHours
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.calendar import CALENDARS, sessions
from jupyter_nq.bars.sessions.regular import HOURS, daily_hours, known_hours, regular_hours
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.sizes import together

OUTSIDE = ("error", "keep")
_MINUTE_NS = 60 * 1_000_000_000
_DAY_MINUTES = 1440
_COLUMNS = tuple(name for name in BAR_SCHEMA.names if name != "flags")
_MOST_NAMED = 3
_LONGEST_PAUSE_NS = 14 * _DAY_MINUTES * _MINUTE_NS  # longer than any exchange is closed
_NOTHING = -(1 << 63)


@dataclass(frozen=True)
class _Rule:
    """How bars are cut."""

    minutes: int
    """Length of a result."""
    source_minutes: int
    calendar: str | None
    regular: RegularHours | None
    """The regular hours when only they count."""
    keep: bool


def resample(
    table: pa.Table,
    timeframe: str,
    *,
    minutes: int,
    calendar: str | None,
    hours: str = "eth",
    outside: str = "error",
    regular_hours: str | None = None,
) -> pa.Table:
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
        Trading calendar, for example "CME Globex Equity". None, for an instrument whose sessions are not known,
        cuts at multiples of the length since midnight UTC.
    hours
        "eth" takes whole sessions, anchored at their open; "rth" only the regular hours, anchored at their begin.
    outside
        What becomes of bars that start when the exchange is closed: "error", or "keep" for bars of their own,
        cut at multiples of the length since midnight UTC and at the closes and opens around them.
    regular_hours
        Those of the instrument, such as "09:00-14:30 America/New_York"; None takes the calendar's, which only the
        equity index has. Where the calendar's sessions are not known, every day from Monday to Friday has them.

    Returns
    -------
    pa.Table
        New bars of `BAR_SCHEMA`: the stamp is the start of the bar (a day's is its session's open), `flags`
        has every bit that a source bar has. The last bar may be partial: its session or length may not be over
        (a `Resampler` tells). No high or low is -0.0.

    Raises
    ------
    InvalidArgument
        The lengths do not fit, a column is missing, or a bar lies outside the sessions or across two results.
    ConfigError
        The calendar's sessions, or its regular hours, are not known.
    """
    rule = _rule(timeframe, minutes, calendar, hours, outside, regular_hours)
    rows, stamps, _ = _buckets(table, rule)
    return aggregated(rows, stamps)


def bar_starts(starts: Ints, timeframe: str, *, minutes: int, calendar: str | None) -> Ints:
    """Return the stamp of the longer bar in which each source bar lies, as `resample` cuts whole sessions.

    Parameters
    ----------
    starts
        Starts of source bars, ns UTC, in their order; one may be there several times.
    timeframe, minutes, calendar
        As for `resample`.

    Raises
    ------
    InvalidArgument, ConfigError
        As `resample`.
    """
    rule = _rule(timeframe, minutes, calendar, "eth", "error", None)
    if not len(starts):
        return starts
    return _grid(starts, _hours(starts, rule), rule)[0]


class Resampler:
    """`resample` for rows that arrive in batches; what it returns, put together, is `resample` of the whole.

    Only the source rows of the bar that is not complete yet are kept. Parameters are those of `resample`.
    Used by one thread.
    """

    def __init__(
        self,
        timeframe: str,
        *,
        minutes: int,
        calendar: str | None,
        hours: str = "eth",
        outside: str = "error",
        regular_hours: str | None = None,
    ) -> None:
        self._rule = _rule(timeframe, minutes, calendar, hours, outside, regular_hours)
        self._pending: pa.Table | None = None
        self._last = _NOTHING

    def __repr__(self) -> str:
        waiting = 0 if self._pending is None else self._pending.num_rows
        return f"<Resampler {self._rule.source_minutes} to {self._rule.minutes} min, {waiting} rows in the forming bar>"

    @property
    def partial(self) -> pa.Table:
        """The bar that is forming, of the rows so far: one row of `BAR_SCHEMA`, or none."""
        if self._pending is None:
            return BAR_SCHEMA.empty_table()
        rows, stamps, _ = _buckets(self._pending, self._rule)
        return aggregated(rows, stamps)

    def add(self, batch: pa.Table | pa.RecordBatch) -> pa.Table:
        """Take the next rows, and return the bars that are now complete, which may be none.

        A bar is complete with the row that reaches its end, or else with the first row behind it. An error
        leaves everything as it was.
        """
        starts = starts_of(batch)
        if len(starts) and starts[0] <= self._last:
            raise InvalidArgument(
                f"the batch begins at {_text(starts[0])}, not behind the rows before it, the last of which is at "
                f"{_text(np.int64(self._last))}. Add the rows in order."
            )
        rows, stamps, end = _buckets(self._with_pending(batch), self._rule)
        self._last = int(starts[-1]) if len(starts) else self._last
        if not len(stamps):
            return BAR_SCHEMA.empty_table()
        reached = self._last + self._rule.source_minutes * _MINUTE_NS >= end
        last = len(stamps) if reached else int(np.searchsorted(stamps, stamps[-1]))
        self._pending = None if reached else rows.slice(last)
        return aggregated(rows.slice(0, last), stamps[:last])

    def finish(self) -> pa.Table:
        """Return the last bar if it is partial, its end not reached by the rows, or none; and begin anew."""
        last, self._pending, self._last = self.partial, None, _NOTHING
        return last

    def _with_pending(self, batch: pa.Table | pa.RecordBatch) -> pa.Table:
        new = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        if self._pending is None:
            return new
        return pa.concat_tables([self._pending, new.select(self._pending.column_names)])


def _rule(
    timeframe: str, minutes: int, calendar: str | None, hours: str, outside: str, regular_hours: str | None
) -> _Rule:
    wanted = parse_timeframe(timeframe).minutes
    if hours not in HOURS:
        raise InvalidArgument(f"hours={hours!r} is neither 'eth' nor 'rth'.")
    if hours == "rth" and calendar is None and not regular_hours:
        raise InvalidArgument("hours='rth' needs a calendar, which tells the regular hours, or regular_hours=.")
    if outside not in OUTSIDE:
        raise InvalidArgument(f"outside={outside!r} is neither 'error' nor 'keep'.")
    if minutes < 1 or wanted < minutes or wanted % minutes:
        raise InvalidArgument(
            f"{minutes}-minute bars give no {timeframe} bars: that length is no multiple of {minutes} minutes."
        )
    regular = known_hours(calendar, regular_hours) if hours == "rth" else None
    return _Rule(wanted, minutes, calendar, regular, outside == "keep")


def _buckets(table: pa.Table, rule: _Rule) -> tuple[pa.Table, Ints, int]:
    """Return the rows that count, for each the stamp of its result, and where the last result ends."""
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise InvalidArgument(f"the bars have no column {together(missing)}; they have {_listed(table)}.")
    starts = starts_of(table)
    if not len(starts):
        return table, starts, _NOTHING
    hours = _hours(starts, rule)
    if rule.regular:
        inside = hours.of(hours.closed) | ((starts >= hours.of(hours.first)) & (starts < hours.of(hours.stop)))
        table, starts = table.filter(pa.array(inside)), starts[inside]
        if not len(starts):
            return table, starts, _NOTHING
        hours = _hours(starts, rule)
    return table, *_grid(starts, hours, rule)


def _grid(starts: Ints, hours: _Hours, rule: _Rule) -> tuple[Ints, int]:
    """Return for each row the stamp of its result, and where the last result ends."""
    anchor = hours.of(np.where(hours.closed, 0, hours.first))
    since = starts - anchor
    uneven = since != since // (rule.source_minutes * _MINUTE_NS) * (rule.source_minutes * _MINUTE_NS)
    opening = rule.regular.opening if rule.regular else "the open of their session" if rule.calendar else "midnight UTC"
    _refuse(starts, uneven, f"at no multiple of {rule.source_minutes} minutes from {opening}", "Use shorter bars.")
    length = rule.minutes * _MINUTE_NS
    grid = anchor + since // length * length
    if hours.counts[hours.closed].any():
        grid = np.maximum(grid, hours.of(hours.first))
    if rule.minutes == _DAY_MINUTES:
        grid = np.where(hours.of(hours.closed), grid, hours.of(hours.first))
    return grid, int(min(grid[-1] + length, hours.stop[np.flatnonzero(hours.counts)[-1]]))


@dataclass(frozen=True)
class _Hours:
    """Stretches of time in which the exchange is open, or closed, one behind the other."""

    counts: Ints
    """How many bars start in each."""
    first: Ints
    """Begin, ns UTC, inclusive."""
    stop: Ints
    """End, exclusive."""
    closed: npt.NDArray[np.bool_]

    def of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return for each bar the value of its stretch."""
        return np.repeat(values, self.counts)


def _hours(starts: Ints, rule: _Rule) -> _Hours:
    """Return the hours in which bars lie; bars in closed hours are refused unless they are to be kept."""
    if rule.regular and rule.calendar not in CALENDARS:
        return _Hours(np.ones(len(starts), int), *daily_hours(starts, rule.regular), np.zeros(len(starts), bool))
    if rule.calendar is None:
        whole = np.array([_NOTHING]), np.array([-1 - _NOTHING])
        return _Hours(np.array([len(starts)]), *whole, np.ones(1, bool))
    around = _LONGEST_PAUSE_NS if rule.keep else 0
    sess = sessions(rule.calendar, int(starts[0]) - around, int(starts[-1]) + around)
    counts = sess.counts(starts)
    closed = np.arange(len(counts)) % 2 == 0
    if not rule.keep and counts[closed].any():
        outside = np.repeat(closed, counts)
        _refuse(starts, outside, f"outside the sessions of {rule.calendar}", "Check the zone, or remove them.")
    opens, closes = regular_hours(sess, str(rule.regular)) if rule.regular else (sess.opens, sess.closes)
    first, stop = np.full(len(counts), _NOTHING), np.full(len(counts), -1 - _NOTHING)
    first[1::2], stop[1::2] = opens, closes
    first[2::2], stop[:-1:2] = sess.closes, sess.opens
    return _Hours(counts, first, stop, closed)


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


def aggregated(table: pa.Table, stamps: Ints) -> pa.Table:
    """Return one bar for each run of rows with the same stamp: all longer bars are made here, live ones too.

    Parameters
    ----------
    table
        Rows in the order of their time: `open high low close volume`, `flags` if there.
    stamps
        Stamp of the bar of each, ns UTC.

    Returns
    -------
    pa.Table
        Bars of `BAR_SCHEMA`.
    """
    if not len(stamps):
        return BAR_SCHEMA.empty_table()
    first = np.concatenate([[0], np.flatnonzero(np.diff(stamps)) + 1])
    last = np.append(first[1:], len(stamps)) - 1
    open_, high, low, close = (floats_of(table, name) for name in PRICES)
    volume = values_of(table, "volume", pa.int64(), np.dtype("i8"))
    if int(volume.max()) * len(volume) >= 2**63 and volume.astype(float).sum() >= 2.0**62:
        raise InvalidArgument("the volumes are too large to be added in 64 bits. Correct them.")
    if "flags" in table.column_names:
        flags = np.bitwise_or.reduceat(values_of(table, "flags", pa.uint32(), np.dtype("u4")), first)
    else:
        flags = np.zeros(len(first), np.uint32)
    columns: Sequence[npt.NDArray[Any]] = (
        stamps[first],
        open_[first],
        np.maximum.reduceat(high, first) + 0.0,  # which of 0.0 and -0.0 is found depends on how rows are cut
        np.minimum.reduceat(low, first) + 0.0,
        close[last],
        np.add.reduceat(volume, first),
        flags,
    )
    return bar_table(columns)


def bar_table(columns: Sequence[npt.NDArray[Any]]) -> pa.Table:
    """Return bars as a table over the memory of their columns, which have the order and the types of `BAR_SCHEMA`."""
    arrays = [
        pa.Array.from_buffers(field.type, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
        for values, field in zip(columns, BAR_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)
