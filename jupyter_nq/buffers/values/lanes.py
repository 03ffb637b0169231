"""A lane: the bytes of a column, or of a part of one, read piece by piece when they are copied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from jupyter_nq.buffers.places import VALUES

Array: TypeAlias = np.ndarray[Any, Any]
Read: TypeAlias = Callable[[int, int], Array]


@dataclass(frozen=True)
class Lane:
    """One column, a part of one, or a whole array, to be copied."""

    name: str
    """The column's; empty for an array."""
    dtype: str
    """numpy dtype string of the stored values."""
    row_bytes: int
    """Bytes of one item of this lane: a row, an offset, or one byte of text."""
    nbytes: int
    read: Read = field(repr=False)
    """`read(start, stop)`: the bytes [start, stop), whole items, as a contiguous array; a view where possible."""
    role: str = VALUES

    def piece(self, start: int, stop: int) -> Array:
        """Return the bytes [start, stop), which may begin and end inside an item."""
        item = np.dtype(self.dtype).itemsize
        first = start // item * item
        return self.read(first, -(-stop // item) * item).view(np.uint8)[start - first : stop - first]


def of_array(name: str, values: Array, role: str = VALUES) -> Lane:
    """Return the lane of a one-dimensional array; each piece is made contiguous and little-endian when it is read."""
    dtype = values.dtype.newbyteorder("<")
    size = dtype.itemsize

    def read(start: int, stop: int) -> Array:
        return np.ascontiguousarray(values[start // size : stop // size], dtype=dtype)

    return Lane(name, dtype.str, size, len(values) * size, read, role)


def ones(name: str, rows: int, role: str) -> Lane:
    """Return the lane that says that all rows are there."""
    return Lane(name, "|b1", 1, rows, lambda start, stop: np.ones(stop - start, bool), role)


def without(lane: Lane, start: int) -> Lane:
    """Return a lane without its first bytes."""
    return Lane(
        lane.name,
        lane.dtype,
        lane.row_bytes,
        lane.nbytes - start,
        lambda first, last: lane.read(start + first, start + last),
        lane.role,
    )


def chain(first: Lane, second: Lane) -> Lane:
    """Return a lane that reads one lane, then another."""
    border = first.nbytes

    def read(start: int, stop: int) -> Array:
        parts = []
        if start < border:
            parts.append(first.read(start, min(stop, border)).view(np.uint8))
        if stop > border:
            parts.append(second.read(max(start - border, 0), stop - border).view(np.uint8))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return Lane(first.name, first.dtype, first.row_bytes, border + second.nbytes, read, first.role)


def changed(lane: Lane, change: Callable[[Array], Array], to: np.dtype[Any] | None = None) -> Lane:
    """Return a lane whose values are changed when they are read, one for one; also in dtype, when it is given."""
    own = np.dtype(lane.dtype)
    dtype = own if to is None else to

    def read(start: int, stop: int) -> Array:
        first, last = (at // dtype.itemsize * own.itemsize for at in (start, stop))
        return np.ascontiguousarray(change(lane.read(first, last).view(own)), dtype=dtype)

    items = lane.nbytes // own.itemsize
    row_bytes = lane.row_bytes // own.itemsize * dtype.itemsize
    return Lane(lane.name, dtype.str, row_bytes, items * dtype.itemsize, read, lane.role)
