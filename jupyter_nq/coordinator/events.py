"""What happens to the desk, and what the desk asks to be done: plain values, no I/O.

Events go in, actions come out, which the service does in this order; when one fails, another event says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.coordinator.snapshot_events import Snapshot

DAMAGED = "damaged"
"""The kind of an object that is there and linked, and whose header cannot be read."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One sealed object, as its header tells it.

    `version` is the newest of the versions `first_version..version`, 0 when it has no name yet; `bytes` is
    what it takes in the store's file system, 0 when it is on the disk alone; `created_ns` is UTC, since the epoch.
    """

    id: str
    name: str
    first_version: int
    version: int
    rows: int
    bytes: int
    created_ns: int
    owner_pid: int
    kind: str = "table"
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy of an object on the disk, with its newest `version`; its file takes `bytes`.

    A `durable` one is kept for good, another only while it spares memory or work.
    """

    version: int
    bytes: int
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A file that a process writes, or sealed and did not publish.

    `name` is the dataset that it is for, None while the file does not tell; it was begun at `since_ns` (UTC).
    """

    pid: int
    name: str | None
    bytes: int
    since_ns: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What the files of the store take now, all of them together, and which of them are unfinished."""

    bytes: int = 0
    unfinished: tuple[Unfinished, ...] = ()


NOT_MEASURED = Measured()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that a Jupyter server runs; `path` is the notebook's, relative to the server's root."""

    pid: int
    kernel_id: str
    path: str
    name: str


# -- events --------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The store was read. `now` is monotonic, in seconds.

    `objects` holds every object that a name links to and whose file is there, damaged ones too; `drops` the names that
    were dropped, each with the last version that is meant; `copies` the copies on the disk by object, in memory or not;
    `pins` names.
    """

    objects: tuple[StoredObject, ...]
    links: Mapping[str, str]
    now: float
    drops: Mapping[str, int] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)
    pins: frozenset[str] = frozenset()
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the store and on the disk; of some the desk may not know.

    `objects` are sealed, some have no version yet; `copies` and `drops` are as in `Rebuilt`."""

    objects: tuple[StoredObject, ...]
    now: float
    copies: Mapping[str, Copy] = field(default_factory=dict)
    drops: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PeerArrived:
    """A process greeted. `ancestors` are the pids above it, nearest first; it began at `started_ns` (0: not known)."""

    peer: int
    pid: int
    ancestors: tuple[int, ...]
    program: str
    role: str
    started_ns: int = 0


@dataclass(frozen=True, slots=True)
class PeerLeft:
    """A connection ended: its holds and reservations are over."""

    peer: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """A peer wants to write `bytes` for `name`.

    `limit` is the pool's, `configured` whether a setting gives it, `own_limit` that of one process (0 means none),
    `at_ns` is now (UTC, since the epoch). With a `policy` the peer would put others' objects on the disk for it. With
    `back` it is for what left memory before: no writing, so the process's own limit is not asked.
    """

    peer: int
    name: str
    bytes: int
    limit: int
    files: Measured = NOT_MEASURED
    at_ns: int = 0
    configured: bool = True
    own_limit: int = 0
    policy: str | None = None
    back: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """A peer gives a reservation back without publishing."""

    peer: int
    ticket: int


@dataclass(frozen=True, slots=True)
class Publish:
    """A peer sealed an object, as its header tells, and wants its name to point to it, without copies if `fleeting`."""

    peer: int
    stored: StoredObject
    ticket: int | None = None
    fleeting: bool = False


@dataclass(frozen=True, slots=True)
class Unkeep:
    """A fleeting object has its name: the copies of the versions before it go."""

    id: str


@dataclass(frozen=True, slots=True)
class Discard:
    """A peer will not publish an object that it sealed."""

    peer: int
    stored: StoredObject


@dataclass(frozen=True, slots=True)
class Failed:
    """The actions of the event before could not be carried out in the store: it is as if it had not been."""


@dataclass(frozen=True, slots=True)
class Grown:
    """An object has more rows (or was looked at again); `stored` is the header as it is now."""

    stored: StoredObject
    peer: int | None = None
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """A peer removes a name; with `id` only while the name means this object."""

    peer: int
    name: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Copied:
    """A peer has made a copy of an object on the disk; with `evict` the object's memory is to be freed."""

    peer: int
    id: str
    copy: Copy
    evict: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """A peer wants a name to stay in memory, or not any more."""

    peer: int
    name: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A peer has mapped (`add`) or let go (`drop`) versions of objects: pairs of object id and version."""

    peer: int
    add: tuple[tuple[str, int], ...] = ()
    drop: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """A `Collect` was tried: `gone` is False when someone still holds its lock; `copy_kept` says what was asked for."""

    id: str
    gone: bool
    copy_kept: bool = False


@dataclass(frozen=True, slots=True)
class Vanished:
    """An object that the desk knows is not in the store any more: somebody removed the file by hand.

    `left` is what the disk has for good of its name, of an older version perhaps, with the copy that it is.
    """

    id: str
    left: tuple[StoredObject, Copy] | None = None


@dataclass(frozen=True, slots=True)
class KernelsReported:
    """A server tells which kernels are its own; the newest report replaces the one before."""

    peer: int
    server: Mapping[str, Any]
    kernels: tuple[Kernel, ...]


@dataclass(frozen=True, slots=True)
class ProblemReported:
    """Something went wrong that every desk should show. `peer` is None for the service itself."""

    peer: int | None
    text: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class HandoverAsked:
    """A peer, a Jupyter server, wants to host."""

    peer: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. `now` is monotonic, in seconds."""

    now: float


Event = (
    Rebuilt
    | Found
    | PeerArrived
    | PeerLeft
    | Reserve
    | Release
    | Publish
    | Unkeep
    | Discard
    | Failed
    | Grown
    | Drop
    | Copied
    | Pin
    | Hold
    | Collected
    | Vanished
    | KernelsReported
    | ProblemReported
    | HandoverAsked
    | Introduced
    | Tick
)


# -- actions -------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Stamp:
    """Write a version number into an object's header."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Link:
    """Point a name to an object."""

    name: str
    id: str


@dataclass(frozen=True, slots=True)
class Unlink:
    """Remove a name that leads nowhere."""

    name: str


@dataclass(frozen=True, slots=True)
class RecordDrop:
    """Remove a name and remember, for the next coordinator too, that its versions up to this one were dropped."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ForgetDrop:
    """Nothing is left of what this drop was about."""

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Free an object's memory unless someone holds its lock; `Collected` tells the outcome.

    Its copy on the disk goes too, unless that is what is to be left of it.
    """

    id: str
    keep_copy: bool = False


@dataclass(frozen=True, slots=True)
class RemoveCopy:
    """Remove the copy of an object on the disk."""

    id: str


@dataclass(frozen=True, slots=True)
class RecordPin:
    """Remember, for the next coordinator too, whether a name is pinned."""

    name: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class AskWho:
    """Ask the servers to report their kernels again: an unknown process greeted."""


@dataclass(frozen=True, slots=True)
class Yield:
    """Stop hosting: a Jupyter server takes over."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the request that caused the event."""

    value: Mapping[str, Any]


Action = Stamp | Link | Unlink | RecordDrop | ForgetDrop | Collect | RemoveCopy | RecordPin | AskWho | Yield | Reply
