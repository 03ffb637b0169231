"""Strict, vectorised parsing of stamps: digits are read by their place, never by a library's strptime.

Rows are grouped by length and then by shape, the text with every digit replaced by 0. A shape fixes
where each number stands, so a group is parsed with a few array operations; a file has about a dozen
shapes, because days, months and hours may be written with one digit or two. Arrow's strptime accepts
31 February, minute 60 and the year 24; here each is refused with its row.

A layout is what remains when widths are ignored: `DD/MM/YYYY HH:MM:SS` and `D/M/YYYY H:MM` differ in
the seconds. Whether the first number of `3/4/2025` is the day is left open (`dayorder` decides).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
    r"|(?P<iso_year>0000)(?P<iso_sep>[/.-])(?P<iso_month>0{1,2})(?P=iso_sep)(?P<iso_day>0{1,2}))"
)
_TIME = r"(?P<hour>0{1,2}):(?P<minute>00)(?::(?P<second_of>00)(?:\.(?P<fraction>0{1,9}))?)?"
_OFFSET = r" ?(?P<offset>Z|[+-]00:?00|[+-]00)"
_SHAPE = re.compile(rf" *{_DATE}(?:(?P<join>T| +){_TIME}(?:{_OFFSET})?)? *")


class BadStamp(ValueError):
    """A stamp that cannot be read; the caller knows the file and turns the row into a line."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


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
    padded: bool = True
    """Whether every day, month and hour seen has two digits; for display only."""

    @property
    def key(self) -> Layout:
        """The layout without what is only for display."""
        return replace(self, padded=True)

    @property
    def label(self) -> str:
        """The layout as people write it, `DD/MM/YYYY HH:MM:SS`."""
        places = {"ymd": "YMD", "dmy": "DMY", "mdy": "MDY"}.get(self.order, "??Y")
        date = [letter * (4 if letter == "Y" else 2 if self.padded else 1) for letter in places]
        text = self.separator.join(date)
        if self.join:
            text += f"{self.join}{'HH' if self.padded else 'H'}:MM"
        return text + ":SS" * self.seconds + ".f" * self.fraction + "Z" * self.offset

    @classmethod
    def parse(cls, label: str) -> Layout:
        """Return the layout of a label; raises `ValueError` when it is none."""
        match = re.fullmatch(r"([YDM?]+)([/.-])([YDM?]+)\2([YDM?]+)(?:([ T])(H{1,2}):MM(:SS)?(\.f)?(Z)?)?", label)
        if match is None:
            raise ValueError(f"{label!r} is not a stamp layout such as 'DD/MM/YYYY HH:MM:SS'")
        order = "".join(match[i][0] for i in (1, 3, 4)).lower()
        padded = all(len(match[i]) != 1 for i in (1, 3, 4)) and match[6] != "H"
        return cls(order, match[2], match[5] or "", bool(match[7]), bool(match[8]), bool(match[9]), padded)


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


# -- from text to fields ---------------------------------------------------------------------------
class StampScanner:
    """Collects the fields of a stamp column, block by block. Used by one thread."""

    def __init__(self) -> None:
        self._layouts: list[Layout] = []
        self._blocks: list[dict[str, npt.NDArray[np.generic]]] = []
        self.rows = 0
        """Rows taken so far."""

    def add(self, stamps: pa.Array) -> None:
        """Take the next block of a string column.

        Raises `BadStamp` for the first row that is not a stamp.
        """
        block = _empty(len(stamps))
        faults: list[BadStamp] = []
        for rows, chars in _by_length(stamps):
            try:
                self._add_length(rows, chars, block)
            except BadStamp as bad:
                faults.append(BadStamp(self.rows + bad.row, bad.reason))
        if faults:
            raise min(faults, key=lambda bad: bad.row)
        self._blocks.append(block)
        self.rows += len(stamps)

    def fields(self) -> Fields:
        """Return the fields of everything taken.

        Raises `BadStamp` when some stamps carry an offset from UTC and others do not.
        """

        def join(name: str, *, wanted: bool = True) -> npt.NDArray[np.generic]:
            whole = [block[name] for block in self._blocks] if wanted else []
            return np.concatenate(whole) if whole else _empty(0)[name]

        fractions = any(layout.fraction for layout in self._layouts)
        carrying = [layout.offset for layout in self._layouts]
        offsets = any(carrying)
        if offsets and not all(carrying):
            by_row = np.array(carrying)[join("layout").astype(np.intp)]
            raise BadStamp(int(np.argmax(by_row != by_row[0])), "some stamps carry an offset from UTC, others do not")
        always = {name: join(name) for name in ("layout", "first", "second", "year", "time")}
        return Fields(
            tuple(self._layouts),
            nanos=join("nanos", wanted=fractions),  # type: ignore[arg-type]
            offset=join("offset", wanted=offsets),  # type: ignore[arg-type]
            **always,  # type: ignore[arg-type]
        )

    def _add_length(self, rows: Ints, chars: _Bytes, block: dict[str, npt.NDArray[np.generic]]) -> None:
        if not 0 < chars.shape[1] <= _LONGEST:
            raise BadStamp(int(rows[0]), "the stamp is empty" if not chars.shape[1] else "the stamp is too long")
        shapes = np.where(chars - 48 < 10, np.uint8(48), chars)  # unsigned: what is below '0' wraps to a large number
        while rows.size:
            same = (shapes == shapes[0]).all(axis=1)
            shape = _shape(shapes[0].tobytes())
            if shape is None:
                text = chars[0].tobytes().decode("utf-8", "replace")
                raise BadStamp(int(rows[0]), f"{text!r} is not a date and time in a layout that is understood")
            self._add_shape(shape, rows[same], chars[same], block)
            rows, chars, shapes = rows[~same], chars[~same], shapes[~same]

    def _add_shape(self, shape: _Shape, rows: Ints, chars: _Bytes, block: dict[str, npt.NDArray[np.generic]]) -> None:
        block["layout"][rows] = self._index(shape.layout)
        block["first"][rows] = shape.number(chars, "first", "iso_day")
        block["second"][rows] = shape.number(chars, "second", "iso_month")
        block["year"][rows] = shape.number(chars, "year", "iso_year")
        clock = [shape.number(chars, name) for name in ("hour", "minute", "second_of")]
        for value, most, what in zip(clock, (23, 59, 59), ("hour", "minute", "second"), strict=True):
            _refuse(rows, value > most, what, value)
        block["time"][rows] = clock[0] * 3600 + clock[1] * 60 + clock[2]
        if shape.layout.fraction:
            start, stop = shape.places["fraction"]
            block["nanos"][rows] = shape.number(chars, "fraction") * 10 ** (9 - (stop - start))
        if shape.layout.offset:
            block["offset"][rows] = shape.offset(rows, chars)

    def _index(self, layout: Layout) -> int:
        keys = [known.key for known in self._layouts]
        if layout.key not in keys:
            self._layouts.append(layout)
            return len(keys)
        index = keys.index(layout.key)
        if not layout.padded:
            self._layouts[index] = layout
        return index


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

    def offset(self, rows: Ints, chars: _Bytes) -> npt.NDArray[np.int32]:
        """Return seconds east of UTC."""
        start, stop = self.places["offset"]
        if chars[0, start] == ord("Z"):
            return np.zeros(len(chars), np.int32)
        digits = [c for c in range(start + 1, stop) if chars[0, c] != ord(":")]
        pair = [
            chars[:, digits[i]].astype(np.int32) * 10 + chars[:, digits[i + 1]] - 528 for i in range(0, len(digits), 2)
        ]
        hours, minutes = pair[0], pair[1] if len(pair) > 1 else np.zeros_like(pair[0])
        _refuse(rows, (hours > 14) | (minutes > 59), "offset", hours)
        return (hours * 3600 + minutes * 60) * (-1 if chars[0, start] == ord("-") else 1)


