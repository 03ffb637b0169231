"""Restoring a working set: what is there is left, what can be had again is brought back, and the rest is told."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from jupyter_nq.client.bars.remembered import Kept, recall, remember
from jupyter_nq.client.bars.request import Reading
from jupyter_nq.client.listing import plain
from jupyter_nq.client.session import Session
from jupyter_nq.client.sets.bringing import NotHad, bring_back, is_same
from jupyter_nq.client.sets.document import SavedDataset, SavedStream, WorkingSet, path_of, read
from jupyter_nq.errors import NQError, StreamBusy, UnknownDataset, UnreadableSource
from jupyter_nq.streams.consumers import consumers
from jupyter_nq.streams.control import MappedControl

SAME, RESTORED, CHANGED, REFUSED, LOST = "same", "restored", "changed", "refused", "lost"
"""It was there; it was brought back; what came back differs from what was saved; it was left alone because something
else has its place; it cannot be had again."""


@dataclass(frozen=True)
class Restored:
    """What became of one thing of a working set."""

    kind: str
    """`dataset`, `pin`, `profile`, `stream`, `consumer` or `other`."""
    name: str
    outcome: str
    """One of `same`, `restored`, `changed`, `refused` and `lost`."""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {plain(self.name)}: {self.outcome}{f', {plain(self.why)}' if self.why else ''}"


@dataclass(frozen=True)
class Restoration:
    """What became of a whole working set; printed, it is a summary and a line for each thing that was not the same."""

    path: Path
    items: tuple[Restored, ...]

    @property
    def ok(self) -> bool:
        """Whether all of it is as it was saved."""
        return all(item.outcome in (SAME, RESTORED) for item in self.items)

    @property
    def missing(self) -> tuple[Restored, ...]:
        """What is not as it was saved."""
        return tuple(item for item in self.items if item.outcome not in (SAME, RESTORED))

    def __str__(self) -> str:
        counts = Counter(item.outcome for item in self.items)
        told = ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in (SAME, RESTORED, CHANGED, REFUSED, LOST)
                         if counts[outcome])  # fmt: skip
        lines = [f"  {item}" for item in self.items if item.outcome != SAME]
        return "\n".join([f"{self.path}: {told or 'nothing was saved in it'}", *lines])


def restore(session: Session, name: str | os.PathLike[str], *, overwrite: bool = False) -> Restoration:
    """Bring a working set back that `nq.save` saved, in this store or in another one.

    What is there with the same content is left as it is. A dataset that is missing comes back from its durable copy, or
    is loaded from its file as it was; a stream is made anew without its messages; consumers, pins and what was said of
    files are set again. Nothing newer, or other, is replaced. Whatever could not be brought back is named with the
    reason: a restore that brings back a part says which.

    Parameters
    ----------
    name
        Of the set, or the path of its file.
    overwrite
        True replaces datasets that are newer or others by what was saved, as their next version, and likewise positions
        of consumers and what was said of files.

    Returns
    -------
    Restoration
        With `ok`, `missing` and all `items`; printed, it is a summary.

    Raises
    ------
    SourceNotFound, UnreadableSource, InvalidArgument
        There is no such set, or its file is damaged; nothing was changed.
    """
    path = path_of(name)
    found = read(path)
    return Restoration(path, tuple(_restored(session, found, overwrite)))


def _restored(session: Session, found: WorkingSet, overwrite: bool) -> Iterator[Restored]:
    for file, said in found.profiles.items():  # first: a load may need what was said
        yield _profile(file, Kept(said["given"], said["when"]), overwrite)
    for name, dataset in found.datasets.items():
        yield _dataset(session, name, dataset, overwrite)
    for name in found.pins:
        yield _pin(session, name)
    for name, stream in found.streams.items():
        yield from _stream(session, name, stream, overwrite)
    for other in found.others:
        yield Restored("other", other, LOST, "this version of jupyter-nq does not know such things")


def _dataset(session: Session, name: str, saved: SavedDataset, overwrite: bool) -> Restored:
    try:
        there = _version_there(session, name, saved)
        if there == 0:
            return Restored("dataset", name, SAME)
        if there is not None and not overwrite:
            older = "newer" if there > saved.version else "another"
            return Restored(
                "dataset",
                name,
                REFUSED,
                f"version {there} is there, {older} than version {saved.version} that was saved; overwrite=True "
                "replaces it",
            )
        brought = bring_back(session, name, saved)
    except NotHad as exc:
        return Restored("dataset", name, LOST, str(exc))
    except (NQError, OSError) as exc:  # what is there cannot be read
        return Restored("dataset", name, LOST, f"{type(exc).__name__}: {exc}")
    changed = "" if brought.same else ", which has changed since"
    return Restored("dataset", name, RESTORED if brought.same else CHANGED, f"{brought.how}{changed}")


def _version_there(session: Session, name: str, saved: SavedDataset) -> int | None:
    """Return which version of a name is there, 0 for what was saved, None when there is none."""
    try:
        with session.open(name) as handle:
            return 0 if is_same(session, handle, saved) else handle.version
    except UnknownDataset:
        return None


def _pin(session: Session, name: str) -> Restored:
    try:
        if any(row.name == name and row.pinned for row in session.ls()):
            return Restored("pin", name, SAME)
        session.pin(name)
    except NQError as exc:
        return Restored("pin", name, LOST, str(exc))
    return Restored("pin", name, RESTORED)


def _profile(file: str, saved: Kept, overwrite: bool) -> Restored:
    known = recall(Path(file))
    if known is not None and dict(known.given) == dict(saved.given):
        return Restored("profile", file, SAME)
    if known is not None and not overwrite:
        return Restored("profile", file, REFUSED, f"something else was said of it: {known.text}")
    try:
        given = Reading(**saved.given).given()
    except (NQError, TypeError) as exc:
        return Restored("profile", file, LOST, f"it cannot be understood: {exc}")
    remember(Path(file), Kept(given, saved.when))
    return Restored("profile", file, RESTORED)


# -- streams ------------------------------------------------------------------------------------------
def _stream(session: Session, name: str, saved: SavedStream, overwrite: bool) -> Iterator[Restored]:
    was_there = name in session.streaming.names()
    try:
        schema = None if saved.schema is None else _schema(saved.schema)
        if was_there and session.streaming.control(name).static.stream_id == saved.id:
            schema = None  # it is the same, and may have evolved since
        session.streaming.open(name, schema, saved.form, saved.options).close()
        control = session.streaming.control(name)
    except NQError as exc:
        yield Restored("stream", name, REFUSED if was_there else LOST, str(exc))
        yield from (
            Restored("consumer", f"{one} of {name}", LOST, "its stream was not restored") for one in saved.consumers
        )
        return
    why = "" if was_there else "without the messages that it had"
    yield Restored("stream", name, SAME if was_there else RESTORED, why)
    for consumer, positions in saved.consumers.items():
        what = f"{consumer} of {name}"
        if control.static.stream_id != saved.id:
            yield Restored("consumer", what, LOST, "its messages went with the stream: it begins with what comes")
        else:
            yield _consumer(session, control, what, consumer, positions, overwrite)


def _schema(content: bytes) -> pa.Schema:
    try:
        return pa.ipc.read_schema(pa.py_buffer(content))
    except (pa.ArrowException, OSError, ValueError) as exc:
        raise UnreadableSource(f"its schema cannot be read: {exc}") from exc


def _consumer(
    session: Session, control: MappedControl, what: str, name: str, positions: Mapping[int, int], overwrite: bool
) -> Restored:
    known = next((seen.positions for seen in consumers(control.path) if seen.name == name), None)
    if known == dict(positions):
        return Restored("consumer", what, SAME)
    if known is not None and not overwrite:
        return Restored("consumer", what, REFUSED, "it has read on, or is elsewhere; overwrite=True moves it back")
    try:
        with session.streaming.existing(control.static.name) as stream:
            subscription = stream.subscribe(positions, name=name)
            try:
                subscription.seek(positions)
                subscription.ack()
            finally:
                subscription.close()
    except (StreamBusy, NQError) as exc:
        return Restored("consumer", what, LOST, str(exc))
    return Restored("consumer", what, RESTORED)
