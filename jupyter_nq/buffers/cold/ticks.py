"""Prices as whole numbers of ticks: what takes 8 bytes as a float is a small count, and its differences smaller.

A price on a grid is a whole number divided by 4 (quarters), 32, 100 (cents) or another of a few divisors, and that
division gives the very same float again. Whether it does is compared bit by bit for each chunk: one number that is
off the grid, one NaN or negative zero, and the chunk is no ticks.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]

DIVISORS = (1, 4, 10, 32, 100, 1_000, 10_000, 100_000)
_FIRST = 64  # so many tell most chunks that are none
_BLOCK = 16 << 10  # numbers at a time: they stay in the cache from step to step
_LIMIT = float(np.iinfo(np.int32).max)


def to_ticks(values: Array) -> tuple[int, Array] | None:
    """Return a divisor and int32 counts that give the float64 `values` bit for bit, None when there are none.

    >>> to_ticks(np.array([16000.25, 16000.5]))
    (4, array([64001, 64002], dtype=int32))
    """
    for divisor in DIVISORS:
        if _counts(values[:_FIRST], divisor) is not None:
            counts = _counts(values, divisor)
            if counts is not None:
                return divisor, counts
    return None


def from_ticks(divisor: int, counts: Array) -> Array:
    """Return the float64 values of counts.

    >>> from_ticks(4, np.array([64001, 64002], np.int32))
    array([16000.25, 16000.5 ])
    """
    values: Array = np.true_divide(counts, divisor, dtype=np.float64)
    return values


def _counts(values: Array, divisor: int) -> Array | None:
    counts = np.empty(len(values), np.int32)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), _BLOCK):
            part = slice(start, start + _BLOCK)
            if not _fill(counts[part], values[part], divisor):
                return None
    return counts


def _fill(counts: Array, values: Array, divisor: int) -> bool:
    scaled = values * divisor
    np.rint(scaled, out=scaled)
    if not (scaled.max() <= _LIMIT and scaled.min() >= -_LIMIT):  # a NaN is neither
        return False
    np.copyto(counts, scaled, casting="unsafe")
    return np.array_equal(np.divide(counts, divisor, out=scaled).view(np.int64), values.view(np.int64))
