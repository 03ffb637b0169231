"""Having a saved dataset again: from an older version that is still there, its durable copy, or its source."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from jupyter_nq.buffers import ColdCopies, Handle, Store, thaw
from jupyter_nq.client.bars.featured import featured
from jupyter_nq.client.bars.loading import load
from jupyter_nq.client.bars.sources import source_again
from jupyter_nq.client.session import Session
from jupyter_nq.client.sets.document import SavedDataset
from jupyter_nq.client.sets.saving import digest_of
from jupyter_nq.errors import NQError, StoreError, UnknownDataset

_FORMS = {"arrow": "arrow", "dict": "numpy", "numpy": "numpy"}
"""How data are viewed that came in so, to go in again; all others are as `pandas` has them."""


@dataclass(frozen=True)
class Brought:
    """Where a dataset came from, and whether it is what was saved: its file may have changed."""

    how: str
    same: bool = True


class NotHad(Exception):
    """A dataset cannot be had again; the text says why."""


def bring_back(session: Session, name: str, saved: SavedDataset) -> Brought:
    """Share a dataset again as it was saved, as the next version of its name; returns where it came from.

    Raises
    ------
    NotHad
        It cannot be had; then nothing was changed.
    NQError
        What was tried failed.
    """
    tried = []
    for way in (_from_old_version, _from_copy, _from_source):
        try:
            return way(session, name, saved)
        except NotHad as exc:
            tried.append(str(exc))
        except (NQError, OSError) as exc:
            tried.append(f"{type(exc).__name__}: {exc}")
    raise NotHad("; ".join(filter(None, tried)))


def is_same(session: Session, handle: Handle, saved: SavedDataset) -> bool:
    """Tell whether a dataset has the content that was saved; of one without digest, by its version and rows."""
    found = digest_of(session, handle)
    if saved.digest is None or found is None:
        return (handle.version, handle.rows) == (saved.version, saved.rows)
    return found == saved.digest and handle.rows == saved.rows


def _from_old_version(session: Session, name: str, saved: SavedDataset) -> Brought:
    """Share an older version of the name once more, when somebody or a snapshot still has it."""
    try:
        with session.open(name, saved.version) as handle:
            if handle.rows != handle.info.rows or not is_same(session, handle, saved):
                raise NotHad(f"version {saved.version} here is another one")
            _share(session, session.store, handle, name, saved)
    except UnknownDataset:
        raise NotHad("") from None
    return Brought(f"from version {saved.version}, which was still there")


def _from_copy(session: Session, name: str, saved: SavedDataset) -> Brought:
    if saved.copy is None:
        raise NotHad("it has no durable copy")
    directory, id_ = saved.copy["directory"], saved.copy["id"]
    try:
        copies = ColdCopies(directory, create=False)
        copies.info(id_)
    except (StoreError, UnknownDataset):
        raise NotHad(f"its durable copy in {directory} is gone") from None
    with _thawed(session, copies, id_) as (store, handle):
        if not is_same(session, handle, replace(saved, digest=None)) or _digest(handle) != saved.digest:
            raise NotHad(f"its durable copy in {directory} is another version by now")
        _share(session, store, handle, name, saved)
    return Brought(f"from its durable copy in {directory}")


def _digest(handle: Handle) -> str | None:
    return handle.info.digest if handle.info.digest_state == "done" else None


@contextmanager
def _thawed(session: Session, copies: ColdCopies, id_: str) -> Iterator[tuple[Store, Handle]]:
    """Map the copy of another store's object from a store of its own, on the disk, which goes again."""
    with tempfile.TemporaryDirectory(prefix="jupyter-nq-") as directory:
        store = Store(directory)
        thaw(store, id_, copies, keys=session.spilling.read_keys())
        with store.open_id(id_) as handle:
            yield store, handle


def _share(session: Session, store: Store, handle: Handle, name: str, saved: SavedDataset) -> None:
    """Share what a handle of a store shows, as it came in there, with its metadata; durable when it was."""
    container = str(store.static(handle.info.id).origin.get("container"))
    data = handle.view(_FORMS.get(container, "pandas"))
    with session.publish(name, data, meta=handle.info.meta or None) as shared:
        if saved.durable:
            with session.store.writing(name):
                session.spilling.keep(shared.info.id)


def _from_source(session: Session, name: str, saved: SavedDataset) -> Brought:
    """Load it again as it was loaded."""
    if saved.source is None:
        raise NotHad("it was put, not loaded from a file")
    if saved.derived is not None or saved.features == ():
        raise NotHad(f"it was made by {saved.derived or 'features that nobody remembers'}: make it again")
    was_there = name in session.store.names()
    try:
        source = source_again(session, saved.source)
    except NQError:
        raise
    except (TypeError, KeyError, ValueError) as exc:
        raise NotHad(f"how it was read cannot be understood ({type(exc).__name__}: {exc})") from None
    mapped = load(session, source)
    if saved.features:
        mapped = featured(session, mapped, list(saved.features) if isinstance(saved.features, tuple) else True)
    with mapped.handle as handle:
        if handle.info.name != name:
            raise NotHad(f"its name is another dataset's, and it was loaded as {handle.info.name}")
        same, origin = is_same(session, handle, saved), saved.source.get("path") or saved.source.get("series")
    if was_there and not same:
        raise NotHad(f"{origin} has other bars by now")
    return Brought(f"from {origin}", same)
