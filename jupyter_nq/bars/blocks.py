"""Reading the columns of a text table in blocks, and naming the line that stops it.

Arrow reads the blocks; it converts strictly and knows neither the line nor the reason in words. So when
a block fails, the file is read again from the last good row on, line by line, until the fault is found.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from jupyter_nq.errors import SourceNotFound, UnreadableSource

BLOCK_BYTES = 512 << 10  # 512 KiB
Progress = Callable[[float], None]

_PRICE = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_VOLUME_LIMIT = 1 << 63


class Table(Protocol):
    """The form of a table; a `Dialect` and a `Profile` both have it."""

    @property
    def delimiter(self) -> str: ...
    @property
    def skip_lines(self) -> int: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def decimal(self) -> str: ...


def read_blocks(
    path: Path,
    table: Table,
    roles: Sequence[str],
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the columns of some roles, block by block, in the order of `columns_of`.

    Stamps are strings, prices float64, volumes int64. `progress` is called with the share of the file
    that is read, and may raise to stop.

    Raises
    ------
    SourceNotFound, UnreadableSource
        The file is gone, or a row cannot be converted; the message has line, text and reason.
    """
    types = {name: _TYPES.get(role, pa.float64()) for role in roles for name in _ids(table, role)}
    size = max(path.stat().st_size, 1) if path.exists() else 1
    rows = 0
    try:
        with pa.OSFile(os.fspath(path), "rb") as file, _open(file, table, types, block_bytes) as reader:
            for batch in reader:
                yield batch
                rows += batch.num_rows
                if progress is not None:
                    progress(min(file.tell() / size, 1.0))
    except pa.ArrowInvalid as exc:
        raise fault(path, table, rows, roles) or UnreadableSource(f"{path} is not a readable table: {exc}") from exc
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc}. Check its permissions.") from exc


_TYPES = {"timestamp": pa.string(), "volume": pa.int64()}


def _ids(table: Table, role: str) -> list[str]:
    """The names that columns have inside Arrow: by place, because a header may repeat a name."""
    return [f"c{table.names.index(name)}" for name in table.columns[role]]


def _open(
    file: pa.NativeFile, table: Table, types: Mapping[str, pa.DataType], block_bytes: int
) -> pa.RecordBatchReader:
    return pacsv.open_csv(
        file,
        read_options=pacsv.ReadOptions(
            block_size=block_bytes,
            skip_rows=table.skip_lines,
            column_names=[f"c{i}" for i in range(len(table.names))],
        ),
        parse_options=pacsv.ParseOptions(delimiter=table.delimiter),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=False,
            decimal_point=table.decimal,
        ),
    )


def stamps_of(batch: pa.RecordBatch, parts: int) -> pa.Array:
    """Return the stamp column of a block whose first `parts` columns are the stamp's."""
    if parts == 1:
        return batch.column(0)
    return pc.binary_join_element_wise(*[batch.column(i) for i in range(parts)], " ")


# -- faults -----------------------------------------------------------------------------------------
def data_lines(path: Path, table: Table) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of every row; lines count from 1 and empty ones are passed over."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip(b"\r\n")
            if number > table.skip_lines and text:
                yield number, text.decode("utf-8", "replace")


def line_of(path: Path, table: Table, row: int) -> tuple[int, str]:
    """Return (line number, text) of a row; rows count from 0."""
    return next((found for i, found in enumerate(data_lines(path, table)) if i == row), (0, ""))


def row_error(path: Path, table: Table, row: int, reason: str, remedy: str = "Correct the line.") -> UnreadableSource:
    """Return the error for a row that cannot be read."""
    number, text = line_of(path, table, row)
    return UnreadableSource(f"{path}, line {number}: {reason}. The line is {text[:120]!r}. {remedy}")


def fault(
    path: Path, table: Table, first_row: int, roles: Sequence[str], *, stop_row: int | None = None
) -> UnreadableSource | None:
    """Return the error for the first bad row in [first_row, stop_row), None when every row looks right."""
    for row, (number, text) in enumerate(islice(data_lines(path, table), stop_row)):
        if row >= first_row and (reason := _reason(text, table, roles)):
            return UnreadableSource(f"{path}, line {number}: {reason}. The line is {text[:120]!r}. Correct the line.")
    return None


def _reason(text: str, table: Table, roles: Sequence[str]) -> str | None:
    if "\ufffd" in text:
        return "the text is not UTF-8"
    cells = next(csv.reader([text], delimiter=table.delimiter))
    if len(cells) != len(table.names):
        return f"the row has {len(cells)} columns, not {len(table.names)}"
    for role in roles:
        for name in table.columns[role]:
            cell = cells[table.names.index(name)]
            reason = _number_reason(role, cell, table.decimal) if role != "timestamp" else None
            if reason:
                return f"{name} {reason}"
    return None


def _number_reason(role: str, cell: str, decimal: str) -> str | None:
    if not cell.strip():
        return "is empty"
    if role == "volume":
        return _volume_reason(cell)
    text = cell.replace(decimal, ".") if decimal != "." else cell
    if _PRICE.fullmatch(text):
        return None if math.isfinite(float(text)) else f"is {cell!r}, too large for a number"
    return f"is {cell!r}, not a finite number"


def _volume_reason(cell: str) -> str | None:
    if not _WHOLE.fullmatch(cell):
        return f"is {cell!r}, not a whole number"
    if int(cell) < 0:
        return f"is {cell.strip()}, negative"
    return None if int(cell) < _VOLUME_LIMIT else f"is {cell.strip()}, too large for 64 bits"
