"""Strict, vectorised parsing of stamps: digits are read by their place, never by a library's strptime.

Rows are grouped by length and then by shape, the text with every digit replaced by 0. A shape fixes
where each number stands, so a group is parsed with a few array operations; a file has about a dozen
shapes, because days, months and hours may be written with one digit or two. Arrow's strptime accepts
31 February, minute 60 and the year 24; here each is refused with its row.

A layout is what remains when widths are ignored: `DD/MM/YYYY HH:MM:SS` and `D/M/YYYY H:MM` differ in
the seconds. Whether the first number of `3/4/2025` is the day is left open (`dayorder` decides).

A number alone counts from 1970: its digits tell the unit, because seconds have nine or ten of them from 1973 to
2199, and each finer unit three more. It is turned into a date here, so that everything behind sees stamps in UTC.
A year of two digits is read as 20YY; `sniff` takes such a layout only when it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
_Bytes = npt.NDArray[np.uint8]

FIRST_YEAR, LAST_YEAR = 1970, 2199
_LONGEST = 48  # characters of the longest stamp that is looked at

_DATE = (
    r"(?:(?P<first>0{1,2})(?P<sep>[/.-])(?P<second>0{1,2})(?P=sep)(?P<year>0000)"
    r"|(?P<iso_year>0000)(?P<iso_sep>[/.-])(?P<iso_month>0{1,2})(?P=iso_sep)(?P<iso_day>0{1,2})"
    r"|(?P<whole_year>0000)(?P<whole_month>00)(?P<whole_day>00)"
    r"|(?P<short_first>0{1,2})(?P<short_sep>[/.-])(?P<short_second>0{1,2})(?P=short_sep)(?P<short_year>00))"
)
_TIME = (
    r"(?:(?P<hour>0{1,2}):(?P<minute>00)(?::(?P<second_of>00)(?:\.(?P<fraction>0{1,9}))?)?(?P<half> ?[AaPp][Mm])?"
    r"|(?P<whole_hour>0{1,2})(?P<whole_minute>00)(?P<whole_second>00)?)"
)
_OFFSET = r" ?(?P<offset>Z|[+-]00:?00|[+-]00)"
_SHAPE = re.compile(rf" *{_DATE}(?:(?P<join>T| +){_TIME}(?:{_OFFSET})?)? *")
_EPOCH = re.compile(r" *(?P<count>0{9,10}|0{12,13}|0{15,16}|0{18,19}) *")
_UNITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}
"""Unit of a number since 1970, by its digits."""
_LABEL = re.compile(
    r"epoch (?P<epoch>s|ms|us|ns)"
    r"|(?:(?P<a>[YDM?]+)(?P<sep>[/.-])(?P<b>[YDM?]+)(?P=sep)(?P<c>[YDM?]+)|YYYYMMDD)"
    r"(?:(?P<join>[ T])(?P<hour>H{1,2})(?P<colon>:?)MM(?P<seconds>:?SS)?(?P<fraction>\.f)?"
    r"(?P<half> AM)?(?P<offset>Z)?)?"
)


class BadStamp(ValueError):
    """A stamp that cannot be read; the caller knows the file and turns the row into a line."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


@dataclass(frozen=True)
class _Fault:
    """Rows of a block that cannot be read for one reason."""

    rows: Ints
    """In the order of the block, one at least."""
    reason: str
    """That of the first."""


