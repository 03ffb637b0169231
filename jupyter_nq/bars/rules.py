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
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.profile import Profile

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The most serious first."""
Action = Literal["keep", "flag", "drop", "repair", "quarantine"]
"""What is done with a bar: leave it, leave it and set its bit, leave it out, mend it, move it to another file."""

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
VOLUME = 32
"""Flag of a bar whose volume is no whole number from 0 up."""
BACKWARDS = 64
"""Flag of a bar that starts before one above it."""
REPEATED = 128
"""Flag of a bar that is the same as the first one above it with its start."""
DUPLICATE = 256
"""Flag of a bar that has the start of one above it and other values than the first such."""
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
MISSING_STAMP = 1 << 19
"""Flag of a row without a stamp."""
CHECK = "check: "
"""How a line of evidence begins that concerns the bars themselves: whoever loads them is warned of it."""


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
    repair: str = ""
    """What a repair does; empty when nothing can be done without inventing a number."""


_ROWS = (
    Rule("missing stamp", MISSING_STAMP, "error", "without a stamp from 1970 to 2199"),
    Rule("not finite", NOT_FINITE, "error", "with a price that is missing or infinite"),
    Rule("ohlc order", OHLC_ORDER, "error", "whose high or low does not contain open and close"),
    Rule("not positive", NOT_POSITIVE, "error", "with a price of zero or below"),
    Rule("volume", VOLUME, "error", "whose volume is no whole number from 0 up"),
    Rule("backwards", BACKWARDS, "error", "starting before a bar above", "sorted by their start"),
    Rule("duplicate", DUPLICATE, "error", "with the start of a bar above and other values"),
    Rule("scale", SCALE, "error", "whose close is more than twice or less than half of the close before"),
    Rule("repeated bar", REPEATED, "warning", "the same as a bar above", "one of each kept"),
    Rule("outlier", OUTLIER, "warning", "going more than 30 times as far as was usual"),
    Rule("jump", JUMP, "warning", "opening after a pause more than 15 times as far off as was usual"),
    Rule("off tick", OFF_TICK, "warning", "with a price off the tick"),
    Rule("step", STEP, "warning", "at no multiple of the bar length after the bar above"),
    Rule("stale", STALE, "warning", "with the same four prices as at least four bars above"),
    Rule("zero volume", ZERO_VOLUME, "note", "without volume"),
    Rule("flat", FLAT, "note", "with four equal prices"),
)
_SESSIONS = (
    Rule("closed hours", CLOSED_HOURS, "warning", "starting when the exchange is closed"),
    Rule("gap", GAP, "warning", "before which bars are missing"),
    Rule("wrong contract", WRONG_CONTRACT, "error", "in a span of collapsed volume"),
    Rule("roll jump", ROLL_JUMP, "warning", "opening with the jump of a roll"),
)
_UNREADABLE = (
    Rule("no such date", 0, "error", "with a date that does not exist"),
    Rule("skipped hour", 0, "error", "with a stamp that the clock skips"),
    Rule("repeated hour", 0, "error", "with a stamp that the clock has twice"),
    Rule("columns", 0, "error", "with too few or too many columns"),
    Rule("empty cell", 0, "error", "with an empty cell"),
    Rule("text", 0, "error", "with text in the place of a number"),
)
BAR_RULES = _ROWS
"""The rules about a bar and the bars above it."""
RULES: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in (*_ROWS, *_SESSIONS, *_UNREADABLE)})
"""Every rule by its name."""

_Floats = npt.NDArray[np.float64]


def flags_of(prices: Sequence[_Floats], volume: npt.NDArray[np.int64], profile: Profile) -> npt.NDArray[np.uint32]:
    """Return the flags of bars; `prices` are open, high, low, close, each of shape (rows,)."""
    return plain_flags(prices, volume, positive=profile.positive_prices)


def plain_flags(prices: Sequence[_Floats], volume: npt.NDArray[np.int64], *, positive: bool) -> npt.NDArray[np.uint32]:
    """Return the same; `positive` says whether a price of zero or below cannot be real."""
    open_, high, low, close = prices
    flags: npt.NDArray[np.uint32] = (volume == 0) * np.uint32(ZERO_VOLUME)
    flags |= ((high == open_) & (low == open_) & (close == open_)) * np.uint32(FLAT)
    outside = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
    flags |= outside * np.uint32(OHLC_ORDER)
    if positive:
        lowest = np.minimum(np.minimum(open_, close), np.minimum(high, low))
        flags |= (lowest <= 0) * np.uint32(NOT_POSITIVE)
    return flags
