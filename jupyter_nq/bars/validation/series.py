"""The bars that are validated, as arrays, whatever is wrong with them: that is for the rules to say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.instruments import Instrument
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.errors import InvalidArgument

Floats = npt.NDArray[np.float64]
NO_STAMP = np.iinfo(np.int64).min
"""In the place of a missing stamp; the earliest number, so that it is never in order."""
_COLUMNS = ("timestamp", *PRICES, "volume")
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_END_NS = int(np.datetime64("2200-01-01", "ns").astype(np.int64))


@dataclass(frozen=True)
class Series:
    """Bars as they are, nothing assumed about order or soundness."""

    starts: Ints
    """ns UTC, `NO_STAMP` where there is none."""
    open: Floats
    """NaN where there is none, as in all prices."""
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    """As float64, so that what is no count can be told; exact below 2**53."""
    minutes: int | None = None
    """Length of a bar, None when it is not known."""
    calendar: str | None = None
    instrument: Instrument | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def prices(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Open, high, low, close."""
        return self.open, self.high, self.low, self.close


def series_of(
    table: pa.Table, minutes: int | None = None, calendar: str | None = None, instrument: Instrument | None = None
) -> Series:
    """Return the bars of a table.

    Parameters
    ----------
    table
        Columns `timestamp` (a time; without a zone it is UTC), `open high low close volume` (numbers).

    Raises
    ------
    InvalidArgument
        A column is missing or of another kind.
    """
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise InvalidArgument(
            f"the bars have no column {' and '.join(missing)}; they have {', '.join(table.column_names) or 'none'}. "
            f"Needed are {', '.join(_COLUMNS)}."
        )
    kind = table.schema.field("timestamp").type
    if not pa.types.is_timestamp(kind):
        raise InvalidArgument(f"the column 'timestamp' is {kind}, not a time. Convert it, with its zone.")
    open_, high, low, close, volume = (_numbers(table, name) for name in _COLUMNS[1:])
    return Series(starts_in(table), open_, high, low, close, volume, minutes, calendar, instrument)


def starts_in(table: pa.Table) -> Ints:
    """Return the stamps of a table, ns UTC, `NO_STAMP` where there is none or its sessions cannot be known."""
    column = table["timestamp"]
    unit = _UNIT_NS[column.type.unit]
    stamps = pc.fill_null(column.cast(pa.int64()), NO_STAMP).to_numpy()
    known = (stamps >= 0) & (stamps < _END_NS // unit)
    starts: Ints = np.where(known, stamps, 0) * unit
    starts[~known] = NO_STAMP
    return starts


def _numbers(table: pa.Table, name: str) -> Floats:
    column = table[name]
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise InvalidArgument(
            f"the column {name!r} is {column.type}, not a number. Look why it is not, and convert it."
        )
    values: Floats = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
    return values
