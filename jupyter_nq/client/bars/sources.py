"""Which source a load means: a file, several files of one series, a file elsewhere, or a table in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import Reading, Request, asked, check_text, check_timeframe
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.bars.source_object import ObjectSource, is_table
from jupyter_nq.client.bars.source_series import SeriesSource, is_series, paths_of, series_request

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.bars.reading.blocks import Progress
    from jupyter_nq.client.session import Session

Given = Any
"""What `source=` takes: a path, symbol or timeframe; several paths, or a pattern; an address; a table in memory."""


class Source(Protocol):
    """What a load reads: it knows which dataset is its own, and how to parse itself."""

    archived: bool
    """Whether its bars are kept in the archive."""
    request: Request
    """What was asked for; its path is the file, or the name that messages give to what is none."""

    @property
    def label(self) -> str:
        """What messages call it."""

    @property
    def key(self) -> str:
        """What its table depends on: the content, the answers of the user, the reader."""

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset this source's, in this or an older state?"""

    def is_same(self, handle: Handle) -> bool:
        """Does the dataset hold exactly what the source holds now, read in the same way?"""

    def parse(self, block_bytes: int, progress: Progress) -> Bars:
        """Read it."""

    def record(self, bars: Bars) -> dict[str, Any]:
        """Return what the dataset remembers of it, JSON-able."""


def source_for(
    session: Session,
    source: Given,
    timeframe: str | None,
    *,
    symbol: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    reading: Reading | None = None,
    progress: Progress | None = None,
) -> Source:
    """Return the source that a call with these arguments means; errors are those of `load`.

    `progress` is told how much of a file elsewhere is fetched.
    """
    reading = reading or Reading()
    check_timeframe(timeframe)
    check_text("symbol", symbol, "a symbol such as 'NQ'")
    if isinstance(source, str) and "://" in source:
        from jupyter_nq.client.bars.fetch import local_path  # only addresses need it
        from jupyter_nq.client.bars.source_remote import RemoteSource

        path = local_path(source)
        if path is None:
            return RemoteSource(source, timeframe, symbol, reading, session.settings, progress)
        source = path
    if is_table(source):
        return ObjectSource(source, timeframe, symbol, reading)
    if is_series(source):
        label, paths = paths_of(source)
        request = series_request(label, paths, timeframe, symbol, reading)
        return SeriesSource(label, paths, request, session.settings, pattern=not isinstance(source, (list, tuple)))
    return FileSource(asked(session, source, timeframe, symbol=symbol, data_dir=data_dir, reading=reading))


def source_again(session: Session, known: Mapping[str, Any], progress: Progress | None = None) -> Source:
    """Return the source of a dataset as it is now, by the record of `source_of`, read as it was.

    Raises
    ------
    SourceNotFound, UnreadableSource
        It is gone.
    """
    reading = Reading(**known["reading"])
    if "series" in known:
        pattern = bool(known["pattern"])
        label, places = paths_of(known["series"] if pattern else [file["path"] for file in known["files"]])
        request = Request(Path(label), known["symbol"], known["timeframe"], reading)
        return SeriesSource(label, places, request, session.settings, pattern=pattern)
    if "://" in known["path"]:
        from jupyter_nq.client.bars.source_remote import RemoteSource

        told = known["timeframe"], known["symbol"], reading, session.settings, progress
        return RemoteSource(known["path"], *told)
    found = tuple(known.get("found", ()))
    return FileSource(Request(Path(known["path"]), known["symbol"], known["timeframe"], reading, found))
