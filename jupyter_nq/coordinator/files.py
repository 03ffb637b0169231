"""What the files of the store say to the desk: objects, names and drops at the start, bytes at any time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from jupyter_nq.buffers import Catalogue, ColdCopies, ColdInfo, Damaged, ObjectInfo
from jupyter_nq.buffers.cold.copies import SUFFIX
from jupyter_nq.buffers.directory import COLD
from jupyter_nq.buffers.platform import lock_holders
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.drops import Drops
from jupyter_nq.coordinator.pins import Pins
from jupyter_nq.coordinator.snapshot_records import SnapshotRecords
from jupyter_nq.errors import ChecksumError, NQError, UnknownDataset

_BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system


def stored_object(info: ObjectInfo | ColdInfo) -> ev.StoredObject:
    """Return what the desk keeps of a header, or of the copy of an object that is on the disk alone."""
    return ev.StoredObject(
        id=info.id,
        name=info.name,
        first_version=info.first_version,
        version=info.version,
        rows=info.rows,
        bytes=info.nbytes if isinstance(info, ObjectInfo) else 0,
        created_ns=info.created_ns,
        owner_pid=info.owner_pid,
        kind=info.kind,
        meta=info.meta,
    )


def survey(store: Catalogue) -> ev.Rebuilt:
    """Read the whole store. Whatever cannot be read fails the survey: what is not seen must not be lost.

    Raises
    ------
    OSError, StoreError
    """
    objects = {info.id: stored_object(info) for info in store.scan()}
    in_memory = list(objects.values())
    cold = cold_copies(store)
    copies = {info.id: info for info in cold.scan() if info.version} if cold is not None else {}
    for id_, info in copies.items():
        objects.setdefault(id_, stored_object(info))
    told = {id_: copy_of(info) for id_, info in copies.items()}
    links = store.names()
    for name, id_ in links.items():
        if id_ in objects:
            continue
        if (found := _behind(store, name, id_)) is not None:
            objects[id_] = found
        elif cold is not None and cold.exists(id_):
            objects[id_], told[id_] = _unreadable(cold.file(id_), name)
    drops, pins = Drops(store.path).read(), Pins(store.path).read()
    records = SnapshotRecords(store.path)
    records.sweep()
    return ev.Rebuilt(tuple(objects.values()), links, time.monotonic(), drops, told, pins, records.read(in_memory))


def cold_copies(store: Catalogue) -> ColdCopies | None:
    """Return the directory of copies on the disk to which the store leads, None when nothing was copied yet.

    Raises
    ------
    StoreError
        It is there and cannot be used.
    """
    link = store.path / COLD
    return ColdCopies(os.path.realpath(link), create=False) if os.path.lexists(link) else None


def remove_copy(store: Catalogue, id_: str) -> None:
    """Remove the copy of an object on the disk, if there is one."""
    cold = cold_copies(store)
    if cold is not None:
        cold.remove(id_)


def copy_of(info: ColdInfo) -> ev.Copy:
    """Return what the desk keeps of a copy on the disk."""
    return ev.Copy(info.version, info.nbytes, info.durable)


def lasting_copy(store: Catalogue, ids: Iterable[str]) -> tuple[ev.StoredObject, ev.Copy] | None:
    """Return the first of these objects that the disk has for good, with its copy; None when it has none."""
    cold = cold_copies(store)
    if cold is None:
        return None
    for id_ in ids:
        with contextlib.suppress(UnknownDataset, ChecksumError):
            if (info := cold.info(id_)).durable:
                return stored_object(info), copy_of(info)
    return None


def _behind(store: Catalogue, name: str, id_: str) -> ev.StoredObject | None:
    """Return the object behind a name that the scan did not have, damaged or not; None without a file."""
    try:
        return stored_object(store.info(id_))
    except UnknownDataset:
        return None
    except ChecksumError:
        there = (store.path / "obj" / id_).lstat()
        taken = there.st_blocks * _BLOCK_BYTES
        return ev.StoredObject(id_, name, 0, 0, 0, taken, there.st_mtime_ns, 0, ev.DAMAGED)


def _unreadable(path: Path, name: str) -> tuple[ev.StoredObject, ev.Copy]:
    """Return what is known of a dataset of which a copy is left that cannot be read, and may have been durable."""
    there = path.lstat()
    stored = ev.StoredObject(path.stem, name, 0, 0, 0, 0, there.st_mtime_ns, 0, ev.DAMAGED)
    return stored, ev.Copy(0, there.st_blocks * _BLOCK_BYTES, durable=True)


def damaged(store: Catalogue) -> list[Damaged]:
    """Return what cannot be read among the objects and among their copies on the disk, with the reasons."""
    cold = cold_copies(store)
    copies = [] if cold is None else [found for found in cold.damaged() if found.path.suffix == SUFFIX]
    return [*store.damaged(), *copies]


def measure(store: Catalogue, known: Mapping[str, ev.StoredObject], promised_bytes: int = 0) -> ev.Measured:
    """Return what all files take now, and which of them are in the making; `known` spares reading headers.

    Streams count with what their publishers were promised, which is more than they take.
    """
    total, unfinished = promised_bytes, []
    for path, taken in _files(os.path.join(store.path, "obj")):
        total += taken
        stored = known.get(os.path.basename(path)) or _unknown(store, os.path.basename(path))
        if stored is not None and not stored.version:
            unfinished.append(ev.Unfinished(stored.owner_pid, stored.name, taken, stored.created_ns))
    now_ns = time.time_ns()
    for path, taken in _files(os.path.join(store.path, "tmp")):
        total += taken
        if taken:
            unfinished += [ev.Unfinished(pid, None, taken, now_ns) for pid in lock_holders(Path(path))[:1]]
    return ev.Measured(total, tuple(unfinished))


def _unknown(store: Catalogue, id_: str) -> ev.StoredObject | None:
    try:
        return stored_object(store.info(id_))
    except (OSError, NQError):
        return None  # its bytes count; whose they are does not matter


def _files(directory: str) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                yield entry.path, entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
