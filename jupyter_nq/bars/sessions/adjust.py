"""Back-adjusted prices: a continuous series without the jumps of its rolls, beside the raw one.

The newest contract keeps its prices, and what is older is moved to meet it. By difference every older price
gets the sum of the differences of all later rolls: changes in points are right, percentages are not, and old
prices may fall below zero. By ratio it is multiplied by the product of the later ratios: percentages are
right, points are not, and prices leave the tick. A later roll changes all older prices, so an adjusted series
is named by the version of its roll table.

Adjusting looks ahead by its nature: an old price contains the rolls that came after it. Differences (or
ratios) between prices do not, and rules about ticks and prices belong to the raw series.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.reading.stamps import Ints
from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.bars.sessions.contracts import ROLLS_KEY, ContractRoll, described, rolls_of
from jupyter_nq.errors import InvalidArgument, nearest

METHODS = ("difference", "ratio")


def back_adjust(table: pa.Table, rolls: Sequence[ContractRoll] | None = None, method: str = "difference") -> pa.Table:
    """Return the bars with prices adjusted backwards, as a new table; the given one stays raw.

    The prices are new; stamps, volume and flags share the memory of the given table. Flags are those of the raw
    prices.

    Parameters
    ----------
    table
        Raw bars of a continuous series.
    rolls
        Its roll table; None takes it from the table's metadata, where `continuous` puts it.
    method
        "difference" adds `corrections`, "ratio" multiplies by them.

    Returns
    -------
    pa.Table
        Bars with the roll table, its version and the method in the schema's metadata.

    Raises
    ------
    InvalidArgument
        The method is not known, the prices are adjusted already, there is no roll table, or a ratio is asked for
        where a contract closed at zero or below.
    """
    if method not in METHODS:
        raise InvalidArgument(f"method={method!r} is not {' or '.join(METHODS)}.{nearest(method, METHODS)}")
    adjusted = rolls_of(table)[1] if ROLLS_KEY in (table.schema.metadata or {}) else None
    if adjusted is not None:
        raise InvalidArgument(f"the prices are adjusted by {adjusted} already. Adjust the raw series.")
    found = list(rolls) if rolls is not None else rolls_of(table)[0]
    correction = corrections(starts_of(table), found, method)
    for name in PRICES:
        raw = table[name].to_numpy()
        moved = raw + correction if method == "difference" else raw * correction
        table = table.set_column(table.schema.get_field_index(name), BAR_SCHEMA.field(name), pa.array(moved))
    return table.replace_schema_metadata({**(table.schema.metadata or {}), ROLLS_KEY: described(found, method)})


def corrections(starts: Ints, rolls: Sequence[ContractRoll], method: str) -> npt.NDArray[np.float64]:
    """Return what each bar's prices are moved by, shape (rows,).

    With d(k) = new - old close and q(k) = new / old close at roll k, a bar before rolls k, k+1, ..., n gets
    d(k) + ... + d(n) points, or the factor q(k) * ... * q(n); a bar after the last roll gets 0, or 1. This is
    the backward adjustment by difference, and by ratio, of Masteika, Rutkauskas and Alexander, "Continuous
    futures data series for back testing and technical analysis" (2012).

    Prices and differences on the tick add without rounding, so that subtracting gives the raw prices again.
    """
    if method == "ratio" and any(min(roll.old_close, roll.new_close) <= 0 for roll in rolls):
        raise InvalidArgument("a contract closed at zero or below at a roll, so there is no ratio. Use 'difference'.")
    steps = [roll.difference if method == "difference" else roll.ratio for roll in rolls][::-1]
    total = np.array([0.0, *steps]).cumsum() if method == "difference" else np.array([1.0, *steps]).cumprod()
    at = np.array([roll.at_ns for roll in rolls], np.int64)
    found: npt.NDArray[np.float64] = total[::-1][np.searchsorted(at, starts, side="right")]
    return found
