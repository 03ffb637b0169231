"""Rules about bars and the bars above them, applied to batches as they come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.compiled import Kernels
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.bars.validation.kernels import STATE_FLOATS, STATE_INTS

Flags = npt.NDArray[np.uint32]
_Floats = npt.NDArray[np.float64]

SMALL_ROWS = 100_000  # plain Python is done with them before a compiler's library is loaded
_MINUTE_NS = 60 * 1_000_000_000
_COLUMNS = ("timestamp", *PRICES, "volume")


def _practise(module: Any) -> None:
    stamps, prices = np.zeros(2, np.int64), np.ones(2)
    stamps.flags.writeable = prices.flags.writeable = False
    module.check(stamps, *[prices] * 4, stamps, 60, 0.25, 4.0, True, *_state(), np.uint64(1), np.zeros(2, np.uint32))


def _with_inverse(tick: float) -> tuple[float, float]:
    """Return a tick and its inverse, 0 where that is not exact: to multiply is then no longer to divide."""
    return tick, 1.0 / tick if tick > 0.0 and math.frexp(tick)[0] == 0.5 else 0.0


def _state() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    return np.zeros(STATE_FLOATS), np.zeros(STATE_INTS, np.int64)


KERNELS = Kernels("jupyter_nq.bars.validation.kernels", _practise)
"""The compiled twin of `kernels`."""


class RowChecks:
    """The flags of bars that arrive in batches: put together they are those of the whole, at any size of batch.

    Parameters
    ----------
    minutes
        Length of a bar; None leaves out the rules that need it (step, jump).
    tick
        Smallest price step of raw prices; None leaves out the tick rule, as for adjusted prices.
    positive
        Whether a price of zero or below cannot be real.
    """

    def __init__(self, *, minutes: int | None = None, tick: float | None = None, positive: bool = False) -> None:
        self._length_ns = (minutes or 0) * _MINUTE_NS
        self._ticks = _with_inverse(float(tick or 0.0))
        self._positive = bool(positive)
        self._floats, self._ints = _state()

    def __repr__(self) -> str:
        return f"<RowChecks after {self._ints[0]:,} rows>"

    def add(self, batch: pa.Table | pa.RecordBatch) -> Flags:
        """Take the next bars, and return a new array with the flags of each, shape (rows,).

        Parameters
        ----------
        batch
            Columns of `BAR_SCHEMA` in any order, in the order of the source; NaN in a price is flagged, nulls
            are not allowed.
        """
        return self.add_columns(*[column_of(batch, name) for name in _COLUMNS])

    def add_columns(
        self, starts: Ints, open_: _Floats, high: _Floats, low: _Floats, close: _Floats, volume: Ints
    ) -> Flags:
        """Do what `add` does, with arrays."""
        flags = np.empty(len(starts), np.uint32)
        columns = [_read_only(column) for column in (starts, open_, high, low, close, volume)]
        module = KERNELS.for_rows(len(flags), SMALL_ROWS)
        if module is not KERNELS.plain:
            module.check(
                *columns, self._length_ns, *self._ticks, self._positive, self._floats, self._ints, np.uint64(1), flags
            )
            return flags
        plain = [column.tolist() for column in columns]
        floats, ints, found = self._floats.tolist(), self._ints.tolist(), [0] * len(flags)
        module.check(*plain, self._length_ns, *self._ticks, self._positive, floats, ints, 1, found)
        self._floats[:], self._ints[:], flags[:] = floats, ints, found
        return flags


def column_of(batch: pa.Table | pa.RecordBatch, name: str) -> npt.NDArray[Any]:
    """Return a column as an array, stamps as ns since the epoch; no copy when it lies in one piece."""
    column = batch.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _read_only(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view that cannot be written to, in one piece: one kind of array is compiled for, and no other."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view
