"""`jupyter nq doctor`: try, in the store's directory, everything that the store relies on."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jupyter_nq.buffers import Store
from jupyter_nq.buffers.directory import MARKER, SOCKET
from jupyter_nq.cli.doctor import checks, disk, two_processes
from jupyter_nq.cli.doctor.findings import Failed, Finding, attempt
from jupyter_nq.cli.text import seconds
from jupyter_nq.cli.view import reach, store_path
from jupyter_nq.client.records import Status
from jupyter_nq.config import Settings, load_settings
from jupyter_nq.errors import ChecksumError, NQError, UnknownDataset
from jupyter_nq.sizes import size

_TOGETHER = (
    two_processes.lock,
    two_processes.crash,
    two_processes.mapping,
    two_processes.wake,
    two_processes.rename,
    two_processes.credentials,
)


def doctor(arguments: Namespace) -> int:
    """Print one line per check; 1 when any failed."""
    settings = load_settings(store_dir=arguments.store)
    failed = 0
    for finding in examine(store_path(settings), settings):
        print(finding, flush=True)
        failed += not finding.ok
    print(f"{failed} of the checks failed." if failed else "Everything works.")
    return 1 if failed else 0


def examine(path: Path, settings: Settings) -> Iterator[Finding]:
    """Make all checks of a store's directory, one finding after the other."""
    where = checks.directory(path)
    yield where
    if not where.ok:
        return
    yield checks.permissions(path)
    yield checks.socket_path(path)
    yield checks.file_system(path)
    with checks.scratch(path) as scratch:
        yield checks.room(scratch)
        for check in _TOGETHER:
            with two_processes.Peer() as peer:
                yield check(scratch, peer)
    is_store = (path / MARKER).exists()
    host = _host_settings(path, settings) if is_store else {}
    yield disk.spill_directory(path, settings, host)
    yield disk.keys(path, settings, host)
    if is_store:
        yield digests(path)
        yield coordinator(path, settings)


def _host_settings(path: Path, settings: Settings) -> dict[str, Any]:
    """Return the settings of the coordinator's host; none when nobody answers, and then `coordinator` says why."""
    try:
        with reach(path, settings) as wire:
            return {} if wire is None else dict(wire.info.get("settings", {}))
    except NQError:
        return {}


def digests(path: Path) -> Finding:
    """Are the bytes of every shared object what was written?"""

    def trial() -> str:
        store = Store(path, create=False)
        bad = [f"{damaged.path.name}: {damaged.reason}" for damaged in store.damaged()]
        start, total, intact = time.perf_counter(), 0, 0
        for info in store.scan():
            problem = _problem(store, info.id)
            if problem is None:
                intact, total = intact + 1, total + info.nbytes
            else:
                bad.append(problem)
        if bad:
            raise Failed("; ".join(bad))
        return f"{intact} objects, {size(total)} as written, read in {seconds(time.perf_counter() - start)}"

    return attempt("digests", trial, fix="drop what is damaged (jupyter nq clean, or %nq_drop NAME) and load it again")


def _problem(store: Store, object_id: str) -> str | None:
    try:
        store.verify(object_id)
    except UnknownDataset:
        return None  # collected since the scan
    except ChecksumError as exc:
        return str(exc)
    return None


def coordinator(path: Path, settings: Settings) -> Finding:
    """Does the coordinator answer, if there is one?"""

    def trial() -> str:
        with reach(path, settings) as wire:
            if wire is None:
                left = " (a dead one left its socket; the next one replaces it)" if (path / SOCKET).exists() else ""
                return f"none runs{left}; the first process that connects hosts it"
            start = time.perf_counter()
            status = Status.from_wire(wire.call("status", {}))
            return f"{status.host}, pid {status.host_pid}, answers in {seconds(time.perf_counter() - start)}"

    return attempt("coordinator", trial, fix="use one version of jupyter-nq in all environments, or another store")
