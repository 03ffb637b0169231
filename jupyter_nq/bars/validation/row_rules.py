"""Rules about single bars and neighbours, for a whole series, sound or not: flags for each bar, findings for each rule.

The rules themselves are the kernel's; here rows that cannot go through it, without a stamp or with a volume that is
no count, are told apart first, and of bars out of order it is told afterwards whether they are copies of others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.columns import iso
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.rules import BACKWARDS, BAR_RULES, DUPLICATE, MISSING_STAMP, OFF_TICK, REPEATED, Severity
from jupyter_nq.bars.validation.report import Finding
from jupyter_nq.bars.validation.rows import Flags, RowChecks
from jupyter_nq.bars.validation.series import NO_STAMP, Series

MOST_ROWS = 5
"""Rows that a finding names."""
_LARGEST_COUNT = 2.0**63

Mask = npt.NDArray[np.bool_]


def row_flags(series: Series, *, adjusted: bool = False) -> Flags:
    """Return the flags of every row of a series, by every rule that needs no calendar.

    Parameters
    ----------
    adjusted
        Whether prices were adjusted at rolls: then they need not lie on the tick, and the tick rule is left out.
    """
    flags = np.zeros(len(series), np.uint32)
    flags[series.starts == NO_STAMP] = MISSING_STAMP
    rows = np.flatnonzero(series.starts != NO_STAMP)
    volume = series.volume[rows]
    with np.errstate(invalid="ignore"):
        count = (volume >= 0) & (volume < _LARGEST_COUNT) & (volume == np.floor(volume))
    known = series.instrument
    checks = RowChecks(
        minutes=series.minutes,
        tick=known.tick if known is not None and not adjusted else None,
        positive=known is not None and not known.negative_prices,
    )
    open_, high, low, close = (values[rows] for values in series.prices)
    counted = np.where(count, volume, -1.0).astype(np.int64)
    flags[rows] |= checks.add_columns(series.starts[rows], open_, high, low, close, counted)
    _find_copies(series, flags)
    return flags


def _find_copies(series: Series, flags: Flags) -> None:
    """Set the bit of a copy or a duplicate of bars that are out of order, when a bar above has their start.

    A block of bars that came twice is such; no pass with a state of some numbers can know all bars above.
    """
    late = np.flatnonzero(flags & BACKWARDS)
    if not len(late):
        return
    order = np.argsort(series.starts, kind="stable")  # rows of one start in the order of rows
    first = order[np.searchsorted(series.starts, series.starts[late], sorter=order)]
    late, first = late[first < late], first[first < late]
    same = np.logical_and.reduce([column[late] == column[first] for column in (*series.prices, series.volume)])
    flags[late] |= np.where(same, np.uint32(REPEATED), np.uint32(DUPLICATE))


def _behind_one(starts: Ints, late: Ints) -> str:
    """Say which bar alone makes most of the others late, when there is one: it may be the only one that is wrong."""
    if not len(late):
        return ""
    latest = np.maximum.accumulate(starts)
    first = np.searchsorted(latest, latest[late])  # the bar that they are behind
    before = np.where(first > 0, latest[first - 1], NO_STAMP)
    bars, counts = np.unique(first[starts[late] > before], return_counts=True)
    if not len(bars) or counts.max() < 2:
        return ""
    most = int(np.argmax(counts))
    return f", {counts[most]:,} of them before that of {iso(int(starts[bars[most]]))} alone, whose stamp may be wrong"


def row_findings(series: Series, flags: Flags) -> Iterator[Finding]:
    """Yield a finding for each rule that some bars break."""
    for rule in BAR_RULES:
        what = rule.what
        if rule.bit == OFF_TICK and series.instrument is not None:
            what = f"with a price off the {series.instrument.tick} tick"
        if rule.bit == BACKWARDS:
            what += _behind_one(series.starts, np.flatnonzero(flags & BACKWARDS))
        found = finding(rule.name, rule.severity, flags & rule.bit != 0, what)
        if found is not None:
            yield found


def finding(rule: str, severity: Severity, broken: Mask, sentence: str) -> Finding | None:
    """Return the finding of a mask of broken rows; `sentence` follows the number of bars."""
    rows = np.flatnonzero(broken)
    if not len(rows):
        return None
    bars = f"{len(rows):,} bar{'s' if len(rows) > 1 else ''} "
    return Finding(rule, severity, len(rows), bars + sentence, first_of(rows), all_rows=rows)


def first_of(rows: Ints) -> tuple[int, ...]:
    """Return the rows that a finding names."""
    return tuple(rows[:MOST_ROWS].tolist())
