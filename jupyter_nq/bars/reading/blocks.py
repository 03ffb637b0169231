"""Reading the columns of a text table in blocks, and naming the line that stops it.

Arrow reads the blocks; it converts strictly and knows neither the line nor the reason in words. So when
a block fails, the file is read again from the last good row on, line by line, until the fault is found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from jupyter_nq.bars.profile import ROLES, Dialect
from jupyter_nq.bars.reading.cells import count_hint, decimal_hint, plain_counts, whole_digits
from jupyter_nq.bars.reading.chosen import in_points, is_of_contract, of_contract, scale_reason
from jupyter_nq.bars.reading.lines import RowStream, cells_of, lines
from jupyter_nq.bars.reading.opening import check_file, is_open_ended, opened
from jupyter_nq.errors import SourceNotFound, UnreadableSource

BLOCK_BYTES = 512 << 10  # 512 KiB
Progress = Callable[[float], None]

# What Arrow takes for a number, less the hexadecimal ones.
_PRICE = re.compile(r"[ \t]*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
NO_CELLS = "a quote is not closed, or text stands behind a closing quote"
_VOLUME_LIMIT = 1 << 63
_MOST_DIGITS = len(str(_VOLUME_LIMIT))


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into the package's errors; what is no file is not even opened."""
    check_file(path)
    try:
        yield
    except FileNotFoundError as exc:
        raise SourceNotFound(f"{path} does not exist.") from exc
    except OSError as exc:
        raise UnreadableSource(f"{path} cannot be read: {exc}. Check its permissions.") from exc


