"""Which bars a calendar expects and a series does not have.

Every session is cut into slots of one bar's length from its open; the last may be shorter. A slot without a
bar is missing, unless the exchange paused all through it. What lies before the first bar and after the last is
not expected of a series.

This is a report about the past: what it calls a gap is known only when the next bar has come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.columns import iso
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import Days, Overrides, Sessions, pauses, sessions
from jupyter_nq.bars.sessions.regular import HOURS, within
from jupyter_nq.errors import InvalidArgument
from jupyter_nq.sizes import counted

_MINUTE_NS = 60 * 1_000_000_000
_MOST_SHOWN = 8
_WHOLE_BETWEEN = 5


@dataclass(frozen=True)
class Gap:
    """Consecutive missing bars; closed hours between two sessions do not end a gap."""

    first_ns: int
    """Start of the first missing bar, UTC."""
    last_ns: int
    """Start of the last missing bar."""
    bars: int
    first_date: np.datetime64
    """Trade date of the first missing bar."""
    last_date: np.datetime64

    def __str__(self) -> str:
        days = f"{self.first_date}" if self.first_date == self.last_date else f"{self.first_date} to {self.last_date}"
        return f"{days}: {self.bars:,} {'bar' if self.bars == 1 else 'bars'}"


@dataclass(frozen=True, eq=False)
class Gaps(Sequence[Gap]):
    """The gaps of a series in order of time, kept as columns: a thin series has hundreds of thousands."""

    first_ns: Ints
    last_ns: Ints
    bars: Ints
    first_date: Days
    last_date: Days

    def __len__(self) -> int:
        return len(self.bars)

    @overload
    def __getitem__(self, at: int) -> Gap: ...
    @overload
    def __getitem__(self, at: slice) -> Gaps: ...
    def __getitem__(self, at: int | slice) -> Gap | Gaps:
        if isinstance(at, slice):
            ns = self.first_ns[at], self.last_ns[at], self.bars[at]
            return Gaps(*ns, self.first_date[at], self.last_date[at])
        numbers = int(self.first_ns[at]), int(self.last_ns[at]), int(self.bars[at])
        return Gap(*numbers, self.first_date[at], self.last_date[at])


@dataclass(frozen=True)
class Hole:
    """Sessions that lack bars, with at most five whole ones in a row between them."""

    first_date: np.datetime64
    """Trade date, inclusive."""
    last_date: np.datetime64
    """Trade date, inclusive."""
    sessions: int
    """Sessions in it that lack bars."""
    bars: int
    """Missing bars."""

    def __str__(self) -> str:
        bars = f"{self.bars:,} {'bar' if self.bars == 1 else 'bars'}"
        if self.first_date == self.last_date:
            return f"{self.first_date}: {bars}"
        return f"{self.first_date} to {self.last_date}: {bars} of {self.sessions:,} sessions"


@dataclass(frozen=True, repr=False)
class Completeness:
    """How complete a series is."""

    calendar: str
    holidays_known: bool
    """Whether the calendar knows early closes; otherwise the bars after one count as missing."""
    expected: int
    """Bars that the calendar has between the first and the last bar, both included."""
    present: int
    """Bars of the series in these slots."""
    outside: Ints
    """Rows of bars that start where the exchange is closed."""
    missing_sessions: Days
    """Trade dates without any bar."""
    incomplete: dict[str, int]
    """Trade date -> missing bars, of sessions that have some."""
    gaps: Gaps
    holes: tuple[Hole, ...]
    """The same by session, in order of time: what a reader wants to know of a long thin span."""

    def __repr__(self) -> str:
        return self.text()

    @property
    def missing(self) -> int:
        """Bars that are expected and not there."""
        return self.expected - self.present

    @property
    def share(self) -> float:
        """Present of expected bars, 0 to 1; 1 when none is expected."""
        return self.present / self.expected if self.expected else 1.0

    def summary(self) -> str:
        """Return the counts in a line."""
        outside = f"{len(self.outside):,} bars outside the sessions of {self.calendar}"
        return f"{self.present:,} of {self.expected:,} expected bars ({self.share:.2%}), {outside}"

    def text(self) -> str:
        """Return a short report."""
        lines = [self.summary()]
        if not self.holidays_known:
            lines.append("early closes of this calendar are not known: bars after one count as missing")
        lines.append(f"{len(self.missing_sessions):,} sessions without a bar, {len(self.incomplete):,} incomplete")
        largest = sorted(self.holes, key=lambda hole: -hole.bars)[:_MOST_SHOWN]
        lines += [f"  missing {hole}" for hole in sorted(largest, key=lambda hole: hole.first_date)]
        more = self.holes[len(largest) :]
        return "\n".join([*lines, f"  and {len(more):,} smaller holes"] if more else lines)


def completeness(
    starts: Ints,
    minutes: int,
    calendar: str,
    overrides: Overrides | None = None,
    *,
    hours: str = "eth",
    regular_hours: str | None = None,
) -> Completeness:
    """Compare the starts of bars with the calendar.

    Parameters
    ----------
    starts
        Starts of the bars, ns UTC, strictly increasing.
    minutes
        Length of a bar; a bar counts for the slot in which it starts.
    calendar
        Trading calendar.
    overrides
        Trade dates with hours of one's own, as for `sessions`.
    hours
        "eth" expects whole sessions, "rth" only the regular hours: bars around them do not count.
    regular_hours
        Those of the instrument, None for those of the calendar.

    Raises
    ------
    InvalidArgument
        `hours` is neither, or the bars do not begin with the regular hours.
    ConfigError
        The sessions of the calendar are not known, or its regular hours.
    """
    if hours not in HOURS:
        raise InvalidArgument(f"hours={hours!r} is neither 'eth' nor 'rth'.")
    span = (int(starts[0]), int(starts[-1])) if len(starts) else (0, 0)
    sess = sessions(calendar, *span, overrides)
    outside = np.flatnonzero(sess.index(starts) < 0)
    if hours == "rth":
        sess = within(sess, regular_hours)
        _refuse_across(starts, minutes, sess)
    return _compared(starts, minutes * _MINUTE_NS, sess, outside)


def _refuse_across(starts: Ints, minutes: int, sess: Sessions) -> None:
    """Refuse bars of which some begin before the hours and end in them: they are neither in nor out."""
    begins = np.searchsorted(sess.opens, starts, side="right")
    known = begins < len(sess.opens)
    across = np.zeros(len(starts), bool)
    across[known] = sess.opens[begins[known]] < starts[known] + minutes * _MINUTE_NS
    if across.any():
        raise InvalidArgument(
            f"{counted(int(across.sum()), 'bar')} of {minutes} minutes begin before the regular hours and end in them, "
            f"the first at {iso(starts[int(np.argmax(across))])}, so they cannot be counted. Take shorter bars, or "
            "whole sessions: hours='eth'."
        )


def _compared(starts: Ints, step: int, sess: Sessions, outside: Ints) -> Completeness:
    """Lay the bars into the slots of the sessions, and count."""
    at = sess.index(starts)
    inside = at >= 0
    base = np.concatenate([[0], np.cumsum(-(-(sess.closes - sess.opens) // step))])
    at_inside = at[inside]
    place = base[at_inside] + (starts[inside] - sess.opens[at_inside]) // step
    first, stop = (int(place[0]), int(place[-1]) + 1) if len(place) else (0, 0)
    there = np.zeros(stop - first, bool)
    there[place - first] = True
    lacking = ~there
    paused = _paused(sess, base, step) - first
    lacking[paused[(paused >= 0) & (paused < len(there))]] = False
    missing, having = (_by_session(slots, first, base) for slots in (lacking, there))
    present = int(there.sum())
    some = np.flatnonzero((missing > 0) & (having > 0))
    days = np.datetime_as_string(sess.trade_date[some])
    return Completeness(
        sess.calendar,
        sess.holidays_known,
        present + int(missing.sum()),
        present,
        outside,
        sess.trade_date[(missing > 0) & (having == 0)],
        dict(zip(days.tolist(), missing[some].tolist(), strict=True)),
        _gaps(lacking, there, first, base, sess, step),
        _holes(missing, sess.trade_date),
    )


def _holes(missing: Ints, days: Days) -> tuple[Hole, ...]:
    short = np.flatnonzero(missing)
    runs = np.split(short, np.flatnonzero(np.diff(short) > _WHOLE_BETWEEN + 1) + 1) if len(short) else []
    return tuple(Hole(days[run[0]], days[run[-1]], len(run), int(missing[run].sum())) for run in runs)


def _paused(sess: Sessions, base: Ints, step: int) -> Ints:
    """Return the slots that lie in a pause from begin to end."""
    begins, ends = pauses(sess)
    first, stop = -(-(begins - sess.opens) // step), (ends - sess.opens) // step
    most = int(np.max(stop - first, initial=0))
    slots = first[:, None] + np.arange(most)
    found: Ints = (base[:-1, None] + slots)[slots < stop[:, None]]
    return found


def _by_session(slots: npt.NDArray[np.bool_], first: int, base: Ints) -> Ints:
    """Count the marked slots of each session."""
    counted = np.concatenate([[0], np.cumsum(slots, dtype=np.int64)])
    return np.diff(counted[np.clip(base - first, 0, len(slots))])


def _gaps(
    lacking: npt.NDArray[np.bool_],
    there: npt.NDArray[np.bool_],
    first: int,
    base: Ints,
    sess: Sessions,
    step: int,
) -> Gaps:
    """Cut the missing slots into gaps where a bar lies between two of them."""
    slots = np.flatnonzero(lacking)
    if not len(slots):
        none, day = np.empty(0, np.int64), np.empty(0, "datetime64[D]")
        return Gaps(none, none, none, day, day)
    apart = np.flatnonzero(np.diff(slots) > 1)
    bars_between = np.add.reduceat(there, slots)[apart] if len(apart) else apart
    cuts = apart[bars_between > 0]
    begins, ends = np.append(0, cuts + 1), np.append(cuts, len(slots) - 1)
    a, b = slots[begins] + first, slots[ends] + first
    of_a, of_b = (np.searchsorted(base, slot, side="right") - 1 for slot in (a, b))
    starts = [sess.opens[of] + (slot - base[of]) * step for of, slot in ((of_a, a), (of_b, b))]
    return Gaps(starts[0], starts[1], ends - begins + 1, sess.trade_date[of_a], sess.trade_date[of_b])