@dataclass(frozen=True)
class Layout:
    """One way to write a stamp, widths ignored."""

    order: str
    """`ymd`, `dmy`, `mdy`, or `???` while day and month are not told apart."""
    separator: str
    join: str
    """Between date and time: a space or `T`; empty when there is no time."""
    seconds: bool = False
    fraction: bool = False
    offset: bool = False
    """Whether the stamp carries `Z` or a distance from UTC."""
    epoch: str = ""
    """`s`, `ms`, `us` or `ns` when the stamp is a number since 1970 in UTC; the other fields are then those of
    `YYYY-MM-DDTHH:MMZ`."""
    colons: bool = True
    """Whether colons stand between the parts of a time."""
    half: bool = False
    """Whether hours count to twelve, with AM or PM behind the time."""
    short_year: bool = False
    """Whether the year has two digits and means 20YY."""
    padded: bool = True
    """Whether every day, month and hour seen has two digits; for display only."""

    @property
    def key(self) -> Layout:
        """The layout without what is only for display."""
        return replace(self, padded=True)

    @property
    def label(self) -> str:
        """The layout as people write it, `DD/MM/YYYY HH:MM:SS`."""
        if self.epoch:
            return f"epoch {self.epoch}"
        places = {"ymd": "YMD", "dmy": "DMY", "mdy": "MDY"}.get(self.order, "??Y")
        year = 2 if self.short_year else 4
        wide = 2 if self.padded or not self.separator else 1
        text = self.separator.join(letter * (year if letter == "Y" else wide) for letter in places)
        colon = ":" * self.colons
        if self.join:
            text += f"{self.join}{'HH' if self.padded else 'H'}{colon}MM"
        seconds = f"{colon}SS" * self.seconds
        return text + seconds + ".f" * self.fraction + " AM" * self.half + "Z" * self.offset

    @property
    def unordered(self) -> Layout:
        """The layout with the order of day and month left open, and without what is only for display."""
        return replace(self, order="ymd" if self.order == "ymd" else "???", padded=True)

    @classmethod
    def parse(cls, label: str) -> Layout:
        """Return the layout of a label; raises `ValueError` when it is none."""
        match = _LABEL.fullmatch(label)
        if match is None:
            raise ValueError(f"{label!r} is not a stamp layout such as 'DD/MM/YYYY HH:MM:SS'")
        if match["epoch"]:
            return _epoch_layout(match["epoch"])
        parts = [match["a"], match["b"], match["c"]] if match["a"] else ["YYYY", "MM", "DD"]
        order = "".join(part[0] for part in parts).lower()
        return cls(
            order,
            match["sep"] or "",
            match["join"] or "",
            bool(match["seconds"]),
            bool(match["fraction"]),
            bool(match["offset"]),
            colons=not match["join"] or bool(match["colon"]),
            half=bool(match["half"]),
            short_year="YY" in parts,
            padded=all(len(part) != 1 for part in parts) and match["hour"] != "H",
        )


def _epoch_layout(unit: str) -> Layout:
    return Layout("ymd", "-", "T", fraction=unit != "s", offset=True, epoch=unit)


@dataclass(frozen=True)
class Fields:
    """The numbers of all stamps, one entry per row; each array is owned by this object."""

    layouts: tuple[Layout, ...]
    layout: _Bytes
    """Index into `layouts`."""
    first: _Bytes
    """The day in a `ymd` layout, else the first number as written."""
    second: _Bytes
    """The month in a `ymd` layout, else the second number as written."""
    year: npt.NDArray[np.int16]
    time: npt.NDArray[np.int32]
    """Seconds since midnight."""
    nanos: npt.NDArray[np.int32]
    """Fraction of the second in ns; empty when no layout has fractions."""
    offset: npt.NDArray[np.int32]
    """Seconds east of UTC; empty when no layout carries an offset."""

    def text(self, row: int) -> str:
        """Return a row's stamp as it is written, widths normalised, for messages."""
        layout = self.layouts[self.layout[row]]
        day, month, year = f"{self.first[row]:02d}", f"{self.second[row]:02d}", f"{self.year[row]:04d}"
        parts = [year, month, day] if layout.order == "ymd" else [day, month, year]
        clock = int(self.time[row])
        time = f"{layout.join}{clock // 3600:02d}:{clock // 60 % 60:02d}" if layout.join else ""
        text: str = layout.separator.join(parts) + time
        return text


