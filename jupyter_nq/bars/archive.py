"""The archive of bars: a Parquet file that gives a canonical table back bit for bit, at a tenth of its size.

Prices on the tick are kept as whole ticks, whose differences are small numbers (DELTA_BINARY_PACKED). A price comes
back as `ticks / n` where the tick is one n-th, because a quotient is rounded once, as the text of a price is when it is
read: 3 / 10 is 0.3, while 3 * 0.1 is not; other ticks multiply. That is tried on every price before anything is
written. One price that does not come back with the same bits (off the tick, infinite, minus zero, too large) and
all prices are kept as float64 (BYTE_STREAM_SPLIT and zstd). Nothing is ever rounded.

The schema's metadata holds the encoding's version, the tick, the caller's record, and a digest of the table and of
these, which every reading checks.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from jupyter_nq.bars.schema import BAR_SCHEMA, PRICES
from jupyter_nq.errors import ChecksumError, InvalidArgument, SourceNotFound, UnreadableSource

ENCODING = "nq-archive-1"
"""Version of the encoding; a file with another one is refused."""

_META = b"nq_archive"
_GROUP_ROWS = 1 << 20  # rows that are encoded or decoded at a time: 48 MiB as a table
_TICKS = "_ticks"  # ends the name of a column of ticks, so that nobody takes them for prices
_LARGEST_TICKS = float(np.iinfo(np.int32).max)
_NUMBERS: Mapping[str, Any] = {"timestamp": np.int64, **dict.fromkeys(PRICES, np.float64), "volume": np.int64}

_Floats = npt.NDArray[np.float64]
_Columns = Mapping[str, npt.NDArray[Any]]
Target = str | os.PathLike[str] | IO[bytes]


@dataclass(frozen=True)
class Archived:
    """What an archive holds."""

    table: pa.Table
    """`BAR_SCHEMA`, one chunk per column."""
    tick: float
    on_tick: bool
    """Whether the prices were kept as ticks."""
    record: dict[str, Any]
    """What the writer said of the bars."""


def write_archive(
    table: pa.Table,
    target: Target,
    tick: float,
    record: Mapping[str, Any] | None = None,
    progress: Callable[[float], None] | None = None,
) -> bool:
    """Write bars to a Parquet file; returns whether all prices are on the tick and were kept as ticks.

    Parameters
    ----------
    table
        Bars of `BAR_SCHEMA`, any values, any number of rows.
    target
        Path, replaced when it is there, or a binary file.
    tick
        Smallest step of a price, in points.
    record
        What is to be remembered of the bars, such as the file that they come from; JSON-able.
    progress
        Called with 0 to 1 after each million rows; may raise to give up.

    Raises
    ------
    InvalidArgument
        No table of `BAR_SCHEMA`, or a tick that is no positive number.
    OSError
        The file cannot be written.
    """
    if not table.schema.equals(BAR_SCHEMA):
        raise InvalidArgument(f"an archive holds bars with the columns {', '.join(BAR_SCHEMA.names)}; load gives them.")
    if not 0 < tick < np.inf:
        raise InvalidArgument(f"tick={tick!r} is not a positive number of points.")
    parts = [_columns(table.slice(at, _GROUP_ROWS)) for at in range(0, table.num_rows, _GROUP_ROWS)]
    on_tick = all(_is_exact(part[name], tick) for part in parts for name in PRICES)
    meta = {"encoding": ENCODING, "tick": tick, "on_tick": on_tick, "rows": table.num_rows, "record": record or {}}
    text = json.dumps(meta, sort_keys=True)
    meta_bytes = json.dumps([text, _digest(text, parts)]).encode()
    schema = _stored_schema(on_tick).with_metadata({_META: meta_bytes})
    with pq.ParquetWriter(target, schema, **_options(on_tick)) as writer:
        for number, part in enumerate(parts, 1):
            writer.write_table(_encoded(part, tick, schema), row_group_size=_GROUP_ROWS)
            if progress is not None:
                progress(number / len(parts))
    return on_tick


def read_archive(source: Target) -> pa.Table:
    """Return the bars of an archive, bit for bit as they were written; errors are those of `open_archive`."""
    return open_archive(source).table


def open_archive(source: Target) -> Archived:
    """Return the bars of an archive, and what it says of them.

    Raises
    ------
    SourceNotFound
        The file does not exist.
    UnreadableSource
        It is damaged, cut off, or no archive of this version.
    ChecksumError
        Its bytes have changed since they were written.
    """
    called = os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the archive"
    try:
        with pq.ParquetFile(source) as file:
            text, digest, meta = _meta_of(file, called)
            columns = _decoded(file, meta)
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{called} does not exist.") from exc
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as exc:
        if isinstance(exc, UnreadableSource):
            raise
        raise UnreadableSource(
            f"{called} cannot be read as an archive of bars: {' '.join(str(exc).split())[:200]}. Make it again."
        ) from exc
    if _digest(text, [columns]) != digest:
        raise ChecksumError(f"{called} has changed since it was written: its digest does not fit. Make it again.")
    return Archived(_table(columns), meta["tick"], meta["on_tick"], meta["record"])


# -- ticks ------------------------------------------------------------------------------------------
def _to_price(ticks: npt.NDArray[Any], tick: float, out: _Floats | None = None) -> _Floats:
    steps = round(1 / tick)
    whole = steps > 1 and 1 / steps == tick
    prices: _Floats = np.divide(ticks, float(steps), out=out) if whole else np.multiply(ticks, tick, out=out)
    return prices


def _to_ticks(prices: _Floats, tick: float) -> npt.NDArray[np.int32]:
    return np.rint(prices / tick).astype(np.int32)


def _is_exact(prices: _Floats, tick: float) -> bool:
    """Do all prices come back from their ticks with the same bits?"""
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(prices / tick)
    if not (np.abs(whole) <= _LARGEST_TICKS).all():  # False for NaN too
        return False
    # From int32, as a reader has them: its zero has no sign.
    return np.array_equal(_to_price(whole.astype(np.int32), tick).view(np.int64), prices.view(np.int64))


# -- the file ---------------------------------------------------------------------------------------
def _stored_schema(on_tick: bool) -> pa.schema:
    fields = [
        pa.field(field.name + _TICKS, pa.int32(), nullable=False) if on_tick and field.name in PRICES else field
        for field in BAR_SCHEMA
    ]
    return pa.schema(fields)


def _options(on_tick: bool) -> dict[str, Any]:
    prices = (
        dict.fromkeys([name + _TICKS for name in PRICES], "DELTA_BINARY_PACKED")
        if on_tick
        else dict.fromkeys(PRICES, "BYTE_STREAM_SPLIT")
    )
    packed = {"timestamp": "DELTA_BINARY_PACKED", "volume": "DELTA_BINARY_PACKED"}
    return {
        "compression": {
            name: "none" if on_tick or name not in prices else "zstd" for name in (*prices, *packed, "flags")
        },
        "use_dictionary": ["flags"],
        "column_encoding": prices | packed,
        "write_statistics": ["timestamp"],
        "version": "2.6",  # stamps of nanoseconds
        "store_schema": True,
    }


def _encoded(part: _Columns, tick: float, schema: pa.Schema) -> pa.Table:
    arrays = []
    for field in schema:
        name = field.name.removesuffix(_TICKS)
        values = _to_ticks(part[name], tick) if name != field.name else part[name]
        arrays.append(_array(values, field.type))
    return pa.table(arrays, schema)


def _meta_of(file: pq.ParquetFile, called: str) -> tuple[str, str, dict[str, Any]]:
    found = (file.schema_arrow.metadata or {}).get(_META)
    if found is None:
        raise UnreadableSource(f"{called} is a Parquet file, but no archive of jupyter-nq. Load it as a bar file.")
    text, digest = json.loads(found)
    meta: dict[str, Any] = json.loads(text)
    if meta["encoding"] != ENCODING:
        raise UnreadableSource(f"{called} has the encoding {meta['encoding']!r}, this jupyter-nq reads {ENCODING!r}.")
    groups = sum(file.metadata.row_group(at).num_rows for at in range(file.num_row_groups))
    stored = file.schema_arrow.remove_metadata().equals(_stored_schema(meta["on_tick"]))
    if not stored or not meta["rows"] == groups == file.metadata.num_rows:
        raise UnreadableSource(f"{called} does not hold the columns and rows that it says. Make it again.")
    return text, digest, meta


def _decoded(file: pq.ParquetFile, meta: Mapping[str, Any]) -> _Columns:
    """Read a row group at a time into whole columns."""
    rows, at = meta["rows"], 0
    columns = {name: np.empty(rows, dtype) for name, dtype in _NUMBERS.items()} | {"flags": np.empty(rows, np.uint32)}
    for group in range(file.num_row_groups):
        part = file.read_row_group(group)
        stop = at + part.num_rows
        for field in part.schema:
            name = field.name.removesuffix(_TICKS)
            values, place = _values(part[field.name]), columns[name][at:stop]
            if name != field.name:
                _to_price(values, meta["tick"], place)
            else:
                place[:] = values
        at = stop
    return columns


# -- columns as numbers -----------------------------------------------------------------------------
def _columns(table: pa.Table) -> _Columns:
    return {name: _values(table[name]) for name in BAR_SCHEMA.names}


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return a column as one array of numbers, stamps as int64; a view where it has one chunk."""
    if column.null_count:
        raise UnreadableSource(f"a bar has no null, and {column.null_count:,} were found.")
    whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    whole = whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
    plain = whole.view(pa.int64()) if pa.types.is_timestamp(whole.type) else whole
    found: npt.NDArray[Any] = plain.to_numpy(zero_copy_only=True)
    return found


def _array(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    plain = pa.array(values)
    return plain.view(kind) if pa.types.is_timestamp(kind) else plain


def _table(columns: _Columns) -> pa.Table:
    return pa.table([_array(columns[field.name], field.type) for field in BAR_SCHEMA], BAR_SCHEMA)


def _digest(text: str, parts: list[_Columns]) -> str:
    """Return the xxh3_128 of the metadata and of each column, 32 hexadecimal digits; where parts end plays no role."""
    whole = xxhash.xxh3_128(text.encode())
    for name in BAR_SCHEMA.names:
        for part in parts:
            whole.update(np.ascontiguousarray(part[name]).view(np.uint8).data)
    return whole.hexdigest()
