"""New rows behind those of an object: in place where its lanes can take them, else lane by lane into a larger one.

Offsets of new text count from the end of the text that is there, and codes of categories become those of the
object. What its lanes cannot take are the first null of a column, which has no lane `valid` then, and a category
that it does not know; the larger object has both. To pandas such a column is then what the new rows were: `Int64`
behind int64.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers import layout
from jupyter_nq.buffers.places import DATA, OFFSETS, VALID, VALUES, committed_bytes, places
from jupyter_nq.buffers.values import dictionaries
from jupyter_nq.buffers.values.columns import is_nested
from jupyter_nq.buffers.values.intake import Content
from jupyter_nq.buffers.values.lanes import Array, Lane, Read, chain, changed, ones, without
from jupyter_nq.buffers.values.nested import rejoined
from jupyter_nq.errors import CapacityFull, UnsupportedData

_Column = dict[str, Lane]
_SAME_TEXT = ({pa.string(), pa.large_string()}, {pa.binary(), pa.large_binary()})
"""Types that differ in the width of their offsets alone; each library has its own."""


def check_alike(content: Content, static: layout.Static) -> None:
    """Raise `UnsupportedData` unless the data have the kind, the columns and the types of an object."""
    if content.kind != static.kind:
        raise UnsupportedData(f"{static.name} is {_a(static.kind)}; {_a(content.kind)} cannot be appended to it.")
    if static.kind == "array":
        _check_array(content, static)
        return
    missing = [c for c in static.columns if c not in content.columns]
    surplus = [c for c in content.columns if c not in static.columns]
    if missing or surplus:
        raise UnsupportedData(
            f"The columns differ from {static.name}: missing {missing or 'none'}, not expected {surplus or 'none'}."
        )
    for name in static.columns:
        have, want = layout.field_type(content.schema, name), static.column_type(name)
        if have != want and {have, want} not in _SAME_TEXT:
            raise UnsupportedData(
                f"Column {name!r} of {static.name} is {want}, the new rows have {have}. Convert them first."
            )


def _check_array(content: Content, static: layout.Static) -> None:
    if static.origin.get("scalar") or content.origin.get("scalar"):
        raise UnsupportedData(f"{static.name}: an array without dimensions has no rows to append.")
    if "json" in (static.origin.get("container"), content.origin.get("container")):
        raise UnsupportedData(f"{static.name}: a JSON value has no rows to append. Put the new value instead.")
    lane = content.lanes[0]
    if (lane.dtype, content.shape) != (static.blocks[0].dtype, static.shape):
        raise UnsupportedData(
            f"{static.name} has rows of shape {static.shape} and dtype {static.blocks[0].dtype}; "
            f"the new ones have {content.shape} and {lane.dtype}."
        )


def _a(kind: str) -> str:
    return "an array" if kind == "array" else "a table"


# -- in place ------------------------------------------------------------------------------------
def behind(content: Content, static: layout.Static, begins: Sequence[int]) -> list[Lane]:
    """Return the lanes of new rows as they go behind an object's own, of which `begins` are the committed bytes.

    Raises
    ------
    CapacityFull
        Its lanes cannot take them; the message says why.
    """
    new = by_column(content)
    found = []
    for i, (place, begin) in enumerate(zip(places(static), begins, strict=True)):
        column = new[place.column]
        if VALID in column and (static.lanes[i][0], VALID) not in static.lanes:
            raise CapacityFull(f"Column {place.column!r} of {static.name} has had no nulls so far.")
        if place.role == VALID:
            lane = column.get(VALID) or ones(place.column, content.rows, VALID)
        elif place.role == OFFSETS:
            lane = _behind_text(column[OFFSETS], begins[i + 1], f"<i{place.item_bytes}")
        elif place.column in content.categories:
            lane = _with_codes_of(static, content, place.column, column[VALUES])
        else:
            lane = column[place.role]
        if begin + lane.nbytes > place.room:
            raise CapacityFull(f"Column {place.column!r} of {static.name} has no room for {lane.nbytes:,} bytes more.")
        found.append(lane)
    return found


def by_column(content: Content) -> dict[str, _Column]:
    """Return the lanes of each column by their roles."""
    found: dict[str, _Column] = {name: {} for name in content.columns}
    for lane in content.lanes:
        found[lane.name][lane.role] = lane
    return found


def _behind_text(offsets: Lane, begin: int, width: str) -> Lane:
    """Return the offsets of new text behind `begin` bytes, without the one that says where it begins.

    They get the dtype `width`, which is that of the object.
    """
    own, dtype = np.dtype(offsets.dtype), np.dtype(width)
    end = int(offsets.read(offsets.nbytes - own.itemsize, offsets.nbytes).view(own)[0])
    if begin + end > np.iinfo(dtype).max:
        raise UnsupportedData(
            f"Column {offsets.name!r} would have {begin + end:,} bytes of text, more than its type can hold. "
            "Share it as large_string."
        )
    return changed(without(offsets, own.itemsize), lambda values: values.astype(dtype) + dtype.type(begin), dtype)


def _with_codes_of(static: layout.Static, content: Content, name: str, codes: Lane) -> Lane:
    known, own = dictionaries.decode(static.dictionaries[name]), content.categories[name]
    if len(dictionaries.joined(known, own)) > len(known):
        raise CapacityFull(f"Column {name!r} of {static.name} has not had all of these categories so far.")
    return dictionaries.recoded(name, codes, own, known)


# -- into a larger one ---------------------------------------------------------------------------
def mapped_content(mapping: mmap.mmap, static: layout.Static, rows: int) -> Content:
    """Return the rows of a mapped object as data to be copied."""
    there = places(static)
    sizes = committed_bytes(there, rows, lambda offset, count: mapping[offset : offset + count])
    dtypes = {lane: block.dtype for block in static.blocks for lane in block.lanes}
    lanes = tuple(
        Lane(place.column, dtypes[i], place.item_bytes, size, _mapped_reader(mapping, place.offset), place.role)
        for i, (place, size) in enumerate(zip(there, sizes, strict=True))
    )
    categories = {name: dictionaries.decode(stream) for name, stream in static.dictionaries.items()}
    return Content(static.kind, rows, lanes, static.arrow_schema, static.shape, static.origin, categories)


def _mapped_reader(mapping: mmap.mmap, offset: int) -> Read:
    def read(start: int, stop: int) -> Array:
        return np.frombuffer(mapping, np.uint8, count=stop - start, offset=offset + start)

    return read


def joined(old: Content, new: Content) -> Content:
    """Return the rows of an object and new ones behind them, as data to be copied; they are alike."""
    before, after = by_column(old), by_column(new)
    categories = {
        column: dictionaries.joined(known, new.categories[column]) for column, known in old.categories.items()
    }
    lanes: list[Lane] = []
    for column in old.columns:
        ours, theirs = before[column], after[column]
        if VALID in ours or VALID in theirs:
            first = ours.get(VALID) or ones(column, old.rows, VALID)
            lanes.append(chain(first, theirs.get(VALID) or ones(column, new.rows, VALID)))
        if old.schema is not None and is_nested(old.schema.field(column).type):
            kind = old.schema.field(column).type
            lanes += rejoined(column, kind, [(c[OFFSETS], c[DATA]) for c in (ours, theirs)])
        elif OFFSETS in ours:
            lanes.append(chain(ours[OFFSETS], _behind_text(theirs[OFFSETS], ours[DATA].nbytes, ours[OFFSETS].dtype)))
            lanes.append(chain(ours[DATA], theirs[DATA]))
        elif VALUES in ours:
            more = theirs[VALUES]
            if column in categories:
                more = dictionaries.recoded(column, more, new.categories[column], categories[column])
            lanes.append(chain(ours[VALUES], more))
    first_nulls = [column for column in old.columns if VALID in after[column] and VALID not in before[column]]
    origin = _origin_of(old, new, first_nulls)
    return Content(old.kind, old.rows + new.rows, tuple(lanes), old.schema, old.shape, origin, categories)


def _origin_of(old: Content, new: Content, first_nulls: Sequence[str]) -> Mapping[str, Any]:
    """Return what the rows of an object were, given the columns that have their first nulls in the new rows.

    Numbers and bools of numpy cannot be null: the type of pandas that such a column has now is that of the new rows.
    """
    had, come = old.origin.get("forms", {}), new.origin.get("forms", {})
    plain = (column for column in first_nulls if column in come and column not in had)
    given = {column: come[column] for column in plain if _is_number(layout.field_type(old.schema, column))}
    return {**old.origin, "forms": had | given} if given else old.origin


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))
