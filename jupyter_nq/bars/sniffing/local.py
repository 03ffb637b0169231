"""The clock readings of a whole file under one day order, counted in passes of which each holds a block.

What is asked of them, the steps, the bars of each quarter of an hour, the few rows of a week, is the same however the
file is cut into blocks: it is counted, or found again in the blocks that can hold it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_nq.bars.reading.dates import local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Ints
from jupyter_nq.bars.sniffing.packed import Stamps

GRID_SECONDS = 1800
"""Every grid of bars that `phases` is asked for divides it."""
_KEPT_ROWS = 1 << 20  # 8 MiB of those rows that are asked for again and again


class Local:
    """Clock readings in file order, seconds; or instants, where the stamps carry their offset.

    Parameters
    ----------
    begins
        The first row of every block.
    rows
        Number of all rows.
    block
        Returns the readings of one block, as often as it is asked for it.
    """

    def __init__(self, begins: Sequence[int], rows: int, block: Callable[[int], Ints]) -> None:
        self._begins, self._rows, self._block = begins, rows, block
        self.least_step: int | None = None
        """The shortest step from a row to the next, which may go back; None of a single row."""
        self.longest_step = 0
        """The longest one forward."""
        self.repeats = False
        """Whether two rows that follow each other are the same."""
        self.memo: dict[str, Any] = {}
        """What was made of them before, by what it is."""
        self._steps: Counter[int] = Counter()
        self._phases = np.zeros(GRID_SECONDS, np.int64)
        self._lows: list[int] = []
        self._highs: list[int] = []
        self._first_at: dict[int, int] = {}
        self._kept: dict[tuple[int, int], Ints] = {}
        self._count()

    @classmethod
    def of(cls, local: Ints) -> Local:
        """Return readings that lie in an array."""
        return cls([0], len(local), lambda _: local)

    def __len__(self) -> int:
        return self._rows

    def blocks(self) -> Iterator[Ints]:
        """Yield the readings, block by block."""
        return map(self._block, range(len(self._begins)))

    def _count(self) -> None:
        """Count everything that takes one pass."""
        last: Ints = np.empty(0, np.int64)
        for local in self.blocks():
            self._lows.append(int(local.min()))
            self._highs.append(int(local.max()))
            self._phases += np.bincount(local % GRID_SECONDS, minlength=GRID_SECONDS)
            self._take_steps(np.diff(local, prepend=last))
            last = local[-1:]

    def _take_steps(self, steps: Ints) -> None:
        if not len(steps):
            return
        values, counts = np.unique(steps, return_counts=True)
        least, longest = int(values[0]), int(values[-1])
        self.least_step = least if self.least_step is None else min(least, self.least_step)
        self.longest_step = max(longest, self.longest_step)
        self.repeats = self.repeats or bool((values == 0).any())
        forward = values > 0
        self._steps.update(dict(zip(values[forward].tolist(), counts[forward].tolist(), strict=True)))

    # -- what is asked ------------------------------------------------------------------------------
    @property
    def low(self) -> int:
        """The earliest reading."""
        return min(self._lows)

    @property
    def high(self) -> int:
        """The latest one."""
        return max(self._highs)

    def whole(self) -> Ints:
        """Return all readings at once, 8 bytes each: for what needs them together, in files of long bars."""
        return np.concatenate(list(self.blocks()))

    def at(self, row: int) -> int:
        """Return the reading of one row."""
        index = int(np.searchsorted(self._begins, row, side="right")) - 1
        return int(self._block(index)[row - self._begins[index]])

    def steps(self) -> tuple[Ints, int | None]:
        """Return the distinct steps forward, and the most frequent one, of several the shortest."""
        values = sorted(self._steps)
        usual = max(values, key=lambda step: (self._steps[step], -step), default=None)
        return np.array(values, np.int64), usual

    def counted_steps(self) -> tuple[Ints, Ints]:
        """Return the distinct steps forward, and how often each occurs."""
        values = sorted(self._steps)
        return np.array(values, np.int64), np.array([self._steps[step] for step in values], np.int64)

    def usual_phase(self, grid: int) -> int:
        """Return what most readings are behind a multiple of `grid` seconds, which divides `GRID_SECONDS`."""
        return int(np.argmax(self._phases.reshape(-1, grid).sum(axis=0)))

    def same(self, other: Local) -> bool:
        """Return whether two day orders give the same readings."""
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(self.blocks(), other.blocks(), strict=True))

    def per_slot(self, zero: int, seconds: int, slots: int) -> npt.NDArray[np.int32]:
        """Return how many readings lie in each of so many spans of `seconds`, of which the first begins at `zero`."""
        hits = np.zeros(slots, np.int32)
        for local in self.blocks():
            slot = (local - zero) // seconds
            first = int(slot.min())
            counts = np.bincount(slot - first)
            hits[first : first + len(counts)] += counts.astype(np.int32)
        return hits

    def between(self, start: int, end: int) -> Ints:
        """Return the readings in [start, end), in file order."""
        known = self._kept.get((start, end))
        if known is None:
            known = self._between(start, end)
            if sum(map(len, self._kept.values())) + len(known) <= _KEPT_ROWS:
                self._kept[start, end] = known
        return known

    def _between(self, start: int, end: int) -> Ints:
        inside = np.flatnonzero((np.array(self._highs) >= start) & (np.array(self._lows) < end))
        found = [block[(block >= start) & (block < end)] for block in map(self._block, inside.tolist())]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def reached(self, readings: Iterable[int]) -> list[int]:
        """Return the first row by which the clock has come to each of some readings; `len` where it never does."""
        return [self._reached(reading) for reading in readings]

    def _reached(self, reading: int) -> int:
        if reading not in self._first_at:
            highest = np.maximum.accumulate(self._highs)
            index = int(np.searchsorted(highest, reading))
            row = len(self)
            if index < len(highest):
                row = self._begins[index] + int(np.argmax(self._block(index) >= reading))
            self._first_at[reading] = row
        return self._first_at[reading]


def local_of(stamps: Stamps, orders: Sequence[str], *, utc: bool = False) -> Local:
    """Return the clock readings of stamps under a day order.

    Parameters
    ----------
    orders
        `dmy`, `mdy` or `ymd` for each of the stamps' layouts.
    utc
        Whether the offsets that the stamps carry are taken off.

    Raises `BadStamp` for the first row whose date does not exist.
    """

    def block(index: int) -> Ints:
        fields = stamps.block(index)
        try:
            local = local_seconds(fields, orders)
        except BadStamp as bad:
            raise BadStamp(stamps.begins[index] + bad.row, bad.reason) from bad
        return local - fields.offset if utc else local

    return Local(stamps.begins, stamps.rows, block)
