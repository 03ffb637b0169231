"""Stamps of a column that may hold anything: the clock reading of each, or why it has none.

Stamps are grouped by their shape, the text with every digit replaced by 1, and one of each shape is given to the
strict scanner: it says whether it is a layout, and which. What is left has only numbers to be wrong, and these are
checked as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.reading.dates import exists, local_seconds
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints, Layout, StampScanner

GOOD, NO_STAMP, NO_DATE = range(3)

Codes = npt.NDArray[np.uint8]

_NO_CLOCK = r"(^|[^0-9:])(2[4-9]|[3-9][0-9]):|:[6-9]"
_SHAPES_REMEMBERED = 512


class Stamps:
    """Reads the stamps of one file, block by block. Used by one thread.

    Parameters
    ----------
    layouts
        Those of the profile, day and month order decided. None takes every layout that the strict scanner knows,
        and a date that exists in one order of day and month; the clock readings are then not meant to be used.
    """

    def __init__(self, layouts: Sequence[str] | None) -> None:
        parsed = map(Layout.parse, layouts or ())
        self._orders = None if layouts is None else {layout.unordered: layout.order for layout in parsed}
        self._known: dict[str, bool] = {}
        self._offset: bool | None = None

    @property
    def carries_offset(self) -> bool:
        """Whether the stamps say their distance from UTC."""
        return bool(self._offset)

    def read(self, texts: pa.Array) -> tuple[Ints, Ints, Ints, Codes]:
        """Return clock readings (seconds), ns, offsets (seconds east of UTC) and a code for each text."""
        local, nanos, offset = (np.zeros(len(texts), np.int64) for _ in range(3))
        codes = np.full(len(texts), GOOD, np.uint8)
        codes[~self._shaped(texts)] = NO_STAMP
        rows = np.flatnonzero(codes == GOOD)
        rows, found = _scanned(texts, rows)
        scanned = np.zeros(len(texts), bool)
        scanned[rows] = True
        codes[(codes == GOOD) & ~scanned] = NO_STAMP
        if found is None:
            return local, nanos, offset, codes
        dated = self._dates(found)
        codes[rows[~dated]] = NO_DATE
        rows, found = rows[dated], _only(found, dated)
        if self._orders is not None:
            local[rows] = local_seconds(found, [self._orders[layout.unordered] for layout in found.layouts])
        if len(found.nanos):
            nanos[rows] = found.nanos
        if len(found.offset):
            offset[rows] = found.offset
        return local, nanos, offset, codes

    def _shaped(self, texts: pa.Array) -> npt.NDArray[np.bool_]:
        """Return which texts have the shape of a layout of the profile, and no hour or minute that is none."""
        shapes = pc.replace_substring_regex(texts, "[0-9]", "1").dictionary_encode()
        known = np.array([self._is_known(shape) for shape in shapes.dictionary.to_pylist()], bool)
        no_clock = pc.match_substring_regex(texts, _NO_CLOCK).to_numpy(zero_copy_only=False)
        shaped: npt.NDArray[np.bool_] = known[shapes.indices.to_numpy()] & ~no_clock
        return shaped

    def _is_known(self, shape: str) -> bool:
        known = self._known.get(shape)
        if known is None:
            known = self._is_layout(shape)
            if len(self._known) < _SHAPES_REMEMBERED:
                self._known[shape] = known
        return known

    def _is_layout(self, shape: str) -> bool:
        """Whether a text of this shape can be a stamp; all must carry an offset from UTC, or none."""
        scanner = StampScanner()
        try:
            scanner.add(pa.array([shape], pa.string()))
        except BadStamp:
            return False
        (layout,) = scanner.fields().layouts
        if self._orders is not None and layout.unordered not in self._orders:
            return False
        self._offset = layout.offset if self._offset is None else self._offset
        return layout.offset == self._offset

    def _dates(self, found: Fields) -> npt.NDArray[np.bool_]:
        """Return which dates exist."""
        if self._orders is None:
            iso = np.array([layout.order == "ymd" for layout in found.layouts], bool)[found.layout]
            either = ~iso & exists(found.year, found.first, found.second)
            return either | exists(found.year, found.second, found.first)
        swapped = np.array([self._orders[layout.unordered] == "mdy" for layout in found.layouts], bool)[found.layout]
        day, month = np.where(swapped, found.second, found.first), np.where(swapped, found.first, found.second)
        return exists(found.year, month, day)


def _scanned(texts: pa.Array, rows: Ints) -> tuple[Ints, Fields | None]:
    """Return the rows that the strict scanner takes, and their fields."""
    while len(rows):
        scanner = StampScanner()
        try:
            scanner.add(texts.take(pa.array(rows)))
            return rows, scanner.fields()
        except BadStamp:
            rows = np.delete(rows, scanner.refused)
    return rows, None


def _only(found: Fields, kept: npt.NDArray[np.bool_]) -> Fields:
    columns: dict[str, Any] = {
        each.name: getattr(found, each.name)[kept]
        for each in fields(Fields)
        if each.name != "layouts" and len(getattr(found, each.name))
    }
    return replace(found, **columns)
