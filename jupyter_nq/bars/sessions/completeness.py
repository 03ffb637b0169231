"""Which bars a calendar expects and a series does not have.

Every session is cut into slots of one bar's length from its open; the last may be shorter. A slot without a
bar is missing. What lies before the first bar and after the last is not expected of a series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import Days, Sessions, sessions

_MINUTE_NS = 60 * 1_000_000_000
_MOST_SHOWN = 8


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


@dataclass(frozen=True)
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
    gaps: tuple[Gap, ...]

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
        largest = sorted(self.gaps, key=lambda gap: -gap.bars)[:_MOST_SHOWN]
        lines += [f"  {gap}" for gap in sorted(largest, key=lambda gap: gap.first_ns)]
        more = len(self.gaps) - len(largest)
        return "\n".join([*lines, f"  and {more:,} smaller gaps"] if more else lines)


def completeness(starts: Ints, minutes: int, calendar: str) -> Completeness:
    """Compare the starts of bars with the calendar.

    Parameters
    ----------
    starts
        Starts of the bars, ns UTC, strictly increasing.
    minutes
        Length of a bar; a bar counts for the slot in which it starts.
    calendar
        Trading calendar.

    Raises
    ------
    ConfigError
        The sessions of the calendar are not known.
    """
    sess = sessions(calendar, int(starts[0]), int(starts[-1])) if len(starts) else sessions(calendar, 0, 0)
    at = sess.index(starts)
    inside = at >= 0
    slots = -(-(sess.closes - sess.opens) // (minutes * _MINUTE_NS))
    base = np.concatenate([[0], np.cumsum(slots)])
    place = base[at[inside]] + (starts[inside] - sess.opens[at[inside]]) // (minutes * _MINUTE_NS)
    if not len(place):
        return Completeness(
            calendar, sess.holidays_known, 0, 0, np.flatnonzero(~inside), np.empty(0, "datetime64[D]"), {}, ()
        )
    first, stop = int(place[0]), int(place[-1]) + 1
    there = np.zeros(stop - first, bool)
    there[place - first] = True
    session_of = np.searchsorted(base, np.arange(first, stop), side="right") - 1
    lacking = np.bincount(session_of[~there], minlength=len(sess))
    having = np.bincount(session_of[there], minlength=len(sess))
    some = np.flatnonzero((lacking > 0) & (having > 0))
    return Completeness(
        calendar,
        sess.holidays_known,
        len(there),
        int(there.sum()),
        np.flatnonzero(~inside),
        sess.trade_date[(lacking > 0) & (having == 0)],
        {str(sess.trade_date[i]): int(lacking[i]) for i in some},
        _gaps(there, first, base, session_of, sess, minutes),
    )


def _gaps(there: np.ndarray, first: int, base: Ints, of: Ints, sess: Sessions, minutes: int) -> tuple[Gap, ...]:
    edges = np.diff(np.concatenate([[True], there, [True]]).astype(np.int8))
    begins, ends = np.flatnonzero(edges == -1), np.flatnonzero(edges == 1) - 1

    def start(slot: int) -> int:
        return int(sess.opens[of[slot]] + (slot + first - base[of[slot]]) * minutes * _MINUTE_NS)

    return tuple(
        Gap(start(a), start(b), b - a + 1, sess.trade_date[of[a]], sess.trade_date[of[b]])
        for a, b in zip(begins.tolist(), ends.tolist(), strict=True)
    )
