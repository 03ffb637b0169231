"""Prices and volumes of any numeric type, as the bits that a text of the same numbers gives, or refused with the row.

Whole numbers and decimals become the nearest float64, as their text would. A float32 keeps its value, which for a
price such as 71.23 is not that of the text; the evidence says so. Nothing is rounded to a volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.columnar.stamps import first, plain
from jupyter_nq.bars.reading.reader import values_of

_EXACT = 1 << 53
_LIMIT = 2.0**63


class BadNumber(ValueError):
    """A cell that is no number of a bar; the caller knows the table and names the row."""

    def __init__(self, row: int, reason: str) -> None:
        super().__init__(f"row {row}: {reason}")
        self.row = row
        self.reason = reason


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type may hold prices or volumes."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def prices(name: str, column: pa.Array) -> npt.NDArray[np.float64]:
    """Return the values of a price column; raises `BadNumber`."""
    column = _present(name, column)
    if pa.types.is_integer(column.type):
        values = column.cast(pa.float64(), safe=False)
        wrong = np.abs(values_of(values, np.float64)) > _EXACT
        if wrong.any():
            row = int(np.argmax(wrong))
            raise BadNumber(row, f"{name} is {column[row].as_py()}, more than a float64 holds exactly")
    elif pa.types.is_decimal(column.type):
        values = column.cast(pa.string()).cast(pa.float64())  # the nearest, which Arrow's own conversion is not
    else:
        values = column.cast(pa.float64())
    found = values_of(values, np.float64) if len(values) else np.empty(0)
    _refuse_infinite(name, found)
    return found


def volumes(name: str, column: pa.Array) -> npt.NDArray[np.int64]:
    """Return the values of a volume column; raises `BadNumber`."""
    column = _present(name, column)
    if not len(column):
        return np.empty(0, np.int64)
    if pa.types.is_floating(column.type):
        found = _whole(name, values_of(column.cast(pa.float64()), np.float64))
    else:
        try:
            found = values_of(column.cast(pa.int64()), np.int64)
        except pa.ArrowInvalid as exc:
            raise _no_volume(name, column) from exc
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise BadNumber(row, f"{name} is {found[row]}, negative")
    return found


def _present(name: str, column: pa.Array) -> pa.Array:
    column = plain(column)
    if column.null_count:
        raise BadNumber(first(pc.is_null(column)), f"{name} is null")
    return column


def _refuse_infinite(name: str, values: npt.NDArray[np.float64]) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadNumber(row, f"{name} is {values[row]}, not a finite number")


def _whole(name: str, values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    _refuse_infinite(name, values)
    fraction, large = values != np.floor(values), np.abs(values) >= _LIMIT
    wrong = fraction | large
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadNumber(row, f"{name} is {values[row]}, {_why(fraction=bool(fraction[row]))}")
    return values.astype(np.int64)


def _no_volume(name: str, column: pa.Array) -> BadNumber:
    """Return the error of the first value of whole numbers or decimals that is no volume."""
    for row, value in enumerate(column):
        number: Any = value.as_py()
        if number != int(number) or abs(number) >= 1 << 63:
            return BadNumber(row, f"{name} is {number}, {_why(fraction=number != int(number))}")
    return BadNumber(0, f"{name} is not a column of whole numbers of 64 bits")


def _why(*, fraction: bool) -> str:
    return "not a whole number" if fraction else "too large for 64 bits"
