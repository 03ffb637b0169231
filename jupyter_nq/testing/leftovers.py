"""What a store holds beside its datasets once everything has come to rest: it should be nothing.

A crash may leave a file under construction, an object that nobody named, a lock file, a record. The coordinator finds
them when a connection ends, or when it is asked to look; without a coordinator whoever knows that there is none may
look itself. `settle` does the one or the other until nothing is left, and returns what stays.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from jupyter_nq.buffers import Catalogue, ColdInfo
from jupyter_nq.buffers.directory import COLD, STREAMS
from jupyter_nq.coordinator import Wire, dial
from jupyter_nq.coordinator.files import cold_copies
from jupyter_nq.coordinator.listening import SOCKET_NAME
from jupyter_nq.coordinator.snapshot_records import SNAPSHOTS_NAME, SnapshotRecords
from jupyter_nq.streams.directory import promised_bytes
from jupyter_nq.streams.durable import home
from jupyter_nq.testing.stream_files import clean_streams, disk_leftovers, stream_leftovers

_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.1
_ANSWER_SECONDS = 10.0
_DIRECTORIES = ("obj", "tmp", "names", "notes", "drops", SNAPSHOTS_NAME)


def leftovers(store: Catalogue) -> list[str]:
    """Return a line for each thing in the store that no dataset or snapshot needs, and one for bytes nobody owns."""
    named = store.names()
    taken = SnapshotRecords(store.path).read()
    kept = {member.id: member.name for snapshot in taken.values() for member in snapshot.members}
    objects = {*named.values(), *kept}
    drops = {record for record in _listing(store.path / "drops") if record.rpartition(".")[0] in kept.values()}
    wanted = {"obj": objects, "names": set(named), "notes": objects, SNAPSHOTS_NAME: set(taken), "drops": drops}
    found = [
        f"{directory}/{name}"
        for directory in _DIRECTORIES
        for name in _listing(store.path / directory)
        if name not in wanted.get(directory, ())
    ]
    cold = cold_copies(store)
    if cold is not None:
        needed = _needed_copies(named, cold.scan())
        found += [f"cold/{info.id}" for info in cold.scan() if info.id not in needed]
        found += [f"cold/tmp/{name}" for name in _listing(cold.tmp)]
    found += [f"streams/{line}" for line in stream_leftovers(store.path / STREAMS)]
    found += [f"disk/{line}" for line in disk_leftovers(_disk(store), store.path / STREAMS)]
    owned = sum(_taken(store.path / "obj" / object_id) for object_id in wanted["obj"])
    lost = store.used_bytes() - owned
    return found + ([f"{lost:,} bytes that no dataset owns"] if lost else [])


def _disk(store: Catalogue) -> Path:
    """Return the directory of the durable streams, whether there are any or not."""
    return home.directory_beside((store.path / COLD).resolve())


def _needed_copies(named: Mapping[str, str], copies: Iterable[ColdInfo]) -> set[str]:
    """Return the objects whose copies are needed: those with names, and the newest durable one of each name."""
    durable = {info.name: info.id for info in sorted(copies, key=lambda info: info.version) if info.durable}
    return {*named.values(), *(id_ for name, id_ in durable.items() if name in named)}


def settle(store: Catalogue, seconds: float = 20.0) -> list[str]:
    """Have everything freed that can be, and return what is left, as `leftovers` does.

    Parameters
    ----------
    store
        Nobody may be writing into it.
    seconds
        How long to wait; what nobody holds is gone long before.
    """
    never = threading.Event()
    deadline = time.monotonic() + seconds
    pause = _PAUSE_SECONDS
    while (left := leftovers(store)) and time.monotonic() < deadline:
        free(store)
        never.wait(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    return left


def free(store: Catalogue) -> None:
    """Ask the coordinator to look for what dead writers left, or look where there is no coordinator."""
    clean_streams(store.path / STREAMS)
    home.names(_disk(store))  # which removes what was dropped half
    store.pool.trim(0)  # spare memory is nobody's, and no leftover
    wire = _line(store)
    if wire is None:
        _free_alone(store)
        return
    try:
        wire.call("release", {"ticket": 0})  # of no reservation: it makes the coordinator look
    finally:
        wire.close()


def unowned_promise(store: Catalogue, seconds: float = 20.0) -> int:
    """Return the bytes that the coordinator counts and neither an object has nor a publisher; 0 without a coordinator.

    Nobody may be writing; what it promised to the dead it forgets within a moment.
    """
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while (found := _counted(store) - store.used_bytes() - promised_bytes(store.path / STREAMS)) > 0:
        if time.monotonic() >= deadline:
            return found
        never.wait(_PAUSE_SECONDS)
    return 0


def _counted(store: Catalogue) -> int:
    wire = _line(store)
    if wire is None:
        return 0
    try:
        counted: int = wire.call("status", {})["pool"]["used"]
    finally:
        wire.close()
    return counted


def catch_up(store: Catalogue, dead: int = 0, seconds: float = 20.0) -> None:
    """Wait until the coordinator, if there is one, has done what was asked of it before.

    What a process asked and did not live to be answered lies in the coordinator's socket, and is done, or not, a
    moment after its death. The coordinator takes connections in their order, so a greeting comes behind it; and it
    lets go of a connection behind all that came over it, so a process with the pid `dead` is not connected then.

    Raises
    ------
    TimeoutError
        It still is.
    """
    never = threading.Event()
    deadline = time.monotonic() + seconds
    wire = _line(store)
    if wire is None:
        return
    try:
        while any(dead in row["pids"] for row in wire.call("notebooks", {})):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"the coordinator has not let go of process {dead}, which is dead, in {seconds:g} s")
            never.wait(_PAUSE_SECONDS)
    finally:
        wire.close()


def kept_open(pid: int, store: Catalogue, seconds: float = 20.0) -> list[str]:
    """Return what a process still has open of the store's data after a while: reading a header takes a moment."""
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while (found := open_files(pid, store)) and time.monotonic() < deadline:
        never.wait(_PAUSE_SECONDS)
    return found


def open_files(pid: int, store: Catalogue) -> list[str]:
    """Return what a process has open of the store's data now: objects, drafts, notes, streams, those removed too."""
    data = tuple(str(store.path / part) + os.sep for part in ("obj", "tmp", "notes", STREAMS))
    found = []
    for entry in _listing(Path(f"/proc/{pid}/fd")):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{entry}")
        except FileNotFoundError:
            continue
        if target.startswith(data):
            found.append(target)
    return found


def _line(store: Catalogue) -> Wire | None:
    try:
        return dial(store.path / SOCKET_NAME, "client", _ANSWER_SECONDS)
    except OSError:
        return None


def _free_alone(store: Catalogue) -> None:
    store.sweep()
    for object_id in set(_listing(store.path / "obj")) - set(store.names().values()):
        store.collect(object_id)


def _listing(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _taken(path: Path) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0
