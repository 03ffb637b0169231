"""When a bar is complete: the earliest moment at which anybody can know it."""

from __future__ import annotations

import numpy as np

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import WITHOUT_SESSIONS, sessions

_MINUTE_NS = 60 * 1_000_000_000


def availability(starts: Ints, minutes: int, calendar: str | None) -> Ints:
    """Return the instant at which each bar is complete, ns UTC.

    Parameters
    ----------
    starts
        Starts of the bars, ns UTC, shape (rows,), increasing.
    minutes
        Length of a bar.
    calendar
        Trading calendar: a bar that would last beyond its session's close is complete at the close, a bar of
        a day at its session's. None, a calendar whose sessions are not known (`WITHOUT_SESSIONS`), and a bar
        outside the sessions: start plus length, which is never too early.

    Raises
    ------
    ConfigError
        There is no such calendar.
    """
    ends = starts + minutes * _MINUTE_NS
    if calendar is None or calendar in WITHOUT_SESSIONS or not len(starts):
        return ends
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    if not len(sess):
        return ends
    latest = np.full(2 * len(sess) + 1, np.iinfo(np.int64).max)
    latest[1::2] = sess.closes
    known: Ints = np.minimum(ends, np.repeat(latest, sess.counts(starts)))
    return known
