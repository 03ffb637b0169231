"""The kernel of validation: every rule about a bar and the ones above it, in one pass.

What later rows need of earlier ones is carried in two small arrays, so that any way of cutting the rows into
batches gives the same bits. Nothing looks ahead. What is usual is a running median of what was: a number that
goes up by a fixed share when it was exceeded and down by the same share when not, so that it settles where half
of the moves lie above it. It needs no memory of the moves, and no single move, however wild, shifts it by more
than that share; it is the median absolute deviation of moves, which have their middle at zero.

A bar is in order when it starts after every bar above it. That costs nothing while bars are: the latest is then
the one above. When one is not, the first bar that had the latest start is held, in the state, until a later one
comes; every bar until then starts before it, or with it and is compared with it. What comes later is judged as if
they were not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jupyter_nq.bars.compiled import inlined, kernel

STATE_FLOATS, STATE_INTS = 11, 10
OUTLIER_TIMES = 30.0  # about 20 robust standard deviations
JUMP_TIMES = 15.0
STALE_BARS = 5

_QUICK_UP, _SLOW_UP = 1.1, 1.02
_QUICK_DOWN, _SLOW_DOWN = 1 / 1.1, 1 / 1.02
_QUICK_MOVES = 100  # at the beginning, to find the size
_FEWEST_MOVES, _FEWEST_JUMPS = 150, 20  # seen before one is judged
_HOUR_NS, _DAYS_NS = 3_600_000_000_000, 79_200_000_000_000
_WHOLE = 4503599627370496.0  # 2**52: no float from here on has a fraction
_TICK_TOLERANCE = 1e-6  # of a tick; float64 prices of five digits are exact to 1e-11
_LARGEST = 1e300
_BLOCK_ROWS = 512  # 26 KB

# The same numbers as in `rules`, as this module must compile alone.
_ZERO_VOLUME, _FLAT, _OHLC_ORDER, _NOT_POSITIVE, _NOT_FINITE, _VOLUME = 1, 2, 4, 8, 16, 32
_BACKWARDS, _REPEATED, _DUPLICATE, _OFF_TICK, _STALE, _OUTLIER = 64, 128, 256, 512, 1024, 2048
_STEP, _SCALE, _JUMP = 4096, 8192, 16384
_UNSOUND = _OHLC_ORDER | _NOT_POSITIVE | _NOT_FINITE
_ODD = 1 << 31  # of no rule; never left in flags


@kernel
def alone(
    starts: Any,
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    length_ns: int,
    tick: float,
    inverse: float,
    positive: bool,
    back: Any,
    lo: int,
    hi: int,
    flags: Any,
) -> None:
    """Set `flags` of the rows [lo, hi) by the rules that need nothing but the bar; the processor takes some at once.

    Rows that `after` has to look at closely have the bit `_ODD`: those that do not follow the row before by one step,
    or repeat its prices, or have prices that cannot be; all rows where `back`, the distance to the row before, is 0.
    `tick` is 0 when it is not known; `inverse` is 1 / tick where that is exact, else 0.
    """
    no_price = _NOT_POSITIVE if positive else 0
    divisor = tick if tick > 0.0 else 1.0
    off_tick = _OFF_TICK if tick > 0.0 else 0
    for i in range(np.uint64(lo), np.uint64(hi)):  # unsigned: no place is counted from the end
        o, h, l, c, v = open_[i], high[i], low[i], close[i], volume[i]  # noqa: E741
        finite = (o - o) + (h - h) + (l - l) + (c - c) == 0.0
        off = _off(_ticks(o, divisor, inverse)) | _off(_ticks(h, divisor, inverse))
        off = off | _off(_ticks(l, divisor, inverse)) | _off(_ticks(c, divisor, inverse))
        bits = _FLAT if (h == o) & (l == o) & (c == o) else 0
        bits |= _OHLC_ORDER if (h < o) | (h < c) | (l > o) | (l > c) else 0
        bits |= no_price if (o <= 0.0) | (h <= 0.0) | (l <= 0.0) | (c <= 0.0) else 0
        bits |= off_tick if off else 0
        bits = bits if finite else _NOT_FINITE
        same = (o == open_[i - back]) & (h == high[i - back]) & (l == low[i - back]) & (c == close[i - back])
        step = starts[i] - starts[i - back]
        regular = step == length_ns if length_ns > 0 else step > 0
        bits |= _ODD if same | (not regular) | (not finite) else 0
        bits |= _ZERO_VOLUME if v == 0 else 0
        bits |= _VOLUME if v < 0 else 0
        flags[i] = bits


@inlined
def _ticks(price: float, tick: float, inverse: float) -> float:
    return abs(price) * inverse if inverse > 0.0 else abs(price) / tick


@inlined
def _off(ticks: float) -> bool:
    """Return whether a number of ticks is not whole; adding 2**52 and taking it away rounds to the nearest one."""
    return (abs(ticks - ((ticks + _WHOLE) - _WHOLE)) > _TICK_TOLERANCE) & (ticks < _WHOLE)


@inlined
def _out_of_step(step: int, length_ns: int) -> bool:
    """Whether a step is no multiple of the length; over a night or more a clock change is allowed for."""
    if step == length_ns or step % length_ns == 0:
        return False
    return step < _DAYS_NS or ((step + _HOUR_NS) % length_ns != 0 and (step - _HOUR_NS) % length_ns != 0)


@kernel
def after(
    starts: Any,
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    length_ns: int,
    floats: Any,
    ints: Any,
    one: Any,
    lo: int,
    hi: int,
    flags: Any,
) -> None:
    """Add to `flags` of the rows [lo, hi), which `alone` has set, by the rules that look at the bars above.

    `length_ns` is 0 when it is not known; `floats` and `ints` are the carried state.
    """
    last_open, last_high, last_low, last_close = floats[0], floats[1], floats[2], floats[3]
    sound_close, usual_move, usual_jump = floats[4], floats[5], floats[6]
    held_open, held_high, held_low, held_close = floats[7], floats[8], floats[9], floats[10]
    rows, last_start, last_volume, run, moves, jumps, sound = (
        ints[0], ints[1], ints[2], ints[3], ints[4], ints[5], ints[6],
    )  # fmt: skip
    held, held_start, held_volume = ints[7], ints[8], ints[9]
    up, down = (_QUICK_UP, _QUICK_DOWN) if moves < _QUICK_MOVES else (_SLOW_UP, _SLOW_DOWN)
    for i in range(np.uint64(lo), np.uint64(hi)):  # unsigned: no place is counted from the end
        o, h, l, c = open_[i], high[i], low[i], close[i]  # noqa: E741
        single = int(flags[i])
        bits = 0
        base = sound_close
        judged = sound > 0 and base != 0.0
        if (single & _ODD) | held == 0:
            run = 1
        else:
            if i > 0:
                last_open, last_high, last_low, last_close = (
                    open_[i - one], high[i - one], low[i - one], close[i - one],
                )  # fmt: skip
                last_start, last_volume = starts[i - one], volume[i - one]
            known = rows > 0 or i > 0
            v = volume[i]
            step = starts[i] - last_start if known else 0
            if known and step <= 0 and held == 0:
                held, held_start, held_volume = 1, last_start, last_volume
                held_open, held_high, held_low, held_close = last_open, last_high, last_low, last_close
            if held != 0:
                last_open, last_high, last_low, last_close = held_open, held_high, held_low, held_close
                step = starts[i] - held_start
                if step > 0:
                    held = 0
            same = known and o == last_open and h == last_high and l == last_low and c == last_close
            if held != 0:
                if step < 0:
                    bits |= _BACKWARDS
                else:
                    bits |= _REPEATED if same and v == held_volume else _DUPLICATE
            else:
                if length_ns > 0 and _out_of_step(step, length_ns):
                    bits |= _STEP
                run = run + 1 if same and (h != l or v > 0) else 1
                if run >= STALE_BARS:
                    bits |= _STALE
            judged = judged and held == 0 and single & _NOT_FINITE == 0
            if judged and length_ns > 0 and step > length_ns:
                size = abs(base)
                move, usual = abs(o - base), usual_jump * size
                if jumps >= _FEWEST_JUMPS and move > JUMP_TIMES * usual:
                    bits |= _JUMP
                if 0.0 < move < _LARGEST:
                    if jumps > 0:
                        usual_jump *= _QUICK_UP if move > usual else _QUICK_DOWN
                    else:
                        usual_jump = move / size
                    jumps += 1
                base = o
        if judged:
            if sound_close > 0.0 and c > 0.0 and (c > 2.0 * sound_close or 2.0 * c < sound_close):
                bits |= _SCALE
            if base != 0.0:
                size = abs(base)
                move = max(max(abs(h - base), abs(l - base)), max(abs(o - base), abs(c - base)))
                usual = usual_move * size
                if moves >= _FEWEST_MOVES and move > OUTLIER_TIMES * usual:
                    bits |= _OUTLIER
                if 0.0 < move < _LARGEST:
                    # Both products before the comparison, whose result no processor can foretell.
                    more, less = usual_move * up, usual_move * down
                    usual_move = more if move > usual else less
                    if moves == 0:
                        usual_move = move / size
                    moves += 1
                    if moves == _QUICK_MOVES:
                        up, down = _SLOW_UP, _SLOW_DOWN
        if (single & _UNSOUND) | held == 0:
            sound_close = c
            sound = 1
        if bits != 0 or single & _ODD != 0:
            flags[i] = (single & ~_ODD) | bits
    last = hi - 1
    floats[0], floats[1], floats[2], floats[3] = open_[last], high[last], low[last], close[last]
    floats[4], floats[5], floats[6] = sound_close, usual_move, usual_jump
    floats[7], floats[8], floats[9], floats[10] = held_open, held_high, held_low, held_close
    ints[0], ints[1], ints[2], ints[3] = rows + hi - lo, starts[last], volume[last], run
    ints[4], ints[5], ints[6] = moves, jumps, sound
    ints[7], ints[8], ints[9] = held, held_start, held_volume


@kernel
def check(
    starts: Any,
    open_: Any,
    high: Any,
    low: Any,
    close: Any,
    volume: Any,
    length_ns: int,
    tick: float,
    inverse: float,
    positive: bool,
    floats: Any,
    ints: Any,
    one: Any,
    flags: Any,
) -> None:
    """Set `flags` of rows, some hundred at a time, so that they stay in the processor's first cache between passes.

    `one` is 1, of an unsigned type where it is compiled: then no place is looked for from the end.
    """
    known = length_ns, tick, inverse, positive
    for lo in range(0, len(flags), _BLOCK_ROWS):
        hi = min(lo + _BLOCK_ROWS, len(flags))
        if lo == 0:
            alone(starts, open_, high, low, close, volume, *known, one - one, 0, 1, flags)
        alone(starts, open_, high, low, close, volume, *known, one, max(lo, 1), hi, flags)
        after(starts, open_, high, low, close, volume, length_ns, floats, ints, one, lo, hi, flags)
