"""What `status`, `ls` and `clean` see of a store: the coordinator's answer, else the objects' headers.

A command never hosts a coordinator: it would become one for a moment and take part in what it looks at.
Without one the store itself tells the datasets, and the system's lock table who holds them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from jupyter_nq.buffers import ObjectInfo, Store
from jupyter_nq.buffers.directory import SOCKET
from jupyter_nq.buffers.platform import lock_holders
from jupyter_nq.client.line.hosting import LOCK_NAME
from jupyter_nq.client.records import Dataset, Holder, Status
from jupyter_nq.config import Settings, default_store_dir
from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.identity import program
from jupyter_nq.errors import CoordinatorUnavailable, NQError

_POLL_SECONDS = 0.02
NO_COORDINATOR = "No coordinator runs here; this is what the objects' headers and the system's locks say."


@dataclass(frozen=True)
class View:
    """One look at a store."""

    path: Path
    """Directory of the store."""
    exists: bool
    """False when nothing was ever shared there."""
    datasets: tuple[Dataset, ...]
    """By name."""
    status: Status | None
    """The coordinator's status; None without a coordinator."""
    pool_limit_bytes: int
    pool_used_bytes: int


def store_path(settings: Settings) -> Path:
    """Return the directory of the store that a command is about."""
    return Path(settings.store_dir or default_store_dir()).absolute()


def look(settings: Settings) -> View:
    """Return the state of the store, from its coordinator when there is one.

    Raises
    ------
    StoreError, VersionMismatch, CoordinatorUnavailable
        The directory is not a usable store, or its coordinator speaks another protocol or is stuck.
    """
    path = store_path(settings)
    if not os.path.lexists(path) or _is_blank(path):
        return View(path, False, (), None, 0, 0)
    store = Store(path, create=False)  # says what is wrong with a file, or with a directory of somebody else
    with reach(path, settings) as wire:
        if wire is None:
            datasets = tuple(from_headers(store))
            return View(path, True, datasets, None, store.pool_limit(settings.pool_bytes), store.used_bytes())
        status = Status.from_wire(wire.call("status", {}))
        datasets = tuple(Dataset.from_wire(row) for row in wire.call("ls", {}))
    return View(path, True, datasets, status, status.pool_limit_bytes, status.pool_used_bytes)


def _is_blank(path: Path) -> bool:
    """Is it an empty directory of this user, of which the first use makes a store?"""
    return path.is_dir() and path.stat().st_uid == os.geteuid() and not os.listdir(path)


@contextmanager
def reach(path: Path, settings: Settings) -> Iterator[Wire | None]:
    """Connect to the coordinator of a store; None when there is none.

    Waits only while a process has taken the coordinator's lock and does not listen yet.

    Raises
    ------
    CoordinatorUnavailable, VersionMismatch
    """
    deadline = time.monotonic() + settings.connect_seconds
    while (wire := _dial(path, settings.connect_seconds)) is None:
        hosts = lock_holders(path / LOCK_NAME)
        if not hosts:
            yield None
            return
        if time.monotonic() > deadline:
            raise CoordinatorUnavailable(
                f"The coordinator of {path} (pid {hosts[0]}) did not answer for {settings.connect_seconds:g} s. "
                "If that process is stopped, continue or end it."
            )
        time.sleep(_POLL_SECONDS)
    try:
        yield wire
    finally:
        wire.close()


def _dial(path: Path, seconds: float) -> Wire | None:
    try:
        return dial(path / SOCKET, "cli", seconds)
    except NQError:
        raise
    except OSError:
        return None


def from_headers(store: Store) -> list[Dataset]:
    """Return the named datasets as their objects' headers tell them."""
    objects = {info.id: info for info in store.scan()}
    named = sorted((name, objects[target]) for name, target in store.names().items() if target in objects)
    return [_dataset(store, name, info) for name, info in named]


def _dataset(store: Store, name: str, info: ObjectInfo) -> Dataset:
    created = datetime.fromtimestamp(info.created_ns / 1e9, UTC)
    return Dataset(name, info.version, info.rows, info.nbytes, created, holders(store, info.id, info.version))


def holders(store: Store, object_id: str, version: int) -> tuple[Holder, ...]:
    """Return the processes that hold an object, by the system's lock table."""
    others = [pid for pid in store.holders(object_id) if pid != os.getpid()]
    return tuple(Holder(program(pid), pid, None, None, version) for pid in others)
