"""Where bars of a day begin: at the open of their session, whatever their stamps are.

A vendor stamps a day's bar at its session's end, or at some later hour of the same day, or writes only the trade
date. A date alone is midnight on the clock, which on New York's lies in the session of that date, so that midnight
there means the session. Any other instant that is said to be a start is one.
"""

from __future__ import annotations

import numpy as np

from jupyter_nq.bars.closed import KNOWN, new_york
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import Sessions, sessions

DAY_MINUTES = 1440
_DAY = 86_400
_NS = 1_000_000_000
_LONGEST_PAUSE = 14 * _DAY  # longer than any exchange is closed


def is_day(minutes: int, calendar: str | None) -> bool:
    """Tell whether bars are those of whole sessions that are known."""
    return minutes == DAY_MINUTES and calendar in KNOWN


def day_starts(utc: Ints, edge: str, calendar: str) -> Ints:
    """Return the start of each day's bar (seconds, UTC) from its stamp: what one row gives does not depend on others.

    The end of a bar belongs to the session that opened last before it. Where none is known, before 1970, the bar has
    a whole day.
    """
    sess = _around(utc, calendar)
    opens = sess.opens // _NS
    if edge == "end":
        at = np.searchsorted(opens, utc, side="left") - 1
        return np.where(at >= 0, opens[at], utc - _DAY) if len(sess) else utc - _DAY
    at = sess.index(utc * _NS)
    dated = (at >= 0) & (new_york(utc) % _DAY == 0)
    return np.where(dated, opens[at], utc) if dated.any() else utc


def not_trade_dates(local: Ints, calendar: str) -> Ints:
    """Return the rows whose date (midnight of it, seconds on any clock) is no trade date."""
    dates = (local // _DAY).astype("datetime64[D]")
    known = _around(local, calendar).trade_date
    rows: Ints = np.flatnonzero(~np.isin(dates, known))
    return rows


def _around(instants: Ints, calendar: str) -> Sessions:
    """Return the sessions from before the first instant to behind the last."""
    first, last = max(int(instants.min()) - _LONGEST_PAUSE, 0), max(int(instants.max()), 0) + _DAY
    return sessions(calendar, first * _NS, last * _NS)
