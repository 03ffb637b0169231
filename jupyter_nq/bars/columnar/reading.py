"""A sheet and its profile to the canonical columns of bars, block by block.

It is the reading of a text (`reading.chunks`) without the text: the same placing on UTC, the same rules, the same
order of rows, and rows instead of lines in what is said of a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jupyter_nq.bars.closed import phases
from jupyter_nq.bars.columnar.numbers import BadNumber, is_number, prices, volumes
from jupyter_nq.bars.columnar.sheets import Group, Sheet
from jupyter_nq.bars.columnar.stamps import TypedStamps, is_text, plain_type, time_digits
from jupyter_nq.bars.profile import Dialect, Profile
from jupyter_nq.bars.reading.carried import Columns, Placer
from jupyter_nq.bars.reading.disorder import Disorder
from jupyter_nq.bars.reading.ranges import MARGIN_SECONDS
from jupyter_nq.bars.reading.reader import iso
from jupyter_nq.bars.reading.stamps import BadStamp, Fields, Ints, Layout
from jupyter_nq.bars.rules import flags_of
from jupyter_nq.bars.schema import PRICES
from jupyter_nq.errors import EmptyDataset, UnreadableSource

_NS = 1_000_000_000
_DAY = 86_400
_EPOCHS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def row_error(sheet: Sheet, row: int, reason: str, remedy: str = "Correct the row.") -> UnreadableSource:
    """Return the error for a row that cannot be read."""
    return UnreadableSource(f"{sheet.label}, row {row:,} (the first is 0): {reason}. {remedy}")


def check_types(sheet: Sheet, dialect: Dialect) -> None:
    """Raise `UnreadableSource` for a column whose type cannot hold what its name says."""
    for role, names in dialect.columns.items():
        for name in names:
            kind = plain_type(sheet.schema.field(name).type)
            if role == "timestamp" and not _may_be_stamp(kind):
                raise UnreadableSource(
                    f"{sheet.label}: the stamps in {name!r} are {kind}. Convert them to timestamps, or to whole "
                    "numbers since 1970."
                )
            if role != "timestamp" and not is_number(kind):
                what = "empty" if pa.types.is_null(kind) else f"{kind}, not numbers"
                raise UnreadableSource(f"{sheet.label}: the column {name!r} is {what}. Convert it to float64 or int64.")


def _may_be_stamp(kind: pa.DataType) -> bool:
    typed = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)
    return bool(typed or pa.types.is_integer(kind) or is_text(kind))


def all_stamps(sheet: Sheet, dialect: Dialect) -> Fields:
    """Return the fields of the whole stamp column.

    Raises
    ------
    UnreadableSource
        A row without a stamp, or no rows.
    """
    names = dialect.columns["timestamp"]
    stamps = TypedStamps(_digits(sheet, names))
    try:
        for batch in sheet.batches(names):
            stamps.add(batch.columns)
        if not stamps.rows:
            raise EmptyDataset(f"{sheet.label} has no rows. Export it again.")
        return stamps.fields()
    except BadStamp as bad:
        raise row_error(sheet, bad.row, bad.reason) from bad


def _digits(sheet: Sheet, names: Sequence[str]) -> int:
    """Return how many digits times of day have; only whole numbers need a look at all of them."""
    if len(names) < 2 or not pa.types.is_integer(sheet.schema.field(names[1]).type):
        return time_digits(None)
    highest = (pc.max(batch.column(0)).as_py() for batch in sheet.batches(names[1:]))
    return time_digits(max((value for value in highest if value is not None), default=None))


def phase_of(profile: Profile, utc: Ints) -> int:
    """Return where the grid of bars lies that most stamps (seconds UTC) are on, as `closed.phases` counts it."""
    values, counts = np.unique(phases(utc, profile.minutes), return_counts=True)
    return int(values[np.argmax(counts)])


@dataclass(frozen=True)
class _Part:
    """The row groups of a sheet that hold every row of a span, and some around it."""

    groups: range | None = None
    """None for all rows."""
    rows_before: int = 0
    reading: int | None = None
    """Clock reading at the beginning of the sheet, seconds; None when not known."""


class Reading:
    """One pass over a sheet, or over the row groups of it that can hold a span. Used by one thread.

    Parameters
    ----------
    phase
        Of end-stamped bars that a session may cut short, see `Placer`; else None.
    start_ns, end_ns
        Only bars that start in this span, ns UTC, both inclusive; None is no bound.
    """

    def __init__(
        self,
        sheet: Sheet,
        profile: Profile,
        phase: int | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> None:
        self._sheet, self._profile, self._phase = sheet, profile, phase
        self._start_ns, self._end_ns = start_ns, end_ns
        self._names = [name for names in profile.columns.values() for name in names]
        self._parts = len(profile.columns["timestamp"])
        self._time_digits = 6 if any(Layout.parse(label).seconds for label in profile.layouts) else 4
        self._part = _Part()

    def blocks(self) -> Iterator[Columns]:
        """Yield the columns of `BAR_SCHEMA`, block by block, of the rows in the span."""
        self._part = self._part_of()
        skipped = self._part.rows_before > 0
        placer, order = Placer(self._profile, self._phase, inside=skipped, first=self._part.reading), Disorder()
        for batch in self._sheet.batches(self._names, self._part.groups):
            starts, columns = self._placed(placer, batch)
            if order.add(starts):
                yield from self._in_span(starts, columns)
        try:
            starts, columns = placer.finish()
        except BadStamp as bad:
            raise self._misplaced(bad) from bad
        if not order.add(starts):
            raise self._disorder(order)
        yield from self._in_span(starts, columns)

    # -- one batch --------------------------------------------------------------------------------------
    def _placed(self, placer: Placer, batch: pa.RecordBatch) -> tuple[Ints, Columns]:
        before = placer.rows
        stamps = TypedStamps(self._time_digits)
        try:
            stamps.add(batch.columns[: self._parts])
            fields = stamps.fields()
            numbers = self._numbers(batch.columns[self._parts :])
        except (BadStamp, BadNumber) as bad:
            raise row_error(self._sheet, self._part.rows_before + before + bad.row, bad.reason) from bad
        try:
            return placer.add(fields, numbers)
        except BadStamp as bad:
            raise self._misplaced(bad) from bad

    def _numbers(self, columns: Sequence[pa.Array]) -> Columns:
        """Return open, high, low, close, volume of a batch."""
        names = self._names[self._parts :]
        found: Columns = [prices(name, column) for name, column in zip(names[:4], columns[:4], strict=True)]
        parts = [volumes(name, column) for name, column in zip(names[4:], columns[4:], strict=True)]
        volume = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if (volume < 0).any():
            raise BadNumber(int(np.argmax(volume < 0)), "up and down volume together do not fit into 64 bits")
        return [*found, volume]

    def _misplaced(self, bad: BadStamp) -> UnreadableSource:
        remedy = "Correct the row, or pass the tz= of the clock that wrote it."
        return row_error(self._sheet, self._part.rows_before + bad.row, bad.reason, remedy)

    def _disorder(self, order: Disorder) -> UnreadableSource:
        named = [
            f"row {self._part.rows_before + row:,} ({iso(after)}) "
            f"{'repeats' if before == after else 'goes back behind'} the row before it ({iso(before)})"
            for row, before, after in order.named
        ]
        return UnreadableSource(
            f"{self._sheet.label}: the stamps do not strictly increase in {order.wrong:,} of {order.rows:,} rows. "
            f"{'; '.join(named)}. Sort the table and remove what is there twice, or pass day_first=, tz= if the "
            "reading is wrong."
        )

    def _in_span(self, starts: Ints, columns: Columns) -> Iterator[Columns]:
        """Yield the rows in the span, if any."""
        low = 0 if self._start_ns is None else int(np.searchsorted(starts, self._start_ns))
        high = len(starts) if self._end_ns is None else int(np.searchsorted(starts, self._end_ns, side="right"))
        if low < high:
            found = [np.ascontiguousarray(column[low:high]) for column in (starts, *columns)]
            yield [*found, flags_of(found[1:5], found[5], self._profile)]

    # -- row groups -------------------------------------------------------------------------------------
    def _part_of(self) -> _Part:
        """Return the row groups that can hold the span; all, when the file does not say what they hold."""
        if self._start_ns is None and self._end_ns is None:
            return _Part()
        name = self._profile.columns["timestamp"][0]
        groups = self._sheet.groups(name)
        spans = [self._span_of(group, self._sheet.schema.field(name).type) for group in groups]
        known = [span for span in spans if span is not None]
        if not groups or len(known) < len(groups):
            return _Part()
        margin = 2 * MARGIN_SECONDS  # twice, so that an hour that a clock repeats is whole or far from the span
        low = None if self._start_ns is None else self._start_ns // _NS - margin
        high = None if self._end_ns is None else self._end_ns // _NS + margin
        first = next((i for i, span in enumerate(known) if low is None or span[1] >= low), len(known) - 1)
        last = max((i for i, span in enumerate(known) if high is None or span[0] <= high), default=first)
        before = sum(group.rows for group in groups[:first])
        return _Part(range(first, max(first, last) + 1), before, known[0][0])

    def _span_of(self, group: Group, kind: pa.DataType) -> tuple[int, int] | None:
        """Return the first and last clock reading of a row group, seconds; None when it cannot be told."""
        if group.low is None or group.high is None:
            return None
        if pa.types.is_date32(kind):
            return group.low * _DAY, group.high * _DAY + _DAY
        per_second = group.per_second or _EPOCHS.get(Layout.parse(self._profile.layouts[0]).epoch, 0)
        return (group.low // per_second, group.high // per_second) if per_second else None


def float32_names(sheet: Sheet, dialect: Dialect) -> list[str]:
    """Return the price columns of a sheet whose numbers have fewer digits than a float64."""
    names = (dialect.columns[role][0] for role in PRICES)
    kinds = {name: plain_type(sheet.schema.field(name).type) for name in names}
    return [name for name, kind in kinds.items() if pa.types.is_float32(kind) or pa.types.is_float16(kind)]
