"""`load`: map the shared dataset of a file, or be the one process that parses it.

A dataset remembers the file it came from: path, quick fingerprint (size, mtime, inode), content
digest, reading, reader version. A load is warm when the quick fingerprint still fits; when it does
not, the content digest decides. So a copied or touched file is the same dataset, one that has grown
has its new rows appended (`growing`), a changed one is a new version, and another file of the same
symbol and timeframe gets a name of its own, with a notice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import xxhash

from jupyter_nq.bars.rules import CHECK
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.growing import Growth, grow
from jupyter_nq.client.bars.request import is_gone, read_from, source_of
from jupyter_nq.client.bars.sources import Source
from jupyter_nq.client.bars.state import record_of
from jupyter_nq.errors import UnknownDataset

if TYPE_CHECKING:
    from jupyter_nq.bars.loading import Bars
    from jupyter_nq.client.session import Session

Progress = Callable[[float], None]
"""Called with the fraction done, 0 to 1; may raise to give up."""


@dataclass(frozen=True)
class Mapped:
    """The outcome of a load, before it is turned into a frame."""

    handle: Handle
    how: str
    """`mapped` when it was there, else what this process did: `parsed` the file, `restored` it from its archive,
    `computed` features of its bars."""
    seconds: float
    evidence: tuple[str, ...]
    """How the file was read, one sentence per decision."""
    notice: str | None
    """Something that the user should know, None when there is nothing."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever uses the bars must know, whenever they are loaded."""
        name = self.handle.info.name
        checks = [f"{name}: {line.removeprefix(CHECK)}" for line in self.evidence if line.startswith(CHECK)]
        return (*checks, *([self.notice] if self.notice else []))

    @property
    def parsed(self) -> bool:
        """Whether this process parsed the file, on the way to its features too."""
        return "parsed" in self.how


def load(session: Session, source: Source, progress: Progress | None = None) -> Mapped:
    """Map the dataset of a source, parsing it first if nobody has."""
    start = time.perf_counter()
    name, notice, ready = _claim(session, source)
    if ready is not None and source.is_same(ready):
        return _mapped(ready, how="mapped", start=start, notice=notice)
    if ready is not None:
        ready.close()
    handle, how, _ = build_once(session, name, source, progress)
    return _mapped(handle, how=how, start=start, notice=notice)


def ready(session: Session, source: Source) -> Handle | None:
    """Map the dataset of a source if it is there and holds what the source holds now."""
    _, _, known = _claim(session, source)
    if known is not None and not source.is_same(known):
        known.close()
        return None
    return known


def _claim(session: Session, source: Source) -> tuple[str, str | None, Handle | None]:
    """Return a name for a dataset, a notice when it is not the plain one or was another's, and what it holds."""
    name = source.request.name
    taken = _open(session, name)
    if taken is None or source.may_own(taken):
        return name, None, taken
    known = source_of(taken.info.meta)
    other = read_from(known)
    if is_gone(known):
        return name, f"{name} was the dataset of {other}, which is gone; it is {source.label}'s from now on.", taken
    taken.close()
    own = f"{name}-{xxhash.xxh32_hexdigest(os.fsencode(source.label))[:6]}"
    origin = f"is the dataset of {other}" if other else "was put by a notebook"
    notice = f"{name} {origin}, so {source.label} is loaded as {own}. Drop {name} to free the name."
    return own, notice, _open(session, own)


def _open(session: Session, name: str) -> Handle | None:
    try:
        return session.open(name)
    except UnknownDataset:
        return None


def _mapped(handle: Handle, *, how: str, start: float, notice: str | None) -> Mapped:
    evidence = (record_of(handle) or source_of(handle.info.meta)).get("evidence", ())
    return Mapped(handle, how, time.perf_counter() - start, tuple(evidence), notice)  # type: ignore[arg-type]


def build_once(session: Session, name: str, source: Source, progress: Progress | None) -> tuple[Handle, str, str]:
    """Be the one process that reads the source, or wait for it.

    Returns
    -------
    The dataset, how it was had (`mapped`, `refreshed`, `parsed`), and why it was not `refreshed`, though there was one.
    """
    content = f"{name}\0{source.key}"

    def waiting(fraction: float | None) -> None:
        if progress is not None:
            progress(fraction or 0.0)

    with session.store.lock(xxhash.xxh3_128_hexdigest(content.encode()), waiting=waiting) as building:
        why = ""
        while (ready := _open(session, name)) is not None:
            if source.is_same(ready):
                return ready, "mapped", ""
            with ready:
                grown = grow(session, name, source, ready, progress) if source.may_own(ready) else Growth(None)
            if grown.handle is not None:
                return grown.handle, "refreshed", ""
            why = grown.why
            if not grown.overtaken:
                break
        return *_parse(session, name, source, building.write_progress, progress), why


def _parse(session: Session, name: str, source: Source, *listeners: Progress | None) -> tuple[Handle, str]:
    """Publish what the archive of the source holds, else what the source itself does; says which."""

    def tell(fraction: float) -> None:
        for listener in listeners:
            if listener is not None:
                listener(fraction)

    kept = session.cache.restore(source) if source.archived else None
    bars = kept or _checked(source.parse(session.settings.read_block_bytes, tell))
    handle = session.publish(name, bars.table, meta={"bars": source.record(bars)})
    if kept is None and source.archived:
        session.cache.keep(source, bars)
    return handle, "parsed" if kept is None else "restored"


def _checked(bars: Bars) -> Bars:
    """Return bars with what a look at their sessions tells, which every load of them says."""
    from jupyter_nq.bars.validation.findings import of_sessions

    return replace(bars, evidence=(*bars.evidence, *of_sessions(bars.table, bars.profile.calendar)))
