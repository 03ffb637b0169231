"""A file of any size as record batches of so many rows: memory is that of a batch and a few blocks.

The result is that of `read_bars`, cut into pieces, bit for bit: what a block needs of the rows before it is
carried (`carried.Placer`: the hour that a clock repeats), and where the bars' grid lies in a file of end stamps,
for which `read_bars` counts all stamps, is counted in a pass of its own before. A span of time is read from the
bytes that can hold it (`ranges`).

A file is opened several times, and may be another one each time: written anew, replaced, or grown. A `Guard` notices,
and nothing that was read afterwards is given out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from jupyter_nq.bars.closed import cut_short, phases
from jupyter_nq.bars.fingerprint import quick
from jupyter_nq.bars.loading import refuse_scaled
from jupyter_nq.bars.profile import ROLES, Profile
from jupyter_nq.bars.reading import fast
from jupyter_nq.bars.reading.blocks import (
    blocks_of,
    changed,
    column_types,
    fault,
    read_blocks,
    reading,
    stamps_of,
)
from jupyter_nq.bars.reading.carried import Columns, Placer, scanned
from jupyter_nq.bars.reading.disorder import Disorder
from jupyter_nq.bars.reading.lines import RowStream
from jupyter_nq.bars.reading.opening import check_file
from jupyter_nq.bars.reading.ranges import MARGIN_SECONDS, Part, part_of, rows_before, sampled_readings
from jupyter_nq.bars.reading.reader import array_of, checked_numbers, misplaced, stamp_error
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints
from jupyter_nq.bars.reading.starts import fields_of
from jupyter_nq.bars.rules import flags_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.zones import steps
from jupyter_nq.errors import EmptyDataset, InvalidArgument, NQError, UnreadableSource

CHUNK_BLOCK_BYTES = 256 << 10  # 256 KiB: half the memory of the usual block, a tenth more time
SPAN_BYTES = 2 << 20  # 2 MiB: some 40,000 rows
_NS = 1_000_000_000
_CLEAR = 0.75  # share of sampled stamps on one grid that makes counting all of them needless


class Guard:
    """Sees to it that a file stays the one that it is now, from before it is found out what it is. Used by one thread.

    Parameters
    ----------
    look
        Returns what tells the states of the file apart.
    error
        Returns the error for a file that is another one by now.
    """

    def __init__(self, look: Callable[[], object], error: Callable[[], UnreadableSource]) -> None:
        self._look, self._error = look, error
        self._before = look()

    @classmethod
    def of(cls, path: Path) -> Guard:
        """Return the guard of a file of this machine; raises when there is none."""
        check_file(path)
        return cls(lambda: quick(path), lambda: changed(path))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Raise at the end when the file is another one, also in the place of what was found wrong meanwhile."""
        try:
            yield
        except NQError as exc:
            if self._look() != self._before:
                raise self._error() from exc
            raise
        if self._look() != self._before:
            raise self._error()

    def over(self, blocks: Iterator[Columns]) -> Iterator[Columns]:
        """Yield blocks that are read from the file as long as it is the same; raises when it is not at their end."""
        while True:
            with self.watching():
                block = next(blocks, None)
            if block is None:
                return
            yield block


