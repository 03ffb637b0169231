"""Stamps that do not increase, counted block by block: how many, the first ones, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.blocks import data_lines, lines_of
from jupyter_nq.bars.reading.reader import UNSORTED, iso
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.errors import UnreadableSource

_MOST_NAMED = 3
_MOST_COMPARED = 100_000  # lines that are compared with the line before them


@dataclass
class Disorder:
    """What is known of the order of the rows so far. Used by one thread."""

    rows: int = 0
    """Rows looked at."""
    wrong: int = 0
    """Rows that are not behind the row before them."""
    _named: list[tuple[int, np.int64, np.int64]] = field(default_factory=list)
    _compared: list[int] = field(default_factory=list)
    _repeats: bool = True
    _last: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def add(self, starts: Ints) -> bool:
        """Take the next starts of bars, ns UTC, and tell whether all rows so far increase."""
        if not len(starts):
            return not self.wrong
        known = np.concatenate([self._last, starts])
        found = np.flatnonzero(known[1:] <= known[:-1])
        if len(found):
            first = self.rows - len(self._last) + 1  # the number of the row of known[1]
            self.wrong += len(found)
            shown = found[: _MOST_NAMED - len(self._named)].tolist()
            self._named += [(first + row, known[row], known[row + 1]) for row in shown]
            self._repeats = self._repeats and bool((known[found] == known[found + 1]).all())
            self._compared += (first + found[: _MOST_COMPARED - len(self._compared)]).tolist()
        self.rows += len(starts)
        self._last = starts[-1:].copy()
        return not self.wrong

    @property
    def named(self) -> list[tuple[int, np.int64, np.int64]]:
        """The first rows that are wrong: the row, the start of the bar before it, and its own (ns UTC)."""
        return self._named

    def error(self, path: Path, profile: Profile, first_row: int) -> UnreadableSource:
        """Return the error; `first_row` is the number in the file of the first row looked at."""
        numbered = lines_of(path, profile, [first_row + row for row, _, _ in self._named])
        named = [
            f"line {number} ({iso(after)}) {'repeats' if before == after else 'goes back behind'} the line before it "
            f"({iso(before)}): {text[:80]!r}"
            for (_, before, after), (number, text) in zip(self._named, numbered, strict=True)
        ]
        return UnreadableSource(
            f"{path}: the stamps do not strictly increase in {self.wrong:,} of {self.rows:,} rows. {'; '.join(named)}. "
            f"{self._remedy(path, profile, first_row)}"
        )

    def _remedy(self, path: Path, profile: Profile, first_row: int) -> str:
        """Ask only to remove lines when all of them are exact copies, which no reading could put right."""
        if self._repeats and self.wrong == len(self._compared):
            rows = {first_row + row for row in self._compared}
            lines = pairwise(text for _, text in data_lines(path, profile))
            if all(a == b for i, (a, b) in enumerate(lines, 1) if i in rows):
                one = self.wrong == 1
                return "It is the same line twice: remove one." if one else "They are the same lines: keep one each."
        return UNSORTED
