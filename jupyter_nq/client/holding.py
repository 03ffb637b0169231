"""What in this process holds a shared object in memory: found by address, so whatever a view was made into.

The system's own list of mappings says where each object lies; a frame, an array, a table or a tensor holds one when
its values lie in there.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.buffers import Handle, Store
from jupyter_nq.buffers.names import is_object_id
from jupyter_nq.errors import NQError

Ranges = tuple[tuple[int, int], ...]
"""Addresses, the end exclusive."""

_DEEPEST = 3  # of dicts and lists that hold views
_DELETED = " (deleted)"


def mapped(store: Store, maps: Path = Path("/proc/self/maps")) -> dict[str, Ranges]:
    """Return the object ids that are mapped here, with where; objects that were removed meanwhile included."""
    found: dict[str, Ranges] = {}
    where = os.path.realpath(store.path / "obj") + os.sep  # the system knows no links
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        addresses, _, rest = line.partition(" ")
        _, there, tail = rest.partition(where)
        object_id = tail.removesuffix(_DELETED)
        if there and is_object_id(object_id):
            first, _, last = addresses.partition("-")
            found[object_id] = (*found.get(object_id, ()), (int(first, 16), int(last, 16)))
    return found


def mapped_as(store: Store, name: str) -> Ranges:
    """Return where the versions of a dataset are mapped here."""
    ranges: Ranges = ()
    for object_id, where in mapped(store).items():
        try:
            known = store.info(object_id).name
        except NQError:
            continue  # dropped: no name means it any more
        ranges += where if known == name else ()
    return ranges


def datasets_shown(store: Store, value: Any) -> list[str]:
    """Return the names of the datasets of which a value is, or contains, a view; by name, dropped ones included."""
    seen = list(_addresses(value))
    found = set()
    for object_id, ranges in mapped(store).items():
        if _any_inside(seen, ranges):
            with contextlib.suppress(NQError):  # gone from the store, as the versions of no name are
                found.add(store.info(object_id).name)
    return sorted(found)


def shows(value: Any, ranges: Ranges) -> bool:
    """Tell whether a value is, or contains, a view of memory in these ranges."""
    return _any_inside(_addresses(value), ranges)


def _any_inside(addresses: Iterable[int], ranges: Ranges) -> bool:
    return any(first <= address < last for address in addresses for first, last in ranges)


def _addresses(value: Any, depth: int = 0) -> Iterator[int]:
    """Yield the addresses of what a value is made of; what raises while it is looked into has no more of them."""
    try:
        if isinstance(value, Mapping | list | tuple):
            parts = value.values() if isinstance(value, Mapping) else value
            for part in parts if depth < _DEEPEST else ():
                yield from _addresses(part, depth + 1)
        else:
            yield from _of_data(value)
    except Exception:  # any object of the user's comes here, and says what it is in code of its own
        return


def _of_data(value: Any) -> Iterator[int]:
    if isinstance(value, np.ndarray):
        yield value.ctypes.data
    elif isinstance(value, pd.DataFrame):
        for at in range(value.shape[1]):
            yield from _addresses(value.iloc[:, at].array)
        yield from _addresses(value.index)
    elif isinstance(value, pd.Series):
        yield from _addresses(value.array)
        yield from _addresses(value.index)
    elif isinstance(value, pd.Index):
        yield from _of_index(value)
    elif isinstance(value, pd.api.extensions.ExtensionArray):
        yield from _of_extension(value)
    elif isinstance(value, pa.Table | pa.RecordBatch):
        for column in value.columns:
            yield from _addresses(column)
    elif isinstance(value, pa.ChunkedArray):
        for chunk in value.chunks:
            yield from _addresses(chunk)
    elif isinstance(value, pa.Array):
        yield from (buffer.address for buffer in value.buffers() if buffer is not None)
    elif isinstance(value, memoryview) and value.nbytes:
        yield np.frombuffer(value, np.uint8).ctypes.data
    elif isinstance(value, Handle):
        yield value.address
    elif (torch := sys.modules.get("torch")) is not None and isinstance(value, torch.Tensor):
        yield value.data_ptr()
    elif (polars := sys.modules.get("polars")) is not None and isinstance(value, polars.DataFrame | polars.Series):
        yield from _addresses(value.to_arrow(compat_level=polars.CompatLevel.newest()))


def _of_index(index: Any) -> Iterator[int]:
    """Yield the addresses of an index; of one of several levels those of its labels and of its codes."""
    if isinstance(index, pd.MultiIndex):
        for part in (*index.levels, *index.codes):
            yield from _addresses(part)
    elif not isinstance(index, pd.RangeIndex):  # it has no memory, until its array is asked for
        yield from _addresses(index.array)


def _of_extension(array: Any) -> Iterator[int]:
    """Yield the addresses of what an array of pandas is made of."""
    if isinstance(array, pd.arrays.ArrowExtensionArray):
        yield from _addresses(array.__arrow_array__())
        return
    for part in ("_ndarray", "_data", "_mask", "_codes"):
        inner = getattr(array, part, None)
        if isinstance(inner, np.ndarray):
            yield inner.ctypes.data
