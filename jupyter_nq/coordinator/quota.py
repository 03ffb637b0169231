"""The byte quota: a request that does not fit is refused before anything is allocated.

What is in use is what the files in the store take, plus what was promised to writers and is in no file yet.
The files of objects that nobody published count like any other, so nothing that was left behind is hidden;
a writer's own unfinished file is taken off its promise, so nothing is counted twice.

The refusal names what takes the room and why it stays there (pinned, or held by whom), because that is what its
reader has to act on. What is on the disk alone takes none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set

from jupyter_nq.coordinator.events import Measured, Reserve, StoredObject, Unfinished
from jupyter_nq.coordinator.people import Peer, People
from jupyter_nq.coordinator.snapshots import Snapshots
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
    if not wanted.own_limit or wanted.back:
        return lack, 0
    return lack, own_bytes(versions, people, people.peers[wanted.peer]) + wanted.bytes - wanted.own_limit


def own_bytes(versions: Versions, people: People, owner: Peer) -> int:
    """Return the bytes of what a process wrote, and of what it was promised for writing."""
    written = sum(stored.bytes for stored in versions.objects.values() if wrote(owner, stored))
    process = owner.pid, owner.started_ns
    peers = (peer for peer in people.peers.values() if (peer.pid, peer.started_ns) == process)
    return written + sum(r.bytes for peer in peers for r in peer.reservations.values() if not r.back)


def wrote(peer: Peer, stored: StoredObject) -> bool:
    """Tell whether an object is this process's own, and not of a dead one that had the same pid."""
    return stored.owner_pid == peer.pid and stored.created_ns >= peer.started_ns


def refuse_beyond(versions: Versions, people: People, pins: Set[str], snapshots: Snapshots, wanted: Reserve) -> None:
    """Raise `StoreFull` when a reservation does not fit into the pool, or into what one process may have.

    `pins` are the names that are to stay in memory.
    """
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
        biggest = _biggest(versions)
        pinned = [stored for stored in biggest if _is_pinned(stored, versions, pins)]
        listed = "; ".join(
            f"{_describe(stored)}, {_stays(stored, people, snapshots, stored in pinned)}" for stored in biggest
        )
        raise StoreFull(
            f"{wanted.name!r} needs {size(wanted.bytes)}, but the store may hold {size(wanted.limit)} "
            f"({(_CONFIGURED if wanted.configured else _FREE)[0]}) and {size(used)} are in use"
            f"{f' ({listed})' if listed else ''}. {_remedy(wanted, bool(biggest), bool(pinned))}."
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


def _biggest(versions: Versions) -> list[StoredObject]:
    """Return what takes most memory, largest first."""
    in_memory = (stored for stored in versions.objects.values() if stored.bytes)
    return sorted(in_memory, key=lambda stored: -stored.bytes)[:_MOST_NAMED]


def _is_pinned(stored: StoredObject, versions: Versions, pins: Set[str]) -> bool:
    """Tell whether a pin keeps an object: that of its name, which is about the newest version."""
    return stored.name in pins and versions.links.get(stored.name) == stored.id


def _describe(stored: StoredObject) -> str:
    name = f"{stored.name} version {stored.version}" if stored.version else f"{stored.name}, not published"
    return f"{name}, {size(stored.bytes)}"


def _stays(stored: StoredObject, people: People, snapshots: Snapshots, pinned: bool) -> str:
    """Return why an object is still in memory."""
    holders = dict.fromkeys(people.who(peer) for peer, _ in people.holders(stored.id))
    held = f"held by {', '.join(f'{who.who}, pid {who.pid}' for who in holders)}" if holders else ""
    kept = "".join(f"in the snapshot {label}" for label in snapshots.labels_of(stored.id)[:1])
    return " and ".join(filter(None, ["pinned" if pinned else "", kept, held])) or "not held"


def _remedy(wanted: Reserve, has_datasets: bool, has_pinned: bool) -> str:
    """Return what makes room; unpinning does only where datasets may leave memory for the disk."""
    limit = (_CONFIGURED if wanted.configured else _FREE)[1]
    if not has_datasets:
        return f"{limit[0].upper()}{limit[1:]}"
    unpin = "Unpin what may leave memory (nq.unpin, %nq_unpin), drop" if has_pinned and wanted.policy else "Drop"
    return f"{unpin} what is not needed, delete frames that hold old versions, or {limit}"
