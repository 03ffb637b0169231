"""The newest message of a stream as JSON: small, whatever was published, and safe for every JSON parser.

Numbers beyond what a browser holds exactly, NaN, times and binary values are sent as text. It is only looked at; who
wants the data reads the stream.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from jupyter_nq.server.documents import Document, utc

if TYPE_CHECKING:
    import pyarrow as pa

    from jupyter_nq.streams.newest import Newest

MOST_ROWS = 50
_MOST_COLUMNS = 64
_LONGEST_TEXT = 200
_LONGEST_VALUE = 4000
_LARGEST_EXACT = (1 << 53) - 1


def preview(found: Newest) -> Document:
    """Return a message's sequence, lane and time, and its last rows, or its value as text."""
    document = {"sequence": found.sequence_number, "lane": found.lane, "at": utc(found.timestamp_ns)}
    if found.table is None:
        return {**document, "columns": [], "hidden_columns": 0, "rows": [], "text": _text(found.value)}
    table = found.table
    shown = [_column(table.column(place)) for place in range(min(table.num_columns, _MOST_COLUMNS))]
    return {
        **document,
        "columns": [{"name": field.name, "type": str(field.type)} for field in list(table.schema)[:_MOST_COLUMNS]],
        "hidden_columns": max(0, table.num_columns - _MOST_COLUMNS),
        "rows": [list(row) for row in zip(*shown, strict=True)],
        "text": None,
    }


def _column(column: pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        column = column.cast(pa.string())
    elif pa.types.is_duration(kind):
        return [None if count is None else f"{count} {kind.unit}" for count in column.cast(pa.int64()).to_pylist()]
    return [cell(value) for value in column.to_pylist()]


def cell(value: Any) -> Any:
    """Return a value as JSON can say it exactly, else as text of at most 200 characters.

    >>> cell(20000.25), cell(float("nan")), cell(1 << 60), cell(b"ab")
    (20000.25, 'nan', '1152921504606846976', '6162')
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST_EXACT:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _cut(value.hex() if isinstance(value, bytes) else str(value), _LONGEST_TEXT)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return _cut(f"{len(value):,} bytes: {value[:_LONGEST_VALUE].hex(' ')}", _LONGEST_VALUE)
    return _cut(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_VALUE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
