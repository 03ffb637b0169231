"""The length of a file's bars: what was said of it, or the usual step between stamps.

What was said is believed as long as the steps may be those of such bars. A bar that is missing makes a step of several
lengths, so that a thin contract, or a file of some rows, may have no two bars in a row. The end of a session cuts a
bar short: the step to its end is shorter, and the one behind it mostly longer by as much. Of bars of eight hours two
steps in three are of these, of bars of twelve hours all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jupyter_nq.bars.closed import SLOT_SECONDS, cut_short
from jupyter_nq.bars.names import named
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sniffing.cuts import is_clear
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.sniffing.question import Question
from jupyter_nq.bars.sniffing.readings import instants
from jupyter_nq.bars.timeframe import parse_timeframe, timeframe_of
from jupyter_nq.errors import AmbiguousStamps, UnknownTimeframe

_FEW = 3
"""So many steps of one length are no chance, and so many lengths make a regular file."""
_MANY = 10
"""So many steps of a thin contract have no common measure but the length of its bars."""


def length_of(path: Path, timeframe: str | None, local: Local) -> tuple[int, str]:
    """Return the minutes of a bar and the evidence; readings are instants where stamps carry offsets.

    Raises `UnknownTimeframe` when nothing says it, or when the stamps contradict what was asked for.
    """
    steps, counts = local.counted_steps()
    _, usual = local.steps()
    label = timeframe if timeframe is not None else named(path).timeframe
    if label is None:
        if usual is None or usual % 60 or counts[steps % usual == 0].sum() * 2 <= counts.sum():
            raise UnknownTimeframe(
                f"{path.name}: the stamps do not show the length of a bar. Pass timeframe=, e.g. '30min'."
            )
        return usual // 60, f"timeframe: {timeframe_of(usual // 60).label}, the usual step between stamps"
    minutes = parse_timeframe(label).minutes
    if usual is not None and not _follow(minutes, local) and not _may_be(minutes * 60, usual, steps, counts):
        origin = "asked for" if timeframe is not None else "in the file's name"
        raise UnknownTimeframe(
            f"{path.name}: the timeframe {origin} is {label}, but the stamps are usually {usual / 60:g} minutes apart. "
            "Pass the timeframe= that the file has."
        )
    origin = "as given" if timeframe is not None else "from the file's name"
    return minutes, f"timeframe: {label}, {origin}"


def check_grid(question: Question, local: Local, edge: str, tz: str) -> None:
    """Raise `AmbiguousStamps` where ends do not show the grid of the bars, because few of them are a bar apart.

    Neither do they show the zone then: the close of regular hours on one clock is that of the exchange on another.
    """
    minutes, calendar = question.minutes, question.instrument.calendar if question.instrument else None
    _, usual = local.steps()
    if usual is None or calendar is None or not cut_short(edge, minutes, calendar) or _follow(minutes, local):
        return
    cut = f"{question.name}: few stamps are a bar of {timeframe_of(minutes).label} apart, and a session cuts some short"
    if question.zone is None:
        raise AmbiguousStamps(f"{cut}, so that tz of the stamps cannot be found out. Pass tz= and edge=.")
    utc = instants(local.whole(), tz)
    if utc is not None and not is_clear(utc, minutes, calendar):
        raise AmbiguousStamps(
            f"{cut}, so that their ends do not tell which are the whole ones. Let the rows begin with the first bar of "
            "a session and have no gaps, or stamp bars at their start."
        )


def _follow(minutes: int, local: Local) -> bool:
    """Return whether some bars follow each other without a gap, and the usual step is of whole bars."""
    steps, usual = local.steps()
    return usual is not None and usual % (minutes * 60) == 0 and minutes * 60 in steps


def _may_be(bar: int, usual: int, steps: Ints, counts: Ints) -> bool:
    """Return whether bars of a length in seconds may have these steps forward, so many times each."""
    cut, lengthened, unexplained = _off_grid(bar, steps, counts)
    rows = int(counts.sum())
    if cut * 2 > rows + (usual * 2 > bar):
        return False  # one bar of a session is cut, behind one that is whole; a file may begin with the cut one
    if (max(lengthened - cut, 0) + unexplained) * 2 > rows + (lengthened == rows == 1):
        return False
    alternate = cut * 5 >= rows * 2  # the one whole bar of a session lies behind its opening
    return bar in steps or alternate or not _is_of_longer(bar, steps, counts)


def _off_grid(bar: int, steps: Ints, counts: Ints) -> tuple[int, int, int]:
    """Return how many steps end with a bar that is cut short, begin with one, and are neither nor whole bars."""
    off = steps % bar > 0
    hours = off & (steps % SLOT_SECONDS == 0)  # hours of trading begin and end at quarters of an hour
    kinds = (hours & (steps < bar), hours & (steps > bar), off & ~hours)
    cut, lengthened, unexplained = (int(counts[kind].sum()) for kind in kinds)
    return cut, lengthened, unexplained


def _is_of_longer(bar: int, steps: Ints, counts: Ints) -> bool:
    """Return whether steps, none of which is a bar's length, are regular in a way that only longer bars are."""
    rows, often = int(counts.sum()), np.sort(counts)[-_FEW:]
    regular = often[-1] >= _FEW and often.sum() * 4 >= rows * 3
    return bool(regular or (rows >= _MANY and np.gcd.reduce(steps) > bar))
