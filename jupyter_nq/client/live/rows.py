"""Rows of a source as the builders take them: ticks or small bars, in the order in which they came.

What no bar can be made of is set aside here, with the reason, and never dropped in silence: rows that lie outside the
sessions, small bars that do not come in their order, and rows of the future, the first of which would close every bar
before it and make all that follows late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import values_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.resample import bar_table
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.sizes import together

MINUTE_NS = 60 * 1_000_000_000
NOTHING = -(1 << 63)
"""Before every instant."""
_TOLERATED_NS = MINUTE_NS
"""So far a row may begin behind the clock, and behind all rows before it."""
AHEAD, OUTSIDE, DISORDERED, LATE = "ahead of the clock", "outside the sessions", "out of order", "late"
"""Why a row is set aside."""

_TICK = ("timestamp", "price", "volume")
_BAR = ("timestamp", *PRICES, "volume")
_STAMP = BAR_SCHEMA.field("timestamp").type

Columns = tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class Rows:
    """Rows of a source, in the order in which they came."""

    columns: Columns
    """As `BAR_SCHEMA` has them; the four prices of a tick are its one price, its stamp is its own time."""
    reached: Ints
    """For each row the instant, ns UTC, that the rows before it have reached: all that ended before has come."""
    known_ns: int
    """That which all of them have reached."""

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def starts(self) -> Ints:
        """Their stamps, ns UTC."""
        return self.columns[0]

    @property
    def table(self) -> pa.Table:
        """The rows as bars, over the same memory."""
        return bar_table(self.columns)

    def take(self, where: npt.NDArray[Any]) -> Rows:
        """Return some of the rows, by a mask or by places."""
        return Rows(tuple(column[where] for column in self.columns), self.reached[where], self.known_ns)


@dataclass(frozen=True)
class Taken:
    """What became of a batch."""

    rows: Rows
    aside: tuple[tuple[str, Rows], ...]
    """Reason, and rows that no bar can have."""


def is_ticks(schema: pa.Schema, name: str) -> bool:
    """Tell whether a stream has ticks, or else small bars.

    Raises
    ------
    InvalidArgument
        It has neither; `name` says which stream.
    """
    for wanted in (_TICK, _BAR):
        if set(wanted) <= set(schema.names):
            kind = schema.field("timestamp").type
            if not (pa.types.is_timestamp(kind) and kind.tz is not None):
                raise InvalidArgument(f"column 'timestamp' of the stream {name!r} is {kind}, no time with a zone.")
            return wanted is _TICK
    raise InvalidArgument(
        f"the stream {name!r} has the columns {together(schema.names)}: neither ticks ({', '.join(_TICK)}) nor bars "
        f"({', '.join(_BAR)}). Publish one of these."
    )


class Intake:
    """Takes the batches of one source in their order. Used by one thread.

    Parameters
    ----------
    minutes
        Length of a source bar; 0 for ticks.
    calendar
        Trading calendar of the instrument.
    """

    def __init__(self, minutes: int, calendar: str) -> None:
        self._minutes = minutes
        self._calendar = calendar
        self._newest_ns = NOTHING
        self.known_ns = NOTHING
        """What the rows so far have reached: a tick its own time, a bar its end."""
        self.joined_ns = NOTHING
        """What the bars that are known have reached: as late as that it is, whatever the clock says."""

    def __repr__(self) -> str:
        return f"<Intake of {f'{self._minutes}-minute bars' if self._minutes else 'ticks'}>"

    def take(self, batch: pa.RecordBatch | pa.Table, clock_ns: Ints | int | None = None) -> Taken:
        """Take the next rows of the source, published by a time of the clock, ns UTC; None takes all times."""
        columns = _columns(batch, ticks=not self._minutes)
        aside = []
        for reason in (AHEAD, OUTSIDE, DISORDERED):
            wrong = self._wrong(reason, columns[0], clock_ns)
            if wrong.any():
                out = tuple(column[wrong] for column in columns)
                aside.append((reason, Rows(out, np.full(len(out[0]), self.known_ns), self.known_ns)))
                columns = tuple(column[~wrong] for column in columns)
        return Taken(self._ordered(columns), tuple(aside))

    def _wrong(self, reason: str, starts: Ints, clock_ns: Ints | int | None) -> npt.NDArray[np.bool_]:
        if reason == AHEAD:
            return self._ahead(starts, clock_ns)
        return self._outside(starts) if reason == OUTSIDE else self._disordered(starts)

    def _ahead(self, starts: Ints, clock_ns: Ints | int | None) -> npt.NDArray[np.bool_]:
        """Mark rows of the future: ahead of the clock and of what is known before them, for that may be behind."""
        wrong = np.zeros(len(starts), bool)
        if clock_ns is None or not len(starts):
            return wrong
        limits = np.broadcast_to(np.maximum(clock_ns, max(self.known_ns, self.joined_ns)) + _TOLERATED_NS, starts.shape)
        if (starts > limits).any():
            reached_ns = NOTHING
            for place, (start, limit) in enumerate(zip(starts.tolist(), limits.tolist(), strict=True)):
                wrong[place] = start > max(limit, reached_ns)
                if not wrong[place]:  # the next may follow it
                    reached_ns = max(reached_ns, start + self._minutes * MINUTE_NS + _TOLERATED_NS)
        return wrong

    def _outside(self, starts: Ints) -> npt.NDArray[np.bool_]:
        if not len(starts):
            return np.zeros(0, bool)
        return sessions(self._calendar, int(starts.min()), int(starts.max())).index(starts) < 0

    def _disordered(self, starts: Ints) -> npt.NDArray[np.bool_]:
        """Mark source bars that do not begin after those before them; ticks may come in any order."""
        if not self._minutes:
            return np.zeros(len(starts), bool)
        return starts <= _before(starts, self._newest_ns)

    def _ordered(self, columns: Columns) -> Rows:
        starts: Ints = columns[0]
        known = availability(starts, self._minutes, self._calendar) if self._minutes else starts
        reached = _before(known, self.known_ns)
        if len(starts):
            self._newest_ns = max(self._newest_ns, int(starts.max()))
            self.known_ns = max(self.known_ns, int(known.max()))
        return Rows(columns, reached, self.known_ns)


def _before(values: Ints, first: int) -> Ints:
    """Return for each value the largest of those before it."""
    found: Ints = np.maximum.accumulate(np.concatenate([np.array([first]), values]))[:-1]
    return found


def _columns(batch: pa.RecordBatch | pa.Table, *, ticks: bool) -> Columns:
    prices = ("price",) * 4 if ticks else PRICES
    names = batch.schema.names
    flags = (
        values_of(batch, "flags", pa.uint32(), np.dtype("u4"))
        if "flags" in names and not ticks
        else np.zeros(batch.num_rows, np.uint32)
    )
    return (
        values_of(batch, "timestamp", _STAMP, np.dtype("i8")),
        *(values_of(batch, name, pa.float64(), np.dtype("f8")) for name in prices),
        values_of(batch, "volume", pa.int64(), np.dtype("i8")),
        flags,
    )
