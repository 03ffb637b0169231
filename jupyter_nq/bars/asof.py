"""Joining timeframes without looking ahead: what was known when a bar closed.

A bar is known when it is complete, not when it starts. Joined on start stamps, the 30-minute bar of 18:00 sits
beside the three-hour bar of 18:00, whose close lies two and a half hours in its future, and a strategy tested
on such rows earns money that nobody can earn. So the row that is joined is the last one that was complete at
the moment of decision, which is the close of the left bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.errors import InvalidArgument

MOMENTS = ("close", "open")
_MINUTE_NS = 60 * 1_000_000_000


@dataclass(frozen=True)
class Timed:
    """Bars, and what is needed to know when each is complete."""

    table: pa.Table
    """Has a column `timestamp` (UTC ns, start of bar, increasing); any others."""
    minutes: int
    """Length of a bar."""
    calendar: str | None = None
    """Trading calendar, at whose closes bars end early; None when there is none."""


def asof(
    left: Timed, right: Timed, *, at: str = "close", suffix: str = "_right", tolerance_minutes: int | None = None
) -> pa.Table:
    """Return the left bars, each with the last right bar that was complete at that moment.

    Parameters
    ----------
    left, right
        Bars of two timeframes, instruments or both.
    at
        The moment of decision: "close" of the left bar, when all of it is known, or its "open".
    suffix
        Behind the names of the right columns.
    tolerance_minutes
        A right bar that was complete longer ago than this is not joined; None means any age.

    Returns
    -------
    pa.Table
        The left columns, not copied; then those of the right bar but `flags`, and `age<suffix>`, the time
        from its completion to the moment (duration, ns). Rows with no such bar have nulls, never zeros.

    Raises
    ------
    InvalidArgument
        `at` is no moment, a name would occur twice, or a table's stamps are no increasing UTC nanoseconds.
    """
    rows, age = _rows(left, right, at, tolerance_minutes)
    names = [name for name in right.table.column_names if name != "flags"]
    joined = left.table
    for name, values in [*((name, taken(right.table.select([name]), rows)[name]) for name in names), ("age", age)]:
        if name + suffix in joined.column_names:
            raise InvalidArgument(f"the column {name + suffix!r} is there already. Pass another suffix=.")
        joined = joined.append_column(name + suffix, values)
    return joined


def aligned(frames: Mapping[str, Timed], *, at: str = "close") -> dict[str, pa.Table]:
    """Return every timeframe with the rows of the shortest: row i is the bar known when the shortest's i-th closes.

    The shortest is returned as it is. Longer ones keep their columns, `timestamp` being the start of the bar
    that is shown; rows before the first complete bar are null.
    """
    if not frames:
        return {}
    base = min(frames.values(), key=lambda timed: timed.minutes)
    return {
        label: timed.table if timed is base else taken(timed.table, _rows(base, timed, at, None)[0])
        for label, timed in frames.items()
    }


def taken(table: pa.Table, rows: pa.Array) -> pa.Table:
    """Return the rows of a table by number, nulls for a null; every column is nullable then."""
    nullable = pa.schema([field.with_nullable(True) for field in table.schema], metadata=table.schema.metadata)
    return table.cast(nullable).take(rows)


def _rows(left: Timed, right: Timed, at: str, tolerance_minutes: int | None) -> tuple[pa.Array, pa.Array]:
    """Return for each left bar the row of the right bar that is joined, and its age; null where there is none."""
    if at not in MOMENTS:
        raise InvalidArgument(f"at={at!r} is neither 'close' nor 'open'.")
    starts = starts_of(left.table)
    moments = starts if at == "open" else availability(starts, left.minutes, left.calendar)
    known = availability(starts_of(right.table), right.minutes, right.calendar)
    # A long bar outside the sessions may be complete after a later one inside: the last row is wanted that is complete.
    settled = np.minimum.accumulate(known[::-1])[::-1]
    rows = _last_settled(settled, moments)
    none = rows < 0
    age = moments - known[rows] if len(known) else np.zeros(len(rows), np.int64)
    if tolerance_minutes is not None:
        none |= age > tolerance_minutes * _MINUTE_NS
    return pa.array(rows, mask=none), pa.array(age, pa.duration("ns"), mask=none)


def _last_settled(settled: Ints, moments: Ints) -> Ints:
    """Return for each moment the last position of `settled`, which increases, that is not after it; -1 for none."""
    if len(settled) < len(moments) and (moments[1:] >= moments[:-1]).all():  # fewer to be looked up
        counts = np.diff(np.searchsorted(moments, settled), prepend=0, append=len(moments))
        return np.repeat(np.arange(-1, len(settled)), counts)
    rows: Ints = np.searchsorted(settled, moments, side="right") - 1
    return rows
