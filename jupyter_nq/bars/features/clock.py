"""Features of the clock and of the sessions: from a bar's stamp alone, so every bar can have them at once.

Hours are New York's, the exchange's own clock, whatever the zone of the file was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from jupyter_nq.bars.closed import EXCHANGE_ZONE
from jupyter_nq.bars.columns import Floats
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.availability import availability
from jupyter_nq.bars.sessions.calendar import CALENDARS, Sessions, sessions
from jupyter_nq.bars.sessions.regular import is_regular, regular_hours
from jupyter_nq.bars.zones import steps

_NS = 1_000_000_000
_MINUTE_NS = 60 * _NS
_DAY = 86_400
_EVENING = 6 * 3600  # a trade date begins at 18:00 on the evening before


class Clock:
    """The stamps of one batch, and what a calendar says of them.

    Parameters
    ----------
    starts
        Starts of the bars, ns UTC, strictly increasing, shape (rows,).
    calendar, minutes
        Trading calendar and length of a bar; None where no feature asks for them.
    regular_hours
        Those of the instrument, None for those of the calendar.
    """

    def __init__(
        self, starts: Ints, calendar: str | None, minutes: int | None, regular_hours: str | None = None
    ) -> None:
        self.starts = starts
        self.calendar = calendar
        self.minutes = minutes
        self.regular_hours = regular_hours

    @cached_property
    def new_york(self) -> Ints:
        """Clock readings in New York, seconds."""
        utc = self.starts // _NS
        if not len(utc):
            return utc
        local: Ints = utc + steps(EXCHANGE_ZONE, int(utc[0]), int(utc[-1])).at_utc(utc)
        return local

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions over the span of the stamps."""
        starts = self.starts if len(self.starts) else np.zeros(1, np.int64) + _NS * 10**9
        return sessions(self.calendar or "", int(starts[0]), int(starts[-1]))

    def of_session(self, values: Ints, nothing: float) -> Floats:
        """Return a value of its session for each bar, `nothing` for a bar outside sessions."""
        pieces = np.full(2 * len(self.sessions) + 1, nothing)
        pieces[1::2] = values
        return np.repeat(pieces, self._counts)

    @cached_property
    def _counts(self) -> Ints:
        return self.sessions.counts(self.starts)

    @property
    def opens(self) -> Floats:
        """Opening of each bar's session, seconds; 0 outside sessions."""
        return self.of_session(self.sessions.opens // _NS, 0.0)

    @cached_property
    def minute(self) -> Floats:
        """Minutes from the opening of each bar's session to its start."""
        return self.minutes_from(self.sessions.opens, self.starts)

    def minutes_from(self, instants: Ints, moments: Ints) -> Floats:
        """Return the minutes from an instant of each bar's session to a moment of the bar."""
        since = self.of_session(instants // _NS, np.nan)
        minutes: Floats = (moments // _NS - since) / 60.0 + (moments % _NS) / _MINUTE_NS
        return minutes


def _hour(clock: Clock) -> Floats:
    return (clock.new_york % _DAY // 3600).astype(np.float64)


def _trade_day(clock: Clock) -> Ints:
    day: Ints = (clock.new_york + _EVENING) // _DAY
    return day


def _day_of_week(clock: Clock) -> Floats:
    return ((_trade_day(clock) + 3) % 7).astype(np.float64)  # 1 January 1970 was a Thursday; Monday is 0


def _month(clock: Clock) -> Floats:
    months = _trade_day(clock).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return (months % 12 + 1).astype(np.float64)


def _session_progress(clock: Clock) -> Floats:
    sess = clock.sessions
    return clock.minute / clock.of_session((sess.closes - sess.opens) // _MINUTE_NS, np.nan)


def _minutes_to_close(clock: Clock) -> Floats:
    ends = availability(clock.starts, clock.minutes or 0, clock.calendar)
    return 0.0 - clock.minutes_from(clock.sessions.closes, ends)


def _is_rth(clock: Clock) -> Floats:
    if clock.calendar not in CALENDARS:
        return is_regular(clock.starts, clock.calendar, clock.regular_hours).astype(np.float64)
    first, last = regular_hours(clock.sessions, clock.regular_hours)
    seconds = clock.starts // _NS
    inside = (seconds >= clock.of_session(first // _NS, np.nan)) & (seconds < clock.of_session(last // _NS, np.nan))
    return inside.astype(np.float64)


CLOCK_FEATURES: Mapping[str, Callable[[Clock], Floats]] = {
    "hour": _hour,
    "day_of_week": _day_of_week,
    "month": _month,
    "minute_of_session": lambda clock: clock.minute,
    "session_progress": _session_progress,
    "minutes_to_close": _minutes_to_close,
    "is_rth": _is_rth,
}
"""Functions from a batch's clock to one value a bar, by the feature's name."""
