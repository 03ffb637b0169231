"""The sessions of an exchange as three columns: trade date, open and close, in UTC.

A Globex session opens at 18:00 New York on the evening before its trade date and closes at 17:00, or early on
some holidays. In former years equity index futures, energy and metals closed later: at 17:15 until 18 September
2015, and equity index futures until 16 November 2012 at 17:30, on Fridays at 16:15. (The exchange counted what
came after 16:30 to the next day then; here a trade date begins at 18:00 in every year.) Equity index futures
paused from 16:15 to 16:30 until June 2021: an instant in the pause lies in the session, and no bar is expected
in it (`pauses`).

Grains trade from 20:00 New York to 14:20 with a pause in the morning, livestock from 09:30 to 14:05. Their hours
changed in 2013 and 2016; what they were before is drawn as wide as any rule of those years, so that no real bar of
an ordinary day lies outside. Of crypto, which trades through the weekends since 2026, no sessions are known.

Early closes are checked day by day from 2010 on; former years are the rules of 2010 carried back. Those of grains
are not known, only the days without a session, and `Sessions.holidays_known` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.closed import EXCHANGE_ZONE
from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY, FX, GRAINS, LIVESTOCK, RATES
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.holidays import CLOSED, EARLY_CLOSES_KNOWN, holidays
from jupyter_nq.bars.zones import steps
from jupyter_nq.errors import ConfigError, nearest

CALENDARS = (EQUITY, ENERGY_METALS, FX, RATES, GRAINS, LIVESTOCK)
"""The calendars whose sessions are known."""
WITHOUT_SESSIONS = (CRYPTO,)
"""Calendars of the instrument table whose sessions are not known."""

_EVENING = 18 * 60 - 24 * 60  # minutes after midnight of the trade date, New York, as all of these
_GLOBEX = (_EVENING, 17 * 60)
_USUAL: Mapping[str, tuple[int, int]] = {
    GRAINS: (20 * 60 - 24 * 60, 14 * 60 + 20),
    LIVESTOCK: (9 * 60 + 30, 14 * 60 + 5),
}
"""Usual open and close where they are not those of Globex."""
_FORMER = (
    (np.datetime64("2015-09-18"), _EVENING, 17 * 60 + 15, 17 * 60 + 15, {EQUITY, ENERGY_METALS}),
    (np.datetime64("2012-11-16"), _EVENING, 17 * 60 + 30, 16 * 60 + 15, {EQUITY}),
    (np.datetime64("2013-04-05"), _EVENING, 15 * 60, 15 * 60, {GRAINS}),
    (np.datetime64("2016-02-26"), _EVENING, 17 * 60, 17 * 60, {LIVESTOCK}),
)
"""Until a date, inclusive: the usual open, the close from Monday to Thursday, that of Friday, and where it was so."""
_EVER = np.datetime64("1900-01-01"), np.datetime64("2300-01-01")
_PAUSES = {
    EQUITY: (16 * 60 + 15, 16 * 60 + 30, _EVER[0], np.datetime64("2021-06-25")),
    GRAINS: (8 * 60 + 45, 9 * 60 + 30, np.datetime64("2013-04-08"), _EVER[1]),
}
"""Begin and end of a pause, and the first and last trade date with it."""
_NO_PAUSE = (0, 0, *_EVER)
_NS = 1_000_000_000
_FIRST_YEAR, _LAST_YEAR = 1970, 2200

Days = npt.NDArray[np.datetime64]
Overrides = Mapping[date, tuple[int, int] | None]


@dataclass(frozen=True)
class Sessions:
    """Consecutive sessions of one calendar."""

    calendar: str
    trade_date: Days
    """Shape (sessions,), datetime64[D], strictly increasing."""
    opens: Ints
    """Nanoseconds UTC, inclusive."""
    closes: Ints
    """Nanoseconds UTC, exclusive; early closes applied."""
    early: npt.NDArray[np.bool_]
    """Whether the session closes before the usual hour."""
    holidays_known: bool
    """Whether early closes are in it; otherwise only the days without a session are."""

    def __len__(self) -> int:
        return len(self.trade_date)

    def index(self, instants: Ints) -> Ints:
        """Return the position of the session in which each instant (ns UTC) lies, -1 where the exchange is closed."""
        at = np.searchsorted(self.opens, instants, side="right") - 1
        inside = (at >= 0) & (instants < self.closes[at]) if len(self) else np.zeros(len(instants), bool)
        return np.where(inside, at, -1).astype(np.int64)

    def counts(self, instants: Ints) -> Ints:
        """Return how many of increasing instants lie before the first session, in it, behind it, in the second, ...

        Shape (2 * sessions + 1,). With `np.repeat` it gives to each instant what its session has, many times faster
        than looking each of them up.
        """
        edges = np.stack([self.opens, self.closes], axis=1).ravel()
        counted: Ints = np.diff(np.searchsorted(instants, edges), prepend=0, append=len(instants))
        return counted

    def between(self, first_ns: int, last_ns: int) -> Sessions:
        """Return the sessions that overlap `[first_ns, last_ns]`."""
        start = int(np.searchsorted(self.closes, first_ns, side="right"))
        stop = int(np.searchsorted(self.opens, last_ns, side="right"))
        part = slice(start, max(start, stop))
        columns = {name: getattr(self, name)[part] for name in ("trade_date", "opens", "closes", "early")}
        return replace(self, **columns)


def sessions(calendar: str, first_ns: int, last_ns: int, overrides: Overrides | None = None) -> Sessions:
    """Return all sessions of a calendar that overlap a span.

    Parameters
    ----------
    calendar
        A name of `CALENDARS`.
    first_ns, last_ns
        Nanoseconds UTC, both inclusive.
    overrides
        Trade date -> (open, close) in minutes after midnight of New York, the open on the evening before
        when it is later than the close; None when there was no session.

    Raises
    ------
    ConfigError
        The calendar is not known, or the span lies outside 1970 to 2200.
    """
    if calendar not in CALENDARS:
        raise ConfigError(
            f"the sessions of the calendar {calendar!r} are not known.{nearest(calendar, CALENDARS)} Known are "
            f"{', '.join(CALENDARS)}."
        )
    first, last = (year_of(np.datetime64(ns, "ns")) for ns in (first_ns, last_ns))
    if not _FIRST_YEAR <= first <= last <= _LAST_YEAR:
        raise ConfigError(
            f"sessions are known from {_FIRST_YEAR} to {_LAST_YEAR}, not from {first} to {last}. Check the stamps."
        )
    whole = _years(calendar, first, last)
    if overrides:
        whole = _build(calendar, whole.trade_date, overrides)
    return whole.between(first_ns, last_ns)


@lru_cache(maxsize=16)
def _years(calendar: str, first: int, last: int) -> Sessions:
    """Return the sessions of whole years, with a few days to spare at both ends."""
    days = np.arange(np.datetime64(f"{first}-01-01") - 7, np.datetime64(f"{last + 1}-01-01") + 7)
    return _build(calendar, days[np.is_busday(days)], {})


def _build(calendar: str, days: Days, overrides: Overrides) -> Sessions:
    opens, usual = _usual_hours(calendar, days)
    closes = usual.copy()
    for at, minutes in _holidays(calendar, days):
        closes[at] = minutes
    kept = closes != CLOSED
    for day, hours in overrides.items():
        at = int(np.searchsorted(days, np.datetime64(day)))
        if at == len(days) or days[at] != np.datetime64(day):
            days, opens, closes, usual, kept = _inserted(at, np.datetime64(day), days, opens, closes, usual, kept)
        kept[at] = hours is not None
        if hours is not None:
            opens[at], closes[at] = hours[0] - (24 * 60 if hours[0] > hours[1] else 0), hours[1]
    return Sessions(
        calendar,
        days[kept],
        instants(days[kept], opens[kept]),
        instants(days[kept], closes[kept]),
        (closes < usual)[kept],
        calendar in EARLY_CLOSES_KNOWN,
    )


def _usual_hours(calendar: str, days: Days) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    friday = (days.astype(np.int64) + 3) % 7 == 4  # 1 January 1970 was a Thursday; Monday is 0
    opens, closes = (np.full(len(days), minutes) for minutes in _USUAL.get(calendar, _GLOBEX))
    for until, opening, usual, on_friday, calendars in _FORMER:
        if calendar in calendars:
            opens = np.where(days <= until, opening, opens)
            closes = np.where(days <= until, np.where(friday, on_friday, usual), closes)
    return opens, closes


def _inserted(at: int, day: np.datetime64, days: Days, *columns: npt.NDArray[Any]) -> tuple[Any, ...]:
    """Return the columns with room for a day that is usually none, a Saturday."""
    return np.insert(days, at, day), *(np.insert(column, at, 0) for column in columns)


def _holidays(calendar: str, days: Days) -> list[tuple[int, int]]:
    """Return (position, close) of the days that are not ordinary."""
    years = range(year_of(days[0]), year_of(days[-1]) + 1)
    found = {d: at for year in years for d, at in holidays(calendar, year).items()}
    places = np.searchsorted(days, np.array(list(found), "datetime64[D]"))
    return [
        (int(place), minutes)
        for place, (day, minutes) in zip(places, found.items(), strict=True)
        if place < len(days) and days[place] == np.datetime64(day)
    ]


def year_of(moment: np.datetime64) -> int:
    """Return the calendar year of a moment."""
    return int(moment.astype("datetime64[Y]").astype(int)) + 1970


def instants(days: Days, minutes: npt.NDArray[Any], zone: str = EXCHANGE_ZONE) -> Ints:
    """Return the instants (ns UTC) of clock readings; one that the clock skips or repeats is read as after that."""
    local = days.astype("datetime64[s]").astype(np.int64) + minutes * 60
    if not len(local):
        return np.empty(0, np.int64)
    clock = steps(zone, int(local[0]), int(local[-1]))
    offsets = clock.offsets[np.searchsorted(clock.local_breaks(), local, side="right")]
    found: Ints = (local - offsets) * _NS
    return found


def pauses(sess: Sessions) -> tuple[Ints, Ints]:
    """Return begin and end (ns UTC) of the pause in each session, equal where there is none."""
    begin, end, since, until = _PAUSES.get(sess.calendar, _NO_PAUSE)
    begins, ends = (np.minimum(instants(sess.trade_date, np.full(len(sess), m)), sess.closes) for m in (begin, end))
    return begins, np.where((sess.trade_date >= since) & (sess.trade_date <= until), ends, begins)


def trade_dates(starts: Ints, calendar: str) -> Days:
    """Return the trade date of each bar by its start (ns UTC, increasing), NaT where the exchange is closed."""
    if not len(starts):
        return np.empty(0, "datetime64[D]")
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    found = np.full(len(starts), np.datetime64("NaT"), "datetime64[D]")
    found[at >= 0] = sess.trade_date[at[at >= 0]]
    return found
