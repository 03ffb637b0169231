"""From a file and its profile to the canonical table of bars.

The general path: Arrow converts the numbers block by block, `stamps` reads the stamps, and the whole
stamp column is then placed on UTC, because the hour that a clock repeats is decided by order. Nothing is
sorted, dropped or repaired: a row that cannot be read exactly stops the reading with its line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jupyter_nq.bars.closed import bar_starts
from jupyter_nq.bars.profile import ROLES, Profile
from jupyter_nq.bars.reading.blocks import (
    BLOCK_BYTES,
    Progress,
    data_lines,
    fault,
    lines_of,
    read_blocks,
    row_error,
    stamps_of,
    whole_numbers,
)
from jupyter_nq.bars.reading.carried import UnknownLayout, clock_seconds
from jupyter_nq.bars.reading.opening import check_file
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints, StampScanner
from jupyter_nq.bars.rules import flags_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.zones import Nanos, steps
from jupyter_nq.errors import EmptyDataset, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars.reading.fast import Scan

_MOST_NAMED = 3
UNSORTED = (
    "Sort the file and remove what is there twice (the table of a validation with actions={'backwards': 'repair'} is "
    "sorted), or pass day_first=, tz= if the reading is wrong."
)


def read_bars(
    path: str | os.PathLike[str],
    profile: Profile,
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
    settings: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Read a file as its profile says, and return a table of `BAR_SCHEMA`.

    The profile's `delimiter`, `columns`, `tz`, `edge`, `layouts` decide; nothing is detected. Memory is
    that of the table and a few blocks. `progress` may raise to cancel. A large file is read by the fast path,
    where it can; the table and every error are the same. `settings` are those of `fast.scan`.

    Raises
    ------
    SourceNotFound, UnreadableSource
        No file; a row that is short, long, not a number, not a date, in a layout that the profile does
        not have, or not after the row before it. The message names file, line and text.
    """
    path = Path(path)
    check_file(path)
    from jupyter_nq.bars.reading import fast  # it is built on this module

    scan = fast.scan(path, profile, progress=progress, **(settings or {}))
    table = None if scan is None else table_of(path, profile, scan)
    return _read_generally(path, profile, block_bytes, progress) if table is None else table


def table_of(path: Path, profile: Profile, scan: Scan) -> pa.Table | None:
    """Return the table of rows that the fast path has read, None when the general path has to look at them.

    The table takes the memory of the scan, which cannot be used again.
    """
    from jupyter_nq.bars.reading import starts  # it is built on this module

    module = starts.CLOCKS.ready()
    if module is not None:
        columns = starts.columns_of(scan, profile, module)
        return None if columns is None else _table(columns)
    with suppress(UnreadableSource):  # the general path says it, as if it had been alone
        return _whole(path, profile, starts.fields_of(scan), scan.columns)
    return None


def _read_generally(path: Path, profile: Profile, block_bytes: int, progress: Progress | None) -> pa.Table:
    scanner = StampScanner()
    parts: list[list[npt.NDArray[Any]]] = [[] for _ in range(5)]
    stamp_columns = len(profile.columns["timestamp"])
    for batch in read_blocks(path, profile, ROLES, block_bytes=block_bytes, progress=progress):
        before = scanner.rows
        try:
            scanner.add(stamps_of(batch, stamp_columns))
        except BadStamp as bad:
            raise stamp_error(path, profile, before, bad) from bad
        for collected, column in zip(parts, checked_numbers(path, profile, batch, before), strict=True):
            collected.append(column)
    if not scanner.rows:
        raise EmptyDataset(f"{path} has no rows. Export it again.")
    try:
        fields = scanner.fields()
    except BadStamp as bad:
        raise row_error(path, profile, bad.row, bad.reason) from bad
    return _whole(path, profile, fields, [np.concatenate(collected) for collected in parts])


def _whole(path: Path, profile: Profile, fields: Fields, columns: list[npt.NDArray[Any]]) -> pa.Table:
    return _table([_timestamps(path, profile, fields), *columns, flags_of(columns[:4], columns[4], profile)])


def stamp_error(path: Path, profile: Profile, first_row: int, bad: BadStamp) -> UnreadableSource:
    """Return the error of a bad stamp, or of a bad number above it in the same block."""
    number = fault(path, profile, first_row, ROLES, stop_row=bad.row)
    return number or row_error(path, profile, bad.row, bad.reason)


