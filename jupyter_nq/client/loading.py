"""`load`: map the shared dataset of a file, or be the one process that parses it.

A dataset remembers the file it came from: path, quick fingerprint (size, mtime, inode), content
digest, reading, reader version. A load is warm when the quick fingerprint still fits; when it does
not, the content digest decides. So a copied or touched file is the same dataset, a changed one is a
new version, and another file of the same symbol and timeframe gets a name of its own, with a notice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from jupyter_nq.bars.fingerprint import CODE_VERSION, Fingerprint, fingerprint, quick
from jupyter_nq.buffers import Handle
from jupyter_nq.client.request import Request, source_of
from jupyter_nq.errors import UnknownDataset, UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars import Bars
    from jupyter_nq.client.session import Session

Progress = Callable[[float], None]
"""Called with the fraction done, 0 to 1; may raise to give up."""


@dataclass(frozen=True)
class Mapped:
    """The outcome of a load, before it is turned into a frame."""

    handle: Handle
    parsed: bool
    """True when this process parsed the file."""
    seconds: float
    evidence: tuple[str, ...]
    """How the file was read, one sentence per decision."""
    notice: str | None
    """Something that the user should know, None when there is nothing."""


def load(session: Session, request: Request, progress: Progress | None = None) -> Mapped:
    """Map the dataset of `request`, parsing it first if nobody has."""
    start = time.perf_counter()
    source = _Source(request)
    name, notice, ready = _claim(session, source)
    if ready is not None and source.is_same(ready):
        return _mapped(ready, parsed=False, start=start, notice=notice)
    if ready is not None:
        ready.close()
    handle, parsed = _build_once(session, name, source, progress)
    return _mapped(handle, parsed=parsed, start=start, notice=notice)


def _claim(session: Session, source: _Source) -> tuple[str, str | None, Handle | None]:
    """Return a name for a dataset, a notice when it is not the plain one or was another's, and what it holds."""
    request = source.request
    name = request.name
    taken = _open(session, name)
    if taken is None or source.may_own(taken):
        return name, None, taken
    other = source_of(taken.info.meta).get("path")
    if other is not None and not os.path.exists(str(other)):
        return name, f"{name} was the dataset of {other}, which is gone; it is {request.path}'s from now on.", taken
    taken.close()
    own = f"{name}-{xxhash.xxh32_hexdigest(os.fsencode(request.path))[:6]}"
    origin = f"is the dataset of {other}" if other else "was put by a notebook"
    notice = f"{name} {origin}, so {request.path} is loaded as {own}. Drop {name} to free the name."
    return own, notice, _open(session, own)


class _Source:
    """The file of a request, fingerprinted no more than needed."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.quick = quick(request.path)

    def fingerprint(self) -> Fingerprint:
        return _fingerprint(self.request.path, self.quick)

    def may_own(self, handle: Handle) -> bool:
        """Is the dataset this file's, in this or an older state?"""
        known = source_of(handle.info.meta)
        return known.get("path") == str(self.request.path) or self._same_content(known)

    def is_same(self, handle: Handle) -> bool:
        """Does the dataset hold exactly what the file holds now, read in the same way?"""
        known = source_of(handle.info.meta)
        if known.get("code") != CODE_VERSION or known.get("reading") != self.request.reading.given():
            return False
        if known.get("rows") != handle.rows:  # somebody appended to it: no longer the file
            return False
        if known.get("path") == str(self.request.path) and tuple(known.get("quick", ())) == self.quick:  # type: ignore[arg-type]
            return True
        return self._same_content(known)

    def _same_content(self, known: Mapping[str, object]) -> bool:
        return known.get("digest") == self.fingerprint().digest

    def meta(self, bars: Bars) -> dict[str, Any]:
        """Return what the dataset remembers of this file."""
        return {
            "bars": {
                "path": str(self.request.path),
                "quick": list(self.quick),
                "digest": self.fingerprint().digest,
                "reading": self.request.reading.given(),
                "code": CODE_VERSION,
                "symbol": self.request.symbol,
                "timeframe": self.request.timeframe,
                "rows": bars.table.num_rows,
                "profile": bars.profile.to_dict(),
                "evidence": list(bars.evidence),
            }
        }


@lru_cache(maxsize=64)
def _fingerprint(path: Path, _as_it_is: tuple[int, int, int]) -> Fingerprint:
    """Digest a file once for each state of it that this process meets."""
    return fingerprint(path)


def _open(session: Session, name: str) -> Handle | None:
    try:
        return session.open(name)
    except UnknownDataset:
        return None


def _mapped(handle: Handle, *, parsed: bool, start: float, notice: str | None) -> Mapped:
    evidence = source_of(handle.info.meta).get("evidence", ())
    return Mapped(handle, parsed, time.perf_counter() - start, tuple(evidence), notice)  # type: ignore[arg-type]


def _build_once(session: Session, name: str, source: _Source, progress: Progress | None) -> tuple[Handle, bool]:
    """Be the one process that parses, or wait for it; the second value tells which it was."""
    reading = sorted(source.request.reading.given().items())
    content = f"{name}\0{source.fingerprint().digest}\0{reading}\0{CODE_VERSION}"

    def waiting(fraction: float | None) -> None:
        if progress is not None:
            progress(fraction or 0.0)

    with session.store.lock(xxhash.xxh3_128_hexdigest(content.encode()), waiting=waiting) as building:
        ready = _open(session, name)
        if ready is not None and source.is_same(ready):
            return ready, False
        if ready is not None:
            ready.close()
        return _parse(session, name, source, building.write_progress, progress), True


def _parse(session: Session, name: str, source: _Source, *listeners: Progress | None) -> Handle:
    from jupyter_nq.bars import load_bars  # the CSV machinery is not needed by a warm load

    def tell(fraction: float) -> None:
        for listener in listeners:
            if listener is not None:
                listener(fraction)

    request = source.request
    bars = load_bars(
        request.path,
        timeframe=request.timeframe,
        symbol=request.symbol,
        block_bytes=session.settings.read_block_bytes,
        progress=tell,
        **request.reading.given(),  # type: ignore[arg-type]
    )
    _check_unchanged(request.path, source.fingerprint())
    return session.publish(name, bars.table, meta=source.meta(bars))


def _check_unchanged(path: Path, before: Fingerprint) -> None:
    if quick(path) != (before.size, before.mtime_ns, before.inode):
        raise UnreadableSource(f"{path} changed while it was read. Load it again when it is complete.")
