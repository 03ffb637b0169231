"""What a replay does and when: the rows of one session, each at the instant at which it was complete.

Pure: rows and a day in, steps out. A bar is known when it has closed, so that is when it is published; between two rows
the clock still moves on, because bars close without a trade too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import iso, values_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.client.live.rows import MINUTE_NS
from jupyter_nq.errors import InvalidArgument

TICK_SCHEMA = pa.schema(
    [
        BAR_SCHEMA.field("timestamp"),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("volume", pa.int64(), nullable=False),
    ]
)
"""Of a replay of ticks; one of bars has `BAR_SCHEMA`."""
_DAY_NS = 1440 * MINUTE_NS
_AFTER_NS = MINUTE_NS  # the longest that a bar waits for late rows: the clock goes on for so long
_TICK_STEPS_PER_SECOND = 20
_LEAST_STEP_NS = 1_000_000


@dataclass(frozen=True)
class Step:
    """What is published together, and the time that the clock says then."""

    instant_ns: int
    """Time of the session, ns UTC."""
    first: int
    """The first row."""
    stop: int
    """The row behind the last."""


@dataclass(frozen=True)
class Script:
    """One session, ready to be fed."""

    rows: pa.Table
    """Those of the session, in their order."""
    due: Ints
    """When each is published, ns UTC, never going back."""
    begin_ns: int
    """The session's open."""
    close_ns: int
    """Its close, early ones included."""
    step_ns: int
    """By which the clock moves."""

    @property
    def end_ns(self) -> int:
        """The last time that the clock says."""
        return self.close_ns + _AFTER_NS

    def steps(self) -> Iterator[Step]:
        """Yield the steps; the first has no row, and all rows are in one."""
        first = 0
        for instant_ns in chain(range(self.begin_ns, self.close_ns, self.step_ns), (self.close_ns, self.end_ns)):
            stop = int(np.searchsorted(self.due, instant_ns, side="right"))
            yield Step(instant_ns, first, stop)
            first = stop


def script_of(table: pa.Table, day: str | date, *, minutes: int, calendar: str, speed: float) -> Script:
    """Return the script of one session of recorded rows.

    Parameters
    ----------
    table
        Bars or ticks.
    day
        Trade date of the session; it may open on the evening before.
    minutes
        Length of a bar; 0 for ticks.
    calendar
        Trading calendar of the instrument.
    speed
        Seconds of the session in a second; infinity for as fast as can be. Ticks are published twenty times a second.

    Raises
    ------
    InvalidArgument
        There is no session on that day, or no row of it.
    """
    begin_ns, close_ns = _session(_date(day), calendar)
    stamps: Ints = values_of(table, "timestamp", BAR_SCHEMA.field("timestamp").type, np.dtype("i8"))
    rows = _typed(table.filter(pa.array((stamps >= begin_ns) & (stamps < close_ns))), ticks=not minutes)
    if not rows.num_rows:
        span = f"they go from {iso(stamps.min())} to {iso(stamps.max())}" if len(stamps) else "there are none"
        raise InvalidArgument(f"the rows have none of the session {_date(day)}: {span}.")
    starts: Ints = values_of(rows, "timestamp", BAR_SCHEMA.field("timestamp").type, np.dtype("i8"))
    known = availability(starts, minutes, calendar) if minutes else starts
    step_ns = minutes * MINUTE_NS if minutes else _tick_step_ns(speed)
    return Script(rows, np.maximum.accumulate(known), begin_ns, close_ns, step_ns)


def _tick_step_ns(speed: float) -> int:
    return int(min(max(speed * 1e9 / _TICK_STEPS_PER_SECOND, _LEAST_STEP_NS), MINUTE_NS))


def _typed(rows: pa.Table, *, ticks: bool) -> pa.Table:
    """Return rows with the columns of a replay's stream, in its types."""
    schema = TICK_SCHEMA if ticks else BAR_SCHEMA
    if not ticks and "flags" not in rows.column_names:
        rows = rows.append_column("flags", pa.array(np.zeros(rows.num_rows, np.uint32)))
    missing = [name for name in schema.names if name not in rows.column_names]
    if missing:
        raise InvalidArgument(f"the rows have no column {missing[0]!r}; they have {', '.join(rows.column_names)}.")
    return rows.select(schema.names).cast(schema).combine_chunks()


def _session(day: np.datetime64, calendar: str) -> tuple[int, int]:
    noon_ns = int(day.astype("datetime64[ns]").astype(np.int64)) + _DAY_NS // 2
    found = sessions(calendar, noon_ns - 7 * _DAY_NS, noon_ns + 7 * _DAY_NS)
    at = int(np.searchsorted(found.trade_date, day))
    if at == len(found) or found.trade_date[at] != day:
        near = [str(one) for one in found.trade_date[max(0, at - 1) : at + 1]]
        raise InvalidArgument(f"{calendar} has no session on {day}. Those beside it are on {' and '.join(near)}.")
    return int(found.opens[at]), int(found.closes[at])


def _date(day: str | date) -> np.datetime64:
    if isinstance(day, datetime):
        day = day.date()
    try:
        return np.datetime64(day if isinstance(day, date) else date.fromisoformat(day), "D")
    except (ValueError, TypeError) as exc:
        raise InvalidArgument(f"day={day!r} is no date. Write it as '2024-06-12'.") from exc
