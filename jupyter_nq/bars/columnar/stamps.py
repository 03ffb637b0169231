"""Stamps that are typed already, as the same fields as those of a text.

A column of timestamps is taken apart by arithmetic; with a zone it counts UTC, without one it is a clock reading,
and whose clock is found out as for a text. Whatever else may be a stamp (whole numbers since 1970 or such as 20240131,
dates and times in two columns, text) is written as text and read by the strict reader of texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.reading.stamps import FIRST_YEAR, LAST_YEAR, BadStamp, Fields, Ints, Layout, StampScanner

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MINUTES_MOST = 2359  # a time of day such as 2359 has four digits, one with seconds has six


def plain(column: pa.Array) -> pa.Array:
    """Return a column without the ways in which repeated values are packed."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of `plain`."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind) else kind


def is_text(kind: pa.DataType) -> bool:
    """Tell whether values are texts, in any of Arrow's forms."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


class TypedStamps:
    """Collects the fields of a stamp's columns, batch by batch. Used by one thread.

    Parameters
    ----------
    time_digits
        Digits of a time of day that is written as a whole number, 4 or 6.
    """

    def __init__(self, time_digits: int = 4) -> None:
        self._time_digits = time_digits
        self._typed: list[Fields] = []
        self._texts = StampScanner()
        self.rows = 0
        """Rows taken so far."""

    def add(self, columns: list[pa.Array]) -> None:
        """Take the next batch: one column, or a date and a time; raises `BadStamp` with its row."""
        columns = [plain(column) for column in columns]
        for column in columns:
            if column.null_count:
                raise BadStamp(self.rows + first(pc.is_null(column)), "the stamp is null")
        if len(columns) == 1 and _is_counted(columns[0].type):
            try:
                self._typed.append(typed_fields(columns[0]))
            except BadStamp as bad:
                raise BadStamp(self.rows + bad.row, bad.reason) from bad
        else:
            self._texts.add(_texts(columns, self._time_digits))
        self.rows += len(columns[0])

    def fields(self) -> Fields:
        """Return the fields of everything taken; raises `BadStamp`."""
        if not self._typed:
            return self._texts.fields()
        if len(self._typed) == 1:
            return self._typed[0]
        names = ("layout", "first", "second", "year", "time", "nanos", "offset")
        whole: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in self._typed]) for name in names}
        return Fields(self._typed[0].layouts, **whole)


def _is_counted(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def typed_fields(column: pa.Array) -> Fields:
    """Return the fields of timestamps or dates without nulls; raises `BadStamp` for a year that no bar has."""
    kind = column.type
    if pa.types.is_date(kind):
        seconds, nanos = _values(column.cast(pa.date32()), np.int32).astype(np.int64) * 86_400, np.empty(0, np.int32)
        layout = Layout("ymd", "-", "")
    else:
        per_second = _PER_SECOND[kind.unit]
        seconds, rest = np.divmod(_values(column, np.int64), per_second)
        nanos = (rest * (10**9 // per_second)).astype(np.int32) if per_second > 1 else np.empty(0, np.int32)
        layout = Layout("ymd", "-", " ", seconds=True, fraction=per_second > 1, offset=kind.tz is not None)
    _refuse_years(seconds)
    day = (seconds // 86_400).astype("M8[D]")
    month, year = day.astype("M8[M]"), day.astype("M8[Y]")
    return Fields(
        (layout,),
        layout=np.zeros(len(seconds), np.uint8),
        first=((day - month).astype(np.int64) + 1).astype(np.uint8),
        second=(month.astype(np.int64) % 12 + 1).astype(np.uint8),
        year=(year.astype(np.int64) + 1970).astype(np.int16),
        time=(seconds % 86_400).astype(np.int32),
        nanos=nanos,
        offset=np.zeros(len(seconds) if layout.offset else 0, np.int32),
    )


def _values(column: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    return np.frombuffer(column.buffers()[1] or b"", dtype)[column.offset : column.offset + len(column)]


def _refuse_years(seconds: Ints) -> None:
    low, high = (int(np.datetime64(f"{year}-01-01", "s").astype(np.int64)) for year in (FIRST_YEAR, LAST_YEAR + 1))
    wrong = (seconds < low) | (seconds >= high)
    if wrong.any():
        raise BadStamp(int(np.argmax(wrong)), f"the year is not between {FIRST_YEAR} and {LAST_YEAR}")


def _texts(columns: list[pa.Array], time_digits: int) -> pa.Array:
    if len(columns) == 1:
        return _text(columns[0])
    date, time = columns
    try:
        day = _text(date.cast(pa.date32()) if pa.types.is_timestamp(date.type) else date)
    except pa.ArrowInvalid as exc:
        raise BadStamp(0, "the column of dates has a time of day, beside a column of times") from exc
    clock = _text(time)
    if pa.types.is_integer(time.type):
        clock = pc.utf8_lpad(clock, time_digits, "0")
    return pc.binary_join_element_wise(day, clock, " ")


def _text(column: pa.Array) -> pa.Array:
    text = column.cast(pa.string())
    return pa.concat_arrays([text]) if text.offset else text


def time_digits(highest: int | None) -> int:
    """Return how many digits times of day have that are written as whole numbers, by the highest of all."""
    return 4 if highest is None or highest <= _MINUTES_MOST else 6


def first(mask: pa.Array) -> int:
    """Return the first row of a mask that is true."""
    return int(pc.index(mask, True).as_py())
