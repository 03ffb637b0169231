"""What bars of other lengths than the usual say about the edge of their stamps.

Bars lie on a grid. One that the close of its hours cuts short is stamped off it when stamps are ends: the nightly halt
of the exchange follows before the next bar, and lies in no bar. One that begins with its hours between two points of
the grid is stamped off it when stamps are starts: the halt is behind it, and the next point follows within a bar's
length. A reading under which a stamp lies off the grid for neither reason is not that of the file, as long as another
explains them all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.closed import bar_starts, new_york, phases
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sniffing.local import Local

_DAY = 86_400
_HALT = 17 * 3600 + 45 * 60
"""Seconds since midnight, New York, when the exchange has been closed every day since it trades at night."""
Mask = npt.NDArray[np.bool_]


def on_one_grid(local: Local, minutes: int) -> bool:
    """Return whether all stamps lie a multiple of a bar's length apart, so that nothing needs an explanation."""
    step = minutes * 60
    phase = local.at(0) % step
    return all(bool((block % step == phase).all()) for block in local.blocks())


def is_explained(utc: Ints, edge: str, minutes: int, calendar: str) -> bool:
    """Return whether hours that cut bars explain every stamp off the grid; `utc` are stamps in file order."""
    step = minutes * 60
    if edge == "end":
        starts = bar_starts(utc, "end", minutes, calendar)
        last = np.append(_has_halt(utc[:-1], starts[1:]), True)
        return bool(last[utc - starts < step].all() and not _has_halt(starts, utc).any())
    into_step = phases(utc, minutes)
    counts = np.bincount(into_step)
    fresh = np.append(True, _has_halt(utc[:-1], utc[1:])) & (np.diff(utc, append=utc[-1]) < step)
    return any(bool(fresh[into_step != phase].all()) for phase in np.flatnonzero(counts == counts.max()))


def is_clear(utc: Ints, minutes: int, calendar: str) -> bool:
    """Return whether only the grid of most ends explains the others as ends of bars that hours cut short.

    The grid that begins with the session is tried too, where all ends may be those of bars that are cut.
    """
    counts = np.bincount(phases(utc, minutes))
    usual, found = int(np.argmax(counts)), np.flatnonzero(counts).tolist()
    others = {0, *found} - {usual}
    if any(_cut_by_halts(utc, minutes, calendar, phase) for phase in others):
        return False
    return len(found) == 1 or _cut_by_halts(utc, minutes, calendar, usual)


def _cut_by_halts(utc: Ints, minutes: int, calendar: str, phase: int) -> bool:
    """Return whether a halt follows every end off a grid, behind the last one within a bar's length."""
    starts, step = bar_starts(utc, "end", minutes, calendar, phase), minutes * 60
    last = _has_halt(utc, np.append(starts[1:], utc[-1] + step))
    return bool(last[utc - starts < step].all() and not _has_halt(starts, utc).any())


def _has_halt(since: Ints, until: Ints) -> Mask:
    """Return which spans of time have hours in which the exchange is closed every day."""
    if not len(since):
        return np.zeros(0, bool)
    found: Mask = (_HALT - new_york(since)) % _DAY < until - since
    return found