def read_blocks(
    path: Path,
    table: Dialect,
    roles: Sequence[str],
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the columns of some roles, block by block, in the order of `roles`.

    Stamps and volumes are strings, prices float64 in points; rows are those of the table's contract. `progress` is
    called with the share of the file that is read; what it raises stops the reading and passes unchanged.

    Raises
    ------
    SourceNotFound, UnreadableSource
        The file is gone, or a row cannot be converted; the message has line, text and reason.
    """
    for batch, share in _blocks(path, table, roles, block_bytes):
        if batch.num_rows:  # a block may hold only other contracts
            yield batch
        if progress is not None:
            progress(share)


def _blocks(
    path: Path, table: Dialect, roles: Sequence[str], block_bytes: int
) -> Iterator[tuple[pa.RecordBatch, float]]:
    """Yield (block, share of the file read); apart from `read_blocks` so that only the file's errors are caught."""
    kept = roles if table.contract is None else [*roles, "contract"]
    types = column_types(table, kept)
    rows = 0
    try:
        with reading(path), opened(path) as file:
            stream = RowStream(file, table.delimiter, block_bytes, skip_lines=table.skip_lines)
            for whole in blocks_of(stream, table, types):
                batch = _chosen(path, table, roles, whole, rows)
                yield batch, file.share()
                rows += batch.num_rows
    except pa.ArrowInvalid as exc:
        found = fault(path, table, rows, roles) or fault(path, replace(table, contract=None), 0, roles)
        raise found or UnreadableSource(f"{path} is not a readable table: {exc}") from exc
    if stream.cut:
        found = fault(path, table, rows, roles) or fault(path, replace(table, contract=None), 0, roles)
        raise found or changed(path)


def _chosen(path: Path, table: Dialect, roles: Sequence[str], batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
    """Return the rows of the table's contract, with prices in points."""
    if table.contract is not None:
        batch = of_contract(batch, table)
    if table.price_scale == 1 or ROLES[1] not in roles:
        return batch
    scaled = in_points(batch, table, sum(len(table.columns[role]) for role in roles[: roles.index(ROLES[1])]))
    if scaled is None:
        raise fault(path, table, before, roles) or UnreadableSource(f"{path}: a price is not whole. Correct the file.")
    return scaled


_TYPES = {"timestamp": pa.string(), "volume": pa.string(), "contract": pa.string()}


def column_types(table: Dialect, roles: Sequence[str]) -> dict[str, pa.DataType]:
    """Return the type in which Arrow reads each column of some roles, by the column's name inside Arrow.

    These names say the place, because a header may repeat a name.
    """
    return {
        f"c{table.names.index(name)}": _TYPES.get(role, pa.float64()) for role in roles for name in table.columns[role]
    }


def open_table(
    file: pa.NativeFile, table: Dialect, types: Mapping[str, pa.DataType], block_bytes: int
) -> pa.RecordBatchReader:
    """Open rows of a table as blocks of the columns in `types`, in that order."""
    return pacsv.open_csv(
        file,
        read_options=pacsv.ReadOptions(
            block_size=block_bytes,
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


def blocks_of(stream: RowStream, table: Dialect, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a stream, block by block; none when there are none. Look at `stream.cut` behind them."""
    with pa.PythonFile(stream, "r") as file:
        try:
            batches = open_table(file, table, types, stream.room)
        except pa.ArrowInvalid:
            if stream.empty:
                return
            raise
        with batches:
            yield from (batch for batch in batches if batch.num_rows)


def stamps_of(batch: pa.RecordBatch, parts: int) -> pa.Array:
    """Return the stamp column of a block whose first `parts` columns are the stamp's."""
    if parts == 1:
        return batch.column(0)
    return pc.binary_join_element_wise(*[batch.column(i) for i in range(parts)], " ")


def whole_numbers(texts: pa.Array) -> pa.Array | None:
    """Return int64 values of whole numbers from 0 up, None when some text is anything else.

    Arrow's own conversion would take `0x10` for sixteen.
    """
    digits = plain_counts(texts)
    if not pc.all(pc.ascii_is_decimal(digits)).as_py():
        return None
    try:
        return pc.cast(digits, pa.int64())
    except pa.ArrowInvalid:
        return None  # more than 64 bits


# -- faults -----------------------------------------------------------------------------------------
def data_lines(path: Path, table: Dialect) -> Iterator[tuple[int, str]]:
    """Yield (line number, text) of every row of the table's contract; every line counts, from 1."""
    with reading(path):
        for number, text in enumerate(lines(path), 1):
            if number > table.skip_lines and text:
                row = text.decode("utf-8", "replace")
                if table.contract is None or is_of_contract(row, table):
                    yield number, row


def lines_of(path: Path, table: Dialect, rows: Sequence[int]) -> list[tuple[int, str]]:
    """Return (line number, text) of some rows, in the file's order; rows count from 0."""
    wanted = set(rows)
    return [found for i, found in enumerate(islice(data_lines(path, table), max(wanted) + 1)) if i in wanted]


def changed(path: Path) -> UnreadableSource:
    """Return the error for a file that is another one by now."""
    return UnreadableSource(f"{path} changed while it was read. Load it again when its writer has finished.")


def row_error(path: Path, table: Dialect, row: int, reason: str, remedy: str = "Correct the line.") -> UnreadableSource:
    """Return the error for a row that cannot be read."""
    [(number, text)] = lines_of(path, table, [row]) or [(0, "")]
    return UnreadableSource(f"{path}, line {number}: {reason}. The line is {text[:120]!r}. {remedy}")


def fault(
    path: Path, table: Dialect, first_row: int, roles: Sequence[str], *, stop_row: int | None = None
) -> UnreadableSource | None:
    """Return the error for the first bad row in [first_row, stop_row), None when every row looks right."""
    lines = enumerate(data_lines(path, table))
    for row, (number, text) in islice(lines, stop_row):
        if row >= first_row and (reason := _reason(text, table, roles)):
            remedy = "Correct the line."
            if next(lines, None) is None and is_open_ended(path):
                remedy = "The file ends within this line: load it again when its writer has finished, or remove it."
            return UnreadableSource(f"{path}, line {number}: {reason}. The line is {text[:120]!r}. {remedy}")
    return None


def _reason(text: str, table: Dialect, roles: Sequence[str]) -> str | None:
    cells = cells_of(text, table.delimiter)
    if cells is None or len(cells) != len(table.names):
        count = 0 if cells is None else len(cells)
        return _text_reason(text) or (_count_reason(count, table) if count else NO_CELLS)
    for role in roles:
        for name in table.columns[role]:
            cell = cells[table.names.index(name)]
            if reason := _text_reason(cell):
                return reason
            reason = _number_reason(role, cell, table.decimal) if role in ROLES[1:] else None
            if not reason and role in ROLES[1:5]:
                reason = scale_reason(cell, table)
            if reason:
                return f"{name} {reason}"
    return None


def _count_reason(count: int, table: Dialect) -> str:
    prices = len(ROLES[1:5])
    hint = ", as if prices had decimal commas: export it with another delimiter"
    more = hint if table.delimiter == "," and count == len(table.names) + prices else ""
    return f"the row has {count} columns, not {len(table.names)}{more}"


def _text_reason(text: str) -> str | None:
    if "\ufffd" in text:
        return "the text is not UTF-8"
    return "the line has NUL bytes, as after a write that was cut off" if "\0" in text else None


def _number_reason(role: str, cell: str, decimal: str) -> str | None:
    if not cell.strip():
        return "is empty"
    if role == "volume":
        return _volume_reason(cell)
    text = cell if decimal == "." else cell.replace(".", "?").replace(decimal, ".")
    if _PRICE.fullmatch(text):
        return None if math.isfinite(float(text)) else f"is {cell!r}, too large for a number"
    return f"is {cell!r}, not a finite number{decimal_hint(cell, decimal)}"


def _volume_reason(cell: str) -> str | None:
    text = cell.strip(" \t")
    whole = whole_digits(text.removeprefix("-"))
    if whole is None:
        return f"is {cell!r}, not a whole number{count_hint(cell)}"
    if text.startswith("-"):
        return f"is {text}, negative"
    digits = whole.lstrip("0")
    fits = len(digits) <= _MOST_DIGITS and int(digits or "0") < _VOLUME_LIMIT
    return None if fits else f"is {text[:40]}, too large for 64 bits"
