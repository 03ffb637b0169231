"""Hours in which an exchange is certainly closed: the evidence for zone and bar edge.

All Globex products of the calendars below stop from 17:00 to 18:00 New York every weekday, and from
Friday 17:00 to Sunday 18:00. Until 20 September 2015 equity, energy and metals closed later, at 17:15
or 17:30, so for that time only what lies after 17:30 counts. Holidays are not used: no bar in a closed
hour is required, a bar in every open hour is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.instruments import ENERGY_METALS, EQUITY, FX, RATES
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.zones import steps

KNOWN = frozenset({EQUITY, ENERGY_METALS, FX, RATES})
"""The calendars whose closed hours are known."""
EXCHANGE_ZONE = "America/New_York"

SLOT_SECONDS = 900
WEEK_SECONDS = 7 * 86_400
SLOTS = WEEK_SECONDS // SLOT_SECONDS
WEEK_START = 3 * 86_400 + 7 * 3600
"""A Sunday 07:00 (4 January 1970): where weeks are cut, far inside the weekend in every zone."""
EARLY_CLOSE_SINCE = 1_442_725_200
"""2015-09-20 05:00 UTC, a Sunday: from then on the close is 17:00."""
SESSION_OPEN = 18 * 3600
"""Seconds since midnight, New York, at which a session opens."""


def _mask(close: int) -> npt.NDArray[np.bool_]:
    seconds = (WEEK_START + np.arange(SLOTS) * SLOT_SECONDS) % WEEK_SECONDS
    weekday = (seconds // 86_400 + 3) % 7  # 1 January 1970 was a Thursday; Monday is 0
    clock = seconds % 86_400
    halt = (clock >= close) & (clock < SESSION_OPEN)
    friday_evening = (weekday == 4) & (clock >= close)
    weekend = (weekday == 5) | ((weekday == 6) & (clock < SESSION_OPEN))
    closed: npt.NDArray[np.bool_] = halt | friday_evening | weekend
    return closed


CLOSED_LATE, CLOSED = _mask(17 * 3600 + 1800), _mask(17 * 3600)
"""Closed quarter hours of a New York week that begins at `WEEK_START`, before and since 2015-09-20."""


def new_york(utc: Ints) -> Ints:
    """Return what clocks in New York show at some instants, one at least; seconds."""
    return utc + steps(EXCHANGE_ZONE, int(utc.min()), int(utc.max())).at_utc(utc)


def is_closed(utc: Ints) -> npt.NDArray[np.bool_]:
    """Return which instants (seconds, UTC) lie in closed hours."""
    if not len(utc):
        return np.zeros(0, bool)
    slot = (new_york(utc) - WEEK_START) % WEEK_SECONDS // SLOT_SECONDS
    closed: npt.NDArray[np.bool_] = np.where(utc < EARLY_CLOSE_SINCE, CLOSED_LATE[slot], CLOSED[slot])
    return closed


def witness(stamps: Ints, edge: str) -> Ints:
    """Return the instant of each bar that must be open: its start, or the last second before its end."""
    return stamps if edge == "start" else stamps - 1


def bar_starts(utc: Ints, edge: str, minutes: int, calendar: str | None, phase: int | None = None) -> Ints:
    """Return the start of each bar (seconds, UTC) from its stamp.

    A bar that the end of a session cuts short is stamped at that end, off the grid of the others; its
    start is the grid's, counted from the session's opening. `phase` is where that grid lies, as `phases` counts
    it; None takes what most stamps have, for which all stamps of a file are needed. A bar of a day begins with its
    session, see `days`.
    """
    from jupyter_nq.bars.days import day_starts, is_day  # the calendar is built on this module

    if len(utc) and calendar is not None and is_day(minutes, calendar):
        return day_starts(utc, edge, calendar)
    if edge == "start" or not len(utc):
        return utc
    step = minutes * 60
    if not cut_short(edge, minutes, calendar):
        return utc - step
    into_step = phases(utc, minutes)
    if phase is None:
        phase = int(np.argmax(np.bincount(into_step)))
    if (into_step == phase).all():
        return utc - step
    short_by = (into_step - phase) % step
    return utc - np.where(short_by == 0, step, short_by)


def cut_short(edge: str, minutes: int, calendar: str | None) -> bool:
    """Tell whether stamps are ends of bars that a session's end may cut short."""
    return edge == "end" and calendar in KNOWN and minutes < 1440


def phases(utc: Ints, minutes: int) -> Ints:
    """Return how far each stamp (seconds, UTC) lies behind the grid of bars that begins with the session."""
    step, since_open = minutes * 60, new_york(utc) - SESSION_OPEN
    found: Ints = since_open % step if 86_400 % step == 0 else since_open % 86_400 % step
    return found
