"""The columns of a tape: Arrow types of a fixed width, each an array of its own in a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.buffers.values.lanes import Array
from jupyter_nq.errors import SchemaMismatch, UnsupportedData

FOR_THREADS = 4 << 20
"""Bytes of a column that several threads copy, 4 MiB: of less, one has the half before another one has begun."""
_ALIGNED = 64  # a cache line, and what Arrow recommends
_MOST_SHOWN = 20


@dataclass(frozen=True)
class Column:
    """One column of a tape."""

    name: str
    type: pa.DataType
    bytes: int
    """Of one value."""
    format: str
    """Of the values as `memoryview.cast` and numpy take it."""


def columns_of(schema: pa.Schema) -> list[Column]:
    """Return the columns of a tape with this schema.

    Raises
    ------
    UnsupportedData
        One has no fixed width, which only a log takes.
    """
    return [_column(field) for field in schema]


def is_fixed(schema: pa.Schema) -> bool:
    """Tell whether a tape can have this schema."""
    try:
        return bool(columns_of(schema))
    except UnsupportedData:
        return False


def _column(field: pa.Field) -> Column:
    kind = field.type
    try:
        plain = kind if pa.types.is_integer(kind) or pa.types.is_floating(kind) else _integer(kind)
        code = np.dtype(plain.to_pandas_dtype()).char
    except (NotImplementedError, TypeError):
        raise UnsupportedData(
            f"Column {field.name!r} is {kind}, which has no fixed width of whole bytes: a tape keeps numbers, dates "
            "and times. Make the stream without a schema, or with form='log'."
        ) from None
    return Column(field.name, kind, kind.bit_width // 8, code)


def _integer(kind: pa.DataType) -> pa.DataType:
    """Return the integers in which Arrow keeps a date or time; `TypeError` for any other type."""
    if not pa.types.is_temporal(kind) or pa.types.is_interval(kind):
        raise TypeError
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def offsets(columns: list[Column], rows: int, start: int) -> tuple[list[int], int]:
    """Return where each column begins when `rows` of each follow each other from `start`, and where the last ends."""
    found = []
    for column in columns:
        start = -(-start // _ALIGNED) * _ALIGNED
        found.append(start)
        start += rows * column.bytes
    return found, start


def check_same(wanted: pa.Schema, found: pa.Schema, name: str) -> None:
    """Refuse data of another schema; metadata of the schema do not count."""
    if found.equals(wanted):  # the usual case, and the fastest comparison
        return
    if wanted.names != found.names or wanted.types != found.types:
        raise SchemaMismatch(
            f"The stream {name!r} has {_shown(wanted)}; the data have {_shown(found)}. Convert the data, or make "
            f"another stream.{differences(wanted, found)}"
        )


def differences(stream: pa.Schema, data: pa.Schema) -> str:
    """Return a sentence with the columns in which two schemas differ, each with both types."""
    names = list(dict.fromkeys([*stream.names, *data.names]))
    pairs = [(name, _type(stream, name), _type(data, name)) for name in names]
    unlike = [pair for pair in pairs if pair[1] != pair[2]]
    if not unlike:
        return " They differ in the order of the columns."
    shown = "; ".join(f"{name} is {there} there and {here} here" for name, there, here in unlike[:_MOST_SHOWN])
    more = f"; and {len(unlike) - _MOST_SHOWN:,} more" if len(unlike) > _MOST_SHOWN else ""
    return f" Column by column: {shown}{more}."


def _type(schema: pa.Schema, name: str) -> str:
    found = [str(schema.field(place).type) for place in schema.get_all_field_indices(name)]
    return " and ".join(found) or "missing"


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema) or "no columns"


def numbers(array: pa.Array, column: Column) -> Array:
    """Return an array without nulls as numpy of the column's format, without a copy."""
    return np.frombuffer(array.buffers()[1], column.format, len(array), array.offset * column.bytes)


def cast(raw: memoryview, code: str) -> memoryview[Any]:
    """Return bytes as values of a numpy format that memoryviews have too."""
    found: memoryview[Any] = raw.cast(code)  # type: ignore[call-overload]  # it wants a literal
    return found
