"""Become the host: take the store's coordinator lock and run the service in this process.

The lock is an `flock` on `coordinator.lock`. The kernel gives it back when the process ends, however it
ends, so there is never more than one host and never a dead one. The file holds the host's pid, for people.
"""

from __future__ import annotations

import fcntl
import os
from typing import Any

from jupyter_nq.buffers import Catalogue
from jupyter_nq.config import Settings, setting_names
from jupyter_nq.coordinator import Service
from jupyter_nq.coordinator.forking import disown, own
from jupyter_nq.errors import StoreError

LOCK_NAME = "coordinator.lock"


def become_host(store: Catalogue, settings: Settings, role: str = "client") -> Service | None:
    """Run the coordinator of `store` in this process; None when another process does.

    Parameters
    ----------
    store
        The opened store.
    settings
        Of this process; those that differ from the defaults are told to every client.
    role
        "server" for a Jupyter server, which keeps the coordinator; any other host yields to a server.
    """
    fd = take_lock(store)
    if fd is None:
        return None
    service = Service(
        store, pool_bytes=settings.pool_bytes, settings=_told(settings), role=role, release=lambda: _give_back(fd)
    )
    try:
        service.start()
    except BaseException:
        _give_back(fd)
        raise
    return service


def take_lock(store: Catalogue) -> int | None:
    """Take the coordinator's lock without waiting; returns its descriptor, or None when it is taken."""
    path = store.path / LOCK_NAME
    try:
        fd = own(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise StoreError(f"The coordinator's lock {path} cannot be opened: {exc.strerror}. Check the store.") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(fd, f"{os.getpid():<20}\n".encode(), 0)
    except BlockingIOError:
        _give_back(fd)
        return None
    except BaseException:
        _give_back(fd)
        raise
    return fd


def host_pid(store: Catalogue) -> int | None:
    """Return the pid that the newest host wrote beside its lock; None when there is none to read."""
    try:
        return int((store.path / LOCK_NAME).read_text())
    except (OSError, ValueError):
        return None


def _give_back(fd: int) -> None:
    disown(fd)
    os.close(fd)


def _told(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in setting_names()}
    return {name: value for name, value in values.items() if value != settings.trait_defaults(name)}
