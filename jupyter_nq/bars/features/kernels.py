"""The features that need what came before: one loop each, with what it must remember in a short state.

Each kernel goes through rows `lo` to `hi` of its series and writes `out[i - lo]`. `first` is the position at
which the series began, which may lie before the array; the array holds the rows before `lo` that are read.
`s` is the state, all zeros before the first row and overwritten at the end. Since a kernel does the same
arithmetic for a row whatever `lo` and `hi` are, pieces of a series give the bits of the whole.

A NaN is not left out, except where a kernel says so, and is never 0: a window gives NaN as long as it holds one, what
is smoothed over all rows stays NaN, and what is summed over a session does until the next.

A sum over a window is carried from row to row, which would gather rounding errors without end. So it is added
up afresh every `_FRESH` rows, counted from the series' beginning, and where most of its digits have cancelled:
after a spike has left the window, after a jump, after a NaN.
"""

from __future__ import annotations

import math
from typing import Any

from jupyter_nq.bars.compiled import inlined, kernel

Column = Any
"""Values by position: an array of float64 for the compiled twin, a list for the plain one."""

_FRESH = 1024
_CANCELLED = 1e-4
_ZERO = 1e-14  # what TA-Lib takes for zero


@kernel
def _total(x: Column, lo: int, hi: int) -> float:
    total = 0.0
    for i in range(lo, hi):
        total += x[i]
    return total


@kernel
def _centred(x: Column, lo: int, hi: int) -> tuple[float, float, float]:
    """Return an anchor near the mean of a window, and the sums of the deviations from it and their squares."""
    n = hi - lo
    rough = 0.0
    for i in range(lo, hi):
        rough += x[i] - x[hi - 1]
    anchor = x[hi - 1] + rough / n
    total = 0.0
    squares = 0.0
    for i in range(lo, hi):
        d = x[i] - anchor
        total += d
        squares += d * d
    return anchor, total, squares


@kernel
def _next_fresh(i: int, n: int, first: int) -> int:
    """Return the first position from `i` on at which a window of `n` is added up afresh."""
    filled = first + n - 1
    return filled if i <= filled else i + (first - i) % _FRESH


