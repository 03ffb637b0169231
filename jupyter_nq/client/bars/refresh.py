"""`refresh`: bring a dataset up to its file, and say what became of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.refreshing.changes import Change, Changes, compare
from jupyter_nq.bars.rules import CHECK
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.featured import refresh_features
from jupyter_nq.client.bars.loading import Progress, build_once
from jupyter_nq.client.bars.request import read_from, source_of
from jupyter_nq.client.bars.sources import Source, source_again
from jupyter_nq.client.bars.state import record_of
from jupyter_nq.client.origin import dataset_of
from jupyter_nq.errors import UnsupportedData
from jupyter_nq.sizes import counted

if TYPE_CHECKING:
    from jupyter_nq.client.session import Session

_MOST_SHOWN = 5
_NOTHING = Changes(0, 0, 0, 0, ())


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found and did."""

    name: str
    source: str
    """The file."""
    before: int
    """Version that was there."""
    after: int
    """Version that is there now; the same when nothing was new."""
    added: int
    """Bars that were not there."""
    changed: int
    """Bars with other prices or another volume."""
    removed: int
    """Bars that are not there any more."""
    early: int
    """Of the added bars those before the last one that was known."""
    changes: tuple[Change, ...]
    """The first changed and removed bars, and those added before the last one that was known; at most 20."""
    seconds: float
    still_on: tuple[tuple[str, int], ...]
    """Notebooks and programs that hold an older version and none newer: who, and which version."""
    remarks: tuple[str, ...] = ()
    """Why the file was read whole, and what became of the features; a sentence each."""

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Return it as lines for people, the first of them the summary."""
        held = "".join(f"; {who} still on v{version}" for who, version in self.still_on)
        took = _duration(self.seconds)
        if self.before == self.after:
            first = f"{self.name} v{self.after}: nothing new in {os.path.basename(self.source)}, {took}"
        else:
            gone = f"{self.removed:,} removed, " if self.removed else ""
            rows = f"+{counted(self.added, 'row')}, {self.changed:,} changed, {gone}"
            first = f"{self.name} v{self.before} -> v{self.after}: {rows}"
            first += took
        more = self.changed + self.removed + self.early - _MOST_SHOWN
        listed = [f"  {change}" for change in self.changes[:_MOST_SHOWN]]
        listed += [f"  and {more:,} more"] if more > 0 else []
        return "\n".join([first + held, *listed, *(f"  {remark}" for remark in self.remarks)])


def refresh(session: Session, source: Any, progress: Progress | None = None) -> Refreshed:
    """Do what `Session.refresh` says."""
    start = time.perf_counter()
    name = dataset_of(source)
    with session.open(name) as asked:
        name = _bars_of(name, asked)
    old = session.open(name)
    source = source_again(session, source_of(old.info.meta), progress)
    if source.is_same(old):
        return _told(session, source, old, old, _NOTHING, start, tuple(refresh_features(session, old, progress)))
    new, how, why = build_once(session, name, source, progress)
    remarks = [f"the whole file was read, because {why}"] if why else []
    remarks += _findings(old, new)
    if new.info.id == old.info.id or how == "refreshed":
        changes = Changes(new.rows - old.rows, 0, 0, 0, ())
    else:
        changes = compare(old.arrow(), new.arrow())
    remarks += refresh_features(session, new, progress)
    return _told(session, source, old, new, changes, start, tuple(remarks))


def _bars_of(name: str, handle: Handle) -> str:
    """Return the dataset of bars that a name means: its own, or that of its features."""
    meta = handle.info.meta
    if read_from(source_of(meta)) is None:
        raise UnsupportedData(
            f"{name} was not read from a file, so there is nothing to refresh it from. Put or load it again."
        )
    return name.partition("-features")[0] if "features" in meta else name


def _findings(old: Handle, new: Handle) -> list[str]:
    """Return what the evidence says of bars that cannot be real, where the new version has more of them."""
    before, after = (record_of(handle).get("evidence", ()) for handle in (old, new))
    return [line for line in after if line.startswith(("rows: ", "end: ", CHECK)) and line not in before]


def _told(
    session: Session,
    source: Source,
    old: Handle,
    new: Handle,
    changes: Changes,
    start: float,
    remarks: tuple[str, ...],
) -> Refreshed:
    before, after = old.version, new.version
    old.close()
    holders = next((row.holders for row in session.ls() if row.name == new.info.name), ())
    still_on = tuple((holder.who, holder.version) for holder in holders if holder.version < after)
    told = Refreshed(
        new.info.name,
        source.label,
        before,
        after,
        changes.added,
        changes.changed,
        changes.removed,
        changes.early,
        changes.first,
        time.perf_counter() - start,
        still_on,
        remarks,
    )
    new.close()
    return told


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
