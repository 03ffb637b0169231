"""Views on a mapped object: the window of rows, its lanes, and numpy and torch over the same bytes.

Every view is built from `numpy.ndarray(buffer=mapping)`, so it keeps the mapping alive, and it is read-only
because the mapping is.
"""

from __future__ import annotations

import functools
import json
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jupyter_nq.buffers.layout import Block, Static
from jupyter_nq.buffers.objects import array_shape
from jupyter_nq.buffers.places import DATA, OFFSETS, VALID, VALUES, places
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.buffers.values.python_values import objects_of
from jupyter_nq.errors import ChecksumError, MissingLibrary, UnsupportedData, nearest


@dataclass(frozen=True)
class Window:
    """Rows [start, stop) of a mapped object."""

    mapping: mmap.mmap
    static: Static
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    def chosen(self, columns: Sequence[str] | None) -> list[str]:
        """Return the names of columns, each once, in the order asked for; `UnsupportedData` for an unknown one."""
        static = self.static
        if columns is None:
            return list(static.columns)
        for name in columns:
            if name not in static.columns:
                hint = nearest(str(name), static.columns)
                raise UnsupportedData(
                    f"{static.name} has no column {name!r}.{hint} It has: {', '.join(static.columns)}."
                )
        return list(dict.fromkeys(columns))

    def place(self, name: str, role: str = VALUES) -> tuple[Block, int] | None:
        """Return the block of a lane and its position there; None when the column has no such lane."""
        return place_of(self.static, name, role)

    def block(self, block: Block, first: int, count: int) -> Array:
        """Return some lanes of a block, a row for each lane."""
        dtype = np.dtype(block.dtype)
        return np.ndarray(
            (count, self.rows),
            dtype,
            buffer=self.mapping,
            offset=block.offset + first * block.stride + self.start * dtype.itemsize,
            strides=(block.stride, dtype.itemsize),
        )

    def lane(self, name: str, role: str = VALUES) -> Array | None:
        """Return one lane of values, or of who is there; None when the column has no such lane."""
        found = self.place(name, role)
        return None if found is None else self.block(*found, 1)[0]

    def text(self, name: str) -> tuple[Array, Array]:
        """Return the offsets of a column of text, one more than rows, and the bytes up to the last of them.

        They are looked through once: of damaged ones, reading would end the kernel.

        Raises
        ------
        ChecksumError
            An offset lies outside the bytes, so it is damaged.
        """
        lanes = {place.role: place for place in places(self.static) if place.column == name}
        offsets, data = lanes[OFFSETS], lanes[DATA]
        dtype = np.dtype(f"<i{offsets.item_bytes}")
        begin = offsets.offset + self.start * offsets.item_bytes
        found = np.ndarray((self.rows + 1,), dtype, buffer=self.mapping, offset=begin)
        last = int(found[-1])
        if not 0 <= int(found[0]) <= last <= data.room or bool((found[1:] < found[:-1]).any()):
            raise ChecksumError(f"{self.static.name}: the offsets of column {name!r} lie outside its text.")
        return found, np.ndarray((last,), np.uint8, buffer=self.mapping, offset=data.offset)

    def codes(self, name: str, categories: int) -> Array:
        """Return the codes of a column of so many categories, looked through once like offsets.

        Raises
        ------
        ChecksumError
            A code is of no category, so it is damaged.
        """
        found, valid = self.lane(name), self.lane(name, VALID)
        assert found is not None  # codes are its values
        there = found if valid is None else found[valid]
        low, high = (int(there.min()), int(there.max())) if len(there) else (0, -1)
        if not low >= 0 or high >= categories:
            raise ChecksumError(f"{self.static.name}: column {name!r} is damaged: a code is of no category.")
        return found


def place_of(static: Static, name: str, role: str = VALUES) -> tuple[Block, int] | None:
    """Return the block of a lane and its position there; None when the column has no such lane."""
    return _blocks(static).get((name, role))


@functools.lru_cache(maxsize=1024)
def _blocks(static: Static) -> dict[tuple[str, str], tuple[Block, int]]:
    found = {}
    for block in static.blocks:
        for i, lane in enumerate(block.lanes):
            column, role = static.lanes[lane]
            found[static.columns[column], role] = (block, i)
    return found


# -- numpy and torch -----------------------------------------------------------------------------
def to_numpy(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a dict with an array for each column, or the array.

    Views are numbers, bools and times without nulls, and times with them (NaT). Numbers with nulls are a masked array
    whose values are a view. Text, categories, decimals and nested columns are copied into arrays of objects, None where
    there is none.
    """
    if window.static.kind == "array":
        return array_of(window, columns)
    return {name: _column(window, name) for name in window.chosen(columns)}


def _column(window: Window, name: str) -> Array:
    from jupyter_nq.buffers.values.arrow_views import column_of

    values, valid = window.lane(name), window.lane(name, VALID)
    if values is None or values.dtype.kind == "S" or name in window.static.dictionaries:
        return objects_of(column_of(window, name), window.static.forms.get(name))
    if valid is None or values.dtype.kind in "mM":
        return values
    return np.ma.MaskedArray(values, mask=~valid)


def array_of(window: Window, columns: Sequence[str] | None = None) -> Array:
    """Return the view of an array object."""
    static = window.static
    if columns is not None:
        raise UnsupportedData(f"{static.name} is an array and has no columns. Leave `columns` out.")
    block = static.blocks[0]
    dtype = np.dtype(block.dtype)
    row_bytes = dtype.itemsize * math.prod(static.shape)
    first = 0 if static.origin.get("scalar") else window.start  # what has no dimension has no rows to choose
    offset = block.offset + first * row_bytes
    return np.ndarray(array_shape(static, window.rows), dtype, buffer=window.mapping, offset=offset)


def is_plain(static: Static) -> bool:
    """Return whether an array object is bytes or a JSON value."""
    return static.origin.get("container") in ("bytes", "json")


def plain_value(window: Window) -> Any:
    """Return the bytes, as a read-only `memoryview` without a copy, or the JSON value, made anew."""
    found: Any = array_of(window)
    if window.static.origin["container"] == "bytes":
        return memoryview(found)
    try:
        return json.loads(found.tobytes())
    except ValueError as exc:
        raise UnsupportedData(
            f"{window.static.name} is a JSON value, which has no rows to choose; or it is damaged: {exc}."
        ) from exc


def to_torch(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a dict of tensors, or one tensor; times are int64."""
    try:
        import torch
    except ImportError as exc:
        raise MissingLibrary('torch is not installed here. Run: pip install "jupyter-nq[torch]"') from exc
    if window.static.kind == "array":
        return torch.from_numpy(_numeric("the array", array_of(window, columns)))
    found = {name: _column(window, name) for name in window.chosen(columns)}
    return {name: torch.from_numpy(_numeric(f"column {name!r}", values)) for name, values in found.items()}


def _numeric(name: str, values: Array) -> Array:
    if isinstance(values, np.ma.MaskedArray):
        raise UnsupportedData(f"{name} has nulls, which a tensor cannot have. Fill them, or choose other columns.")
    if values.dtype.kind in "mM":
        return values.view("<i8")
    if values.dtype.kind in "SUO":
        raise UnsupportedData(f"{name} holds no numbers (dtype {values.dtype}), so torch has no tensor for it.")
    return values
