"""`create_memory_mapped_loader`: one bar file, by rows, by spans and by chunks.

Nothing is read twice and nothing raw is shown. Rows and spans are views of the shared dataset that every notebook maps,
made of the file by whoever asks first; chunks are read from the file with the memory of a chunk, unless it is shared
already.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_nq.client.bars import chunked
from jupyter_nq.client.bars.request import asked
from jupyter_nq.client.selection import Stamp
from jupyter_nq.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_nq.buffers import Handle
    from jupyter_nq.client.session import Session

_CHUNK_ROWS = 10_000


class MemoryMappedLoader:
    """The bars of one file; made by `MemoryManager.create_memory_mapped_loader`.

    Parameters
    ----------
    session
        Session to load through.
    path
        Text, Parquet, Arrow or Feather, compressed or not: what `jupyter_nq.load` reads.
    timeframe, symbol
        What the file's name does not tell.

    Raises
    ------
    SourceNotFound, UnreadableSource, UnknownTimeframe, UnknownInstrument
    """

    def __init__(
        self,
        session: Session,
        path: str | os.PathLike[str],
        timeframe: str | None = None,
        symbol: str | None = None,
    ) -> None:
        self._session, self._timeframe, self._symbol = session, timeframe, symbol
        self._request = asked(session, Path(path).expanduser(), timeframe, symbol=symbol)
        self._handle: Handle | None = None  # mapped by the first call that needs rows; close() forgets it

    def __repr__(self) -> str:
        state = "not mapped" if self._handle is None else f"{self._handle.rows:,} bars mapped"
        return f"<MemoryMappedLoader {self.path.name}, {state}>"

    def __enter__(self) -> MemoryMappedLoader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._mapped().rows

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return self.chunks()

    @property
    def path(self) -> Path:
        """The file."""
        return self._request.path

    def load(
        self, start: Stamp | None = None, end: Stamp | None = None, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return the bars that start between two stamps, both inclusive, as a read-only view; None is no bound."""
        frame: pd.DataFrame = self._session.view(self._mapped(), columns=columns, start=start, end=end)
        return frame

    def rows(self, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the bars of a half-open range of rows as a read-only view, negative numbers counted from the end.

        The index has the rows' numbers.
        """
        return self.load(columns=columns).iloc[start:stop]

    def chunks(
        self,
        rows: int = _CHUNK_ROWS,
        start: Stamp | None = None,
        end: Stamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the bars in frames of exactly `rows` rows; the last may be shorter.

        Put together they are the frame of `load`, bit for bit, and the index counts on. Chunks of a file that nobody
        has loaded take the memory of a chunk, whatever its size, and share nothing; else they are views.
        """
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            raise InvalidArgument(f"rows={rows!r} is not a number of rows. Pass 1 or more.")
        if self._handle is not None or chunked.at_hand(self._session, self._request, features=False):
            frame = self.load(start, end, columns)
            return (frame.iloc[at : at + rows] for at in range(0, len(frame), rows))
        wanted = chunked.Wanted(rows, columns, start, end, features=False)
        return chunked.chunks(self._session, self._request, wanted, None, "jupyter_nq.validate")

    def close(self) -> None:
        """Let go of the mapping; frames stay readable, and the next call maps again. Closing twice is fine."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _mapped(self) -> Handle:
        if self._handle is None:
            mapped = self._session.map(self.path, self._timeframe, symbol=self._symbol)
            for told in mapped.warnings:
                warnings.warn(told, stacklevel=4)
            self._handle = mapped.handle
        return self._handle
