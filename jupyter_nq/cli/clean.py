"""`jupyter nq clean`: list and remove what the package left in a store and its cache, and nothing else.

What a process holds stays: the exclusive lock on an object cannot be had while anybody maps it. With a
coordinator running, datasets that nobody holds are dropped through it. Without one this command takes
the coordinator's lock itself, so that none can start meanwhile, and removes the objects, dead temporary
files, names, the socket and, when nothing is left, the directory. Copies of datasets that left memory go with them,
and so do archives of parsed files and copies of files elsewhere: they are parsed or fetched again. Durable datasets
stay on the disk, where the next store finds them, and a flag that is set stays set. Files that the package does not
know are never touched, and a directory without the store's marker is refused.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import COLD, MARKER, NOTES, POOL, SOCKET, STREAMS
from jupyter_nq.buffers.locks import try_flock
from jupyter_nq.buffers.names import is_object_id
from jupyter_nq.buffers.platform import process_is_alive
from jupyter_nq.cli.doctor.checks import read_marker
from jupyter_nq.cli.doctor.findings import Failed
from jupyter_nq.cli.flags_left import sweep_flags
from jupyter_nq.cli.view import holders, reach, store_path
from jupyter_nq.client.bars import fetch
from jupyter_nq.client.bars.cache import Cache
from jupyter_nq.client.cold.disk import sign_of
from jupyter_nq.client.line.hosting import LOCK_NAME, give_back, take_lock
from jupyter_nq.client.line.policy import POLICY_NAME
from jupyter_nq.client.listing import who
from jupyter_nq.client.mutex import mutex
from jupyter_nq.client.records import Dataset, Holder, Status
from jupyter_nq.config import Settings, load_settings
from jupyter_nq.coordinator.drops import DROPS_NAME, Drops
from jupyter_nq.coordinator.files import cold_copies
from jupyter_nq.coordinator.pins import PINS_NAME, Pins
from jupyter_nq.coordinator.snapshot_records import SNAPSHOTS_NAME, SnapshotRecords
from jupyter_nq.errors import ChecksumError, StoreError, UnknownStream
from jupyter_nq.sizes import counted, size
from jupyter_nq.streams import Stream
from jupyter_nq.streams.directory import drop_stream
from jupyter_nq.streams.directory import names as stream_names
from jupyter_nq.streams.flags.places import FLAGS

_PARTS = ("tmp", "obj", "names", NOTES, POOL, STREAMS, DROPS_NAME, PINS_NAME, SNAPSHOTS_NAME, mutex.MUTEXES)
_OWN = frozenset({*_PARTS, FLAGS, COLD, MARKER, SOCKET, LOCK_NAME, POLICY_NAME, f".{POLICY_NAME}"})


@dataclass
class Outcome:
    """What was, or would be, removed, what is refused, and what stays because it is to stay."""

    removed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    durable: list[str] = field(default_factory=list)


def clean(arguments: Namespace) -> int:
    """List what was left; remove it when the user says so. 1 when something was refused."""
    settings = load_settings(store_dir=arguments.store)
    path = store_path(settings)
    cache = Cache(settings)
    planned = Outcome()
    if os.path.lexists(path):
        check_ours(path)
        planned = sweep(path, settings, really=False)
    elif not cache.usage().archives and not fetch.usage(settings)[0]:
        print(f"{path} is not there: nothing was left.")
        return 0
    _archives(cache, planned)
    _copies(settings, planned)
    _print(planned)
    if not planned.removed or not (arguments.yes or _agrees()):
        return 1 if planned.refused else 0
    done = sweep(path, settings, really=True) if os.path.lexists(path) else Outcome()
    _archives(cache, done)
    cache.clear()
    _copies(settings, done)
    fetch.clear(settings)
    for line in done.refused:
        if line not in planned.refused:
            print(f"refused   {line}")
    print(f"Removed {len(done.removed)} of {len(planned.removed)}.")
    return 1 if done.refused else 0


def check_ours(path: Path) -> None:
    """Raise `StoreError` unless the directory carries the store's marker and belongs to this user."""
    try:
        if not (path / MARKER).is_file():
            raise Failed(f"{path} has no {MARKER}: it is not a store of jupyter-nq, and nothing in it is touched")
        read_marker(path)
        if path.stat().st_uid != os.geteuid():
            raise Failed(f"{path} belongs to uid {path.stat().st_uid}, this process runs as {os.geteuid()}")
    except Failed as exc:
        raise StoreError(f"{exc}.") from exc


def empty(path: Path, *, keep_directory: bool) -> Outcome:
    """Remove everything that nobody holds from a store without coordinator; a missing store is empty."""
    if (path / MARKER).is_file():
        settings = Settings(store_dir=str(path))  # the user's settings file is not that of this store
        return _alone(path, settings, really=True, keep_directory=keep_directory)
    if path.is_dir() and not keep_directory and not any(path.iterdir()):
        path.rmdir()
    return Outcome()


