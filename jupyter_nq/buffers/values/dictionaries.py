"""The categories of a column: kept in the header, and joined when rows with other ones are added."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.buffers.values.lanes import Array, Lane, changed
from jupyter_nq.errors import UnsupportedData


def encode(categories: pa.Array) -> bytes:
    """Return categories as an Arrow IPC stream of one column."""
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([categories], names=["categories"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    found: bytes = sink.getvalue().to_pybytes()
    return found


@functools.lru_cache(maxsize=256)
def decode(stream: bytes) -> pa.Array:
    """Return the categories that `encode` packed."""
    with pa.ipc.open_stream(stream) as reader:
        (batch,) = reader
    batch.validate(full=True)
    return batch.column(0)


def joined(known: pa.Array, more: pa.Array) -> pa.Array:
    """Return the known categories and behind them those that are not among them; the same ones when there are none."""
    fresh = more.filter(pc.invert(pc.is_in(more, value_set=known)))
    return pa.concat_arrays([known, fresh]) if len(fresh) else known


def recoded(name: str, lane: Lane, own: pa.Array, wanted: pa.Array) -> Lane:
    """Return the lane of a column's codes with the codes that `wanted`, which holds all of its own, gives them.

    Raises
    ------
    UnsupportedData
        There are more categories than its codes can count.
    """
    most = np.iinfo(np.dtype(lane.dtype)).max
    if len(wanted) - 1 > most:
        raise UnsupportedData(
            f"Column {name!r} would have {len(wanted):,} categories, and its codes ({np.dtype(lane.dtype)}) count "
            f"{most + 1:,}. Share it as text."
        )
    codes = np.asarray(pc.index_in(own, value_set=wanted)).astype(lane.dtype)
    if not len(own) or np.array_equal(codes, np.arange(len(codes))):
        return lane

    def change(values: Array) -> Array:
        found: Any = np.where(values < len(codes), codes[np.minimum(values, len(codes) - 1)], values)
        return np.where(values < 0, values, found) if values.dtype.kind == "i" else found

    return changed(lane, change)
