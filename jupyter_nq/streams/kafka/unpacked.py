"""How large the columns of a message become, before anybody makes room for them.

49 KB of compressed zeros are 1.5 GB of columns, and rows without any bytes take them when they become objects of
Python. Arrow makes as much room as a compressed buffer says that it needs, in its first eight bytes.
"""

from __future__ import annotations

import struct

import pyarrow as pa

from jupyter_nq.errors import UnreadableMessage
from jupyter_nq.sizes import size

MOST_BYTES = 1 << 30
"""Bytes that a message may become where nobody says otherwise, 1 GiB."""
_FEW_BYTES = 1 << 20
_CELLS_A_BYTE = 8  # of booleans, the smallest
_HEADER, _DICTIONARY, _BUFFERS, _COMPRESSION = 2, 1, 2, 3  # fields of Arrow's Message, DictionaryBatch, RecordBatch


def check_packed(content: bytes, most: int) -> None:
    """Refuse messages of Arrow's IPC format that are compressed and say that they become too large.

    Raises
    ------
    UnreadableMessage
        They do, or they are damaged.
    OSError, pyarrow.ArrowInvalid
        Arrow finds them damaged.
    """
    try:
        found = sum(_unpacked_bytes(message) for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(content)))
    except struct.error as exc:
        raise UnreadableMessage(f"It cannot be read: {exc}") from exc
    if found > most:
        raise UnreadableMessage(f"Its columns are compressed, and would take {size(found)}: more than {size(most)}.")


def check_cells(batch: pa.RecordBatch) -> None:
    """Refuse rows that take next to nothing here, and would take memory as soon as somebody looks at them.

    They must have been validated: to count bytes Arrow reads offsets, wherever a damaged batch says that those are.
    """
    cells = sum(map(_cells, batch.columns))
    if cells > _CELLS_A_BYTE * max(batch.nbytes, _FEW_BYTES):
        raise UnreadableMessage(f"It claims {cells:,} values in {size(batch.nbytes)}.")


def _cells(array: pa.Array) -> int:
    """Return how many values an array has, those within its lists, structs and categories included."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _cells(array.storage)
    if pa.types.is_struct(kind):
        return len(array) + sum(_cells(array.field(place)) for place in range(kind.num_fields))
    if isinstance(array, pa.DictionaryArray):
        return len(array) + _cells(array.dictionary)
    if isinstance(array, (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)):  # a map is a list, too
        return len(array) + _cells(array.values)
    return len(array)


def _unpacked_bytes(message: pa.ipc.Message) -> int:
    """Return what the compressed buffers of a message say that they become."""
    if message.type not in ("record batch", "dictionary"):
        return 0
    data, body = memoryview(message.metadata), memoryview(message.body or b"")
    batch = _table(data, _field(data, _number("<I", data, 0), _HEADER))
    if message.type == "dictionary":
        batch = _table(data, _field(data, batch, _DICTIONARY))
    if not _field(data, batch, _COMPRESSION):
        return 0
    buffers = _table(data, _field(data, batch, _BUFFERS))
    total = 0
    for at in range(buffers + 4, buffers + 4 + 16 * _number("<I", data, buffers), 16):
        start, length = struct.unpack_from("<qq", data, at)
        if length > 0:
            total += max(0, _number("<q", body, start))  # -1 stands for one that is not compressed
    return total


def _field(data: memoryview, table: int, number: int) -> int:
    """Return the place of a field of a FlatBuffers table; 0 when it is absent."""
    fields = table - _number("<i", data, table)
    at = 4 + 2 * number
    offset = _number("<H", data, fields + at) if at < _number("<H", data, fields) else 0
    return table + offset if offset else 0


def _table(data: memoryview, place: int) -> int:
    """Return the place of what a field points to; it must be there."""
    if not place:
        raise UnreadableMessage("It cannot be read: its Arrow message lacks a part.")
    return place + _number("<I", data, place)


def _number(form: str, data: memoryview, place: int) -> int:
    found: int = struct.unpack_from(form, data, place)[0]
    return found