@kernel
def mean(x: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Mean of the last `n` values. State: their sum, the largest since it was fresh."""
    total = s[0]
    peak = s[1]
    full = min(max(first + n - 1, lo), hi)
    for i in range(lo, full):
        out[i - lo] = math.nan
    fresh = _next_fresh(full, n, first)
    for i in range(full, hi):
        if i != fresh:
            total += x[i] - x[i - n]
        size = abs(total)
        if i == fresh or not size >= _CANCELLED * peak:
            total = _total(x, i - n + 1, i + 1)
            peak = abs(total)
            fresh = _next_fresh(i + 1, n, first)
        elif size > peak:
            peak = size
        out[i - lo] = total / n
    s[0] = total
    s[1] = peak


MOMENTS, BANDS, POSITION, SCORE, SCALED = range(5)
"""What `around` writes: mean and deviation; the bands `factor` deviations above the mean, the mean and the band below;
the place of the value between these bands; its distance from the mean in deviations; the deviation times `factor`."""


@kernel
def around(
    x: Column,
    a: Column,
    b: Column,
    c: Column,
    s: Column,
    n: int,
    wanted: int,
    factor: float,
    lo: int,
    hi: int,
    first: int,
) -> None:
    """What `wanted` says of the mean and the deviation (divisor `n`, exactly 0 where all are equal) of `n` values.

    State: anchor, sum of the deviations from it, sum of their squares, the largest of these since they were
    fresh, and how many values in a row were equal.
    """
    anchor = s[0]
    total = s[1]
    squares = s[2]
    peak = s[3]
    equal = s[4]
    inverse = 1.0 / n
    full = min(max(first + n - 1, lo), hi)
    for i in range(lo, full):
        equal = equal + 1.0 if i > first and x[i] == x[i - 1] else 1.0
        a[i - lo] = math.nan
        if wanted <= BANDS:
            b[i - lo] = math.nan
        if wanted == BANDS:
            c[i - lo] = math.nan
    fresh = _next_fresh(full, n, first)
    for i in range(full, hi):
        equal = equal + 1.0 if x[i] == x[i - 1] else 1.0
        if i != fresh:
            new = x[i] - anchor
            old = x[i - n] - anchor
            total += new - old
            squares += (new - old) * (new + old)
            if squares > peak:
                peak = squares
        variance = squares - total * total * inverse
        if i == fresh or (equal < n and not variance >= _CANCELLED * peak):
            anchor, total, squares = _centred(x, i - n + 1, i + 1)
            peak = squares
            variance = squares - total * total * inverse
            fresh = _next_fresh(i + 1, n, first)
        if equal >= n:
            centre = x[i]
            spread = 0.0
        else:
            centre = anchor + total * inverse
            spread = math.sqrt(variance * inverse) if variance > 0.0 else 0.0 * variance
        if wanted == MOMENTS:
            a[i - lo] = centre
            b[i - lo] = spread
        elif wanted == BANDS:
            a[i - lo] = centre + spread * factor
            b[i - lo] = centre
            c[i - lo] = centre - spread * factor
        elif wanted == POSITION:
            a[i - lo] = _share(x[i] - (centre - spread * factor), spread * factor + spread * factor)
        elif wanted == SCORE:
            a[i - lo] = _share(x[i] - centre, spread)
        else:
            a[i - lo] = spread * factor
    s[0] = anchor
    s[1] = total
    s[2] = squares
    s[3] = peak
    s[4] = equal


@inlined
def _share(part: float, whole: float) -> float:
    return part / whole if whole != 0.0 else math.nan


@inlined
def _larger(a: float, b: float) -> float:
    """Return the larger, NaN if either is."""
    return a if a > b or a != a else b


@inlined
def _smaller(a: float, b: float) -> float:
    """Return the smaller, NaN if either is."""
    return a if a < b or a != a else b


@kernel
def moments(x: Column, centre: Column, spread: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Mean and standard deviation of the last `n` values; state as of `around`."""
    around(x, centre, spread, spread, s, n, MOMENTS, 0.0, lo, hi, first)


@kernel
def ema(x: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Exponential mean with the weight 2 / (n + 1), which begins with the mean of the first `n` values."""
    value = s[0]
    weight = 2.0 / (n + 1.0)
    full = min(max(first + n, lo), hi)
    for i in range(lo, full):
        if i >= first:
            value += x[i]
        if i == first + n - 1:
            value /= n
        out[i - lo] = value if i == first + n - 1 else math.nan
    for i in range(full, hi):
        value += (x[i] - value) * weight
        out[i - lo] = value
    s[0] = value


@kernel
def _strength(up: float, down: float) -> float:
    both = up + down
    return 100.0 * (up / both) if not both < _ZERO else 0.0


@kernel
def rsi(x: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Relative strength with Wilder's smoothing. State: mean gain, mean loss."""
    up = s[0]
    down = s[1]
    kept = (n - 1.0) / n
    weight = 1.0 / n
    full = min(max(first + n + 1, lo), hi)
    for i in range(lo, full):
        if i > first:
            change = x[i] - x[i - 1]
            up += max(change, 0.0)
            down += max(-change, 0.0)
        if i == first + n:
            up /= n
            down /= n
        out[i - lo] = _strength(up, down) if i == first + n else math.nan
    for i in range(full, hi):
        change = x[i] - x[i - 1]
        gain = change if change > 0.0 else 0.0
        up = up * kept + gain * weight
        down = down * kept + (gain - change) * weight
        out[i - lo] = _strength(up, down)
    s[0] = up
    s[1] = down


@kernel
def atr(high: Column, low: Column, close: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Mean true range with Wilder's smoothing; the first bar, which has no close before it, does not count."""
    value = s[0]
    kept = (n - 1.0) / n
    weight = 1.0 / n
    for i in range(lo, hi):
        if i > first:
            before = close[i - 1]
            spread = _larger(high[i], before) - _smaller(low[i], before)
            if i > first + n:
                value = value * kept + spread * weight
            else:
                value += spread
                if i == first + n:
                    value /= n
        out[i - lo] = value if i >= first + n else math.nan
    s[0] = value


@kernel
def macd(
    x: Column,
    line: Column,
    signal: Column,
    histogram: Column,
    s: Column,
    fast_n: int,
    slow_n: int,
    signal_n: int,
    lo: int,
    hi: int,
    first: int,
) -> None:
    """Difference of two exponential means, its own, and their difference; all three begin with the last.

    The fast mean begins in the row of the slow one, with the `fast_n` values up to it, as TA-Lib's does.
    """
    fast = s[0]
    slow = s[1]
    smooth = s[2]
    fast_weight = 2.0 / (fast_n + 1.0)
    slow_weight = 2.0 / (slow_n + 1.0)
    weight = 2.0 / (signal_n + 1.0)
    begin = first + slow_n - 1
    full = begin + signal_n - 1
    for i in range(lo, hi):
        if i > begin:
            fast += (x[i] - fast) * fast_weight
            slow += (x[i] - slow) * slow_weight
        elif i >= first:
            slow += x[i]
            if i > begin - fast_n:
                fast += x[i]
            if i == begin:
                slow /= slow_n
                fast /= fast_n
        difference = fast - slow
        if i > full:
            smooth += (difference - smooth) * weight
        elif i >= begin:
            smooth += difference
            if i == full:
                smooth /= signal_n
        line[i - lo] = difference if i >= full else math.nan
        signal[i - lo] = smooth if i >= full else math.nan
        histogram[i - lo] = difference - smooth if i >= full else math.nan
    s[0] = fast
    s[1] = slow
    s[2] = smooth


@kernel
def highest(x: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Largest of the last `n` values, NaN if one is, in blocks of `n` rows (van Herk, Gil and Werman).

    A window is the end of one block and the beginning of the next. State: the largest value from each row of the
    last full block to its end, then the largest of the present block so far.
    """
    best = s[n]
    full = min(max(first + n - 1, lo), hi)
    i = max(lo, min(first, hi))
    for j in range(lo, i):
        out[j - lo] = math.nan
    while i < hi:
        begin = i - (i - first) % n
        if i == begin:
            best = x[i]
            if i > first:
                s[n - 1] = x[i - 1]
                for k in range(n - 2, -1, -1):
                    s[k] = _larger(s[k + 1], x[i - n + k])
        stop = min(hi, begin + n)
        for j in range(i, min(stop, begin + n - 1)):
            best = _larger(x[j], best)
            out[j - lo] = _larger(s[j - begin + 1], best)
        if stop == begin + n:
            best = _larger(x[stop - 1], best)
            out[stop - 1 - lo] = best
        i = stop
    for j in range(lo, full):
        out[j - lo] = math.nan
    s[n] = best


@kernel
def lowest(x: Column, out: Column, s: Column, n: int, lo: int, hi: int, first: int) -> None:
    """Smallest of the last `n` values, as `highest`."""
    best = s[n]
    full = min(max(first + n - 1, lo), hi)
    i = max(lo, min(first, hi))
    for j in range(lo, i):
        out[j - lo] = math.nan
    while i < hi:
        begin = i - (i - first) % n
        if i == begin:
            best = x[i]
            if i > first:
                s[n - 1] = x[i - 1]
                for k in range(n - 2, -1, -1):
                    s[k] = _smaller(s[k + 1], x[i - n + k])
        stop = min(hi, begin + n)
        for j in range(i, min(stop, begin + n - 1)):
            best = _smaller(x[j], best)
            out[j - lo] = _smaller(s[j - begin + 1], best)
        if stop == begin + n:
            best = _smaller(x[stop - 1], best)
            out[stop - 1 - lo] = best
        i = stop
    for j in range(lo, full):
        out[j - lo] = math.nan
    s[n] = best


@kernel
def stochastic(
    x: Column,
    high: Column,
    low: Column,
    slow: Column,
    signal: Column,
    s: Column,
    n: int,
    smooth_n: int,
    signal_n: int,
    lo: int,
    hi: int,
    first: int,
) -> None:
    """Place of the close between `low` and `high`, the extremes of `n` rows, smoothed; and smoothed again.

    State: the last `smooth_n` places, then the last `signal_n` smoothed ones. Unlike `x`, the extremes begin at `lo`.
    """
    slow_begin = first + n + smooth_n - 2
    begin = slow_begin + signal_n - 1
    for i in range(lo, hi):
        place = 0.0
        if i >= first + n - 1:
            place = x[i] - low[i - lo]
            width = (high[i - lo] - low[i - lo]) / 100.0
            if width != 0.0:
                place /= width
            elif place == place:
                place = 0.0
        s[(i - first) % smooth_n] = place
        smoothed = _total(s, 0, smooth_n) / smooth_n
        s[smooth_n + (i - first) % signal_n] = smoothed
        slow[i - lo] = smoothed if i >= begin else math.nan
        signal[i - lo] = _total(s, smooth_n, smooth_n + signal_n) / signal_n if i >= begin else math.nan


@kernel
def vwap(
    high: Column,
    low: Column,
    close: Column,
    volume: Column,
    session: Column,
    out: Column,
    s: Column,
    lo: int,
    hi: int,
    first: int,
) -> None:
    """Mean typical price of a session so far, weighted by volume; NaN while it has none, and outside the sessions.

    State: the session, the sum of price times volume in it, and of volume.
    """
    current = s[0]
    traded = s[1]
    volumes = s[2]
    for i in range(lo, hi):
        if session[i] != current:
            current = session[i]
            traded = 0.0
            volumes = 0.0
        traded += (high[i] + low[i] + close[i]) / 3.0 * volume[i]
        volumes += volume[i]
        out[i - lo] = traded / volumes if volumes > 0.0 and current > 0.0 else math.nan
    s[0] = current
    s[1] = traded
    s[2] = volumes


@kernel
def seen(x: Column, centre: Column, spread: Column, s: Column, lo: int, hi: int, first: int) -> None:
    """Mean and standard deviation (divisor their number) of all values before each row, NaN left out (Welford).

    NaN before two values. State: their number, their mean, the sum of the squared deviations from it.
    """
    count = s[0]
    mean_ = s[1]
    squares = s[2]
    for i in range(lo, hi):
        centre[i - lo] = mean_ if count >= 2.0 else math.nan
        spread[i - lo] = math.sqrt(squares / count) if count >= 2.0 else math.nan
        if x[i] == x[i]:
            count += 1.0
            d = x[i] - mean_
            mean_ += d / count
            squares += d * (x[i] - mean_)
    s[0] = count
    s[1] = mean_
    s[2] = squares