def checked_numbers(path: Path, profile: Profile, batch: pa.RecordBatch, before: int) -> list[npt.NDArray[Any]]:
    """Return open, high, low, close, volume of a block."""
    numbers = numbers_of(batch, len(profile.columns["timestamp"]))
    if numbers is not None:
        return numbers
    found = fault(path, profile, before, ROLES)
    raise found or UnreadableSource(f"{path}: up and down volume of a row do not fit into 64 bits. Correct the file.")


def numbers_of(batch: pa.RecordBatch, first: int) -> list[npt.NDArray[Any]] | None:
    """Return open, high, low, close, volume of a block, which begin at its column `first`; None if one is none."""
    columns = batch.columns[first : first + 4]
    prices = [values_of(column, np.float64) for column in columns]
    parts = [whole_numbers(column) for column in batch.columns[first + 4 :]]
    volumes = [values_of(part, np.int64) for part in parts if part is not None]
    if len(volumes) < len(parts) or any(column.null_count for column in columns):
        return None
    volume = volumes[0] if len(volumes) == 1 else volumes[0] + volumes[1]
    if not (volume >= 0).all() or not all(np.isfinite(price).all() for price in prices):
        return None  # the sum of two may be too large
    return [*prices, volume]


def values_of(column: pa.Array, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return the values of a column without a copy; Arrow's own `to_numpy` would import pandas for it."""
    return np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)]


def _timestamps(path: Path, profile: Profile, fields: Fields) -> Ints:
    """Return the starts of the bars, ns since the epoch, strictly increasing."""
    try:
        local = clock_seconds(profile, fields)
        utc = local - fields.offset if len(fields.offset) else _to_utc(profile.tz, local, fields.nanos)
    except BadStamp as bad:
        raise misplaced(path, profile, bad.row, bad) from bad
    starts = bar_starts(utc, profile.edge, profile.minutes, profile.calendar) * 1_000_000_000
    if len(fields.nanos):
        starts += fields.nanos
    _check_increasing(path, profile, starts)
    return starts


def _to_utc(tz: str, local: Ints, nanos: Nanos) -> Ints:
    return steps(tz, int(local.min()), int(local.max())).to_utc(local, nanos)


def misplaced(path: Path, profile: Profile, row: int, bad: BadStamp) -> UnreadableSource:
    """Return the error of a stamp that has no place on the clock of the profile; `row` is its row in the file."""
    remedy = "Correct the line, or pass the tz= of the clock that wrote it."
    if isinstance(bad, UnknownLayout):
        remedy = "Detect the profile again."
    return row_error(path, profile, row, bad.reason, remedy)


def _check_increasing(path: Path, profile: Profile, starts: Ints) -> None:
    wrong = np.flatnonzero(np.diff(starts) <= 0)
    if not len(wrong):
        return
    named = []
    shown = wrong[:_MOST_NAMED].tolist()
    for row, (number, text) in zip(shown, lines_of(path, profile, [row + 1 for row in shown]), strict=True):
        what = "repeats" if starts[row + 1] == starts[row] else "goes back behind"
        named.append(
            f"line {number} ({iso(starts[row + 1])}) {what} the line before it ({iso(starts[row])}): {text[:80]!r}"
        )
    raise UnreadableSource(
        f"{path}: the stamps do not strictly increase in {len(wrong):,} of {len(starts):,} rows. {'; '.join(named)}. "
        f"{_remedy(path, profile, starts, wrong)}"
    )


def _remedy(path: Path, profile: Profile, starts: Ints, wrong: Ints) -> str:
    """Ask only to remove lines when all of them are exact copies, which no reading could put right."""
    rows = set(wrong.tolist())
    lines = pairwise(text for _, text in data_lines(path, profile))
    if (starts[wrong] == starts[wrong + 1]).all() and all(a == b for i, (a, b) in enumerate(lines) if i in rows):
        return "It is the same line twice: remove one." if len(rows) == 1 else "They are the same lines: keep one each."
    newest_first = len(starts) > 2 and bool((np.diff(starts) < 0).all())
    return f"{'The newest bar comes first. ' * newest_first}{UNSORTED}"


def iso(nanos: np.int64) -> str:
    """Return an instant, ns since the epoch, to the second."""
    return datetime.fromtimestamp(int(nanos) // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _table(columns: list[npt.NDArray[Any]]) -> pa.Table:
    values = zip(columns, BAR_SCHEMA, strict=True)
    arrays = [array_of(column, field.type) for column, field in values]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)


def array_of(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return a column over the same memory; `pa.array` would import pandas for it."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
