"""Joining live bars to history, and to what an earlier worker published: no bar twice, and no hole.

What a worker knows when it begins follows from the bars of history, the bars on its tape, and the rows that the source
has kept from its position on. None of these says what the others do not, so a worker that was killed at any moment is
followed by one that goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.asof import Timed
from jupyter_nq.bars.columns import iso, starts_of
from jupyter_nq.bars.resample import Resampler, bar_starts
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.timeframe import timeframe_of
from jupyter_nq.client.live.builder import Forming
from jupyter_nq.client.live.rows import NOTHING
from jupyter_nq.errors import InvalidArgument, LiveGap


@dataclass(frozen=True)
class Known:
    """What is known of one length of bars when a worker begins."""

    before: pa.Table
    """Closed bars, of history and published, over which features are carried."""
    unpublished: pa.Table
    """Closed bars of history that lie behind what was published: they are published first."""
    forming: Forming | None
    """The bar that history leaves open."""
    joined_ns: int
    """Rows that begin before it are known."""


class Past:
    """The bars of history that were complete at an instant.

    Parameters
    ----------
    bars
        History; None when there is none.
    calendar
        Trading calendar of the instrument.
    now_ns
        The instant, ns UTC: a bar that a file has before it is over is left out, and so is the future of a replay.
    source_minutes
        Length of the bars of the source that goes on; 0 for ticks.
    over
        Whether no row before the instant is still to come: that is so where a replay begins.

    Raises
    ------
    InvalidArgument
        History ends within a bar of the source.
    """

    def __init__(self, bars: Timed | None, calendar: str, now_ns: int, source_minutes: int, *, over: bool) -> None:
        self._calendar = calendar
        self._over_ns = now_ns if over else NOTHING
        self._minutes = 1 if bars is None else bars.minutes
        self._table = BAR_SCHEMA.empty_table() if bars is None else _complete(bars, calendar, now_ns)
        self.end_ns = NOTHING
        """Where the last bar ends; before every instant when there is none."""
        if self._table.num_rows:
            last = starts_of(self._table.slice(self._table.num_rows - 1))
            self.end_ns = int(availability(last, self._minutes, calendar)[0])
            if source_minutes > self._minutes:
                self._check_edge(last, source_minutes)

    def __repr__(self) -> str:
        return f"<Past of {self._table.num_rows:,} bars>"

    def _check_edge(self, last: np.ndarray, source_minutes: int) -> None:
        told = {"minutes": self._minutes, "calendar": self._calendar}
        source = bar_starts(last, timeframe_of(source_minutes).label, **told)  # type: ignore[arg-type]
        if int(availability(source, source_minutes, self._calendar)[0]) != self.end_ns:
            raise InvalidArgument(
                f"history ends at {iso(self.end_ns)}, within a {source_minutes}-minute bar of the source. Bring it up "
                f"to date, or cut it where a bar ends."
            )

    def bars(self, minutes: int) -> tuple[pa.Table, Forming | None]:
        """Return the closed bars of a length, and the one that history leaves open."""
        resampler = Resampler(timeframe_of(minutes).label, minutes=self._minutes, calendar=self._calendar)
        closed = resampler.add(self._table)
        last = resampler.partial
        if not last.num_rows:
            return closed, None
        start = starts_of(last)
        end_ns = int(availability(start, minutes, self._calendar)[0])
        if end_ns <= self._over_ns:
            return pa.concat_tables([closed, last]), None
        values = {name: last[name][0].as_py() for name in BAR_SCHEMA.names[1:]}
        return closed, Forming(int(start[0]), end_ns, int(start[0]), self.end_ns - 1, **values)


def known(past: Past, minutes: int, published: pa.Table, calendar: str, *, whole: bool) -> Known:
    """Return what is known of a length of bars.

    Parameters
    ----------
    published
        Bars on the worker's tape, as many as are kept.
    whole
        Whether these are all that are needed.

    Raises
    ------
    LiveGap
        The tape has let go of bars that history does not have.
    """
    closed, forming = past.bars(minutes)
    if not published.num_rows:
        return Known(closed, BAR_SCHEMA.empty_table(), forming, past.end_ns)
    stamps, history = starts_of(published), starts_of(closed)
    if not whole and past.end_ns < stamps[0]:
        raise LiveGap(
            f"the tape of {timeframe_of(minutes).label} bars keeps those from {iso(stamps[0])} on, and history ends at "
            f"{iso(past.end_ns) if past.end_ns != NOTHING else 'no bar'}. Load newer history (nq.refresh), and pass it "
            "as warmup=."
        )
    end_ns = int(availability(stamps[-1:], minutes, calendar)[0])
    older = closed.slice(0, int(np.searchsorted(history, stamps[0])))
    newer = closed.slice(int(np.searchsorted(history, stamps[-1], side="right")))
    before = pa.concat_tables([older, published.select(BAR_SCHEMA.names).cast(BAR_SCHEMA)])
    if past.end_ns <= end_ns:
        return Known(before, BAR_SCHEMA.empty_table(), None, end_ns)
    return Known(before, newer, forming, past.end_ns)


def is_traded(calendar: str, first_ns: int, stop_ns: int) -> bool:
    """Tell whether the exchange is open at some time from `first_ns` to before `stop_ns`."""
    if stop_ns <= first_ns:
        return False
    found = sessions(calendar, first_ns, stop_ns - 1)
    return bool((np.minimum(found.closes, stop_ns) > np.maximum(found.opens, first_ns)).any())


def _complete(bars: Timed, calendar: str, now_ns: int) -> pa.Table:
    table = bars.table
    if "flags" not in table.column_names:
        zeros = pa.array(np.zeros(table.num_rows, np.uint32))
        table = table.append_column("flags", zeros)
    ends = availability(starts_of(table), bars.minutes, calendar)
    return table.select(BAR_SCHEMA.names).slice(0, int(np.searchsorted(ends, now_ns, side="right")))
