"""The sessions of an exchange as three columns: trade date, open and close, in UTC.

A Globex session opens at 18:00 New York on the evening before its trade date and closes at 17:00, or early on
some holidays. In former years equity index futures, energy and metals closed later: at 17:15 until 18 September
2015, and equity index futures until 16 November 2012 at 17:30, on Fridays at 16:15. (The exchange counted what
came after 16:30 to the next day then; here a trade date begins at 18:00 in every year.) Equity index futures
paused from 16:15 to 16:30 until June 2021: an instant in the pause lies in the session, and no bar is expected
in it (`pauses`).

Early closes are known for equity index futures, currencies and rates, and checked day by day from 2010 on;
former years are the rules of 2010 carried back. Of energy and metals only the days without a session are known,
and `Sessions.holidays_known` says so.
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
from jupyter_nq.bars.instruments import CRYPTO, ENERGY_METALS, EQUITY, FX, GRAINS, RATES
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.holidays import CLOSED, EARLY_CLOSES_KNOWN, holidays
from jupyter_nq.bars.zones import steps
from jupyter_nq.errors import ConfigError, nearest

CALENDARS = (EQUITY, ENERGY_METALS, FX, RATES)
"""The calendars whose sessions are known."""
WITHOUT_SESSIONS = (GRAINS, CRYPTO)
"""Calendars of the instrument table whose sessions are not known."""

_OPEN = 18 * 60  # minutes after midnight, New York, on the day before the trade date
_CLOSE = 17 * 60
_FORMER_CLOSES = (
    (np.datetime64("2015-09-18"), 17 * 60 + 15, 17 * 60 + 15, {EQUITY, ENERGY_METALS}),
    (np.datetime64("2012-11-16"), 17 * 60 + 30, 16 * 60 + 15, {EQUITY}),
)
"""Until a date, inclusive: the usual close from Monday to Thursday, that of Friday, and where it was so."""
_PAUSE = (16 * 60 + 15, 16 * 60 + 30)
_PAUSE_UNTIL = np.datetime64("2021-06-25")
_REGULAR = (9 * 60 + 30, 16 * 60)
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
    opens = np.full(len(days), _OPEN - 24 * 60)
    usual = _usual_closes(calendar, days)
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
        _instants(days[kept], opens[kept]),
        _instants(days[kept], closes[kept]),
        (closes < usual)[kept],
        calendar in EARLY_CLOSES_KNOWN,
    )


def _usual_closes(calendar: str, days: Days) -> npt.NDArray[np.int64]:
    friday = (days.astype(np.int64) + 3) % 7 == 4  # 1 January 1970 was a Thursday; Monday is 0
    closes = np.full(len(days), _CLOSE)
    for until, usual, on_friday, calendars in _FORMER_CLOSES:
        if calendar in calendars:
            closes = np.where(days <= until, np.where(friday, on_friday, usual), closes)
    return closes


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


def _instants(days: Days, minutes: npt.NDArray[Any]) -> Ints:
    """Return the instants (ns UTC) of New York clock readings; none lies in an hour that a clock skips or repeats."""
    local = days.astype("datetime64[s]").astype(np.int64) + minutes * 60
    if not len(local):
        return np.empty(0, np.int64)
    zone = steps(EXCHANGE_ZONE, int(local[0]), int(local[-1]))
    offsets = zone.offsets[np.searchsorted(zone.local_breaks(), local, side="right")]
    instants: Ints = (local - offsets) * _NS
    return instants


def regular_hours(sess: Sessions) -> tuple[Ints, Ints]:
    """Return open and close (ns UTC) of the regular hours in each session: 09:30 to 16:00 New York.

    A session that closes early ends them early; one that closes before 09:30 has none, and both are its close.

    Raises
    ------
    ConfigError
        The regular hours of the calendar are not known: only those of the equity index family are.
    """
    if sess.calendar != EQUITY:
        raise ConfigError(f"the regular hours of {sess.calendar!r} are not known, only those of {EQUITY!r}.")
    bounds = (_instants(sess.trade_date, np.full(len(sess), minutes)) for minutes in _REGULAR)
    first, last = (np.minimum(bound, sess.closes) for bound in bounds)
    return first, last


def pauses(sess: Sessions) -> tuple[Ints, Ints]:
    """Return begin and end (ns UTC) of the pause in each session, equal where there is none."""
    begins, ends = (np.minimum(_instants(sess.trade_date, np.full(len(sess), m)), sess.closes) for m in _PAUSE)
    if sess.calendar != EQUITY:
        return begins, begins
    return begins, np.where(sess.trade_date <= _PAUSE_UNTIL, ends, begins)


def trade_dates(starts: Ints, calendar: str) -> Days:
    """Return the trade date of each bar by its start (ns UTC, increasing), NaT where the exchange is closed."""
    if not len(starts):
        return np.empty(0, "datetime64[D]")
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    found = np.full(len(starts), np.datetime64("NaT"), "datetime64[D]")
    found[at >= 0] = sess.trade_date[at[at >= 0]]
    return found


def is_regular(starts: Ints, calendar: str) -> npt.NDArray[np.bool_]:
    """Return which bars start in the regular hours; `starts` are ns UTC, increasing."""
    if not len(starts):
        return np.empty(0, bool)
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    first, last = regular_hours(sess)
    at = sess.index(starts)
    found: npt.NDArray[np.bool_] = (at >= 0) & (starts >= first[at]) & (starts < last[at]) if len(sess) else at >= 0
    return found
