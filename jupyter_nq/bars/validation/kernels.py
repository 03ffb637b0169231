"""The kernel of validation: every rule about a bar and the ones above it, in one pass.

What later rows need of earlier ones is carried in two small arrays, so that any way of cutting the rows into
batches gives the same bits. Nothing looks ahead. What is usual is a running median of what was: a number that
goes up by a fixed share when it was exceeded and down by the same share when not, so that it settles where half
of the moves lie above it. It needs no memory of the moves, and no single move, however wild, shifts it by more
than that share; it is the median absolute deviation of moves, which have their middle at zero.
"""

from __future__ import annotations

from typing import Any

from jupyter_nq.bars.compiled import kernel

STATE_FLOATS, STATE_INTS = 7, 7
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

# The same numbers as in `rules`, as this module must compile alone.
_ZERO_VOLUME, _FLAT, _OHLC_ORDER, _NOT_POSITIVE, _NOT_FINITE, _VOLUME = 1, 2, 4, 8, 16, 32
_BACKWARDS, _REPEATED, _DUPLICATE, _OFF_TICK, _STALE, _OUTLIER = 64, 128, 256, 512, 1024, 2048
_STEP, _SCALE, _JUMP = 4096, 8192, 16384


@kernel
def _off(price: float, tick: float) -> bool:
    ticks = abs(price) / tick
    part = ticks % 1.0 if ticks < _WHOLE else 0.0
    return _TICK_TOLERANCE < part < 1.0 - _TICK_TOLERANCE


@kernel
def _factor(exceeded: bool, seen: int, settling: int) -> float:
    """Return what the running median is multiplied by after one more move."""
    if seen < settling:
        return _QUICK_UP if exceeded else _QUICK_DOWN
    return _SLOW_UP if exceeded else _SLOW_DOWN


@kernel
def _out_of_step(step: int, length_ns: int) -> bool:
    """Whether a step is no multiple of the length; over a night or more a clock change is allowed for."""
    if step == length_ns or step % length_ns == 0:
        return False
    return step < _DAYS_NS or ((step + _HOUR_NS) % length_ns != 0 and (step - _HOUR_NS) % length_ns != 0)


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
    positive: bool,
    floats: Any,
    ints: Any,
    flags: Any,
) -> None:
    """Set `flags` of rows. `length_ns` and `tick` are 0 when not known; `floats` and `ints` are the carried state."""
    last_open, last_high, last_low, last_close = floats[0], floats[1], floats[2], floats[3]
    sound_close, usual_move, usual_jump = floats[4], floats[5], floats[6]
    rows, last_start, last_volume, run, moves, jumps, sound = (
        ints[0], ints[1], ints[2], ints[3], ints[4], ints[5], ints[6],
    )  # fmt: skip
    for i in range(len(starts)):
        start, o, h, l, c, v = starts[i], open_[i], high[i], low[i], close[i], volume[i]  # noqa: E741
        bits = 0
        if v <= 0:
            bits = _ZERO_VOLUME if v == 0 else _VOLUME
        finite = (o - o) + (h - h) + (l - l) + (c - c) == 0.0
        step = start - last_start if rows > 0 else 0
        same = (rows > 0) & (o == last_open) & (h == last_high) & (l == last_low) & (c == last_close)
        if finite:
            if (h == o) & (l == o) & (c == o):
                bits |= _FLAT
            if (h < o) | (h < c) | (l > o) | (l > c):
                bits |= _OHLC_ORDER
            if positive and (o <= 0.0) | (h <= 0.0) | (l <= 0.0) | (c <= 0.0):
                bits |= _NOT_POSITIVE
            if tick > 0.0 and (_off(o, tick) or _off(h, tick) or _off(l, tick) or _off(c, tick)):
                bits |= _OFF_TICK
        else:
            bits |= _NOT_FINITE
        if rows > 0:
            if step < 0:
                bits |= _BACKWARDS
            elif step == 0:
                bits |= _REPEATED if same and v == last_volume else _DUPLICATE
            elif length_ns > 0 and _out_of_step(step, length_ns):
                bits |= _STEP
        if same and step > 0 and (h != l or v > 0):
            run += 1
            if run >= STALE_BARS:
                bits |= _STALE
        else:
            run = 1
        if finite and sound > 0 and sound_close != 0.0:
            if sound_close > 0.0 and c > 0.0 and (c > 2.0 * sound_close or 2.0 * c < sound_close):
                bits |= _SCALE
            base = sound_close
            if length_ns > 0 and step > length_ns:
                move, usual = abs(o - base), usual_jump * abs(base)
                if jumps >= _FEWEST_JUMPS and move > JUMP_TIMES * usual:
                    bits |= _JUMP
                if 0.0 < move < _LARGEST:
                    usual_jump = usual_jump * _factor(move > usual, 0, 1) if jumps > 0 else move / abs(base)
                    jumps += 1
                base = o
            if base != 0.0:
                move = max(max(abs(h - base), abs(l - base)), max(abs(o - base), abs(c - base)))
                usual = usual_move * abs(base)
                if moves >= _FEWEST_MOVES and move > OUTLIER_TIMES * usual:
                    bits |= _OUTLIER
                if 0.0 < move < _LARGEST:
                    usual_move = (
                        usual_move * _factor(move > usual, moves, _QUICK_MOVES) if moves > 0 else move / abs(base)
                    )
                    moves += 1
        if finite and bits & (_OHLC_ORDER | _NOT_POSITIVE) == 0:
            sound_close = c
            sound = 1
        last_open, last_high, last_low, last_close = o, h, l, c
        last_start, last_volume = start, v
        rows += 1
        flags[i] = bits
    floats[0], floats[1], floats[2], floats[3] = last_open, last_high, last_low, last_close
    floats[4], floats[5], floats[6] = sound_close, usual_move, usual_jump
    ints[0], ints[1], ints[2], ints[3] = rows, last_start, last_volume, run
    ints[4], ints[5], ints[6] = moves, jumps, sound
