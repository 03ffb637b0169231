"""The rows that were appended to a text file, read from its end, bit for bit as a reading of the whole gives them.

Reading begins some lines before the old end, so that nothing needs to be remembered: those lines give the hour that
a clock repeats its order, the last of them may not have been whole, and they must come out as the rows that are
known. What the rows say about the file's reading is left to `evidence`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.closed import cut_short, phases
from jupyter_nq.bars.profile import ROLES, Profile
from jupyter_nq.bars.reading.blocks import BLOCK_BYTES, NO_CELLS, blocks_of, column_types, reading, stamps_of
from jupyter_nq.bars.reading.carried import Columns, Placer, clock_seconds, scanned
from jupyter_nq.bars.reading.chosen import in_points
from jupyter_nq.bars.reading.chunks import Grid, grid_of
from jupyter_nq.bars.reading.lines import RowStream
from jupyter_nq.bars.reading.ranges import Unsearchable, data_start
from jupyter_nq.bars.reading.reader import numbers_of
from jupyter_nq.bars.reading.stamps import BadStamp, Ints
from jupyter_nq.bars.rules import flags_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.zones import steps

Progress = Callable[[float], None]

WINDOW_BYTES = 32 << 10  # 32 KiB of known lines are read again
_SHORTEST = 16  # bytes of a line, at least
_WEEK = 7 * 86_400
_NS = 1_000_000_000


class NotAppended(Exception):
    """The source is not what it was plus rows in the same form; the text says why, as the end of a sentence."""


@dataclass(frozen=True)
class Tail:
    """The rows behind the known ones."""

    table: pa.Table
    """`BAR_SCHEMA`, one chunk per column."""
    clock: Ints
    """Clock reading of each row's stamp and, before them, of the last known row: seconds, shape (rows + 1,)."""
    utc: Ints
    """The same stamps in seconds UTC, before they are turned into starts of bars."""
    grid: Grid | None
    """Where the bars' grid lies, for a file of end stamps whose bars may be cut short."""


