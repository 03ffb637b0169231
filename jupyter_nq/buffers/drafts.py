"""Objects that are written in place: their columns are handed out as writable views before they are sealed.

The file lies in `tmp/` like any that is written: locked by its writer, all of its memory allocated. It is mapped over
an open file of its own. Sealing writes the header, renames the file, and turns the writer's lock into a shared one on
the open file of the mapping: from then on the views are a lease, like those of a reader.

Who was handed a view can write through it for ever, so behind the seal the range is mapped once more over itself, now
copy-on-write: what is written after that stays in the process. Such a mapping is never kept for a later write
(`mappings`), and its lease keeps the file from being one: as long as there is a view, nothing else lies under it.

From the seal until then the writer also holds the lock of those who append: nobody else digests, verifies or extends
what may still change. The lock dies with the writer, and so does its mapping.

A forked child has the open file of the mapping, and with it the lease, but not the writer's lock: it can neither seal
nor remove the object. Its views turn copy-on-write at the fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import operator
import os
import re
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers import layout, mappings, platform, words
from jupyter_nq.buffers.cold.encryption import exclude_from_core_dumps
from jupyter_nq.buffers.locks import exclusive, remove_own
from jupyter_nq.buffers.places import VALUES
from jupyter_nq.buffers.refusals import refused
from jupyter_nq.buffers.values.columns import arrow_type, is_coded, stored_as
from jupyter_nq.buffers.values.intake import Content, check_labels
from jupyter_nq.buffers.values.lanes import Array, Lane
from jupyter_nq.buffers.values.views import Window, array_of
from jupyter_nq.buffers.writing import write_header
from jupyter_nq.errors import InvalidArgument, StoreError, UnsupportedData

_COLUMN_KINDS = "biufmM"
_ARRAY_KINDS = "biufcmMSU"
_MOST_BYTES = 1 << 62
_ZONED = re.compile(r"(?:datetime64|timestamp)\[(s|ms|us|ns), (?:tz=)?([A-Za-z0-9_+/:-]+)\]")

# Mappings that others may write through and that are not copy-on-write yet, by their descriptors. Each change is one
# atomic operation of the dictionary.
_shared: dict[int, mappings.Mapping] = {}


# -- what it is to hold --------------------------------------------------------------------------
def blank(schema: Any, rows: Any) -> Content:
    """Describe data that do not exist yet; as data, they are zeros.

    Parameters
    ----------
    schema
        A `pyarrow.Schema`, or a dict of names and numpy dtypes or Arrow types, for a table; a numpy dtype for an array.
    rows
        Their number; for an array also its shape, rows first.

    Raises
    ------
    UnsupportedData
        Names the column that has no fixed width, or a dtype that cannot be shared.
    InvalidArgument
        `rows` is no such number or shape.
    """
    if not isinstance(schema, pa.Schema | Mapping):
        return _blank_array(schema, rows)
    container = "arrow" if isinstance(schema, pa.Schema) else "dict"
    if isinstance(schema, Mapping):
        schema = schema_of(schema)
    check_labels(schema.names)
    count = _count(rows)
    lanes = tuple(_blank_lane(field.name, _fixed_dtype(field), count) for field in schema)
    return Content("table", count, lanes, schema, origin={"container": container})


def _blank_array(schema: Any, rows: Any) -> Content:
    dtype = _dtype("the array", schema)
    if dtype.kind not in _ARRAY_KINDS or not dtype.itemsize:
        raise UnsupportedData(f"An array of dtype {dtype} cannot be written in place. Use numbers, bool or datetime64.")
    count, *shape = [_count(n) for n in rows] if isinstance(rows, tuple) and rows else [_count(rows)]
    lane = _blank_lane("", dtype, count, math.prod(shape))
    return Content("array", count, (lane,), None, tuple(shape), {"container": "numpy", "scalar": False})


def _count(rows: Any) -> int:
    try:
        count = operator.index(rows)
    except TypeError:
        count = -1
    if count < 0 or isinstance(rows, bool):
        raise InvalidArgument(
            f"rows={rows!r} is not a number of rows. Write a whole number, 0 or more; for an array it may also be a "
            "tuple of such, its shape."
        )
    return count


def schema_of(kinds: Mapping[str, Any]) -> pa.Schema:
    """Return the Arrow schema of columns without nulls, from names and what people write for types.

    That is a numpy dtype, an Arrow type, or how pandas and Arrow print a time with a zone, `datetime64[ns, UTC]` or
    `timestamp[ns, tz=UTC]`. Raises `UnsupportedData` for anything else.
    """
    check_labels(list(kinds))
    return pa.schema([pa.field(name, _kind(name, kind), nullable=False) for name, kind in kinds.items()])


def _kind(name: str, kind: Any) -> pa.DataType:
    if isinstance(kind, pa.DataType):
        return kind
    zoned = _ZONED.fullmatch(kind) if isinstance(kind, str) else None
    if zoned is not None:
        return pa.timestamp(zoned[1], zoned[2])
    return arrow_type(name, _dtype(f"column {name!r}", kind))


def _dtype(what: str, kind: Any) -> np.dtype[Any]:
    try:
        if kind is None:  # to numpy that is float64
            raise TypeError("None is no dtype")
        found: np.dtype[Any] = np.dtype(kind).newbyteorder("<")
        return found
    except TypeError as exc:
        raise UnsupportedData(
            f"The type of {what}, {kind!r}, is no dtype of numpy. Write for example 'float64'; for a table, a pyarrow "
            "schema or a dict of names and types."
        ) from exc


def _fixed_dtype(field: pa.Field) -> np.dtype[Any]:
    stored = stored_as(field.type)
    dtype = np.dtype(stored[0][1]) if len(stored) == 1 else None
    if dtype is None or dtype.kind not in _COLUMN_KINDS or is_coded(field.type):
        raise UnsupportedData(
            f"Column {field.name!r} has type {field.type}; only numbers, bools, times and dates can be written in "
            "place. Leave it out, or share the whole table with nq.put."
        )
    return dtype


def _blank_lane(name: str, dtype: np.dtype[Any], rows: int, items: int = 1) -> Lane:
    row_bytes = dtype.itemsize * items
    if rows * row_bytes >= _MOST_BYTES:
        raise InvalidArgument(f"{rows:,} rows of {row_bytes:,} bytes are more than a file can hold.")
    zeros: Callable[[int, int], Array] = lambda start, stop: np.zeros(stop - start, np.uint8)  # noqa: E731
    return Lane(name, dtype.str, row_bytes, rows * row_bytes, zeros, VALUES)


# -- the object ----------------------------------------------------------------------------------
class Unsealed:
    """An object under construction, written in place; made by `Store.begin`.

    It is removed by `discard`, and with the last reference to it, unless it was sealed.
    """

    def __init__(
        self, held: contextlib.ExitStack, fd: int, path: Path, sealed: Path, static: layout.Static, rows: int
    ) -> None:
        # _remove is the mutable state: alive until the object is sealed or gone. `held` has the lock of the file.
        self.static = static
        self.rows = rows
        self.mapping = mappings.map_writable(fd, static.file_bytes)
        self._pid = os.getpid()
        self._fd = fd
        self._path = path
        self._sealed = sealed
        self._held = held.pop_all()
        self._parting = contextlib.ExitStack()  # from the seal on it has the append lock
        self._remove = weakref.finalize(self, _remove, self._held, fd, (path, sealed))
        self._forget = weakref.finalize(self, _forget, self.mapping, self._parting)
        _shared[self.mapping.fd] = self.mapping

    def __repr__(self) -> str:
        state = "under construction" if self._remove.alive else "sealed or gone"
        return f"<Unsealed {self.static.name} {self.rows:,} rows {self.static.file_bytes:,} bytes {state}>"

    @property
    def id(self) -> str:
        """Id that the object will have."""
        return self.static.object_id

    @property
    def nbytes(self) -> int:
        """Allocated bytes."""
        return os.fstat(self._fd).st_blocks * 512

    def column(self, name: str) -> Array:
        """Return a column, writable; dates are days, times of day are counts of their unit."""
        window = self._window()
        (known,) = window.chosen([name])
        found = window.lane(known)
        assert found is not None  # a column of a fixed width has values
        return found

    def array(self) -> Array:
        """Return the array, writable."""
        return array_of(self._window())

    def seal(self) -> None:
        """Make it an object that nobody sees under a name yet; the views become its lease. Copies nothing.

        Raises
        ------
        StoreFull, StoreError
            It is gone; or this is a forked child, and it is the parent's.
        """
        if os.getpid() != self._pid:
            raise StoreError(f"{self.static.name} is written by process {self._pid}. Only that one can publish it.")
        try:
            ring = self.rows, self.static.created_ns
            first = layout.Changing(1, 0, 1, self.rows, layout.PENDING, 0, bytes(layout.DIGEST_BYTES), ring)
            write_header(self._fd, self.static, first)
            self._parting.enter_context(exclusive(self._path.with_suffix(".append")))
            with refused(self._sealed):
                os.rename(self._path, self._sealed)
                # The object is no orphan now, so nobody takes it between one lock and the next.
                fcntl.flock(self._fd, fcntl.LOCK_SH)
                fcntl.flock(self.mapping.fd, fcntl.LOCK_SH)
        except BaseException:
            self._parting.close()
            self.discard()
            raise
        self._remove.detach()
        self._held.close()

    def discard(self) -> None:
        """Remove it, unless it was sealed; views that exist keep their memory. Discarding twice is fine."""
        self._remove()

    def part(self) -> None:
        """Make the views of a sealed object copy-on-write; from then on it may be digested and appended to.

        Raises
        ------
        OSError
            The system refuses. Writing through a view would change the object, so it gets no digest, ever.
        """
        try:
            _turn_private(self.mapping)
        except OSError:
            with memoryview(self.mapping.mapped) as raw, raw[: layout.PAGE].cast("Q") as page:
                words.put(page, self.static, "digest_state", layout.OFF)
            raise
        finally:
            self._forget()

    def exclude_from_core_dumps(self) -> None:
        """Keep its views out of core dumps, also when they are copy-on-write."""
        exclude_from_core_dumps(self.mapping.mapped)
        self.mapping = _shared[self.mapping.fd] = replace(self.mapping, dumped=False)

    def on_release(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the last view is gone, and with it the lease."""
        weakref.finalize(self.mapping.mapped, callback).atexit = False

    def _window(self) -> Window:
        return Window(self.mapping.mapped, self.static, 0, self.rows)


def _turn_private(mapping: mappings.Mapping) -> None:
    """Make what is written from now on through a mapping this process's own; what was written stays in the file."""
    platform.map_private(mapping.view.ctypes.data, layout.align(len(mapping.view)), mapping.fd)
    if not mapping.dumped:  # which the system forgets with the old mapping
        exclude_from_core_dumps(mapping.mapped)


def _forget(mapping: mappings.Mapping, parting: contextlib.ExitStack) -> None:
    """Give the descriptor of a mapping back, of which the views have one of their own, and the append lock."""
    with parting:
        _shared.pop(mapping.fd, None)
        mapping.close()


def _remove(held: contextlib.ExitStack, fd: int, paths: tuple[Path, ...]) -> None:
    """Remove the file, unless `fd` is a child's replacement for it, and give the lock back."""
    with held:
        for path in paths:
            remove_own(fd, path)


def _part_in_child() -> None:
    for mapping in _shared.values():
        _turn_private(mapping)
    _shared.clear()


os.register_at_fork(after_in_child=_part_in_child)
