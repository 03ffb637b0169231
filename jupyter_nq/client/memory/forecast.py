"""When the pool will be full, if it goes on growing as it has: the median of all slopes in a window of samples.

One large dataset, or one that was dropped, moves the mean slope and the least squares, but hardly the median (Theil
1950, Sen 1968). Where the samples do not tell, the answer is None with the reason, not a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WINDOW = 60
"""Samples that a forecast looks at; so many make 1,770 slopes, which take 0.2 ms."""
LEAST = 6
"""Samples below which nothing is said."""

_NOISE = 3.0  # a rise counts when it is so many times what the samples scatter around the line


@dataclass(frozen=True)
class Forecast:
    """How long the pool will last."""

    seconds: float | None
    """Until it is full; None when that is not known, or not to be expected."""
    bytes_per_second: float | None
    """How fast it grows; None when there are too few samples."""
    why: str
    """What the answer rests on."""


def forecast(seconds: Sequence[float], used_bytes: Sequence[int], limit_bytes: int) -> Forecast:
    """Return when `used_bytes` will reach the limit.

    Parameters
    ----------
    seconds, used_bytes
        Times that increase, and the use at each, oldest first; the last `WINDOW` count.
    limit_bytes
        The limit as it is now.

    >>> forecast(range(10), [100 * second for second in range(10)], 1_000)
    Forecast(seconds=1.0, bytes_per_second=100.0, why='10 samples in 9 s grow by 100 B/s')
    """
    at = np.asarray(seconds[-WINDOW:], float)
    used = np.asarray(used_bytes[-WINDOW:], float)
    if len(at) < LEAST:
        return Forecast(None, None, f"{len(at)} samples are too few; {LEAST} are needed")
    slope = _median_slope(at, used)
    scatter = float(np.median(np.abs(used - slope * at - np.median(used - slope * at))))
    span = at[-1] - at[0]
    told = f"{len(at)} samples in {span:.0f} s"
    if used[-1] >= limit_bytes:
        return Forecast(0.0, slope, "it is full")
    if slope <= 0 or slope * span <= _NOISE * scatter:
        return Forecast(None, slope, f"{told} do not grow steadily")
    return Forecast((limit_bytes - float(used[-1])) / slope, slope, f"{told} grow by {slope:,.0f} B/s")


def _median_slope(at: np.ndarray, used: np.ndarray) -> float:
    first, second = np.triu_indices(len(at), 1)
    return float(np.median((used[second] - used[first]) / (at[second] - at[first])))
