"""Bars of one length from rows as they come, closed by the clock of the session.

Pure and synchronous: rows and instants in, closed bars out. A bar is closed, for good, when its end has passed: by the
clock, or because rows have come that lie behind it. The two rules of history hold here too, and its kernels make the
bars: the session cuts them, and where no row is there is no bar. So what is closed has the bits of `resample` over the
same rows, however they were cut into messages.

Ticks may come in any order while their bar is open: the open is the tick with the first stamp, the close that with the
last, and of equal stamps those that came first and last. A row whose bar is closed is late: it changes nothing, and is
given back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.resample import aggregated, bar_starts, bar_table
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.timeframe import timeframe_of
from jupyter_nq.client.live.rows import MINUTE_NS, NOTHING, Rows
from jupyter_nq.errors import InvalidArgument

_DTYPES = ("i8", "f8", "f8", "f8", "f8", "i8", "u4")
_MADE = (*PRICES, "volume", "flags")
_FOREVER = (1 << 63) - 1


@dataclass(frozen=True)
class Forming:
    """A bar that is open."""

    stamp_ns: int
    """Its start, ns UTC."""
    end_ns: int
    """Its end, exclusive, cut where the session ends."""
    first_ns: int
    """Stamp of the row that gave the open."""
    last_ns: int
    """Stamp of the row that gave the close."""
    open: float
    high: float
    low: float
    close: float
    volume: int
    flags: int

    def with_later(self, other: Forming) -> Forming:
        """Return the bar of these rows and of others that came after them."""
        first = self if self.first_ns <= other.first_ns else other
        last = other if other.last_ns >= self.last_ns else self
        if self.volume + other.volume > _FOREVER:
            raise InvalidArgument("the volumes are too large to be added in 64 bits. Correct them.")
        return Forming(
            self.stamp_ns,
            self.end_ns,
            first.first_ns,
            last.last_ns,
            first.open,
            float(np.maximum(self.high, other.high)) + 0.0,  # as history does, for -0.0 and NaN
            float(np.minimum(self.low, other.low)) + 0.0,
            last.close,
            self.volume + other.volume,
            self.flags | other.flags,
        )


@dataclass(frozen=True)
class Built:
    """What rows have led to."""

    closed: pa.Table
    """Bars of `BAR_SCHEMA` that are closed now."""
    late: npt.NDArray[np.bool_]
    """For each row whether its bar was closed before it came."""
    skipped: int
    """Rows that lie before the join: what they say is known from history, or was published."""


class BarBuilder:
    """Builds the bars of one length. Used by one thread.

    Parameters
    ----------
    minutes
        Length of a bar.
    source_minutes
        Length of a source bar; 0 for ticks.
    calendar
        Trading calendar of the instrument.
    close_after_ns
        How long after its end a bar waits for rows that are under way. Rows of a source of bars close it without that:
        they come in order.
    """

    def __init__(self, minutes: int, *, source_minutes: int, calendar: str, close_after_ns: int = 0) -> None:
        self.minutes = minutes
        self._label = timeframe_of(minutes).label
        self._source_minutes = source_minutes
        self._calendar = calendar
        self._close_after_ns = close_after_ns
        self._row_wait_ns = 0 if source_minutes else close_after_ns
        self._open: dict[int, Forming] = {}  # by stamp, in their order
        # Bars that end at one of these or before are closed: what rows and closed bars have passed, which never goes
        # back, and the clock, which goes back when it was wrong. What it had closed by then stays closed.
        self._passed_ns = self._clock_ns = NOTHING
        self.joined_ns = NOTHING
        """Rows before it are known already."""
        self.cut_ns = NOTHING
        """A bar that begins before it lacks rows, and is not published."""
        self.incomplete = 0
        """Bars that were not published for that."""
        bar_starts(np.zeros(0, np.int64), self._label, minutes=max(1, source_minutes), calendar=calendar)

    def __repr__(self) -> str:
        return f"<BarBuilder {self._label}, {len(self._open)} open>"

    @property
    def forming(self) -> Forming | None:
        """The newest bar that is open."""
        return self._open[max(self._open)] if self._open else None

    @property
    def needed_ns(self) -> int:
        """Rows from here on are needed to make the open bars again."""
        return min(self._open, default=_FOREVER)

    @property
    def due_ns(self) -> int:
        """The instant at which the clock closes the next bar."""
        return min((bar.end_ns for bar in self._open.values()), default=_FOREVER - self._close_after_ns) + (
            self._close_after_ns
        )

    def join(self, joined_ns: int, forming: Forming | None = None) -> None:
        """Go on behind what is known: rows before `joined_ns`, the last of which left this bar open."""
        self.joined_ns = joined_ns
        self._open = {} if forming is None else {forming.stamp_ns: forming}

    def cut(self, cut_ns: int) -> None:
        """Take note that rows are missing before an instant: what began before it is not published."""
        self.cut_ns = max(self.cut_ns, cut_ns)

    def add(self, rows: Rows) -> Built:
        """Take rows, in the order in which they came."""
        starts = rows.starts
        before = starts < self.joined_ns
        ahead = before & (rows.reached < self.joined_ns + self._row_wait_ns)  # rows in disorder are no late ones
        late = before & ~ahead
        if len(starts):
            self._merge(rows, ~before, late)
        self._passed_ns = max(self._passed_ns, rows.known_ns - self._row_wait_ns)
        return Built(self._close(), late, int(ahead.sum()))

    def advance(self, now_ns: int) -> pa.Table:
        """Return the bars that the clock closes: all rows that came before `now_ns` must have been added."""
        self._clock_ns = now_ns - self._close_after_ns
        return self._close()

    def set_back(self, now_ns: int) -> None:
        """Before rows are added: where the clock went back, what it had passed and not closed is open again."""
        self._clock_ns = min(self._clock_ns, now_ns - self._close_after_ns)

    @property
    def _closed_ns(self) -> int:
        return max(self._passed_ns, self._clock_ns)

    def _merge(self, rows: Rows, wanted: npt.NDArray[np.bool_], late: npt.NDArray[np.bool_]) -> None:
        """Put rows into their bars, and mark those whose bar was closed."""
        order = np.argsort(rows.starts, kind="stable")
        order = order[wanted[order]]
        stamps, ends = self._bars_of(rows.starts[order])
        closed = ends <= np.maximum(rows.reached[order] - self._row_wait(rows, order), self._closed_ns)
        late[order[closed]] = True
        order, stamps, ends = order[~closed], stamps[~closed], ends[~closed]
        if len(order):
            self._put(rows.take(order), stamps, ends)

    def _row_wait(self, rows: Rows, order: Ints) -> Ints:
        """Return how long rows behind a bar leave it open; where none came before, there is nothing to take off."""
        return np.where(rows.reached[order] == NOTHING, 0, self._row_wait_ns)

    def _bars_of(self, starts: Ints) -> tuple[Ints, Ints]:
        """Return stamp and end of the bar of each row; the stamps of rows increase."""
        bar = self.forming
        if bar is not None and len(starts) and self._lie_in(bar, starts):
            return np.full(len(starts), bar.stamp_ns), np.full(len(starts), bar.end_ns)  # the usual case
        whole = starts if self._source_minutes else starts // MINUTE_NS * MINUTE_NS
        stamps = bar_starts(whole, self._label, minutes=max(1, self._source_minutes), calendar=self._calendar)
        bars, place = np.unique(stamps, return_inverse=True)
        return stamps, availability(bars, self.minutes, self._calendar)[place]

    def _lie_in(self, bar: Forming, starts: Ints) -> bool:
        """Tell whether increasing starts lie in a bar; source bars that begin between two of them do not."""
        if starts[0] < bar.stamp_ns or starts[-1] >= bar.end_ns:
            return False
        return not self._source_minutes or not ((starts - bar.stamp_ns) % (self._source_minutes * MINUTE_NS)).any()

    def _put(self, rows: Rows, stamps: Ints, ends: Ints) -> None:
        bars = aggregated(rows.table, stamps).to_pydict()
        first = np.concatenate([[0], np.flatnonzero(np.diff(stamps)) + 1])
        last = np.append(first[1:], len(stamps)) - 1
        for place, (begin, end) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            times = int(stamps[begin]), int(ends[begin]), int(rows.starts[begin]), int(rows.starts[end])
            new = Forming(*times, **{name: bars[name][place] for name in _MADE})
            old = self._open.get(new.stamp_ns)
            self._open[new.stamp_ns] = new if old is None else old.with_later(new)

    def _close(self) -> pa.Table:
        done = sorted(stamp for stamp, bar in self._open.items() if bar.end_ns <= self._closed_ns)
        bars = [self._open.pop(stamp) for stamp in done]
        self._passed_ns = max([self._passed_ns, *(bar.end_ns for bar in bars)])
        whole = [bar for bar in bars if bar.stamp_ns >= self.cut_ns]
        self.incomplete += len(bars) - len(whole)
        return table_of(whole)


def table_of(bars: list[Forming]) -> pa.Table:
    """Return bars as rows of `BAR_SCHEMA`."""
    if not bars:
        return BAR_SCHEMA.empty_table()
    values = [(bar.stamp_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.flags) for bar in bars]
    return bar_table(
        [np.array(column, dtype) for column, dtype in zip(zip(*values, strict=True), _DTYPES, strict=True)]
    )
