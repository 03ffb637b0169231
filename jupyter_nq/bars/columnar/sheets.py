"""Tables of columns, wherever they lie: Parquet files, Arrow files and streams, tables in memory.

A sheet is read in batches of some thousand rows, only the columns that are asked for, as often as needed. Parquet
says of each row group which stamps it holds, so a sheet can be asked for some of its groups only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jupyter_nq.errors import SourceNotFound, UnreadableSource

BATCH_ROWS = 1 << 16
"""Rows of a batch at most."""
_BUFFER_BYTES = 1 << 20  # 1 MiB: read ahead in a column of a Parquet file
_FAULTS = (
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
    pa.ArrowSerializationError,
    pa.ArrowMemoryError,
    UnicodeDecodeError,
    OSError,
)
"""What Arrow raises for damaged data: no memory too, where lengths are nonsense, and names that are no text."""
_PER_SECOND = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}

Open = Callable[[], Any]
"""Opens a file anew for Arrow, at its beginning."""


@dataclass(frozen=True)
class Group:
    """One row group of a Parquet file."""

    rows: int
    low: int | None
    """The least value of a column as it is stored, None when the file does not say."""
    high: int | None
    per_second: int
    """How many of the stored values make a second; 0 when the column does not count time."""


class Sheet:
    """A table in memory; the base of tables in files."""

    def __init__(self, label: str, table: pa.Table | None = None, kind: str = "a table") -> None:
        self.label = label
        """What messages call it."""
        self.kind = kind
        """What it is, for the evidence."""
        self._table = table

    def __repr__(self) -> str:
        return f"<{self.kind} {self.label}>"

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._table.schema  # type: ignore[union-attr]

    def batches(self, columns: Sequence[str], groups: range | None = None) -> Iterator[pa.RecordBatch]:
        """Yield some columns, in this order, of all rows or of a range of row groups; no batch is empty."""
        table: Any = self._table
        whole = table.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS)
        yield from (batch for batch in whole if batch.num_rows)

    def groups(self, column: str) -> list[Group]:
        """Return what row groups hold in a column, empty when there are none."""
        return []


class ParquetSheet(Sheet):
    """A Parquet file, local or not."""

    def __init__(self, label: str, opener: Open) -> None:
        super().__init__(label)
        self._open = opener
        with self._file() as file:
            self._schema, self._metadata = file.schema_arrow, file.metadata
            _ = self._schema.names  # Arrow decodes them only now
        count = self._metadata.num_row_groups
        self.kind = f"Parquet, {count} row group{'s' * (count != 1)}"

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._schema

    def batches(self, columns: Sequence[str], groups: range | None = None) -> Iterator[pa.RecordBatch]:
        """Yield some columns, in this order, of all rows or of a range of row groups."""
        wanted = None if groups is None else list(groups)
        with self._file() as file:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=wanted, columns=list(columns)):
                if batch.num_rows:
                    yield batch.select(list(columns))

    def groups(self, column: str) -> list[Group]:
        """Return what row groups hold in a column."""
        metadata, places = (
            self._metadata,
            [self._metadata.schema.column(i).path for i in range(self._metadata.num_columns)],
        )
        return [_group(metadata.row_group(i), places.index(column)) for i in range(metadata.num_row_groups)]

    @contextmanager
    def _file(self) -> Iterator[Any]:
        import pyarrow.parquet as pq  # no warm load needs it

        with (
            damaged(self.label, "Parquet"),
            self._open() as source,
            pq.ParquetFile(
                source, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
            ) as file,
        ):
            yield file


def _group(group: Any, place: int) -> Group:
    statistics = group.column(place).statistics
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min_raw, int):
        return Group(group.num_rows, None, None, 0)
    said = json.loads(statistics.logical_type.to_json())
    per_second = _PER_SECOND.get(said.get("timeUnit", ""), 0) if said.get("Type") == "Timestamp" else 0
    return Group(group.num_rows, statistics.min_raw, statistics.max_raw, per_second)


class ArrowSheet(Sheet):
    """An Arrow file, also called Feather or IPC file, or an Arrow stream. Memory is that of its largest batch."""

    def __init__(self, label: str, opener: Open, *, stream: bool) -> None:
        super().__init__(label, kind="Arrow stream" if stream else "Arrow file")
        self._open, self._stream = opener, stream
        with damaged(label, self.kind), opener() as source, self._reader(source, None) as reader:
            self._schema = reader.schema
            _ = self._schema.names  # Arrow decodes them only now

    @property
    def schema(self) -> pa.Schema:
        """All columns."""
        return self._schema

    def batches(self, columns: Sequence[str], groups: range | None = None) -> Iterator[pa.RecordBatch]:
        """Yield some columns, in this order."""
        places = [self._schema.get_field_index(name) for name in columns]
        with damaged(self.label, self.kind), self._open() as source, self._reader(source, places) as reader:
            whole = reader if self._stream else map(reader.get_batch, range(reader.num_record_batches))
            for batch in whole:
                batch.validate(full=True)  # Arrow takes the lengths in a file for granted
                for first in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(first, BATCH_ROWS).select(list(columns))

    def _reader(self, source: Any, places: list[int] | None) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=places)
        return (
            pa.ipc.open_stream(source, options=options) if self._stream else pa.ipc.open_file(source, options=options)
        )


@contextmanager
def damaged(label: str, kind: str) -> Iterator[None]:
    """Turn what Arrow and the system say of a file into the package's errors."""
    try:
        yield
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{label} does not exist.") from exc
    except _FAULTS as exc:
        why = str(exc).partition("\n")[0]
        raise UnreadableSource(
            f"{label} is not readable {kind.partition(',')[0]} data: {why}. Write it again."
        ) from exc


def sheet_of(path: Path) -> Sheet:
    """Return the sheet of a file that `opening.is_columnar` accepts.

    Raises
    ------
    UnreadableSource
        It is encrypted, of the first Feather version, or damaged.
    """
    with path.open("rb") as file:
        magic = file.read(6)
    return sheet_from(str(path), magic, lambda: pa.OSFile(os.fspath(path), "rb"))


def sheet_from(label: str, magic: bytes, opener: Open) -> Sheet:
    """Return the sheet of a file that begins with `magic` and that `opener` opens."""
    if magic.startswith(b"PARE"):
        raise UnreadableSource(f"{label} is encrypted Parquet. Decrypt it first.")
    if magic.startswith(b"FEA1"):
        raise UnreadableSource(f"{label} is a Feather file of version 1. Write it as version 2, which is Arrow's own.")
    if magic.startswith(b"PAR1"):
        return ParquetSheet(label, opener)
    return ArrowSheet(label, opener, stream=not magic.startswith(b"ARROW1"))
