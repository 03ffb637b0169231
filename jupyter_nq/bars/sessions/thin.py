"""Spans in which a continuous series holds the wrong contract: its volume collapses for weeks.

A continuous series is spliced from contracts. When the splice fails, it goes on in a contract that hardly
anybody trades yet: prices stay plausible, stamps regular, and no rule about a single bar sees it. The sum of
a session's volume does: it falls to a small share of what was usual and stays there.

This is a report about the past. It looks at what came after a session to tell a collapse from a quiet day, so
it must not be used to trade.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.columns import floats_of, starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sessions.calendar import Sessions, sessions

COLLAPSED = 0.05
"""A session with less than this share of the usual volume has collapsed."""
RECOVERED = 0.25
"""A span ends when sessions have at least this share again."""
_USUAL_SESSIONS = 20
_FEWEST_JUDGED = 2 * _USUAL_SESSIONS
_YEAR = 250
_FEWEST_SESSIONS = 3  # that a span has, and that end it: fewer are holidays and outages


@dataclass(frozen=True)
class ThinSpan:
    """Sessions of collapsed volume."""

    first_date: np.datetime64
    """Trade date, inclusive."""
    last_date: np.datetime64
    """Trade date, inclusive."""
    first_row: int
    last_row: int
    """Rows of the series, both inclusive."""
    median_volume: float
    """Of the sessions in the span."""
    usual_volume: float
    """Median of the 20 ordinary sessions before it, or of the first year when it begins the series."""
    jump_percent: float | None
    """From the last close before the span to its first open; None when it begins the series."""

    def __str__(self) -> str:
        jump = "" if self.jump_percent is None else f", prices jump {self.jump_percent:+.2f} % into it"
        return (
            f"{self.first_date} to {self.last_date}: {self.median_volume:,.0f} contracts in the median session where "
            f"{self.usual_volume:,.0f} are usual{jump}: another contract than before, or hardly traded"
        )


def thin_spans(table: pa.Table, calendar: str) -> list[ThinSpan]:
    """Return the spans of collapsed volume in a table of bars, none when it has too few sessions to tell.

    Sessions that close early are neither taken as usual nor as collapsed.
    """
    starts = starts_of(table)
    if not len(starts):
        return []
    sess = sessions(calendar, int(starts[0]), int(starts[-1]))
    first, stop, judged = _judged(sess, starts)
    if len(judged) < _FEWEST_JUDGED:
        return []
    so_far = np.concatenate([[0.0], np.cumsum(floats_of(table, "volume"))])
    traded = so_far[stop[judged]] - so_far[first[judged]]
    spans = []
    for begin, end, usual in _collapses(traded.tolist()):
        a, b = judged[begin], judged[end]
        row, last = int(first[a]), int(stop[b]) - 1
        median = float(np.median(traded[begin : end + 1]))
        spans.append(ThinSpan(sess.trade_date[a], sess.trade_date[b], row, last, median, usual, _jump(table, row)))
    return spans


def can_tell(starts: Ints, calendar: str) -> bool:
    """Return whether bars have enough sessions to tell what is usual; `starts` are ns UTC, increasing."""
    return len(_judged(sessions(calendar, int(starts[0]), int(starts[-1])), starts)[2]) >= _FEWEST_JUDGED


def _judged(sess: Sessions, starts: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the first row of each session and the one behind its last, and which sessions have bars and are whole."""
    counts = sess.counts(starts)
    stop = np.cumsum(counts)[1::2]
    first = stop - counts[1::2]
    return first, stop, np.flatnonzero(~sess.early & (stop > first))


def _collapses(volume: list[float]) -> list[tuple[int, int, float]]:
    """Return (first, last, usual volume) of each run of collapsed sessions."""
    found: list[tuple[int, int, float]] = []
    ordinary: list[float] = []
    at_first = median(volume[:_YEAR])  # over decades volume grows a hundredfold: compare within a year
    at = 0
    while at < len(volume):
        enough = len(ordinary) >= _USUAL_SESSIONS // 2
        usual = median(ordinary[-_USUAL_SESSIONS:]) if enough else at_first
        ahead = volume[at : at + _FEWEST_SESSIONS]
        if len(ahead) == _FEWEST_SESSIONS and max(ahead) < COLLAPSED * usual:
            last = _end(volume, at, usual)
            found.append((at, last, usual))
            at = last + 1
        else:
            ordinary.append(volume[at])
            at += 1
    return found


def _end(volume: list[float], first: int, usual: float) -> int:
    """Return the last session before the volume is back for good, or the last of all."""
    for at in range(first + 1, len(volume) - _FEWEST_SESSIONS + 1):
        if min(volume[at : at + _FEWEST_SESSIONS]) >= RECOVERED * usual:
            return at - 1
    return len(volume) - 1


def _jump(table: pa.Table, row: int) -> float | None:
    if row == 0:
        return None
    before, after = table["close"][row - 1].as_py(), table["open"][row].as_py()
    return float(100 * (after / before - 1)) if before else None
