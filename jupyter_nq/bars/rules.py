"""The rules that a bar may break: a bit of `flags` for each, how serious it is, and what is done about it.

A bar that breaks a rule is kept as it is: the file says so, and what to do with it is the user's to decide.
Loading sets the first four bits, which need nothing but the bar itself (`flags_of`); validation sets the others,
which look at the bar before, at the instrument or at the calendar. A bit keeps its meaning for ever, because
shared and archived bars carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.profile import Profile

Severity = Literal["error", "warning", "note"]
Action = Literal["keep", "flag", "drop", "repair", "quarantine"]

ZERO_VOLUME = 1
"""Flag of a bar without volume."""
FLAT = 2
"""Flag of a bar whose four prices are equal."""
OHLC_ORDER = 4
"""Flag of a bar whose high is below its open or close, or whose low is above them."""
NOT_POSITIVE = 8
"""Flag of a bar with a price of zero or below, for an instrument that cannot have one."""
NOT_FINITE = 16
"""Flag of a bar with a price that is missing or infinite."""
NEGATIVE_VOLUME = 32
"""Flag of a bar with a volume below zero."""
BACKWARDS = 64
"""Flag of a bar that starts before the one above it."""
REPEATED = 128
"""Flag of a bar that is the same as the one above it, its start too."""
DUPLICATE = 256
"""Flag of a bar that starts with the one above it and has other values."""
OFF_TICK = 512
"""Flag of a bar with a raw price that is no multiple of the tick."""
STALE = 1 << 10
"""Flag of the fifth and later bars with the same four prices in a row."""
OUTLIER = 1 << 11
"""Flag of a bar that goes many times as far from the close before as bars before it usually did."""
STEP = 1 << 12
"""Flag of a bar that starts at no multiple of the bar length after the one above it."""
SCALE = 1 << 13
"""Flag of a bar whose close is more than twice, or less than half, of the close before."""
JUMP = 1 << 14
"""Flag of a bar after a pause whose open is many times as far from the last close as after pauses before."""
GAP = 1 << 15
"""Flag of a bar before which the calendar expects bars that are not there."""
CLOSED_HOURS = 1 << 16
"""Flag of a bar that starts when the exchange is closed."""
WRONG_CONTRACT = 1 << 17
"""Flag of a bar in a span of collapsed volume."""
ROLL_JUMP = 1 << 18
"""Flag of a bar that opens with the jump of a roll."""


@dataclass(frozen=True)
class Rule:
    """One rule."""

    name: str
    bit: int
    """In `flags`; 0 for a rule about rows that cannot be bars, and so have no flags."""
    severity: Severity
    """An error cannot be real, a warning needs a look, a note is worth knowing."""
    what: str
    """Of a bar that breaks it, as it follows the number of bars."""
    action: Action = "flag"
    """What is done unless something else is asked for."""
    repair: str = ""
    """How a repair mends it; empty when nothing could do so without inventing a number."""


_ROWS = (
    Rule("not finite", NOT_FINITE, "error", "with a price that is missing or infinite"),
    Rule("ohlc order", OHLC_ORDER, "error", "whose high or low does not contain open and close"),
    Rule("not positive", NOT_POSITIVE, "error", "with a price of zero or below"),
    Rule("negative volume", NEGATIVE_VOLUME, "error", "with a volume below zero"),
    Rule("backwards", BACKWARDS, "error", "that start before the bar above them", repair="sorted by their start"),
    Rule("duplicate", DUPLICATE, "error", "with the start of the bar above them and other values"),
    Rule("repeated bar", REPEATED, "warning", "the same as the bar above them", repair="one of each kept"),
    Rule("closed hours", CLOSED_HOURS, "warning", "that start when the exchange is closed"),
    Rule("scale", SCALE, "warning", "whose close is more than twice or less than half of the close before"),
    Rule("outlier", OUTLIER, "warning", "that go more than 30 times as far as was usual"),
    Rule("jump", JUMP, "warning", "that open after a pause more than 15 times as far off as was usual"),
    Rule("off tick", OFF_TICK, "warning", "with a price off the tick"),
    Rule("step", STEP, "warning", "at no multiple of the bar length after the bar above them"),
    Rule("stale", STALE, "warning", "with the same four prices as at least four bars above them"),
    Rule("zero volume", ZERO_VOLUME, "warning", "without volume"),
    Rule("gap", GAP, "warning", "before which bars are missing"),
    Rule("wrong contract", WRONG_CONTRACT, "warning", "in a span of collapsed volume"),
    Rule("roll jump", ROLL_JUMP, "warning", "that open with the jump of a roll"),
    Rule("flat", FLAT, "note", "whose four prices are equal"),
)
_UNREADABLE = (
    Rule("bad stamp", 0, "error", "with a stamp that is no date and time", "keep"),
    Rule("no such date", 0, "error", "with a date that does not exist", "keep"),
    Rule("skipped hour", 0, "error", "with a stamp that the clock skips", "keep"),
    Rule("repeated hour", 0, "error", "with a stamp that the clock has twice", "keep"),
    Rule("columns", 0, "error", "with too few or too many columns", "keep"),
    Rule("empty cell", 0, "error", "with an empty cell", "keep"),
    Rule("text", 0, "error", "with text in the place of a number", "keep"),
    Rule("not a count", 0, "error", "with a volume that is no whole number of 64 bits", "keep"),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in (*_ROWS, *_UNREADABLE)})
"""Every rule by its name."""

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
