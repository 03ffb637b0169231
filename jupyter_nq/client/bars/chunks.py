"""`iterate`: a file in record batches, for files that are larger than what one wants to share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jupyter_nq.bars.profile import Profile
from jupyter_nq.bars.reading.chunks import Guard
from jupyter_nq.bars.reading.chunks import iterate as iterate_file
from jupyter_nq.bars.reading.opening import is_columnar
from jupyter_nq.bars.sniffing.sniff import Sniffed, sniff
from jupyter_nq.client.bars.fetch import Copy, is_address, local_copy, local_path
from jupyter_nq.client.bars.remembered import answered
from jupyter_nq.client.bars.request import Located, Reading, Request, from_name, located
from jupyter_nq.client.bars.source_series import is_series, paths_of, series_request
from jupyter_nq.client.selection import Stamp, span_ns
from jupyter_nq.errors import UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session


def iterate(
    session: Session,
    source: Any = None,
    timeframe: str | None = None,
    *,
    rows: int = 10_000,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    tz: str | None = None,
    edge: str | None = None,
    day_first: bool | None = None,
    profile: Profile | str | Mapping[str, Any] | None = None,
    contract: str | None = None,
    start: Stamp | None = None,
    end: Stamp | None = None,
) -> Iterator[pa.RecordBatch]:
    """Return an iterator over the bars of a file or a series in record batches of exactly `rows` rows; shares nothing.

    Put together the batches are the table of a `load`, bit for bit, whatever `rows` is. What the file is, is found out
    before, from all its stamps, which are packed into some bits each. Else memory is that of a batch and a few blocks,
    whatever the file's size: some 30 MiB for half a gigabyte.

    Parameters
    ----------
    source, timeframe, symbol, data_dir, tz, edge, day_first, profile, contract
        As for `load`; no table in memory.
    rows
        Rows of every batch but the last, which has those that are left.
    start, end
        First and last bar by its start, both inclusive, as for `load`; only the bytes that can hold them are read.

    Returns
    -------
    Record batches: `timestamp` (UTC ns, start of bar), `open high low close` (float64), `volume` (int64), `flags`
    (uint32). `close()` lets go of the file, and of the copy of one elsewhere.

    Raises
    ------
    SourceNotFound, AmbiguousSource, AmbiguousStamps, UnreadableSource, UnknownInstrument, UnknownTimeframe,
    InvalidArgument
        What is wrong with a row is raised when the iterator comes to it. So is a change of the file since the call, be
        it only that it has grown; the batches before are those of the file as it was.
    """
    reading = Reading(tz, edge, day_first, profile, contract)
    first = None if start is None else span_ns(start, "start")[0]
    last = None if end is None else span_ns(end, "end")[1]
    if is_series(source):
        return _series(session, source, timeframe, symbol, reading, rows=rows, start_ns=first, end_ns=last)
    if (first, last) != (None, None) and is_address(source) and local_path(source) is None:
        part = _in_place(source, timeframe, symbol, reading, rows=rows, start_ns=first, end_ns=last)
        if part is not None:
            return part
    found = located(session, source, timeframe, symbol=symbol, data_dir=data_dir, reading=reading)
    guard = Guard.of(found.path)
    with guard.watching():
        batches, said = _file(found, rows=rows, start_ns=first, end_ns=last, guard=guard)
    if said:
        warnings.warn(said, stacklevel=3)
    return _holding([found.copy], batches)


def _holding(copies: Sequence[Copy | Path | None], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches, and keep the copies that they are read from until the iterator ends or is closed."""
    yield from batches


def _file(found: Located, **wanted: Any) -> tuple[Iterator[pa.RecordBatch], str]:
    """Return the batches of a file, and the sentence about answers that were given before."""
    request = found.request()
    if is_columnar(request.path):
        return _columnar(request, **wanted), ""

    def read(reading: Reading) -> Sniffed:
        return sniff(request.path, **replace(request, reading=reading).told)

    sniffed, said = answered(request.path, request.reading, read)
    request.check(sniffed.profile.minutes)
    return iterate_file(request.path, sniffed.profile, in_points=True, **wanted), said


def _series(
    session: Session, source: Any, timeframe: str | None, symbol: str | None, reading: Reading, **wanted: Any
) -> Iterator[pa.RecordBatch]:
    from jupyter_nq.bars.series import iterate_series

    label, places = paths_of(source)
    request = series_request(label, places, timeframe, symbol, reading)
    files = [place if isinstance(place, Path) else local_copy(place, session.settings) for place in places]
    paths = [file if isinstance(file, Path) else file.path for file in files]
    told: dict[str, Any] = {"timeframe": request.timeframe, "symbol": request.symbol, **reading.given()}
    return _holding(files, iterate_series(paths, **told, **wanted))


def _in_place(
    source: str, timeframe: str | None, symbol: str | None, reading: Reading, **wanted: Any
) -> Iterator[pa.RecordBatch] | None:
    """Read the row groups of a Parquet file elsewhere where they lie; None when it is none."""
    from jupyter_nq.bars.columnar.loading import iterate_columnar
    from jupyter_nq.bars.columnar.sheets import sheet_from
    from jupyter_nq.client.bars.fetch import Remote, address_of, reaching

    address = address_of(source)
    found = from_name(Path(address.name), timeframe, symbol, reading)
    remote = Remote(address)
    with reaching(address), remote.open() as file:
        magic = file.read(4)
    if magic != b"PAR1":
        return None
    told: dict[str, Any] = {"timeframe": timeframe, "symbol": found.known_symbol(), **reading.given()}
    label = address.label
    guard = Guard(remote.state, lambda: UnreadableSource(f"{label} changed while it was read. Read it again."))
    with guard.watching():
        sheet = sheet_from(label, magic, remote.open)
    return iterate_columnar(sheet, found.path, guard=guard, **told, **wanted)


def _columnar(request: Request, **wanted: Any) -> Iterator[pa.RecordBatch]:
    from jupyter_nq.bars.columnar.loading import iterate_columnar
    from jupyter_nq.bars.columnar.sheets import sheet_of

    return iterate_columnar(sheet_of(request.path), request.path, **request.told, **wanted)