_Block = dict[str, npt.NDArray[np.generic]]
_NO_LAYOUT = 255


# -- from text to fields ---------------------------------------------------------------------------
class StampScanner:
    """Collects the fields of a stamp column, block by block. Used by one thread.

    Parameters
    ----------
    carrying
        Whether stamps carry an offset from UTC, as the first one of a column that began before does; None when the
        column begins here.
    """

    def __init__(self, carrying: bool | None = None) -> None:
        self._carrying = carrying
        self._layouts: list[Layout] = []
        self._blocks: list[dict[str, npt.NDArray[np.generic]]] = []
        self.rows = 0
        """Rows taken so far."""
        self.refused: Ints = np.empty(0, np.int64)
        """The rows of the block refused last that were found to be no stamps, counted in the block."""

    def add(self, stamps: pa.Array) -> None:
        """Take the next block of a string column.

        Raises `BadStamp` for the first row that is not a stamp, or carries an offset from UTC where the first row of
        all does not, or the other way round: whatever the blocks are, it is the first such row.
        """
        block = _empty(len(stamps))
        block["layout"][:] = _NO_LAYOUT
        faults: list[_Fault] = []
        for rows, chars in _by_length(stamps):
            self._add_length(rows, chars, block, faults)
        self._check_offsets(block["layout"], faults)
        if faults:
            self.refused = np.unique(np.concatenate([fault.rows for fault in faults]))
            first = min(faults, key=lambda fault: int(fault.rows[0]))
            raise BadStamp(self.rows + int(first.rows[0]), first.reason)
        self._blocks.append(block)
        self.rows += len(stamps)

    def _check_offsets(self, layout: npt.NDArray[np.generic], faults: list[_Fault]) -> None:
        known = np.flatnonzero(layout != _NO_LAYOUT)
        if not len(known):
            return
        carrying = np.array([layout.offset for layout in self._layouts])
        if self._carrying is None:
            self._carrying = bool(carrying[int(layout[known[0]])])  # a row above it is no stamp, and so the first fault
        if (carrying != self._carrying).any():
            other = known[carrying[layout[known].astype(np.intp)] != self._carrying]
            if len(other):
                faults.append(_Fault(other, "some stamps carry an offset from UTC, others do not"))

    def fields(self) -> Fields:
        """Return the fields of everything taken."""

        def join(name: str, *, wanted: bool = True) -> npt.NDArray[np.generic]:
            whole = [block[name] for block in self._blocks] if wanted else []
            return np.concatenate(whole) if whole else _empty(0)[name]

        fractions = any(layout.fraction for layout in self._layouts)
        offsets = any(layout.offset for layout in self._layouts)
        always = {name: join(name) for name in ("first", "second", "year", "time")}
        layouts, layout = self._by_first_row(join("layout"))
        return Fields(
            layouts,
            layout,  # type: ignore[arg-type]
            nanos=join("nanos", wanted=fractions),  # type: ignore[arg-type]
            offset=join("offset", wanted=offsets),  # type: ignore[arg-type]
            **always,  # type: ignore[arg-type]
        )

    def _by_first_row(self, layout: npt.NDArray[np.generic]) -> tuple[tuple[Layout, ...], npt.NDArray[np.generic]]:
        """Return the layouts in the order of their first rows, and their places: however the rows were read."""
        if len(self._layouts) < 2:
            return tuple(self._layouts), layout
        order = np.argsort([int(np.argmax(layout == index)) for index in range(len(self._layouts))], kind="stable")
        places = np.empty(len(order), np.uint8)
        places[order] = range(len(order))
        return tuple(self._layouts[index] for index in order), places[layout.astype(np.intp)]

    def _add_length(self, rows: Ints, chars: _Bytes, block: _Block, faults: list[_Fault]) -> None:
        if not 0 < chars.shape[1] <= _LONGEST:
            faults.append(_Fault(rows, "the stamp is empty" if not chars.shape[1] else "the stamp is too long"))
            return
        shapes = np.where(chars - 48 < 10, np.uint8(48), chars)  # unsigned: what is below '0' wraps to a large number
        while rows.size:
            same = (shapes == shapes[0]).all(axis=1)
            shape = _shape(shapes[0].tobytes())
            if shape is None:
                text = chars[0].tobytes().decode("utf-8", "replace")
                faults.append(_Fault(rows[same], f"{text!r} is not a date and time in a layout that is understood"))
            else:
                self._add_shape(shape, rows[same], chars[same], block, faults)
            rows, chars, shapes = rows[~same], chars[~same], shapes[~same]

    def _add_shape(self, shape: _Shape, rows: Ints, chars: _Bytes, block: _Block, faults: list[_Fault]) -> None:
        block["layout"][rows] = self._index(shape.layout)
        if shape.layout.epoch:
            _add_epoch(shape, rows, chars, block)
            return
        block["first"][rows] = shape.number(chars, "first", "iso_day", "whole_day", "short_first")
        block["second"][rows] = shape.number(chars, "second", "iso_month", "whole_month", "short_second")
        year = shape.number(chars, "year", "iso_year", "whole_year", "short_year")
        block["year"][rows] = year + 2000 * shape.layout.short_year
        clock = [shape.number(chars, name, f"whole_{name[:6]}") for name in ("hour", "minute", "second_of")]
        if shape.layout.half:
            clock[0] = shape.hours(rows, chars, clock[0], faults)
        for value, most, what in zip(clock, (23, 59, 59), ("hour", "minute", "second"), strict=True):
            _refuse(rows, value > most, what, value, faults)
        block["time"][rows] = clock[0] * 3600 + clock[1] * 60 + clock[2]
        if shape.layout.fraction:
            start, stop = shape.places["fraction"]
            block["nanos"][rows] = shape.number(chars, "fraction") * 10 ** (9 - (stop - start))
        if shape.layout.offset:
            block["offset"][rows] = shape.offset(rows, chars, faults)

    def _index(self, layout: Layout) -> int:
        keys = [known.key for known in self._layouts]
        if layout.key not in keys:
            self._layouts.append(layout)
            return len(keys)
        index = keys.index(layout.key)
        if not layout.padded:
            self._layouts[index] = layout
        return index


