"""Whether bars in closed hours mean that the zone or the edge of all stamps is wrong, and which would fit.

Stamps that are a little late put bars behind the close of a session and leave its opening empty; stamps that are
a little early do the opposite. Each break between two sessions shows it or does not, so that it is told however
short the bars are: ends of 1-minute bars that were taken for starts put one bar of 1,380 into closed hours, and
they do so at every break. Single bars that lie there, with the opening where it should be, show nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import Sessions, sessions

_MINUTE_NS = 60 * 1_000_000_000
_WRONG_SHARE = 0.01  # of all bars; a shift of an hour puts 4 % into closed hours
_MOST_BREAKS = 0.5  # that show a shift
_BREAKS_IN_A_ROW = 4  # as in the weeks in which the clocks of two zones differ
_LOOKED_AT, _WEEK = 100_000, 7  # bars, then days, that are shifted to find what fits: clocks change in a year
_FITS = 0.1  # of the bars in closed hours may be left there
_HALF_HOURS = range(1, 29)
_DAY = 24 * 60

Mask = npt.NDArray[np.bool_]


def misplaced(starts: Ints, outside: Ints, minutes: int, calendar: str) -> str:
    """Return a sentence that says what is wrong with the stamps, empty when nothing is.

    Parameters
    ----------
    starts
        Starts of bars, ns UTC, strictly increasing.
    outside
        Positions of those in closed hours, increasing; at least one.
    minutes
        Length of a bar.
    calendar
        Trading calendar whose sessions are known.
    """
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    many = len(outside) > _WRONG_SHARE * len(starts)
    late, early = _shifts(starts, outside, minutes, sess) if minutes < _DAY else (np.zeros(0, bool),) * 2
    most = max(_share(late), _share(early)) >= _MOST_BREAKS
    in_a_row = max(_longest(late), _longest(early))
    if not (many or most or in_a_row >= _BREAKS_IN_A_ROW):
        return ""
    if not (many or most):
        return (
            f"The zone or the edge of the stamps is wrong in a part of them, {in_a_row} sessions in a row, as where "
            "the clocks of the right zone change on other days"
        )
    middle = int(outside[len(outside) // 2])
    for bars in (_LOOKED_AT, _WEEK * _DAY // minutes or 1):
        fitting = _fitting(starts[max(middle - bars // 2, 0) : middle + bars // 2 + 1], minutes, calendar)
        if fitting is not None:
            where = "" if bars == _LOOKED_AT else f" around {np.datetime64(int(starts[middle]), 'ns').astype('M8[D]')}"
            return _said(fitting, minutes, where)
    return "The zone or the edge of the stamps is wrong"


def _shifts(starts: Ints, outside: Ints, minutes: int, sess: Sessions) -> tuple[Mask, Mask]:
    """Return for each break between two sessions that have bars whether stamps are late there, and whether early."""
    step = minutes * _MINUTE_NS
    traded = np.flatnonzero(_any_in(starts, sess.opens, sess.closes))
    before, after = traded[:-1], traded[1:]
    closes, opens = sess.closes[before], sess.opens[after]
    astray = starts[outside]
    late = _any_in(astray, closes, np.minimum(closes + step, opens)) & ~_any_in(starts, opens, opens + step)
    early = _any_in(astray, np.maximum(opens - step, closes), opens) & ~_any_in(starts, closes - step, closes)
    return late, early


def _any_in(stamps: Ints, begins: Ints, ends: Ints) -> Mask:
    """Return whether some stamp lies in each span, the end excluded."""
    return np.searchsorted(stamps, begins) < np.searchsorted(stamps, ends)


def _share(breaks: Mask) -> float:
    return float(breaks.mean()) if len(breaks) else 0.0


def _longest(breaks: Mask) -> int:
    """Return the most true values in a row."""
    others = np.flatnonzero(~np.concatenate([[False], breaks, [False]]))
    return int(np.diff(others).max()) - 1


def _fitting(starts: Ints, minutes: int, calendar: str) -> int | None:
    """Return by how many minutes the stamps are late (early when below 0), None when no shift fits."""
    edges = (minutes, -minutes) if minutes < _DAY else ()
    shifts = [*edges, *(sign * half * 30 for half in _HALF_HOURS for sign in (1, -1))]
    left = [_outside(starts - shift * _MINUTE_NS, calendar) for shift in shifts]
    best = int(np.argmin(left))
    return shifts[best] if left[best] <= _FITS * _outside(starts, calendar) else None


def _outside(starts: Ints, calendar: str) -> int:
    return int(np.count_nonzero(sessions(calendar, int(starts[0]), int(starts[-1])).index(starts) < 0))


def _said(late: int, minutes: int, where: str) -> str:
    """Return the sentence for stamps that are late by some minutes."""
    way = "earlier" if late > 0 else "later"
    count, unit = (abs(late) // 60, "hour") if late % 60 == 0 else (abs(late), "minute")
    fits = f"{count} {unit}{'s' if count > 1 else ''} {way}{where} they would lie in the sessions"
    if abs(late) != minutes:
        return f"The zone of the stamps is wrong: {fits}"
    edge, other = ("end", "start") if late > 0 else ("start", "end")
    zone = " or the zone" if minutes == 60 else ""
    return (
        f"The edge{zone} of the stamps is wrong: {fits}, as {edge}s of bars would that were taken for {other}s; "
        f"edge={edge!r} would fit"
    )
