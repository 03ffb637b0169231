"""Rolls: when a continuous series passes from one contract to the next, and what shows it.

From one continuous file the roll itself cannot be read, only its trace: the price of the next contract differs,
so the series jumps at the open of a session near the roll date. `roll_dates` knows the rules by which volume moves
on; of an instrument without a rule one series shows nothing, and only the files of its contracts tell.

A jump stands out by what is usual: openings after a weekend or holiday are compared with each other, those
after a night with each other. Jumps between sessions that hardly anybody traded say nothing.

This is a report about the past: the size of a usual jump is taken from the whole series. It measures no roll:
the jump contains what the market did over night. `contracts.roll_table` measures, from the files of contracts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import sessions
from jupyter_nq.bars.sessions.roll_dates import roll_dates, window
from jupyter_nq.bars.specifications import QUARTERLY

_Floats = npt.NDArray[np.float64]

_NIGHT_NS = 24 * 3600 * 10**9
_VOLUME_SESSIONS = 5
_COLLAPSED = 0.05
_SIGMAS = 4.0
_TO_SIGMA = 1.4826  # a normal distribution's standard deviation by its median absolute deviation


@dataclass(frozen=True, repr=False)
class Roll:
    """One roll date, and the largest jump near it."""

    roll_date: date
    """As the rule of the instrument has it."""
    trade_date: np.datetime64
    """Of the session that opens with the largest jump near it."""
    row: int
    """First bar of that session."""
    jump_points: float
    """From the last close before to the first open of the session."""
    jump_percent: float
    sigmas: float
    """The jump in robust standard deviations of the openings of its kind."""
    volume_before: float
    volume_after: float
    """Median volume of the five sessions before the jump, and of the five from it on; NaN when there are none."""
    thin: bool
    """Whether the sessions before it have hardly any volume beside the others of the series."""

    @property
    def seen(self) -> bool:
        """Whether the jump stands out; otherwise the series is adjusted, or the contracts had one price."""
        return abs(self.sigmas) >= _SIGMAS and not self.thin

    def __repr__(self) -> str:
        what = (
            f"jump of {self.jump_points:+,.2f} points ({self.jump_percent:+.2f} %, {abs(self.sigmas):.0f} sigmas) "
            f"at the open of {self.trade_date}"
        )
        if self.thin:
            return f"roll of {self.roll_date}: hardly traded, {self.volume_before:,.0f} contracts a session"
        if self.volume_after < _COLLAPSED * self.volume_before:
            what += (
                f", from where on a session has {self.volume_after:,.0f} contracts and not {self.volume_before:,.0f}"
            )
        return f"roll of {self.roll_date}: {what}" if self.seen else f"roll of {self.roll_date}: no jump stands out"


def roll_evidence(table: pa.Table, calendar: str, rule: str = QUARTERLY) -> list[Roll]:
    """Return what a continuous series shows at each roll date that it spans.

    Parameters
    ----------
    table
        Bars of one continuous series, raw prices.
    calendar
        Trading calendar.
    rule
        Rule of the roll dates, one of `ROLL_RULES`.

    Raises
    ------
    ConfigError
        There is no such rule, or the sessions of the calendar are not known.
    """
    before, after = window(rule)
    starts = starts_of(table)
    if len(starts) < 2:
        return []
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    at = sess.index(starts)
    rows = np.flatnonzero(at >= 0)
    if not len(rows):
        return []
    traded = np.bincount(at[rows], weights=table["volume"].to_numpy()[rows].astype(float), minlength=len(sess))
    first, points, percent, night = _openings(table, starts, rows, at)
    days = sess.trade_date[at[first]]
    sigma = _usual_jumps(percent, night > _NIGHT_NS)
    thin_below = _COLLAPSED * float(np.median(traded[traded > 0])) if (traded > 0).any() else 0.0
    found = []
    for expected in roll_dates(rule, sess.trade_date[0], sess.trade_date[-1]):
        from_it = (days - np.datetime64(expected)).astype(int)
        near = np.flatnonzero((from_it >= -before) & (from_it <= after))
        if len(near):
            best = int(near[np.argmax(np.abs(percent[near]) / np.where(sigma[near] > 0, sigma[near], np.inf))])
            sigmas = float(percent[best] / sigma[best]) if sigma[best] else 0.0
            jump = float(points[best]), float(percent[best])
            volume = _volume_around(traded, int(at[first[best]]))
            found.append(Roll(expected, days[best], int(first[best]), *jump, sigmas, *volume, volume[0] < thin_below))
    return found


def _openings(table: pa.Table, starts: Ints, rows: Ints, at: Ints) -> tuple[Ints, _Floats, _Floats, Ints]:
    """Return the first row of each session, its jump in points and percent, and the time since the bar before.

    An opening beside a close that is no positive number has no jump.
    """
    turns = np.flatnonzero(np.diff(at[rows]) > 0) + 1
    first, before = rows[turns], rows[turns - 1]
    close = table["close"].to_numpy()[before]
    with np.errstate(invalid="ignore"):  # an infinite price beside another
        points = table["open"].to_numpy()[first] - close
    real = (close > 0) & np.isfinite(points)
    first, before, points, close = first[real], before[real], points[real], close[real]
    return first, points, 100 * points / close, starts[first] - starts[before]


def _usual_jumps(percent: npt.NDArray[Any], long: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return for each opening the robust standard deviation of those of its kind."""
    sigma = np.zeros(len(percent))
    for kind in (long, ~long):
        if kind.any():
            sigma[kind] = _TO_SIGMA * np.median(np.abs(percent[kind] - np.median(percent[kind])))
    return sigma


def _volume_around(traded: npt.NDArray[Any], session: int) -> tuple[float, float]:
    """Return the median volume of the sessions with bars before a session, and from it on."""
    before, after = traded[max(0, session - _VOLUME_SESSIONS) : session], traded[session : session + _VOLUME_SESSIONS]
    median = [float(np.median(part[part > 0])) if (part > 0).any() else float("nan") for part in (before, after)]
    return median[0], median[1]
