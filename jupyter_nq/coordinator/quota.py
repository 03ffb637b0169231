"""The byte quota: a request that does not fit is refused before anything is allocated.

What is in use is what the files in the store take, plus what was promised to writers and is in no file yet.
The files of objects that nobody published count like any other, so nothing that was left behind is hidden;
a writer's own unfinished file is taken off its promise, so nothing is counted twice.

The refusal names what takes the room and who holds it, because that is what its reader has to act on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jupyter_nq.coordinator.events import Measured, Reserve, StoredObject, Unfinished
from jupyter_nq.coordinator.people import Peer, People
from jupyter_nq.coordinator.versions import Versions
from jupyter_nq.errors import StoreFull
from jupyter_nq.sizes import size

_MOST_NAMED = 5
_CONFIGURED = "pool_bytes", "raise pool_bytes"
_FREE = (
    "80 % of what its file system and memory cgroup leave",
    "free memory there, enlarge it (in a container --shm-size), or set store_dir to a larger one; "
    "`jupyter nq doctor` shows the figures",
)
"""Where a limit comes from, and what to do about it."""


def used_bytes(versions: Versions, people: People, files: Measured) -> int:
    """Return the bytes of the store's files and of all promises that are not in a file yet."""
    return max(versions.bytes, files.bytes) + _not_written(people, files.unfinished)


def lacking(versions: Versions, people: People, wanted: Reserve) -> tuple[int, int]:
    """Return by how many bytes a reservation is beyond the pool, and beyond what its process may have."""
    lack = used_bytes(versions, people, wanted.files) + wanted.bytes - wanted.limit
    if not wanted.own_limit:
        return lack, 0
    return lack, own_bytes(versions, people, people.peers[wanted.peer]) + wanted.bytes - wanted.own_limit


def own_bytes(versions: Versions, people: People, owner: Peer) -> int:
    """Return the bytes of what a process wrote, and of what it was promised."""
    written = sum(stored.bytes for stored in versions.objects.values() if wrote(owner, stored))
    process = owner.pid, owner.started_ns
    peers = (peer for peer in people.peers.values() if (peer.pid, peer.started_ns) == process)
    return written + sum(r.bytes for peer in peers for r in peer.reservations.values())


def wrote(peer: Peer, stored: StoredObject) -> bool:
    """Tell whether an object is this process's own, and not of a dead one that had the same pid."""
    return stored.owner_pid == peer.pid and stored.created_ns >= peer.started_ns


def refuse_beyond(versions: Versions, people: People, wanted: Reserve) -> None:
    """Raise `StoreFull` when a reservation does not fit into the pool, or into what one process may have."""
    lack, own = lacking(versions, people, wanted)
    if own > 0:
        owner = people.peers[wanted.peer]
        raise StoreFull(
            f"{wanted.name!r} needs {size(wanted.bytes)}, but one process may have {size(wanted.own_limit)} in the "
            f"store (notebook_bytes) and this one has {size(own_bytes(versions, people, owner))}. Drop what it does "
            "not need, or raise notebook_bytes."
        )
    if lack > 0:
        used = used_bytes(versions, people, wanted.files)
        limit = f"{size(wanted.limit)} ({_CONFIGURED[0] if wanted.configured else _FREE[0]})"
        remedy = _CONFIGURED[1] if wanted.configured else _FREE[1]
        if versions.objects:
            remedy = f"Drop what is not needed, delete frames that hold old versions, or {remedy}"
        raise StoreFull(
            f"{wanted.name!r} needs {size(wanted.bytes)}, but the store may hold {limit} "
            f"and {size(used)} are in use{_biggest(versions, people)}. {remedy[0].upper()}{remedy[1:]}."
        )


def _not_written(people: People, unfinished: Iterable[Unfinished]) -> int:
    promised: Counter[int] = Counter()  # by process, because a file tells its process and no connection
    for peer in people.peers.values():
        promised[peer.pid] += sum(r.bytes for r in peer.reservations.values())
    for file in unfinished:
        if any(_promised(peer, file) for peer in people.peers.values()):
            promised[file.pid] -= file.bytes
    return sum(max(0, rest) for rest in promised.values())


def _promised(peer: Peer, file: Unfinished) -> bool:
    """Is this file what a reservation is for? What was begun before the reservation is not."""
    return peer.pid == file.pid and any(
        file.name in (None, r.name) and r.at_ns <= file.since_ns for r in peer.reservations.values()
    )


def _biggest(versions: Versions, people: People) -> str:
    found = sorted(versions.objects.values(), key=lambda stored: -stored.bytes)[:_MOST_NAMED]
    return f" ({'; '.join(_describe(stored, people) for stored in found)})" if found else ""


def _describe(stored: StoredObject, people: People) -> str:
    shown = dict.fromkeys((people.who(peer) for peer, _ in people.holders(stored.id)))
    held = ", ".join(f"{who.who}, pid {who.pid}" for who in shown) or "nobody that announced it"
    name = f"{stored.name} version {stored.version}" if stored.version else f"{stored.name}, not published"
    return f"{name}, {size(stored.bytes)}, held by {held}"
