"""The chunks of `load_chunked_data` of a file that nobody has loaded: nothing is shared, and memory is a chunk's.

The file is read as `iterate` reads it. Features are carried from batch to batch, and so are the rules about bars and
the bars above them, so that a chunk is what the same rows of the whole would be.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from jupyter_nq.bars.columns import starts_of
from jupyter_nq.bars.features.pipeline import Features
from jupyter_nq.bars.instruments import instrument, regular_hours_of
from jupyter_nq.bars.schema import BAR_SCHEMA
from jupyter_nq.bars.timeframe import parse_timeframe
from jupyter_nq.client.bars.chunks import iterate
from jupyter_nq.client.bars.featured import usual_ready
from jupyter_nq.client.bars.loading import ready
from jupyter_nq.client.bars.remembered import recall
from jupyter_nq.client.bars.request import Reading, Request
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.selection import Stamp, shown, span_of

if TYPE_CHECKING:
    from jupyter_nq.bars.validation.running import RunningErrors
    from jupyter_nq.client.session import Session

_BATCH_ROWS = 10_000


def at_hand(session: Session, request: Request, *, features: bool) -> bool:
    """Return whether what a load would show is shared already, read as asked or as was said of the file before."""
    known = recall(request.path)
    for reading in [request.reading, *([Reading(**known.given)] if known else [])]:
        bars = ready(session, FileSource(replace(request, reading=reading)))
        if bars is not None:
            with bars:
                return not features or usual_ready(session, bars)
    return False


@dataclass(frozen=True)
class Wanted:
    """What the chunks are to show."""

    rows: int
    """Rows of every chunk but the last."""
    columns: Sequence[str] | None
    start: Stamp | None
    end: Stamp | None
    features: bool
    """Whether the usual features stand beside the bars."""


def chunks(
    session: Session, request: Request, wanted: Wanted, errors: RunningErrors | None, hint: str
) -> Iterator[pd.DataFrame]:
    """Return an iterator over frames of the bars of a file.

    Parameters
    ----------
    errors
        What finds errors in the bars: of the first that it finds is warned, once. None looks for none.
    hint
        What shows all errors, for the warning.

    Raises
    ------
    InvalidArgument
        There is no such column, or the span ends before it starts.
    NQError
        As `iterate`.
    """
    minutes, known = parse_timeframe(request.timeframe).minutes, instrument(request.symbol)
    told: dict[str, Any] = {"calendar": known.calendar, "regular_hours": regular_hours_of(request.symbol)}
    features = Features(minutes=minutes, **told) if wanted.features else None
    columns = shown(request.name, [*BAR_SCHEMA.names, *(features.columns if features else ())], wanted.columns)
    first_ns, _ = span_of(wanted.start, wanted.end)
    bars = iterate(session, request.path, request.timeframe, symbol=request.symbol, rows=_BATCH_ROWS, end=wanted.end)
    if features and not set(columns) & set(features.columns):
        features = None
    return _frames(_Pass(bars, features, columns, first_ns, errors), request.name, wanted.rows, hint)


class _Pass:
    """One pass over bars in batches. Used by one thread."""

    def __init__(
        self,
        bars: Iterator[pa.RecordBatch],
        features: Features | None,
        columns: list[str],
        first_ns: int,
        errors: RunningErrors | None,
    ) -> None:
        self._bars, self._features, self._columns, self._first_ns = bars, features, columns, first_ns
        self._errors = errors
        self.before = 0
        """Rows of the file before the first that is shown."""
        self.found: list[str] = []
        """The errors of the first batch that had some."""

    def tables(self) -> Iterator[pa.Table]:
        """Yield what is shown, batch by batch."""
        for batch in self._bars:
            if self._errors is not None and not self.found:
                self.found = self._errors.add(batch)
            table = self._features.add(batch) if self._features else pa.Table.from_batches([batch])
            early = int(np.searchsorted(starts_of(table), self._first_ns))
            self.before += early
            if early < batch.num_rows:
                yield table.slice(early).select(self._columns)


def _frames(taken: _Pass, name: str, rows: int, hint: str) -> Iterator[pd.DataFrame]:
    """Yield frames whose index counts the rows of the file."""
    at, told = 0, False
    for table in _cut(taken.tables(), rows):
        if taken.found and not told:
            told = True
            warnings.warn(f"{name} has errors: {'; '.join(taken.found)}. {hint} shows all.", stacklevel=2)
        frame: Any = table.to_pandas()
        frame.index = pd.RangeIndex(taken.before + at, taken.before + at + len(frame))
        at += len(frame)
        yield frame


def _cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut tables of any size into tables of so many rows; the last has the rest."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        if count < rows:
            continue
        whole = pa.concat_tables(held)
        full, count = count - count % rows, count % rows
        held = [whole.slice(full)] if count else []
        for first in range(0, full, rows):
            yield whole.slice(first, rows)
    if count:
        yield pa.concat_tables(held)
