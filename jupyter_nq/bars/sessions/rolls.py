"""Rolls: when a continuous series passes from one contract to the next, and what shows it.

From one continuous file the roll itself cannot be read, only its trace: the price of the next contract differs,
so the series jumps at the open of a session near the roll date. Equity index contracts expire on the third Friday
of March, June, September and December, and the volume moves on in the week before, around its Monday.

This is a report about the past: the size of a usual jump is taken from the whole series.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.instruments import EQUITY
from jupyter_nq.bars.resample import starts_of
from jupyter_nq.bars.sessions.calendar import sessions, year_of
from jupyter_nq.errors import ConfigError

MONTHS = (3, 6, 9, 12)
_FRIDAY = 4
_WINDOW_DAYS = 4
_SIGMAS = 4.0
_TO_SIGMA = 1.4826  # a normal distribution's standard deviation by its median absolute deviation


@dataclass(frozen=True)
class Roll:
    """One roll date, and the largest jump near it."""

    roll_date: date
    """The Monday before the third Friday."""
    trade_date: np.datetime64
    """Of the session that opens with the largest jump within four days of it."""
    row: int
    """First bar of that session."""
    jump_points: float
    """From the last close before to the first open of the session."""
    jump_percent: float
    sigmas: float
    """The jump in robust standard deviations of all session openings."""

    @property
    def seen(self) -> bool:
        """Whether the jump stands out; otherwise the series is adjusted, or the contracts had one price."""
        return abs(self.sigmas) >= _SIGMAS

    def __str__(self) -> str:
        what = (
            f"jump of {self.jump_points:+,.2f} points ({self.jump_percent:+.2f} %, {abs(self.sigmas):.0f} sigmas) "
            f"at the open of {self.trade_date}"
        )
        return f"roll of {self.roll_date}: {what}" if self.seen else f"roll of {self.roll_date}: no jump stands out"


def roll_date(year: int, month: int) -> date:
    """Return the Monday before the third Friday of a month.

    >>> roll_date(2024, 12).isoformat()
    '2024-12-16'
    """
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    return third_friday - timedelta(days=4)


def roll_evidence(table: pa.Table, calendar: str) -> list[Roll]:
    """Return what a continuous series shows at each roll date that it spans.

    Parameters
    ----------
    table
        Bars of one continuous series, raw prices.
    calendar
        Trading calendar; the roll dates of the equity index family are known.

    Raises
    ------
    ConfigError
        The roll dates of the calendar are not known.
    """
    if calendar != EQUITY:
        raise ConfigError(f"the roll dates of {calendar!r} are not known, only those of {EQUITY!r}.")
    starts = starts_of(table)
    if len(starts) < 2:
        return []
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    first = np.flatnonzero(np.diff(at) > 0) + 1
    days = sess.trade_date[at[first]]
    points = table["open"].to_numpy()[first] - table["close"].to_numpy()[first - 1]
    percent = 100 * points / np.abs(table["close"].to_numpy()[first - 1])
    middle = np.median(percent) if len(percent) else 0.0
    sigma = _TO_SIGMA * float(np.median(np.abs(percent - middle))) if len(percent) else 0.0
    found = []
    for expected in _roll_dates(sess.trade_date[0], sess.trade_date[-1]):
        near = np.flatnonzero(np.abs((days - np.datetime64(expected)).astype(int)) <= _WINDOW_DAYS)
        if len(near):
            best = int(near[np.argmax(np.abs(percent[near]))])
            sigmas = float(percent[best] / sigma) if sigma else 0.0
            jump = float(points[best]), float(percent[best])
            found.append(Roll(expected, days[best], int(first[best]), *jump, sigmas))
    return found


def _roll_dates(first: np.datetime64, last: np.datetime64) -> list[date]:
    years = range(year_of(first), year_of(last) + 1)
    every = [roll_date(year, month) for year in years for month in MONTHS]
    return [day for day in every if first <= np.datetime64(day) <= last]
