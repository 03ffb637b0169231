"""Become the host: take the store's coordinator lock and run the service in this process.

The lock is an `flock` on `coordinator.lock`. The kernel gives it back when the process ends, however it
ends, so there is never more than one host and never a dead one. The file holds the host's pid, for people.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_nq.buffers import Catalogue
from jupyter_nq.buffers.cold.keys import KEY_VARIABLE
from jupyter_nq.buffers.forking import disown, own
from jupyter_nq.buffers.locks import is_current, try_flock
from jupyter_nq.client.cold.disk import Claim, find_again
from jupyter_nq.client.line.policy import Policy, settle_policy
from jupyter_nq.config import Settings
from jupyter_nq.errors import NQError, StoreError

if TYPE_CHECKING:
    from jupyter_nq.coordinator.memory import MemoryRules
    from jupyter_nq.coordinator.service import Service

LOCK_NAME = "coordinator.lock"
ENCRYPTS = "encrypts"
"""Said beside the host's settings when it encrypts what it writes to the disk, with a key that no setting names."""


def become_host(
    store: Catalogue, settings: Settings, role: str = "client", *, succeeds: bool = False
) -> Service | None:
    """Run the coordinator of `store` in this process; None when another process does.

    Parameters
    ----------
    store
        The opened store.
    settings
        Of this process; those that differ from the defaults are told to every client.
    role
        "server" for a Jupyter server, which keeps the coordinator; any other host yields to a server.
    succeeds
        Whether this process was the client of another coordinator of this store before.

    Raises
    ------
    CoordinatorUnavailable, StoreError
        The service could not start; another process may host.
    """
    fd = take_lock(store)
    if fd is None:
        return None
    claim = Claim(store.path)
    try:
        from jupyter_nq.coordinator.service import Service  # most processes never host, and save importing it

        policy = settle_policy(store.path, settings, role, succeeds=succeeds)
        find_again(store, settings, claim)
        claim.hold()
        service = Service(
            store,
            pool_bytes=policy.pool_bytes,
            rules=_rules(settings, policy),
            settings={**policy.settings, **_encrypting()},
            role=role,
            hold_disk=claim.hold,
            release=partial(_end_hosting, claim, fd),
        )
    except BaseException:
        claim.close()
        give_back(fd)
        raise
    service.start()
    return service


def _encrypting() -> dict[str, Any]:
    """Tell everybody that this process has a master key in its environment, which nobody else may have."""
    return {ENCRYPTS: True} if os.environ.get(KEY_VARIABLE) else {}


def _end_hosting(claim: Claim, fd: int) -> None:
    claim.close()
    give_back(fd)


def _rules(settings: Settings, policy: Policy) -> MemoryRules:
    """Return how memory is shared out: as the settings say that the host tells to all."""
    from jupyter_nq.coordinator.memory import MemoryRules

    def told(name: str) -> Any:
        return policy.settings.get(name, getattr(settings, name))

    return MemoryRules(
        spare_share=told("spare_share"),
        own_bytes=told("notebook_bytes"),
        policy=told("eviction_policy"),
        spills=told("spill_bytes") > 0,
    )


def take_lock(store: Catalogue) -> int | None:
    """Take the coordinator's lock without waiting; returns its descriptor, or None when it is taken."""
    path = store.path / LOCK_NAME
    try:
        fd = own(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        raise StoreError(f"The coordinator's lock {path} cannot be opened: {exc.strerror}. Check the store.") from exc
    if not try_flock(fd, fcntl.LOCK_EX) or not is_current(fd, path):
        give_back(fd)
        return None
    with contextlib.suppress(OSError):  # a full store has no room for a note to people
        os.pwrite(fd, f"{os.getpid():<20}\n".encode(), 0)
    return fd


def host_pid(store_path: Path) -> int | None:
    """Return the pid that the newest host wrote beside its lock; None when there is none to read."""
    try:
        return int((store_path / LOCK_NAME).read_text())
    except (OSError, ValueError):
        return None


def nobody(store_path: Path, require: str | None) -> str:
    """Say that no host was found, and what to do."""
    if require == "server":
        return (
            f"No Jupyter server hosts the store {store_path}. Start one where jupyter-nq is installed "
            "(`jupyter lab`), with the same JUPYTER_NQ_STORE or NQApp.store_dir, or leave require out."
        )
    return (
        f"No coordinator answers in the store {store_path}; process {host_pid(store_path)} hosted it last. "
        "If that process is stopped or stuck, end it; the next that connects takes over."
    )


def silent(store_path: Path, greeting: Mapping[str, Any], settings: Settings) -> str:
    """Say that a host does not answer, and what to do; `greeting` is what it said when it did."""
    host = greeting.get("host", {})
    return (
        f"The coordinator of {store_path} (pid {host.get('pid')}, {host.get('program')}) did not answer for "
        f"{settings.connect_seconds:g} s. If that process is stopped, continue or end it; then try again."
    )


@contextlib.contextmanager
def as_store_error(store_path: Path) -> Iterator[None]:
    """Turn what the system says of a file or a descriptor into the package's own error."""
    try:
        yield
    except NQError:
        raise
    except OSError as exc:
        raise StoreError(f"The store {store_path} cannot be used: {exc}.") from exc


def give_back(fd: int) -> None:
    """Give the coordinator's lock back; once for each `take_lock`."""
    disown(fd)
    os.close(fd)
