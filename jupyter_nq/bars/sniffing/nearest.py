"""The reading that all but a few bars fit: what a stray bar, a wrong print on a Saturday, leaves of the evidence.

It is not taken, because a stray bar may be the only one that speaks against it; but it is named, with the bars.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from jupyter_nq.bars.closed import bar_starts, is_closed
from jupyter_nq.bars.profile import Edge, check_edge
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.sniffing.local import Local
from jupyter_nq.bars.sniffing.readings import fewest_closed, instants

_FEW, _FEW_SHARE = 3, 1000
_STANDS_OUT = 5
"""Any other reading has more than so many times the bars in closed hours, and as many more."""
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Near:
    """A reading that nearly fits."""

    tz: str
    edge: Edge
    bars: int
    """Bars in closed hours."""
    stamps: tuple[int, ...]
    """Clock readings of the first of them, seconds."""


def nearest_reading(local: Local, edges: Iterable[str], minutes: int) -> Near | None:
    """Return the only reading that all but a few bars fit, by the familiar zones; None when none stands out."""
    count, tz, edge = (ranked := fewest_closed(local, edges))[0]
    if count > max(_FEW, len(local) // _FEW_SHARE):
        return None
    whole = local.whole()
    starts = _starts(whole, tz, edge, minutes)
    rivals = [(name, other) for bars, name, other in ranked[1:] if bars <= _STANDS_OUT * (count + 1)]
    if starts is None or any(_differs(starts, _starts(whole, *rival, minutes)) for rival in rivals):
        return None
    rows = np.flatnonzero(is_closed(starts))
    return Near(tz, check_edge(edge), len(rows), tuple(whole[rows[:_MOST_SHOWN]].tolist())) if len(rows) else None


def _starts(local: Ints, tz: str, edge: str, minutes: int) -> Ints | None:
    utc = instants(local, tz)
    return None if utc is None else bar_starts(utc, edge, minutes, None)


def _differs(starts: Ints, other: Ints | None) -> bool:
    return other is None or not np.array_equal(starts, other)
