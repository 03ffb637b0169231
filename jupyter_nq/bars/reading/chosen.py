"""Rows of one contract, and prices in points: what a table with several contracts or scaled prices needs on top.

A file of many contracts repeats its stamps, so only the rows of one are bars of a series. A whole number divided by
a power of ten is the double nearest to the decimal price, as long as the number itself is exact.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading.lines import cells_of

MOST_EXACT = 1 << 53
"""The largest whole number up to which every one is a double."""


def of_contract(batch: pa.RecordBatch, table: Dialect) -> pa.RecordBatch:
    """Return the rows of the table's contract, without the last column, which says of which one a row is."""
    mine = pc.equal(pc.utf8_trim_whitespace(batch.column(batch.num_columns - 1)), table.contract)
    return batch.select(range(batch.num_columns - 1)).filter(mine)


def is_of_contract(text: str, table: Dialect) -> bool:
    """Return whether a line is a row of the table's contract; True also for a line that is no row."""
    if table.contract is None:
        return True
    cells = cells_of(text, table.delimiter)
    place = table.names.index(table.columns["contract"][0])
    return cells is None or len(cells) != len(table.names) or cells[place].strip() == table.contract


def in_points(batch: pa.RecordBatch, table: Dialect, first: int) -> pa.RecordBatch | None:
    """Return a block whose prices, four columns from `first` on, are divided by the scale; None if one is not whole."""
    columns = batch.columns
    for place in range(first, first + len(ROLES[1:5])):
        values = columns[place].to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            whole = np.isnan(values) | ((np.abs(values) <= MOST_EXACT) & (values == np.floor(values)))
        if not whole.all():
            return None
        columns[place] = pc.divide(columns[place], float(table.price_scale))
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def scale_reason(cell: str, table: Dialect) -> str | None:
    """Return why a price that is a number cannot be divided by the scale, None when it can."""
    if table.price_scale == 1:
        return None
    value = float(cell.replace(table.decimal, "."))
    if value.is_integer() and abs(value) <= MOST_EXACT:
        return None
    return f"is {cell!r}, and no whole number of parts of {table.price_scale:,} that a double holds exactly"
