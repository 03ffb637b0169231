"""The regular hours of an instrument, trade date by trade date.

They are given as the table of instruments writes them, "09:30-16:00 America/New_York". Where sessions are known,
hours end with a session that closes early. Where they are not, every day from Monday to Friday has them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.hours import RegularHours
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import CALENDARS, WITHOUT_SESSIONS, Sessions, instants, sessions
from jupyter_nq.bars.specifications import EQUITY, EQUITY_HOURS
from jupyter_nq.bars.zones import steps
from jupyter_nq.errors import ConfigError, nearest

HOURS = ("eth", "rth")
"""Electronic hours, whole sessions; and regular hours."""
_NS = 1_000_000_000
_DAY = 86_400
_SATURDAY = 5


def known_hours(calendar: str | None, regular_hours: str | None = None) -> RegularHours:
    """Return the regular hours that are given, or those of a calendar when they are None.

    Raises
    ------
    ConfigError
        They are not known (an empty text); they are None and the calendar is not the equity index's, the only one
        whose instruments have one and the same; or there is no such calendar.
    """
    named = (*CALENDARS, *WITHOUT_SESSIONS)
    if calendar is not None and calendar not in named:
        raise ConfigError(
            f"there is no calendar {calendar!r}.{nearest(calendar, named)} Pass one of {', '.join(named)}, or None."
        )
    text = regular_hours if regular_hours is not None else EQUITY_HOURS if calendar == EQUITY else ""
    if not text:
        raise ConfigError(
            f"the regular hours are not known, and {calendar!r} does not tell them. Pass regular_hours="
            f"{EQUITY_HOURS!r} with the right ones, or write them into `instruments` of the settings file."
        )
    return RegularHours.parse(text)


def regular_hours(sess: Sessions, hours: str | None = None) -> tuple[Ints, Ints]:
    """Return begin and end (ns UTC) of the regular hours in each session; `hours` is None for the calendar's.

    A session that closes early ends them early; one that closes before they begin has none, and both are its close.
    Raises `ConfigError` when they are not known.
    """
    known = known_hours(sess.calendar, hours)
    bounds = (instants(sess.trade_date, np.full(len(sess), at), known.zone) for at in (known.first, known.stop))
    first, stop = (np.clip(bound, sess.opens, sess.closes) for bound in bounds)
    return first, stop


def within(sess: Sessions, hours: str | None) -> Sessions:
    """Return the sessions cut to the regular hours, without those that have none."""
    first, stop = regular_hours(sess, hours)
    kept = stop > first
    return replace(sess, trade_date=sess.trade_date[kept], opens=first[kept], closes=stop[kept], early=sess.early[kept])


def daily_hours(starts: Ints, known: RegularHours) -> tuple[Ints, Ints]:
    """Return begin and end (ns UTC) of the regular hours of each bar's day by their clock; none on a weekend."""
    utc = starts // _NS
    if not len(utc):
        return starts, starts
    days = (utc + steps(known.zone, int(utc.min()), int(utc.max())).at_utc(utc)) // _DAY
    named, at = np.unique(days, return_inverse=True)
    first, stop = (
        instants(named.astype("datetime64[D]"), np.full(len(named), minutes), known.zone)
        for minutes in (known.first, known.stop)
    )
    weekend = (named + 3) % 7 >= _SATURDAY  # 1 January 1970 was a Thursday; Monday is 0
    return first[at], np.where(weekend, first, stop)[at]


def is_regular(starts: Ints, calendar: str | None, hours: str | None = None) -> npt.NDArray[np.bool_]:
    """Return which bars start in the regular hours; `starts` are ns UTC, increasing."""
    if not len(starts):
        return np.empty(0, bool)
    known = known_hours(calendar, hours)
    if calendar not in CALENDARS:
        first, stop = daily_hours(starts, known)
        return (starts >= first) & (starts < stop)
    sess = sessions(str(calendar), int(starts[0]), int(starts[-1]))
    first, stop = regular_hours(sess, hours)
    at = sess.index(starts)
    found: npt.NDArray[np.bool_] = (at >= 0) & (starts >= first[at]) & (starts < stop[at]) if len(sess) else at >= 0
    return found