@lru_cache(maxsize=256)
def _shape(text: bytes) -> _Shape | None:
    match = _SHAPE.fullmatch(text.decode("ascii", "replace"))
    if match is None:
        return None
    places = {name: match.span(name) for name, value in match.groupdict().items() if value is not None}
    widths = [
        stop - start
        for name, (start, stop) in places.items()
        if name in {"first", "second", "iso_month", "iso_day", "hour"}
    ]
    join = match["join"] or ""
    layout = Layout(
        "ymd" if match["iso_year"] else "???",
        match["sep"] or match["iso_sep"],
        " " if join.startswith(" ") else join,
        seconds=match["second_of"] is not None,
        fraction=match["fraction"] is not None,
        offset=match["offset"] is not None,
        padded=min(widths) == 2,
    )
    return _Shape(layout, places)


# -- from fields to seconds -------------------------------------------------------------------------
def _months() -> tuple[Ints, Ints]:
    starts = np.arange(f"{FIRST_YEAR}-01", f"{LAST_YEAR + 1}-02", dtype="M8[M]").astype("M8[D]").astype(np.int64)
    return starts[:-1], np.diff(starts)


_MONTH_START, _MONTH_DAYS = _months()


def local_seconds(fields: Fields, orders: Sequence[str]) -> Ints:
    """Return the clock reading of every row as seconds since 1970-01-01 on that clock.

    Parameters
    ----------
    orders
        `dmy`, `mdy` or `ymd` for each of `fields.layouts`.

    Raises
    ------
    BadStamp
        The first row whose date does not exist.
    """
    day, month = fields.first, fields.second
    swapped = np.array([order == "mdy" for order in orders])
    if swapped.all():
        day, month = month, day
    elif swapped.any():
        rows = swapped[fields.layout]
        day, month = np.where(rows, month, day), np.where(rows, day, month)
    _refuse_dates(fields, day, month)
    index = (fields.year.astype(np.int32) - FIRST_YEAR) * 12 + month - 1
    _refuse_days(fields, day > _MONTH_DAYS[index], day, month)
    seconds: Ints = (_MONTH_START[index] + day - 1) * 86_400 + fields.time
    return seconds


def _refuse_dates(fields: Fields, day: _Bytes, month: _Bytes) -> None:
    bad = (month < 1) | (month > 12) | (day < 1) | (fields.year < FIRST_YEAR) | (fields.year > LAST_YEAR)
    if bad.any():
        row = int(np.argmax(bad))
        if not FIRST_YEAR <= fields.year[row] <= LAST_YEAR:
            raise BadStamp(row, f"the year {fields.year[row]:04d} is not between {FIRST_YEAR} and {LAST_YEAR}")
        what = "day" if day[row] < 1 else "month"
        raise BadStamp(row, f"there is no {what} {(day if what == 'day' else month)[row]} in {fields.text(row)}")


def _refuse_days(fields: Fields, bad: npt.NDArray[np.bool_], day: _Bytes, month: _Bytes) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise BadStamp(row, f"month {month[row]} of {fields.year[row]} has no day {day[row]} ({fields.text(row)})")


def _refuse(rows: Ints, bad: npt.NDArray[np.bool_], what: str, value: npt.NDArray[np.int32]) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        raise BadStamp(int(rows[at]), f"there is no {what} {value[at]}")
