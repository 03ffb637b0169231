"""What loading says of bars that cannot be real: a sentence for each rule, with the lines of the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import lines_of
from jupyter_nq.bars.rules import NOT_POSITIVE, OHLC_ORDER

_IMPOSSIBLE = {
    OHLC_ORDER: "a high or low that does not contain open and close",
    NOT_POSITIVE: "a price of zero or below",
}
_MOST_LINES = 3


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