def sweep(path: Path, settings: Settings, *, really: bool) -> Outcome:
    """Remove what nobody holds, or with `really=False` only say what that is."""
    with reach(path, settings) as wire:
        if wire is None:
            return _alone(path, settings, really=really, keep_directory=False)
        outcome = Outcome()
        for row in wire.call("ls", {}):
            dataset = Dataset.from_wire(row)
            if dataset.holders:
                outcome.refused.append(f"{dataset.name}: held by {_named(dataset.holders)}")
                continue
            if dataset.durable:
                outcome.durable.append(f"{dataset.name} v{dataset.version} ({size(dataset.disk_bytes)} on the disk)")
                continue
            outcome.removed.append(f"dataset {dataset.name} ({size(dataset.bytes or dataset.disk_bytes)})")
            if really:
                wire.call("drop", {"name": dataset.name, "id": row["id"]})
        for row in wire.call("snapshots", {}):
            outcome.refused.append(f"the snapshot {row['label']}: release it (nq.snapshot_of, %nq_snapshot --release)")
        _streams(path, outcome, (lambda name: wire.call("drop_stream", {"name": name})) if really else None)
        _flags(path, settings, outcome, really)
        status = Status.from_wire(wire.call("status", {}))
        outcome.refused.append(f"{path} itself: its coordinator runs in {status.host} ({status.host_pid})")
        return outcome


def _archives(cache: Cache, outcome: Outcome) -> None:
    found = cache.usage()
    if found.archives:
        named = "archive" if found.archives == 1 else "archives"
        outcome.removed.append(f"{found.archives:,} {named} of parsed files in {cache.path} ({size(found.bytes)})")


def _copies(settings: Settings, outcome: Outcome) -> None:
    count, nbytes = fetch.usage(settings)
    if count:
        named = "copy of a file" if count == 1 else "copies of files"
        where = f"in {fetch.fetch_dir(settings)} ({size(nbytes)})"
        outcome.removed.append(f"{count:,} {named} elsewhere {where}")


def _streams(path: Path, outcome: Outcome, drop: Callable[[str], object] | None) -> None:
    """Remove the streams that nobody publishes to or reads; without `drop` only say which."""
    for name in stream_names(path / STREAMS) if (path / STREAMS).is_dir() else ():
        try:
            with Stream(path / STREAMS / name) as stream:
                stats = stream.stats()
        except (UnknownStream, ChecksumError) as exc:
            outcome.refused.append(f"the stream {name}: {exc}")
            continue
        pids = {one["pid"] for one in (*stats["publishers"], *stats["consumers"])} - {0}
        if pids:
            outcome.refused.append(f"the stream {name}: in use by {', '.join(f'pid {pid}' for pid in sorted(pids))}")
            continue
        if stats["durability"] is not None:
            outcome.durable.append(f"the stream {name} ({counted(stats['kept'], 'message')})")
            continue
        outcome.removed.append(f"the stream {name} ({counted(stats['kept'], 'message')})")
        if drop is not None:
            drop(name)


def _mutexes(path: Path, outcome: Outcome, really: bool) -> None:
    """Remove the mutexes that nobody has."""
    for name, holder in mutex.held_by(path).items():
        if holder is not None:
            outcome.refused.append(f"the mutex {name}: {holder} has it")
            continue
        if really and not mutex.Mutex(path, name).remove():
            outcome.refused.append(f"the mutex {name}: somebody has just taken it")
            continue
        outcome.removed.append(f"the mutex {name}")


def _flags(path: Path, settings: Settings, outcome: Outcome, really: bool) -> None:
    removed, refused = sweep_flags(path, settings, really=really)
    outcome.removed += removed
    outcome.refused += refused


# -- without a coordinator -----------------------------------------------------------------------
def _alone(path: Path, settings: Settings, *, really: bool, keep_directory: bool) -> Outcome:
    """Sweep a store that has no coordinator, as its only keeper for the moment."""
    outcome = Outcome()
    store = Store(path, create=False)
    with _coordinator_lock(store):
        _objects(store, outcome, really)
        _temporary(store, outcome, really)
        _disk(store, outcome, really)
        _streams(path, outcome, partial(drop_stream, path / STREAMS) if really else None)
        _mutexes(path, outcome, really)
        _flags(path, settings, outcome, really)
        if (path / SOCKET).is_socket():
            outcome.removed.append(f"socket {SOCKET}, without a listener")
            if really:
                (path / SOCKET).unlink()
        _directory(store, outcome, really, keep_directory)
    return outcome


@contextmanager
def _coordinator_lock(store: Store) -> Iterator[None]:
    descriptor = take_lock(store)
    if descriptor is None:
        raise StoreError(f"{store.path}: a coordinator is just starting or stopping there. Try again in a moment.")
    try:
        yield
    finally:
        give_back(descriptor)


