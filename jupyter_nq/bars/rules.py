"""The rules that a bar may break: a bit of `flags` for each, and a sentence for those that cannot be real.

A bar that breaks a rule is kept as it is: the file says so, and what to do with it is the user's to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import lines_of

ZERO_VOLUME = 1
"""Flag of a bar without volume."""
FLAT = 2
"""Flag of a bar whose four prices are equal."""
OHLC_ORDER = 4
"""Flag of a bar whose high is below its open or close, or whose low is above them."""
NOT_POSITIVE = 8
"""Flag of a bar with a price of zero or below, for an instrument that cannot have one."""

_IMPOSSIBLE = {
    OHLC_ORDER: "a high or low that does not contain open and close",
    NOT_POSITIVE: "a price of zero or below",
}
_MOST_LINES = 3

_Floats = npt.NDArray[np.float64]


def flags_of(prices: Sequence[_Floats], volume: npt.NDArray[np.int64], profile: Profile) -> npt.NDArray[np.uint32]:
    """Return the flags of bars; `prices` are open, high, low, close, each of shape (rows,)."""
    open_, high, low, close = prices
    flags: npt.NDArray[np.uint32] = (volume == 0) * np.uint32(ZERO_VOLUME)
    flags |= ((high == open_) & (low == open_) & (close == open_)) * np.uint32(FLAT)
    outside = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
    flags |= outside * np.uint32(OHLC_ORDER)
    if profile.positive_prices:
        lowest = np.minimum(np.minimum(open_, close), np.minimum(high, low))
        flags |= (lowest <= 0) * np.uint32(NOT_POSITIVE)
    return flags


def findings(path: Path, profile: Profile, flags: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a sentence for every rule that bars break and no real bar can: how many, and in which lines."""
    found = []
    for flag, what in _IMPOSSIBLE.items():
        rows = np.flatnonzero(flags & flag)
        if len(rows):
            numbers = [f"{number}" for number, _ in lines_of(path, profile, rows[:_MOST_LINES].tolist())]
            bars = f"{len(rows):,} bars have" if len(rows) > 1 else "1 bar has"
            first = "first in lines" if len(rows) > len(numbers) else "in lines" if len(rows) > 1 else "in line"
            found.append(f"rows: {bars} {what}, {first} {_listed(numbers)}; flag {flag}")
    return tuple(found)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
