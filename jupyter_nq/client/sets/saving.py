"""Saving a working set: what the store holds now, in one look at the desk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from jupyter_nq.buffers import Handle
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.client.bars.remembered import recall
from jupyter_nq.client.bars.request import source_of
from jupyter_nq.client.bars.state import later_of
from jupyter_nq.client.session import Session
from jupyter_nq.client.sets.document import SavedDataset, SavedStream, WorkingSet, path_of, write
from jupyter_nq.errors import ChecksumError, NQError, UnknownDataset
from jupyter_nq.sizes import counted
from jupyter_nq.streams.consumers import consumers
from jupyter_nq.streams.forms import form_of

_OF_SOURCE = ("path", "series", "pattern", "symbol", "timeframe", "reading", "found")


@dataclass(frozen=True)
class Saved:
    """What was saved, and what could not be; printed, it says so."""

    path: Path
    datasets: int
    streams: int
    left_out: tuple[str, ...] = ()
    """A sentence for each thing that is not in the file."""

    def __str__(self) -> str:
        first = f"{self.path}: {counted(self.datasets, 'dataset')} and {counted(self.streams, 'stream')} are saved"
        return "\n".join([first, *(f"  not saved: {why}" for why in self.left_out)])


def save(session: Session, name: str | os.PathLike[str]) -> Saved:
    """Save what this desk works on, to have it again with `nq.restore`: in place of a set of the same name.

    It holds names, versions and digests of the datasets, where they came from and where a durable copy lies, what was
    said of their files, the streams, the positions of named consumers, and pins; no data. Datasets that left memory are
    brought back for their digests.

    Parameters
    ----------
    name
        Of the set, in the user's data directory; or a path, with a directory or ending in `.json`.

    Returns
    -------
    Saved
        Where; printed, it says what could not be saved.

    Raises
    ------
    InvalidArgument
    StoreFull
        No room to bring a dataset back.
    OSError
        The file cannot be written.
    """
    path, left_out = path_of(name), []
    rows = session.ls()
    datasets: dict[str, SavedDataset] = {}
    for row in rows:
        try:
            datasets[row.name] = _dataset(session, row.name, row.durable)
        except (ChecksumError, UnknownDataset) as exc:  # damaged, or dropped meanwhile
            left_out.append(f"dataset {row.name}: {exc}")
    streams: dict[str, SavedStream] = {}
    for stream in session.streaming.names():
        try:
            streams[stream] = _stream(session, stream)
        except NQError as exc:  # damaged, dropped meanwhile, or on a disk that does not give it back
            left_out.append(f"stream {stream}: {exc}")
    pins = tuple(row.name for row in rows if row.pinned and row.name in datasets)
    store, now = str(session.store.path), datetime.now(UTC)
    write(path, WorkingSet(now, store, datasets, _profiles(datasets.values()), streams, pins))
    return Saved(path, len(datasets), len(streams), tuple(left_out))


def _dataset(session: Session, name: str, durable: bool) -> SavedDataset:
    with session.open(name) as handle:
        meta = handle.info.meta
        copy = {"directory": os.path.realpath(session.store.path / COLD), "id": handle.info.id}
        return SavedDataset(
            handle.version,
            handle.rows,
            digest_of(session, handle),
            durable,
            copy if durable else None,
            _source(source_of(meta)),
            _features(handle, meta),
            next((key for key in sorted(meta) if key not in ("bars", "features")), None),
        )


def digest_of(session: Session, handle: Handle) -> str | None:
    """Return the digest of all rows of an object, made now when it is pending; None when it is to have none."""
    info = handle.info
    if info.digest_state == "pending":
        session.store.complete(info.id)
        info = session.store.info(info.id)
    return info.digest if info.digest_state == "done" else None


def _source(known: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return of the record of a source what a load needs to read it again; None of what has no source."""
    if not known.get("path") and not known.get("series"):
        return None
    files = {"files": [{"path": file["path"]} for file in known["files"]]} if "files" in known else {}
    return {**{key: known[key] for key in _OF_SOURCE if key in known}, **files}


def _features(handle: Handle, meta: Mapping[str, Any]) -> bool | tuple[str, ...] | None:
    if "features" not in meta:
        return None
    if handle.info.name.endswith("-features"):
        return True
    return tuple(map(str, later_of(handle).get("state", {}).get("features", ())))


def _profiles(datasets: Iterable[SavedDataset]) -> dict[str, dict[str, Any]]:
    """Return what was said of the files of these datasets."""
    found = {}
    for path in sorted({str(one.source["path"]) for one in datasets if one.source and one.source.get("path")}):
        if (kept := recall(Path(path))) is not None:
            found[path] = {"given": dict(kept.given), "when": kept.when}
    return found


def _stream(session: Session, name: str) -> SavedStream:
    control = session.streaming.control(name)
    schema: pa.Schema | None = form_of(control).known()
    return SavedStream(
        control.static.stream_id,
        control.static.form,
        {} if schema is None else {field.name: str(field.type) for field in schema},
        control.static.schema if control.epoch == 0 or schema is None else schema.serialize().to_pybytes(),
        control.static.options,
        {seen.name: seen.positions for seen in consumers(control.path) if seen.name is not None},
    )
