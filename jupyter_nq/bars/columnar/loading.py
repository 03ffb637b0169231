"""From a table of columns to its bars: which column is what, whose clock wrote the stamps, and the bars themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.answers import Given, answers
from jupyter_nq.bars.closed import cut_short
from jupyter_nq.bars.columnar.names import dialect_of
from jupyter_nq.bars.columnar.reading import (
    Reading,
    all_stamps,
    check_types,
    float32_names,
    phase_of,
    row_error,
)
from jupyter_nq.bars.columnar.sheets import Sheet, sheet_of
from jupyter_nq.bars.columnar.stamps import plain_type
from jupyter_nq.bars.loading import Bars, refuse_scaled
from jupyter_nq.bars.profile import Dialect, Profile
from jupyter_nq.bars.reading.blocks import Progress
from jupyter_nq.bars.reading.carried import Columns, clock_seconds
from jupyter_nq.bars.reading.chunks import Guard, batches, refusing_scaled
from jupyter_nq.bars.reading.reader import array_of, values_of
from jupyter_nq.bars.reading.stamps import BadStamp, Fields
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.sniffing.fitting import told_of_columns
from jupyter_nq.bars.sniffing.packed import Stamps
from jupyter_nq.bars.sniffing.sniff import Sniffed, decided, known_instrument, orders_of
from jupyter_nq.bars.validation.findings import findings_in
from jupyter_nq.bars.zones import find_zone, steps
from jupyter_nq.errors import InvalidArgument, UnreadableSource

_DTYPES: tuple[Any, ...] = (np.int64, *[np.float64] * 4, np.int64, np.uint32)


@dataclass(frozen=True)
class Known:
    """What was found out about a sheet."""

    sniffed: Sniffed
    phase: int | None
    """Where the grid of end-stamped bars lies, see `Placer`."""
    rows: int


def load_columnar(path: Path, *, progress: Progress | None = None, **told: Any) -> Bars:
    """Do what `load_bars` does, for a Parquet or Arrow file; `told` are its other arguments."""
    return load_sheet(sheet_of(path), path, progress=progress, **told)


def sniff_file(path: Path, **told: Any) -> Sniffed:
    """Do what `sniff` does, for a Parquet or Arrow file."""
    return sniff_sheet(sheet_of(path), path, **told).sniffed


def iterate_columnar(
    sheet: Sheet,
    path: Path,
    *,
    rows: int,
    start_ns: int | None = None,
    end_ns: int | None = None,
    guard: Guard | None = None,
    **told: Any,
) -> Iterator[pa.RecordBatch]:
    """Return an iterator over the bars of a sheet in record batches of exactly `rows` rows.

    Parameters are those of `reading.chunks.iterate`, and of `sniff`; so are the errors. With a span, only the row
    groups of a Parquet file are read that can hold it, by what the file says of their stamps. `guard` is that of the
    file, from before the sheet was opened; without one a change is not noticed. Prices in whole billionths are refused.
    """
    if rows < 1:
        raise InvalidArgument(f"rows={rows}: a chunk has at least one row.")
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise InvalidArgument("the end of the span lies before its start. Exchange them.")
    with guard.watching() if guard else nullcontext():
        known = sniff_sheet(sheet, path, **told)
    blocks = Reading(sheet, known.sniffed.profile, known.phase, start_ns, end_ns).blocks()
    return batches(refusing_scaled(path, guard.over(blocks) if guard else blocks), rows)


def load_sheet(sheet: Sheet, path: Path, *, progress: Progress | None = None, **told: Any) -> Bars:
    """Return the bars of a sheet.

    Parameters
    ----------
    path
        The file, or the name that messages give to what is none.
    told
        `timeframe`, `symbol`, `tz`, `edge`, `day_first`, `profile`, as for `load_bars`.

    Raises
    ------
    UnreadableSource, AmbiguousStamps, UnknownInstrument, UnknownTimeframe, UnknownZone
    """
    known = sniff_sheet(sheet, path, **told)
    profile = known.sniffed.profile
    table = _filled(sheet, Reading(sheet, profile, known.phase).blocks(), known.rows, progress)
    refuse_scaled(path, table)
    broken = findings_in(values_of(table["flags"].chunk(0), np.uint32), lambda found: found, "row")
    return Bars(table, profile, (*known.sniffed.evidence, *broken), known_instrument(path, told.get("symbol")))


def _filled(sheet: Sheet, blocks: Iterator[Columns], rows: int, progress: Progress | None) -> pa.Table:
    """Return the table of blocks that have so many rows together; raises when they have more or fewer."""
    columns = [np.empty(rows, dtype) for dtype in _DTYPES]
    done = stop = 0
    for block in blocks:
        stop = done + len(block[0])
        if stop > rows:
            break
        for column, values in zip(columns, block, strict=True):
            column[done:stop] = values
        done = stop
        if progress is not None:
            progress(done / rows)
    if stop != rows:
        raise UnreadableSource(f"{sheet.label} changed while it was read. Load it again when it is complete.")
    arrays = [array_of(values, field.type) for values, field in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)


def sniff_sheet(
    sheet: Sheet,
    path: Path,
    *,
    timeframe: str | None = None,
    symbol: str | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Given | None = None,
    contract: str | None = None,
) -> Known:
    """Return how a sheet is to be read, by its whole stamp column; parameters and errors as for `load_sheet`."""
    if tz is not None:
        find_zone(tz)
    told: dict[str, Any] = {"timeframe": timeframe, "tz": tz, "edge": edge, "day_first": day_first}
    told = told_of_columns(path, told, known_instrument(path, symbol), profile, contract)
    day_first = told.pop("day_first")
    dialect = dialect_of(sheet, answers(profile))
    check_types(sheet, dialect)
    fields = all_stamps(sheet, dialect)
    try:
        stamps = Stamps.of(fields)
        readings = orders_of(stamps, day_first)
    except BadStamp as bad:
        raise row_error(sheet, bad.row, bad.reason) from bad
    found = decided(path, dialect, _form(sheet, dialect), stamps, readings, symbol=symbol, **told)
    return Known(found, _phase(sheet, found.profile, fields), len(fields.year))


def _phase(sheet: Sheet, profile: Profile, fields: Fields) -> int | None:
    if not cut_short(profile.edge, profile.minutes, profile.calendar):
        return None
    local = clock_seconds(profile, fields)
    if len(fields.offset):
        return phase_of(profile, local - fields.offset)
    try:
        return phase_of(profile, steps(profile.tz, int(local.min()), int(local.max())).to_utc(local))
    except BadStamp as bad:
        remedy = "Correct the row, or pass the tz= of the clock that wrote it."
        raise row_error(sheet, bad.row, bad.reason, remedy) from bad


def _form(sheet: Sheet, dialect: Dialect) -> str:
    """Return the sentence about the form of a sheet."""
    columns = [
        f"{role}={'+'.join(names)}"
        for role, names in dialect.columns.items()
        if names not in ((role,), (role.capitalize(),))
    ]
    stamps = "+".join(str(plain_type(sheet.schema.field(name).type)) for name in dialect.columns["timestamp"])
    used = {name for names in dialect.columns.values() for name in names}
    others = ", ".join(name for name in dialect.names if name not in used)
    small = float32_names(sheet, dialect)
    parts = [f"table: {sheet.kind}, stamps {stamps}", *columns]
    if small:
        parts.append(f"{', '.join(small)} of 32 bits or less, so that a price may be off the tick")
    return "; ".join(parts) + (f"; not used: {others}" if others else "")