def read_tail(
    path: Path,
    profile: Profile,
    bars: pa.Table,
    size: int,
    stop: int,
    *,
    grid: Grid | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Tail:
    """Return the rows of a text file behind those that are known.

    Parameters
    ----------
    bars
        The known rows, columns of `BAR_SCHEMA`: those of the first `size` bytes, which are unchanged.
    size, stop
        Bytes of the file when these rows were read, and bytes to read now.
    grid
        As the last tail had it; None looks for it in the whole file, where it is needed.
    progress
        Called with the share that is read; what it raises stops the reading.

    Raises
    ------
    NotAppended
        Something in these lines is not as a reading of the whole file by this profile would have it.
    """
    if "contract" in profile.columns:
        raise NotAppended(
            "its rows say of which contract they are, and only all of them tell whether they are one series"
        )
    if cut_short(profile.edge, profile.minutes, profile.calendar):
        grid = grid or grid_of(path, profile)
    window = WINDOW_BYTES
    while True:
        rows = _Rows(path, profile, max(size - window, 0), stop, grid)
        try:
            rows.read(_weeks_before(profile, bars, window), block_bytes, progress)
        except (BadStamp, pa.ArrowInvalid) as exc:
            raise NotAppended(f"one of its last lines cannot be read as the others ({exc})") from exc
        if (np.diff(rows.starts) <= 0).any():
            raise NotAppended("the stamps of its new rows do not increase")
        known = int(np.searchsorted(rows.starts, _starts(bars)[-1], side="right"))
        if known or not rows.inside:
            return _behind(rows, known, bars)
        window *= 4  # all of these rows lie in an hour that the clock repeats


class _Rows:
    """Some rows at the end of a file, from the first line that begins at or behind a byte."""

    def __init__(self, path: Path, profile: Profile, first: int, stop: int, grid: Grid | None) -> None:
        self.path, self.profile, self.grid = path, profile, grid
        self._stop = stop
        with path.open("rb", buffering=4096) as file:
            try:
                self._first = low = data_start(file, profile)
            except Unsearchable as exc:
                raise NotAppended("where its rows begin cannot be told by its line feeds") from exc
            if first > low:
                file.seek(first - 1)
                file.readline()  # the rest of the line before
                self._first = file.tell()
        if self._first >= stop:
            raise NotAppended("it has no rows any more")
        self.inside = self._first > low
        """Whether the file has rows before these."""
        self.starts = self.clock = self.utc = np.empty(0, np.int64)
        self.columns: Columns = []

    def read(self, since: int, block_bytes: int, progress: Progress | None) -> None:
        """Read the rows; those at the beginning that lie in a repeated hour are left out.

        The clock's changes are looked for from `since` on, a clock reading in seconds.
        """
        profile = self.profile
        placer = Placer(profile, self.grid.phase if self.grid else None, inside=self.inside, first=since)
        ends = Placer(replace(profile, edge="start"), inside=self.inside, first=since)
        apart = profile.edge == "end"
        parts: list[Columns] = []
        plain: list[Ints] = []
        length = self._stop - self._first
        types = column_types(profile, ROLES)
        at_top = 0 if self._first == 0 else None  # only there may a byte order mark stand
        with reading(self.path), pa.OSFile(os.fspath(self.path), "rb") as file:
            stream = RowStream(file.get_stream(self._first, length), profile.delimiter, block_bytes, skip_lines=at_top)
            for whole in blocks_of(stream, profile, types):
                batch = _in_points(profile, whole)
                count = len(profile.columns["timestamp"])
                fields = scanned(stamps_of(batch, count))
                numbers = numbers_of(batch, count)
                if numbers is None:
                    raise NotAppended("one of its last lines has a cell that is not the number it should be")
                clock = clock_seconds(profile, fields)
                starts, columns = placer.add(fields, [*numbers, clock])
                parts.append([starts, *columns])
                plain.append((ends.add(fields, [])[0] if apart else parts[-1][0]) // _NS)
                if progress is not None:
                    progress(min((file.tell() - self._first) / length, 1.0))
        if stream.cut:
            raise NotAppended(f"one of its last lines is too long, or {NO_CELLS}")
        starts, columns = placer.finish()
        if columns:
            parts.append([starts, *columns])
            plain.append((ends.finish()[0] if apart else starts) // _NS)
        if parts:
            self.starts, *self.columns, self.clock = (np.concatenate(column) for column in zip(*parts, strict=True))
            self.utc = np.concatenate(plain)


def _in_points(profile: Profile, batch: pa.RecordBatch) -> pa.RecordBatch:
    if profile.price_scale == 1:
        return batch
    scaled = in_points(batch, profile, len(profile.columns["timestamp"]))
    if scaled is None:
        raise NotAppended("one of its last lines has a price that is not whole")
    return scaled


def _weeks_before(profile: Profile, bars: pa.Table, window: int) -> int:
    """Return a clock reading before the rows of a window, whole weeks behind that of the first row.

    A reading of the whole file looks at the clock once a week from its first row on: this is one of these looks.
    """
    starts = _starts(bars)
    first, near = int(starts[0]) // _NS, int(starts[max(0, len(starts) - window // _SHORTEST)]) // _NS
    reading = first + int(steps(profile.tz, first, first).at_utc(np.array([first]))[0])
    return reading + (near - first) // _WEEK * _WEEK


def _behind(rows: _Rows, known: int, bars: pa.Table) -> Tail:
    """Return what lies behind the known rows, after comparing those that were read again."""
    if not known or known > bars.num_rows:
        raise NotAppended("its last line is another one now")
    values = [rows.starts, *rows.columns]
    values.append(flags_of(rows.columns[:4], rows.columns[4], rows.profile))
    columns = dict(zip(BAR_SCHEMA.names, values, strict=True))
    for name, column in columns.items():
        before = np.frombuffer(bars[name].chunk(0).buffers()[1], column.dtype)
        chunk = bars[name].chunk(0)
        old = before[chunk.offset + bars.num_rows - known : chunk.offset + bars.num_rows]
        if old.tobytes() != column[:known].tobytes():
            raise NotAppended("its last line was not whole, and is another one now")
    arrays = [
        pa.Array.from_buffers(field.type, len(column) - known, [None, pa.py_buffer(column[known:])])
        for field, column in zip(BAR_SCHEMA, columns.values(), strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=BAR_SCHEMA)
    return Tail(table, rows.clock[known - 1 :], rows.utc[known - 1 :], _moved(rows, known, bars.num_rows))


def _moved(rows: _Rows, known: int, before: int) -> Grid | None:
    """Return the grid with what the new rows do to its lead; `NotAppended` when it may not be the usual one now."""
    grid = rows.grid
    if grid is None or known == len(rows.utc):
        return grid
    other = int(np.count_nonzero(phases(rows.utc[known:], rows.profile.minutes) != grid.phase))
    total = before + len(rows.utc) - known
    lead = (int(grid.lead * before) - other) / total
    if lead <= 0:
        raise NotAppended("its new rows leave open where the grid of its bars lies")
    return Grid(grid.phase, lead)


def _starts(bars: pa.Table) -> Ints:
    chunk = bars["timestamp"].chunk(0)
    return np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk)]
