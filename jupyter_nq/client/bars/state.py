"""What the rows of a dataset were read from: the record of its first version, and of those appended since.

The first version's record lies in the object's own metadata, which never change. What was appended later is in the
object's note, by its number of rows; a record counts for a handle that has just as many. Rows without a record (a
note that was lost) are rows of unknown origin: they are read as they are, and the next load parses the source again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import source_of

Record = Mapping[str, Any]


def record_of(handle: Handle) -> Record:
    """Return what the rows of a handle were read from; empty when that is not known, or nothing was read."""
    first: Record = source_of(handle.info.meta)
    if not first:
        return {}
    later = later_of(handle)
    if later:
        return {**first, **later}
    return first if first.get("rows") == handle.rows else {}


def later_of(handle: Handle) -> Record:
    """Return what the note of an object says of the rows of a handle; empty when it says nothing."""
    return next((found for found in _records(handle.note()) if found.get("rows") == handle.rows), {})


def note_with(handle: Handle, record: Record) -> bytes:
    """Return the note of an object with one more record: the handle's own stays, in case the new rows never come."""
    mine = later_of(handle)
    kept = [mine] if mine and mine.get("rows") != record["rows"] else []
    packed: bytes = msgpack.packb({"records": [*kept, dict(record)]})
    return packed


def _records(note: bytes | None) -> list[Record]:
    try:
        found = msgpack.unpackb(note) if note is not None else None
    except (ValueError, msgpack.UnpackException):
        return []
    records = found.get("records") if isinstance(found, dict) else None
    return [record for record in records if isinstance(record, dict)] if isinstance(records, list) else []
