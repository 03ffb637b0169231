"""Arrow over a mapped object: arrays whose buffers lie in the mapping.

Copied is what Arrow packs in bits and shared memory does not: bools, and which rows are there. Nested columns are
looked through once before they are shown, and not copied.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.layout import Static, parse_schema
from jupyter_nq.buffers.places import VALID
from jupyter_nq.buffers.values import dictionaries
from jupyter_nq.buffers.values.columns import is_coded, is_nested, storage_of, stored_as
from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.buffers.values.nested import column_of_streams
from jupyter_nq.buffers.values.views import Window, array_of
from jupyter_nq.errors import ChecksumError, UnsupportedData


def to_arrow(window: Window, columns: Sequence[str] | None) -> Any:
    """Return a table whose buffers lie in the mapping; a tensor for an array.

    Raises
    ------
    UnsupportedData
        Arrow has tensors of numbers and bools only.
    """
    schema = window.static.arrow_schema
    if schema is None:
        return _tensor(array_of(window, columns))
    names = window.chosen(columns)
    arrays = {name: column_of(window, name) for name in names}
    fields = [schema.field(name) for name in names]
    fields = [f.with_nullable(f.nullable or bool(arrays[f.name].null_count)) for f in fields]
    return pa.Table.from_arrays(list(arrays.values()), schema=pa.schema(fields, metadata=schema.metadata))


def _tensor(array: Array) -> pa.Tensor:
    try:
        return pa.Tensor.from_numpy(array)
    except pa.ArrowNotImplementedError as exc:
        raise UnsupportedData(f"Arrow has no tensor of an array of dtype {array.dtype}. Use as_='numpy'.") from exc


def column_of(window: Window, name: str) -> pa.ChunkedArray:
    """Return one column; `ChecksumError` when its offsets, codes or streams are damaged."""
    kind = window.static.column_type(name)
    if is_nested(kind):
        offsets, data = replace(window, start=0).text(name)
        return column_of_streams(f"{window.static.name}: column {name!r}", kind, offsets, data, window.start)
    found = _flat_column(window, name, storage_of(kind))
    return pa.chunked_array([kind.wrap_array(found) if isinstance(kind, pa.BaseExtensionType) else found])


def _flat_column(window: Window, name: str, kind: pa.DataType) -> pa.Array:
    """Return the storage of a column that has lanes of its own."""
    values, valid = window.lane(name), window.lane(name, VALID)
    bits = None if valid is None else _buffer(np.packbits(valid, bitorder="little"))
    if pa.types.is_null(kind):
        return pa.nulls(window.rows)
    if values is None:
        offsets, data = window.text(name)
        return pa.Array.from_buffers(kind, window.rows, [bits, _buffer(offsets), _buffer(data)])
    if pa.types.is_dictionary(kind):
        known = dictionaries.decode(window.static.dictionaries[name])
        codes = _buffer(window.codes(name, len(known)))
        indices = pa.Array.from_buffers(kind.index_type, window.rows, [bits, codes])
        return pa.DictionaryArray.from_arrays(indices, known, ordered=kind.ordered, safe=False)
    if values.dtype.kind == "b":
        return pa.array(values, mask=None if valid is None else ~valid)
    return pa.Array.from_buffers(kind, window.rows, [bits, _buffer(values)])


def _buffer(values: Array) -> pa.Buffer:
    return pa.py_buffer(values.view(np.uint8) if len(values) else b"")


def check_types(path: Path, static: Static) -> None:
    """Raise `ChecksumError` unless the Arrow types of a table are those in which its columns are stored."""
    if static.schema is None:
        return
    try:
        sound = _types_agree(static)
    except (pa.ArrowException, ValueError, TypeError, OSError) as exc:
        raise ChecksumError(f"{path} is not a sound object: its schema cannot be read ({exc!r}).") from exc
    if not sound:
        raise ChecksumError(f"{path} is not a sound object: its schema is not that of its columns.")


@functools.lru_cache(maxsize=1024)
def _types_agree(static: Static) -> bool:
    assert static.schema is not None  # a table has one
    dtypes = {lane: block.dtype for block in static.blocks for lane in block.lanes}
    stored: dict[str, list[tuple[str, str]]] = {name: [] for name in static.columns}
    for lane, (column, role) in enumerate(static.lanes):
        if role != VALID:
            stored[static.columns[column]].append((role, dtypes[lane]))
    fields = parse_schema(static.schema)
    coded = {f.name for f in fields if is_coded(f.type)}
    if fields.names != list(static.columns) or coded != set(static.dictionaries):
        return False
    meanings = {name: dictionaries.decode(static.dictionaries[name]).type for name in coded}
    known = all(meanings[name] == storage_of(fields.field(name).type).value_type for name in coded)
    return known and all(stored_as(f.type) == tuple(stored[f.name]) for f in fields)
