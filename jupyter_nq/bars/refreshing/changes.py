"""What differs between two states of a table of bars, by their starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.schema import PRICES

MOST_LISTED = 20
_VALUES = (*PRICES, "volume")


@dataclass(frozen=True)
class Change:
    """One bar that is another one now."""

    timestamp: np.datetime64
    """Start of the bar, UTC."""
    before: tuple[float, ...] | None
    """Open, high, low, close, volume as they were; None for a bar that was not there."""
    after: tuple[float, ...] | None
    """The same as they are now; None for a bar that is gone."""

    def __str__(self) -> str:
        at = str(self.timestamp.astype("datetime64[s]")).replace("T", " ") + "Z"
        if self.before is None or self.after is None:
            return f"{at} is {'gone' if self.after is None else 'new'}"
        pairs = zip(_VALUES, self.before, self.after, strict=True)
        return f"{at} {', '.join(f'{name} {a:.15g} -> {b:.15g}' for name, a, b in pairs if _bits(a) != _bits(b))}"


@dataclass(frozen=True)
class Changes:
    """How a table of bars became another one."""

    added: int
    """Bars whose start was not there."""
    changed: int
    """Bars with other prices or another volume."""
    removed: int
    """Bars whose start is not there any more."""
    early: int
    """Of those that were not there the ones before the last bar that was known."""
    first: tuple[Change, ...]
    """The first bars that changed, are gone, or are new before the last one that was known; at most 20."""


def compare(old: pa.Table, new: pa.Table) -> Changes:
    """Return what differs between two tables of `BAR_SCHEMA` with strictly increasing starts; flags do not count."""
    before, after = _column(old, "timestamp"), _column(new, "timestamp")
    at = np.searchsorted(after, before)
    there = np.zeros(len(before), bool)
    inside = at < len(after)
    there[inside] = after[at[inside]] == before[inside]
    rows, now = np.flatnonzero(there), at[there]
    differs = np.zeros(len(rows), bool)
    for name in _VALUES:
        differs |= _column(old, name)[rows] != _column(new, name)[now]
    fresh = np.ones(len(after), bool)
    fresh[now] = False
    gone, changed, added = np.flatnonzero(~there), rows[differs], np.flatnonzero(fresh)
    early = added[after[added] < before[-1]] if len(before) else added[:0]
    places = [(before[row], row, None) for row in gone[:MOST_LISTED].tolist()]
    places += [(before[row], row, at[row]) for row in changed[:MOST_LISTED].tolist()]
    places += [(after[row], None, row) for row in early[:MOST_LISTED].tolist()]
    listed = sorted(places, key=lambda place: int(place[0]))[:MOST_LISTED]
    first = tuple(Change(_moment(start), _bar(old, row), _bar(new, other)) for start, row, other in listed)
    return Changes(len(added), len(changed), len(gone), len(early), first)


def _column(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """Return the bits of a column, so that a NaN equals itself and 0.0 is not -0.0."""
    chunks = [chunk for chunk in table[name].chunks if len(chunk)]
    parts = [np.frombuffer(c.buffers()[1], np.int64)[c.offset : c.offset + len(c)] for c in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.int64)])


def _moment(nanos: Any) -> np.datetime64:
    return np.datetime64(int(nanos), "ns")


def _bar(table: pa.Table, row: Any) -> tuple[float, ...] | None:
    return None if row is None else tuple(table[name][int(row)].as_py() for name in _VALUES)


def _bits(value: float) -> bytes:
    return np.float64(value).tobytes()
