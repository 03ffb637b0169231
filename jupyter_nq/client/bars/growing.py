"""A dataset whose file has grown: the new rows are parsed and appended to the same object.

The note with the record of the new state is written before the rows are committed, so whoever sees the new rows
knows where they are from, and who is killed in between leaves the old state whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_nq.bars.fingerprint import Fingerprint, begins_with, quick
from jupyter_nq.bars.instruments import code_of
from jupyter_nq.buffers import Handle
from jupyter_nq.client.bars.source import FileSource
from jupyter_nq.client.bars.state import Record, note_with, record_of
from jupyter_nq.errors import UnreadableSource

if TYPE_CHECKING:
    from jupyter_nq.bars.profile import Profile
    from jupyter_nq.bars.refreshing.tail import Tail
    from jupyter_nq.client.session import Session


@dataclass(frozen=True)
class Growth:
    """What came of appending."""

    handle: Handle | None
    """The dataset with the new rows; None when the file must be read whole."""
    why: str = ""
    """Why it must, as the end of a sentence that begins with `because`."""
    overtaken: bool = False
    """Whether another process changed the dataset meanwhile, so that it must be looked at again."""


def grow(
    session: Session, name: str, source: Any, ready: Handle, progress: Callable[[float], None] | None = None
) -> Growth:
    """Append to a dataset what its file has got since, when the file is what it was and more.

    Raises
    ------
    SourceNotFound, UnreadableSource
        The file went, or changed while it was read.
    StoreFull
        There is no room; the dataset is as it was.
    """
    known = record_of(ready)
    why = _unlike(source, ready, known)
    if why:
        return Growth(None, why)
    from jupyter_nq.bars.refreshing.tail import NotAppended

    found: Fingerprint = source.fingerprint()
    try:
        tail, record = _tail(source, ready, known, found, progress)
    except NotAppended as exc:
        return Growth(None, str(exc))
    if quick(source.request.path) != found.quick:
        raise UnreadableSource(f"{source.label} changed while it was read. Refresh it again in a moment.")
    grown = session.extend(name, ready, tail.table, note_with(ready, record))
    return Growth(grown, overtaken=grown is None)


def _unlike(source: Any, ready: Handle, known: Record) -> str:
    """Return why the file cannot be what the dataset holds and more, nothing when it may be."""
    from jupyter_nq.bars.reading.opening import compression, is_columnar

    if not isinstance(source, FileSource):
        return "of several files, the one that has grown may not be the last"
    path = source.request.path
    if not known:
        return f"what the {ready.rows:,} rows were read from is not known"
    if known.get("code") != code_of(source.request.symbol):
        return "another version of jupyter-nq read it before, or with another instrument in the settings"
    if known.get("reading") != source.request.reading.given():
        return "it is to be read in another way than before"
    if is_columnar(path):
        return "only text can be read from its middle"
    packed = compression(path)
    if packed is not None:
        return f"it is {packed}, which cannot be read from its middle"
    if is_columnar(path):
        return "it is no text, whose end could be read alone"
    found = source.fingerprint()
    size = int(known.get("size", 0))
    if size >= found.size:
        return f"it is {'shorter than' if size > found.size else 'as long as'} before, with other content"
    if not begins_with(path, found, size, known["digest"]):
        return "its history was rewritten: it does not begin with what it was"
    return ""


def _tail(
    source: FileSource,
    ready: Handle,
    known: Record,
    found: Fingerprint,
    progress: Callable[[float], None] | None,
) -> tuple[Tail, Record]:
    from jupyter_nq.bars.reading.chunks import Grid
    from jupyter_nq.bars.refreshing.evidence import confirm, retold
    from jupyter_nq.bars.refreshing.tail import read_tail

    request, profile, size = source.request, _profile(known["profile"]), int(known.get("size", 0))
    bars = ready.arrow()
    grid = Grid(*known["grid"]) if known.get("grid") else None
    tail = read_tail(request.path, profile, bars, size, found.size, grid=grid, progress=progress)
    plain = confirm(
        request.path,
        profile,
        tail,
        bars,
        size,
        symbol=request.symbol,
        timeframe=request.timeframe,
        given=request.reading.given(),
        plain=bool(known.get("plain")),
    )
    record = {
        "path": source.label,
        "quick": list(source.quick),
        "size": found.size,
        "digest": found.digest,
        "rows": ready.rows + tail.table.num_rows,
        "evidence": retold(request.path, profile, tail, bars, known.get("evidence", ())),
        "plain": plain,
        "grid": [tail.grid.phase, tail.grid.lead] if tail.grid else None,
    }
    return tail, record


def _profile(plain: Record) -> Profile:
    """Return the profile that `Profile.to_dict` wrote."""
    from jupyter_nq.bars.profile import Profile

    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()}
    fields["columns"] = {role: tuple(names) for role, names in plain["columns"].items()}
    return Profile(**fields)
