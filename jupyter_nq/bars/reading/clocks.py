"""Kernels that turn the numbers of stamps into seconds of their clock, and these into the starts of bars in UTC.

They say where they stop and not why: the general path does the same with words.
"""

from __future__ import annotations

from typing import Any

from jupyter_nq.bars.compiled import kernel

# Where the numbers of a stamp lie, as in `kernels`; this module must compile alone.
_SECOND_AT, _FIRST_AT, _YEAR_AT, _CODE_AT = 17, 24, 31, 45
_TIME, _NUMBER, _YEAR = (1 << 17) - 1, (1 << 7) - 1, (1 << 14) - 1

AS_WRITTEN, SWAPPED = 1, 2
"""Order of day and month: the first number is the day, or the second; 0 for a layout that may not occur."""


@kernel
def local_of(
    stamps: Any, orders: Any, month_starts: Any, month_days: Any, first_year: int, local: Any
) -> tuple[int, int, int]:
    """Write the clock reading of each stamp in seconds, and return (rows done, smallest, largest).

    It stops at a date that does not exist and at a layout without an order.

    Parameters
    ----------
    stamps
        int64 (rows,): numbers in bits, see `kernels.CODE_AT`.
    orders
        int8 (CODES,): by layout code.
    month_starts, month_days, first_year
        int64 (months,): day on which each month begins, and its days, from the first year on.
    local
        int64 (rows,), written; it may be `stamps`.
    """
    known = -1
    midnight = 0
    smallest = largest = 0
    for i in range(len(stamps)):
        date = stamps[i] >> _SECOND_AT
        if date != known:
            order = orders[stamps[i] >> _CODE_AT]
            day, month = (stamps[i] >> _FIRST_AT) & _NUMBER, (stamps[i] >> _SECOND_AT) & _NUMBER
            if order == SWAPPED:
                day, month = month, day
            index = (((stamps[i] >> _YEAR_AT) & _YEAR) - first_year) * 12 + month - 1
            if order == 0 or month < 1 or month > 12 or index < 0 or index >= len(month_days):
                return i, smallest, largest
            if day < 1 or day > month_days[index]:
                return i, smallest, largest
            midnight = (month_starts[index] + day - 1) * 86_400
            known = date
        seconds = midnight + (stamps[i] & _TIME)
        if i == 0:
            smallest = largest = seconds
        smallest = min(smallest, seconds)
        largest = max(largest, seconds)
        local[i] = seconds
    return len(stamps), smallest, largest


@kernel
def certain(local: Any, since: Any, until: Any) -> bool:
    """Return whether every clock reading lies in one of the spans [since, until), which increase."""
    span = 0
    for i in range(len(local)):
        while local[i] >= until[span] and span < len(until) - 1:
            span += 1
        while local[i] < since[span] and span > 0:
            span -= 1
        if local[i] < since[span] or local[i] >= until[span]:
            return False
    return True


@kernel
def starts_of(local: Any, nanos: Any, offsets: Any, since: Any, until: Any, shifts: Any, starts: Any) -> int:
    """Write the start of each bar in UTC, ns, and return the rows done.

    It stops at a clock reading that the zone skips or repeats, and at a start that is not behind the one before.

    Parameters
    ----------
    local
        int64 (rows,): clock readings, seconds.
    nanos, offsets
        int32 (rows,): fraction of the second, and seconds east of UTC; of length 0 when no stamp has them.
    since, until, shifts
        int64 (spans,): clock readings [since, until) that lie this many seconds behind the start of the bar in UTC.
    starts
        int64 (rows,), written; it may be `local`.
    """
    span = 0
    before = 0
    for i in range(len(local)):
        seconds = local[i]
        if len(offsets) > 0:
            seconds -= offsets[i]
        while seconds >= until[span] and span < len(until) - 1:
            span += 1
        while seconds < since[span] and span > 0:
            span -= 1
        if seconds < since[span] or seconds >= until[span]:
            return i
        start = (seconds - shifts[span]) * 1_000_000_000
        if len(nanos) > 0:
            start += nanos[i]
        if start <= before and i > 0:
            return i
        starts[i] = start
        before = start
    return len(local)


@kernel
def numbers_of(stamps: Any, ranks: Any, layout: Any, first: Any, second: Any, year: Any, time: Any) -> None:
    """Write the numbers of each stamp into columns of their own, and the rank of its layout's code."""
    for i in range(len(stamps)):
        packed = stamps[i]
        layout[i] = ranks[packed >> _CODE_AT]
        first[i] = (packed >> _FIRST_AT) & _NUMBER
        second[i] = (packed >> _SECOND_AT) & _NUMBER
        year[i] = (packed >> _YEAR_AT) & _YEAR
        time[i] = packed & _TIME
