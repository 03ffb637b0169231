"""What a load reads: the file of a request, fingerprinted no more than needed.

A source knows which dataset is its own, whether that still holds what it holds itself, and how to parse itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.fingerprint import Fingerprint, fingerprint, quick
from jupyter_nq.bars.instruments import code_of
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.request import Request, source_of
from jupyter_nq.client.bars.state import record_of
from jupyter_nq.errors import UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.bars.reading.blocks import Progress


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as exc:
        raise UnreadableSource(
            f"{str(path)!r}: the name has bytes that are no text, under which nothing can be remembered of it. Rename "
            "the file."
        ) from exc


class FileSource:
    """The file of a request, fingerprinted no more than needed."""

    archived = True
    """Whether its bars are kept in the archive."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.quick: tuple[int, ...] = quick(request.path)
        _check_name(request.path)

    @property
    def label(self) -> str:
        """What messages call it."""
        return str(self.request.path)

    @property
    def key(self) -> str:
        """What its table depends on: the content, the answers of the user, the reader."""
        reading = sorted(self.request.reading.given().items())
        return f"{self.fingerprint().digest}\0{reading}\0{code_of(self.request.symbol)}"

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset this file's, in this or an older state?"""
        return source_of(handle.info.meta).get("path") == self.label or self._same_content(record_of(handle))

    def is_same(self, handle: Handle) -> bool:
        """Does the dataset hold exactly what the file holds now, read in the same way?"""
        known = record_of(handle)
        if known.get("code") != code_of(self.request.symbol) or known.get("reading") != self.request.reading.given():
            return False
        if known.get("path") == self.label and tuple(known.get("quick", ())) == self.quick:
            return True
        return self._same_content(known)

    def parse(self, block_bytes: int, progress: Progress) -> Bars:
        """Read the file; raises when it changed meanwhile, besides what `load_bars` raises."""
        from jupyter_nq.bars import load_bars  # the CSV machinery is not needed by a warm load

        request = self.request
        before = self.fingerprint()
        bars = load_bars(request.path, block_bytes=block_bytes, progress=progress, **request.told)
        request.check(bars.profile.minutes)
        if quick(request.path) != before.quick:
            raise UnreadableSource(f"{self.label} changed while it was read. Load it again when it is complete.")
        return bars

    def record(self, bars: Bars) -> dict[str, Any]:
        """Return what the dataset remembers of this file, JSON-able."""
        return {
            "path": self.label,
            "quick": list(self.quick),
            "size": self.fingerprint().size,
            "digest": self.fingerprint().digest,
            "reading": self.request.reading.given(),
            "code": code_of(self.request.symbol),
            "symbol": self.request.symbol,
            "timeframe": self.request.timeframe,
            "found": list(self.request.found),
            "rows": bars.table.num_rows,
            "profile": bars.profile.to_dict(),
            "evidence": [*self.request.evidence, *bars.evidence],
        }

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the file in the state in which this source met it."""
        return _digested(self.request.path, self.quick)

    def _same_content(self, known: Mapping[str, object]) -> bool:
        return known.get("digest") == self.fingerprint().digest


@lru_cache(maxsize=64)
def _digested(path: Path, _as_it_is: tuple[int, int, int]) -> Fingerprint:
    """Digest a file once for each state of it that this process meets."""
    return fingerprint(path)