def iterate(
    path: str | os.PathLike[str],
    profile: Profile,
    *,
    rows: int,
    start_ns: int | None = None,
    end_ns: int | None = None,
    block_bytes: int = CHUNK_BLOCK_BYTES,
    settings: Mapping[str, Any] | None = None,
    guard: Guard | None = None,
    in_points: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Return an iterator over the bars of a text file in record batches of `rows` rows.

    Parameters
    ----------
    profile
        As for `read_bars`: nothing is detected.
    rows
        Rows of every batch but the last, which has those that are left.
    start_ns, end_ns
        Only bars that start in this span, ns UTC, both ends inclusive. Only the bytes that can hold it are read, a
        few days around it included; rows elsewhere are not, and neither are their faults found. None: no bound.
    block_bytes
        Size of the blocks in which the file is read; the result does not depend on it.
    settings
        Those of `fast.spans`: a large file is read by the fast path as far as it can.
    guard
        Of the file, from before the profile was found; None guards it from now on.
    in_points
        Whether prices in whole billionths are refused, as `load_bars` refuses them.

    Returns
    -------
    An iterator of record batches of `BAR_SCHEMA`, slices of the block that they come from. It holds one block, and
    the reader's few blocks ahead, whatever the size of the file. `close()` lets go of the file.

    Raises
    ------
    InvalidArgument
        `rows` is less than one, or the span ends before it starts.
    SourceNotFound, UnreadableSource
        While iterating: as `read_bars`, in the same words; or the file changed, be it only that it has grown. Of a
        file with several faults the first in it is named, after the batches before it; a stamp that does not increase
        is looked for in all rows, to count them. That there is no file is told at the call.
    """
    if rows < 1:
        raise InvalidArgument(f"rows={rows}: a chunk has at least one row.")
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise InvalidArgument("the end of the span lies before its start. Exchange them.")
    path = Path(path)
    guarded = (guard or Guard.of(path)).over(_Source(path, profile, block_bytes, start_ns, end_ns, settings).blocks())
    return batches(refusing_scaled(path, guarded) if in_points else guarded, rows)


def refusing_scaled(path: Path, blocks: Iterator[Columns]) -> Iterator[Columns]:
    """Yield blocks; prices in whole billionths are refused, by those of the first block."""
    for number, block in enumerate(blocks):
        if not number:
            refuse_scaled(path, pa.table({"low": block[BAR_SCHEMA.names.index("low")]}))
        yield block


def batches(blocks: Iterator[Columns], rows: int) -> Iterator[pa.RecordBatch]:
    """Cut blocks of any size, each the columns of `BAR_SCHEMA`, into batches of `rows` rows; the last has the rest."""
    held: list[Columns] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block[0])
        if count < rows:
            continue
        columns = _joined(held)
        whole, count = count - count % rows, count % rows
        held = [[column[whole:].copy() for column in columns]] if count else []
        batch = _record_batch(columns)
        for first in range(0, whole, rows):
            yield batch.slice(first, rows)
    if count:
        yield _record_batch(_joined(held))


def _joined(blocks: list[Columns]) -> Columns:
    return blocks[0] if len(blocks) == 1 else [np.concatenate(column) for column in zip(*blocks, strict=True)]


def _record_batch(columns: Columns) -> pa.RecordBatch:
    arrays = [array_of(column, field.type) for column, field in zip(columns, BAR_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=BAR_SCHEMA)


class _Source:
    """One pass over a file, or over the bytes of it that can hold a span. Used by one thread."""

    def __init__(
        self,
        path: Path,
        profile: Profile,
        block_bytes: int,
        start_ns: int | None,
        end_ns: int | None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.profile, self.block_bytes = path, profile, block_bytes
        self.fast = {"span_bytes": SPAN_BYTES, **(settings or {})}
        self.start_ns, self.end_ns = start_ns, end_ns
        self.part: Part | None = None
        """What of the file is read, None for all."""

    def blocks(self) -> Iterator[Columns]:
        """Yield the columns of `BAR_SCHEMA`, block by block, of the rows in the span."""
        profile = self.profile
        phase = _grid(self).phase if cut_short(profile.edge, profile.minutes, profile.calendar) else None
        placer, order = self._placer(phase), Disorder()
        for fields, numbers in self._rows(placer):
            starts, columns = self._placed(placer, fields, numbers)
            if order.add(starts):
                yield from self._in_span(starts, columns)
                if self.end_ns is not None and len(starts) and starts[-1] > self.end_ns:
                    return
        starts, columns = self._finished(placer)
        if not order.add(starts):
            raise order.error(self.path, self.profile, self._row(placer.placed - order.rows))
        if not placer.rows and self.part is None:
            raise EmptyDataset(f"{self.path} has no rows. Export it again.")
        yield from self._in_span(starts, columns)

    def readings(self) -> Iterator[Ints]:
        """Yield the instants of all stamps, seconds UTC, block by block, whatever the bar edge."""
        placer = Placer(replace(self.profile, edge="start"))
        for batch in read_blocks(self.path, self.profile, ROLES[:1], block_bytes=self.block_bytes):
            starts, _ = self._placed(placer, self._scanned(batch, placer.rows), [])
            yield starts // _NS
        yield self._finished(placer)[0] // _NS

    def _placer(self, phase: int | None) -> Placer:
        if self.start_ns is not None or self.end_ns is not None:
            self.part = part_of(self.path, self.profile, self.start_ns, self.end_ns)
        if self.part is None:
            return Placer(self.profile, phase)
        return Placer(self.profile, phase, inside=self.part.inside, first=self.part.reading)

    def _rows(self, placer: Placer) -> Iterator[tuple[Fields, Columns]]:
        """Yield stamps and numbers of rows: as long as that goes the fast way, and then block by block."""
        check_file(self.path)
        first, stop = (self.part.first, self.part.stop) if self.part else (None, None)
        behind = first
        for high, _, found in fast.spans(self.path, self.profile, first=first, stop=stop, **self.fast):
            behind = high
            yield fields_of(found), found.columns
        for batch in self._read(behind, stop):
            before = placer.rows
            yield self._scanned(batch, before), self._numbers(batch, before)

    def _read(self, first: int | None, stop: int | None) -> Iterator[pa.RecordBatch]:
        """Yield the rows in the bytes [first, stop) of the file block by block; None for its first row, and its end."""
        if first is None:
            yield from read_blocks(self.path, self.profile, ROLES, block_bytes=self.block_bytes)
            return
        types = column_types(self.profile, ROLES)
        try:
            with reading(self.path), pa.OSFile(os.fspath(self.path), "rb") as file:
                last = file.size() if stop is None else stop
                if first >= last:
                    return
                span = file.get_stream(first, last - first)
                stream = RowStream(span, self.profile.delimiter, self.block_bytes, skip_lines=None)
                yield from blocks_of(stream, self.profile, types)
        except pa.ArrowInvalid as exc:
            raise fault(self.path, self.profile, self._row(0), ROLES) or changed(self.path) from exc
        if stream.cut:
            raise fault(self.path, self.profile, self._row(0), ROLES) or changed(self.path)

    def _row(self, row: int) -> int:
        """Return the number in the file of a row of this pass; for messages, because it counts lines."""
        return row if self.part is None else row + rows_before(self.path, self.profile, self.part.first)

    # -- one block --------------------------------------------------------------------------------------
    def _scanned(self, batch: pa.RecordBatch, before: int) -> Fields:
        try:
            return scanned(stamps_of(batch, len(self.profile.columns["timestamp"])))
        except BadStamp as bad:
            found = BadStamp(self._row(before + bad.row), bad.reason)
            raise stamp_error(self.path, self.profile, self._row(before), found) from bad

    def _numbers(self, batch: pa.RecordBatch, before: int) -> list[Any]:
        try:
            return checked_numbers(self.path, self.profile, batch, before)
        except UnreadableSource:
            if self.part is None:
                raise
            return checked_numbers(self.path, self.profile, batch, self._row(before))

    def _placed(self, placer: Placer, fields: Fields, numbers: Columns) -> tuple[Ints, Columns]:
        try:
            return placer.add(fields, numbers)
        except BadStamp as bad:
            raise self._misplaced(bad) from bad

    def _finished(self, placer: Placer) -> tuple[Ints, Columns]:
        waiting = placer.waiting
        if self.end_ns is not None and len(waiting) and waiting[0] > self.end_ns // _NS + MARGIN_SECONDS:
            return waiting[:0], []  # far behind the span, and cut off from what tells them apart
        try:
            return placer.finish()
        except BadStamp as bad:
            raise self._misplaced(bad) from bad

    def _misplaced(self, bad: BadStamp) -> UnreadableSource:
        return misplaced(self.path, self.profile, self._row(bad.row), bad)

    def _in_span(self, starts: Ints, columns: Columns) -> Iterator[Columns]:
        """Yield the rows in the span, if any."""
        low = 0 if self.start_ns is None else int(np.searchsorted(starts, self.start_ns))
        high = len(starts) if self.end_ns is None else int(np.searchsorted(starts, self.end_ns, side="right"))
        if low < high:
            found = [column[low:high] for column in (starts, *columns)]
            yield [*found, flags_of(found[1:5], found[5], self.profile)]


@dataclass(frozen=True)
class Grid:
    """Where the grid of the bars lies that most stamps of a file are on."""

    phase: int
    """As `closed.phases` counts it."""
    lead: float
    """By what share of all stamps it has more of them than the next one."""


def grid_of(path: Path, profile: Profile, block_bytes: int = CHUNK_BLOCK_BYTES) -> Grid:
    """Return the grid of a file of end stamps.

    All stamps are counted, or of a large file some from all over it, when they leave no doubt.
    """
    return _grid(_Source(path, profile, block_bytes, None, None))


def _grid(source: _Source) -> Grid:
    minutes, tz = source.profile.minutes, source.profile.tz
    counts: Counter[int] = Counter()
    for local in sampled_readings(source.path, source.profile):
        zone = steps(tz, int(local.min()), int(local.max()))
        counts.update(phases(local - zone.at_utc(local), minutes).tolist())
    if not counts or max(counts.values()) < _CLEAR * counts.total():
        counts.clear()
        for utc in source.readings():
            if len(utc):
                values, times = np.unique(phases(utc, minutes), return_counts=True)
                counts.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
    ranked = sorted(counts, key=lambda phase: (-counts[phase], phase))
    if not ranked:
        return Grid(0, 0.0)
    second = counts[ranked[1]] if len(ranked) > 1 else 0
    return Grid(ranked[0], (counts[ranked[0]] - second) / counts.total())