def _add_epoch(shape: _Shape, rows: Ints, chars: _Bytes, block: _Block) -> None:
    """Turn numbers since 1970 into the fields of a date and time in UTC."""
    start, stop = shape.places["count"]
    count = np.zeros(len(chars), np.uint64)
    for column in range(start, stop):
        count = count * np.uint64(10) + (chars[:, column] - 48)
    per_second = np.uint64({"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[shape.layout.epoch])
    seconds = (count // per_second).astype(np.int64)
    block["nanos"][rows] = (count % per_second) * (np.uint64(10**9) // per_second)
    day = (seconds // 86_400).astype("M8[D]")
    month, year = day.astype("M8[M]"), day.astype("M8[Y]")
    block["first"][rows] = (day - month).astype(np.int64) + 1
    block["second"][rows] = month.astype(np.int64) % 12 + 1
    block["year"][rows] = year.astype(np.int64) + 1970
    block["time"][rows] = seconds % 86_400


def _empty(rows: int) -> dict[str, npt.NDArray[np.generic]]:
    types = {"layout": "u1", "first": "u1", "second": "u1", "year": "i2", "time": "i4", "nanos": "i4", "offset": "i4"}
    return {name: np.zeros(rows, dtype) for name, dtype in types.items()}


def _by_length(stamps: pa.Array) -> Iterable[tuple[Ints, _Bytes]]:
    """Yield (rows, characters) for every length that occurs; characters have shape (rows, length)."""
    _, offsets, data = stamps.buffers()
    ends = np.frombuffer(offsets, np.int32)[stamps.offset : stamps.offset + len(stamps) + 1]
    chars = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    lengths = np.diff(ends)
    for length in np.flatnonzero(np.bincount(lengths)) if len(lengths) else ():
        rows = np.flatnonzero(lengths == length)
        yield rows, chars[ends[rows][:, None] + np.arange(length, dtype=np.int32)]


@dataclass(frozen=True)
class _Shape:
    """Where the numbers stand in a stamp of one shape."""

    layout: Layout
    places: dict[str, tuple[int, int]]

    def number(self, chars: _Bytes, *names: str) -> npt.NDArray[np.int32]:
        """Return the number at the first of the places that this shape has, 0 when it has none."""
        start, stop = next((self.places[name] for name in names if name in self.places), (0, 0))
        value = np.zeros(len(chars), np.int32)
        for column in range(start, stop):
            value = value * 10 + (chars[:, column] - 48)
        return value

    def hours(
        self, rows: Ints, chars: _Bytes, hour: npt.NDArray[np.int32], faults: list[_Fault]
    ) -> npt.NDArray[np.int32]:
        """Return hours of a clock of twelve as hours since midnight."""
        _refuse(rows, (hour < 1) | (hour > 12), "hour", hour, faults)
        afternoon = chars[0, self.places["half"][1] - 2] in b"Pp"
        return hour % 12 + np.int32(12 * afternoon)

    def offset(self, rows: Ints, chars: _Bytes, faults: list[_Fault]) -> npt.NDArray[np.int32]:
        """Return seconds east of UTC."""
        start, stop = self.places["offset"]
        if chars[0, start] == ord("Z"):
            return np.zeros(len(chars), np.int32)
        digits = [c for c in range(start + 1, stop) if chars[0, c] != ord(":")]
        pair = [
            chars[:, digits[i]].astype(np.int32) * 10 + chars[:, digits[i + 1]] - 528 for i in range(0, len(digits), 2)
        ]
        hours, minutes = pair[0], pair[1] if len(pair) > 1 else np.zeros_like(pair[0])
        _refuse(rows, (hours > 14) | (minutes > 59), "offset", hours, faults)
        return (hours * 3600 + minutes * 60) * (-1 if chars[0, start] == ord("-") else 1)


@lru_cache(maxsize=256)
def _shape(text: bytes) -> _Shape | None:
    known = text.decode("ascii", "replace")
    if number := _EPOCH.fullmatch(known):
        start, stop = number.span("count")
        return _Shape(_epoch_layout(_UNITS[stop - start]), {"count": (start, stop)})
    match = _SHAPE.fullmatch(known)
    if match is None:
        return None
    places = {name: match.span(name) for name, value in match.groupdict().items() if value is not None}
    widths = [stop - start for name, (start, stop) in places.items() if name in _ONE_OR_TWO_DIGITS]
    join = match["join"] or ""
    layout = Layout(
        "ymd" if match["iso_year"] or match["whole_year"] else "???",
        match["sep"] or match["iso_sep"] or match["short_sep"] or "",
        " " if join.startswith(" ") else join,
        seconds=match["second_of"] is not None or match["whole_second"] is not None,
        fraction=match["fraction"] is not None,
        offset=match["offset"] is not None,
        colons=match["whole_hour"] is None,
        half=match["half"] is not None,
        short_year=match["short_year"] is not None,
        padded=min(widths, default=2) == 2,
    )
    return _Shape(layout, places)


_ONE_OR_TWO_DIGITS = {
    "first", "second", "short_first", "short_second", "iso_month", "iso_day", "hour", "whole_hour",
}  # fmt: skip


def _refuse(
    rows: Ints, bad: npt.NDArray[np.bool_], what: str, value: npt.NDArray[np.int32], faults: list[_Fault]
) -> None:
    """Take down the rows that are bad, with the reason of the first."""
    if bad.any():
        faults.append(_Fault(rows[bad], f"there is no {what} {value[int(np.argmax(bad))]}"))
