"""All stamps of a file, block by block, packed into some bits each.

Evidence is taken from every stamp, and a file may have more of them than memory should hold. In the order of a file
a stamp lies behind the one before by mostly the same, so that a block of differences is compressed to a hundredth.
What is no evidence, the fractions of seconds, is left out. A column that is in memory already is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Layout, StampScanner

_BLOCK_ROWS = 1 << 15  # with what is made of them, they fit a processor's second cache
_CODEC = "zstd"
_TYPES = {"layout": "u1", "first": "u1", "second": "u1", "year": "i2", "time": "i4", "offset": "i4"}
_NO_NANOS = np.empty(0, np.int32)


@dataclass(frozen=True)
class Mark:
    """One stamp of a file."""

    row: int
    text: str
    """As it is written, widths normalised."""


@dataclass
class Written:
    """What the stamps of one layout show."""

    layout: Layout
    first: Mark
    """The first of them."""
    rows: int = 0
    day_first: Mark | None = None
    """The first that has a number above 12 in the first place."""
    month_first: Mark | None = None
    """The first that has one in the second place."""


class Stamps:
    """The whole stamp column of a file. Used by one thread."""

    def __init__(self) -> None:
        self.written: list[Written] = []
        """Of each layout, in the order of their first rows."""
        self.rows = 0
        """Rows taken so far."""
        self.carrying = False
        """Whether the stamps carry an offset from UTC."""
        self.begins: list[int] = []
        """The first row of every block."""
        self._blocks: list[Fields | _Packed] = []

    @classmethod
    def of(cls, fields: Fields) -> Stamps:
        """Return a column that is in memory; nothing is copied but what its layouts show."""
        made = cls()
        made._take(fields, packed=False)
        return made

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts in the order of their first rows."""
        return tuple(written.layout for written in self.written)

    def read(self, texts: pa.Array) -> None:
        """Take the next block of a string column; raises `BadStamp` for a row that is not a stamp, and as `add`."""
        scanner = StampScanner(self.carrying if self.rows else None)
        try:
            scanner.add(texts)
        except BadStamp as bad:
            raise BadStamp(self.rows + bad.row, bad.reason) from bad
        self.add(scanner.fields())

    def add(self, fields: Fields) -> None:
        """Take the next block, of any number of rows.

        Raises `BadStamp` when its stamps carry an offset from UTC and those before do not, or the other way round.
        """
        self._take(fields, packed=True)

    def _take(self, fields: Fields, *, packed: bool) -> None:
        for lo in range(0, len(fields.layout), _BLOCK_ROWS):
            self._take_block(_rows(fields, lo, lo + _BLOCK_ROWS), packed=packed)

    def _take_block(self, fields: Fields, *, packed: bool) -> None:
        carrying = bool(len(fields.offset))
        if self.rows and carrying != self.carrying:
            raise BadStamp(self.rows, "some stamps carry an offset from UTC, others do not")
        self.carrying = carrying
        places = np.array([self._note(fields, index) for index in range(len(fields.layouts))], np.uint8)
        if (places != np.arange(len(places))).any():
            fields = replace(fields, layout=places[fields.layout])
        self._blocks.append(_Packed.of(fields) if packed else fields)
        self.begins.append(self.rows)
        self.rows += len(fields.layout)

    def _note(self, fields: Fields, index: int) -> int:
        """Take down what a block shows of one of its layouts, and return the layout's place among all."""
        layout, rows = fields.layouts[index], fields.layout == index
        known = [written.layout.key for written in self.written]
        count = int(np.count_nonzero(rows))
        if layout.key not in known:
            if not count:
                return 0  # a later block has it
            self.written.append(Written(layout, self._mark(fields, rows)))
            known.append(layout.key)
        place = known.index(layout.key)
        written = self.written[place]
        written.rows += count
        if not layout.padded:
            written.layout = layout
        if layout.order != "ymd":
            written.day_first = written.day_first or self._found(fields, rows & (fields.first > 12))
            written.month_first = written.month_first or self._found(fields, rows & (fields.second > 12))
        return place

    def _found(self, fields: Fields, rows: npt.NDArray[np.bool_]) -> Mark | None:
        return self._mark(fields, rows) if rows.any() else None

    def _mark(self, fields: Fields, rows: npt.NDArray[np.bool_]) -> Mark:
        row = int(np.argmax(rows))
        return Mark(self.rows + row, fields.text(row))

    # -- given out again ----------------------------------------------------------------------------
    def block(self, index: int) -> Fields:
        """Return one block; its fractions of seconds are left out."""
        block = self._blocks[index]
        if isinstance(block, _Packed):
            return block.fields(self.layouts, self.carrying)
        return replace(block, layouts=self.layouts)

    def text(self, row: int) -> str:
        """Return a row's stamp as it is written, widths normalised."""
        index = int(np.searchsorted(self.begins, row, side="right")) - 1
        return self.block(index).text(row - self.begins[index])


@dataclass(frozen=True)
class _Packed:
    """A block, compressed."""

    rows: int
    data: bytes

    @classmethod
    def of(cls, fields: Fields) -> _Packed:
        time = np.diff(fields.time, prepend=np.int32(0))
        arrays: list[npt.NDArray[Any]] = [fields.layout, fields.first, fields.second, fields.year, time, fields.offset]
        whole = b"".join(array.tobytes() for array in arrays)
        return cls(len(fields.layout), pa.compress(whole, codec=_CODEC, asbytes=True))

    def fields(self, layouts: tuple[Layout, ...], carrying: bool) -> Fields:
        counts = {name: self.rows if name != "offset" or carrying else 0 for name in _TYPES}
        size = sum(count * np.dtype(_TYPES[name]).itemsize for name, count in counts.items())
        whole = pa.decompress(self.data, size, codec=_CODEC)
        found: dict[str, Any] = {}
        at = 0
        for name, count in counts.items():
            found[name] = np.frombuffer(whole, _TYPES[name], count, at)
            at += found[name].nbytes
        found["time"] = np.cumsum(found["time"], dtype=np.int32)
        return Fields(layouts, nanos=_NO_NANOS, **found)


def _rows(fields: Fields, lo: int, hi: int) -> Fields:
    arrays = ("layout", "first", "second", "year", "time", "offset")
    return replace(fields, nanos=_NO_NANOS, **{name: getattr(fields, name)[lo:hi] for name in arrays})
