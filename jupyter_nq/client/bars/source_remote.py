"""A file elsewhere as what a load reads: fetched once, and then read like a local file.

While nothing changed a load asks for the file's size and version only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_nq.bars.fingerprint import Fingerprint, fingerprint
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.fetch import Copy, Progress, Remote, address_of
from jupyter_nq.client.bars.request import Reading, from_name, source_of
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.bars.state import record_of

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.config import Settings

_FETCHING = 0.7  # of the time of a load


class RemoteSource(FileSource):
    """The file at an address. Used by one thread.

    Parameters
    ----------
    source
        `s3://bucket/NQ_5min.parquet` and the like, without credentials.
    progress
        Called with 0 to 1 while the file is fetched and read; may raise to give up.

    Raises
    ------
    InvalidArgument
        It is no such address, or carries credentials.
    SourceNotFound, UnreadableSource
    """

    def __init__(
        self,
        source: str,
        timeframe: str | None,
        symbol: str | None,
        reading: Reading,
        settings: Settings,
        progress: Progress | None = None,
    ) -> None:
        self.address = address_of(source)
        found = from_name(Path(self.address.name), timeframe, symbol, reading)
        found.known_symbol()
        remote = Remote(self.address)
        state = remote.state()
        self._copy = Copy(remote, state, settings)
        self._progress = progress
        self._fetched = False
        self._print: Fingerprint | None = None
        self.quick = state.quick
        if found.timeframe is None:
            self.fingerprint()  # its stamps tell the length of its bars
        self.request = replace(found, path=self._copy.path).request()

    @property
    def label(self) -> str:
        """Bucket and path."""
        return self.address.label

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset this file's? What is not fetched yet is not compared with others by content."""
        fetched = self._print is not None
        return source_of(handle.info.meta).get("path") == self.label or (
            fetched and self._same_content(record_of(handle))
        )

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the copy, fetched when it was not there."""
        if self._print is None:
            report = self._progress
            tell = None if report is None else lambda share: report(share * _FETCHING)
            self._fetched = self._copy.fetch(tell)
            self._print = fingerprint(self._copy.path)
        return self._print

    def parse(self, block_bytes: int, progress: Progress) -> Bars:
        """Read the copy."""
        self.fingerprint()
        first = _FETCHING if self._fetched else 0.0
        return super().parse(block_bytes, lambda share: progress(first + share * (1 - first)))