def _objects(store: Store, outcome: Outcome, really: bool) -> None:
    names = store.names()
    for info in store.scan():
        if info.version == 0 and process_is_alive(info.owner_pid):
            outcome.refused.append(f"an object of {info.name}: process {info.owner_pid} is about to publish it")
            continue
        called = [name for name, target in names.items() if target == info.id]
        label = f"{' '.join(called) or 'unnamed object'} v{info.version} ({size(info.nbytes)})"
        held = holders(store, info.id, info.version)
        if held or (really and not store.collect(info.id)):
            outcome.refused.append(f"{label}: held by {_named(held) or 'another process'}")
            continue
        outcome.removed.append(label)
        if really:
            for name in called:
                store.unlink(name)
    for path in [damaged.path for damaged in store.damaged()]:
        if not is_object_id(path.name) or not _is_plain(path):
            outcome.refused.append(f"{path}: not a file of the package")
        elif _is_locked(path):
            outcome.refused.append(f"damaged object {path.name}: a process holds it")
        else:
            outcome.removed.append(f"damaged object {path.name}")
            if really:
                path.unlink(missing_ok=True)


def _disk(store: Store, outcome: Outcome, really: bool) -> None:
    """Remove the copies of datasets that left memory, but not those that are durable."""
    cold = cold_copies(store)
    for info in cold.scan() if cold is not None else ():
        if info.durable:
            outcome.durable.append(f"{info.name} v{info.version} ({size(info.nbytes)} on the disk)")
            continue
        outcome.removed.append(f"copy of {info.name} v{info.version} on the disk ({size(info.nbytes)})")
        if really and cold is not None:
            cold.remove(info.id)


def _temporary(store: Store, outcome: Outcome, really: bool) -> None:
    for file in sorted((store.path / "tmp").iterdir()):
        if not file.is_symlink() and not _is_plain(file):
            outcome.refused.append(f"{file}: not a file of the package")
            continue
        if not file.is_symlink() and _is_locked(file):
            outcome.refused.append(f"temporary file {file.name}: a process is writing it")
            continue
        outcome.removed.append(f"temporary file {file.name}")
        if really:
            file.unlink(missing_ok=True)


def _is_plain(file: Path) -> bool:
    """Tell whether this is a regular file: a pipe would keep whoever opens it waiting."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return True  # removed meanwhile, which is what we are about to do


def _is_locked(file: Path) -> bool:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _directory(store: Store, outcome: Outcome, really: bool, keep: bool) -> None:
    """Remove names that lead nowhere and, when nothing else is left, the store's own skeleton."""
    path = store.path
    foreign = sorted(set(os.listdir(path)) - _OWN)
    if foreign:
        outcome.refused.append(f"{path} itself: it holds other files ({', '.join(foreign[:3])})")
    if outcome.refused:
        return
    outcome.removed.append(f"the store {path}")
    if not really:
        return
    for name in store.names():
        store.unlink(name)
    store.sweep_notes()
    try:
        for record in Drops(path).read().items():
            Drops(path).forget(*record)
        for name in Pins(path).read():
            Pins(path).record(name, pinned=False)
        SnapshotRecords(path).sweep()
        for label in SnapshotRecords(path).read():
            SnapshotRecords(path).forget(label)
        store.pool.trim(0)
        _unlink_disk(store)
        for part in _PARTS:
            if (path / part).is_dir():
                (path / part).rmdir()
        for name in (POLICY_NAME, f".{POLICY_NAME}", LOCK_NAME, MARKER):
            (path / name).unlink(missing_ok=True)
        if not keep and not os.path.ismount(path):
            path.rmdir()
    except OSError as exc:
        outcome.removed.remove(f"the store {path}")
        outcome.refused.append(f"{path} itself: somebody began to use it meanwhile ({exc.strerror})")


def _unlink_disk(store: Store) -> None:
    """Remove the link to the copies on the disk, and their directory when nothing is in it."""
    cold = cold_copies(store)
    if cold is None:
        return
    cold.sweep()
    if not cold.scan() and not cold.damaged():
        cold.tmp.rmdir()
        cold.path.rmdir()
        sign_of(cold.path).unlink(missing_ok=True)
    (store.path / COLD).unlink()


def _named(found: tuple[Holder, ...]) -> str:
    return ", ".join(who(holder) for holder in found)


def _print(outcome: Outcome) -> None:
    for line in outcome.removed:
        print(f"not held  {line}")
    for line in outcome.refused:
        print(f"refused   {line}")
    for line in outcome.durable:
        print(f"durable   {line}; drop it in a notebook if nobody needs it")
    if not outcome.removed:
        print("There is nothing to remove.")


def _agrees() -> bool:
    if not sys.stdin.isatty():
        print("Nothing was removed; --yes removes it.")
        return False
    return input("Remove it? [y/N] ").strip().lower() in {"y", "yes"}
