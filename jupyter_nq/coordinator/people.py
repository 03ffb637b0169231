"""Who is at the desk: connected processes, what each holds and has reserved, and which are notebooks.

A process is named after the notebook whose kernel it is, or descends from; any other after its program.
Which kernel runs which notebook is known only to the servers, which report it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_nq.coordinator.events import Kernel, KernelsReported, PeerArrived
from jupyter_nq.coordinator.registered import Introduced, Registered
from jupyter_nq.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class Reservation:
    """Bytes promised to a peer that is about to write `name`, since `at_ns` (UTC, since the epoch).

    With `back` it brings a dataset back from the disk, which is no writing of its own.
    """

    name: str
    bytes: int
    at_ns: int
    back: bool = False


@dataclass(slots=True)
class Peer:
    """One connection. Only the desk changes it."""

    id: int
    pid: int
    ancestors: tuple[int, ...]
    program: str
    role: str
    started_ns: int = 0
    """When its process began; an older process may have had the same pid."""
    holds: dict[str, set[int]] = field(default_factory=dict)  # object id -> versions
    reservations: dict[int, Reservation] = field(default_factory=dict)  # ticket -> what for

    def renounce(self, name: str) -> None:
        """Forget what was promised for a name: who asks again writes it anew, so that came to nothing."""
        self.reservations = {t: promised for t, promised in self.reservations.items() if promised.name != name}

    def let_go(self, versions: Iterable[tuple[str, int]]) -> list[str]:
        """Forget that it holds these versions of objects; returns the objects of which it holds none any more."""
        gone = []
        for id_, version in versions:
            held = self.holds.get(id_, set())
            held.discard(version)
            if id_ in self.holds and not held:
                del self.holds[id_]
                gone.append(id_)
        return gone


@dataclass(frozen=True, slots=True)
class Who:
    """A process as others see it; `kernel_id` and `path` are None unless it is a notebook's."""

    who: str
    pid: int
    kernel_id: str | None = None
    path: str | None = None

    def row(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {"who": self.who, "pid": self.pid, "kernel_id": self.kernel_id, "path": self.path}


class People:
    """All peers, and the kernels that servers reported."""

    def __init__(self) -> None:
        self.peers: dict[int, Peer] = {}
        self.registered = Registered()
        self._reports: dict[int, KernelsReported] = {}  # reporting peer -> its newest report
        self._kernels: dict[int, Kernel] = {}  # kernel's pid -> kernel

    def arrive(self, event: PeerArrived) -> bool:
        """Take in a peer; True when a server should be asked whose kernel it is."""
        self.peers[event.peer] = Peer(
            event.peer, event.pid, event.ancestors, event.program, event.role, event.started_ns
        )
        return event.role == "client" and self.kernel_of(event.pid, event.ancestors) is None

    def leave(self, peer: int) -> Peer | None:
        """Forget a peer, what it registered and, if it was a server, its kernels."""
        self.registered.left(peer)
        if self._reports.pop(peer, None) is not None:
            self._index()
        return self.peers.pop(peer, None)

    def introduce(self, peer: Peer, event: Introduced) -> None:
        """Take in what a peer says of itself; `NameTaken`, `UnknownNotebook`, `ProtocolError`."""
        if peer.role == "watch":
            raise ProtocolError("A connection that only watches registers nothing.")
        if event.gone:
            self.registered.remove(peer.pid, event.name)
            return
        known = self.registered.named(event.name) if event.name is not None else None
        other = self.peers.get(known.peer) if known is not None else None
        self.registered.add(peer.pid, self.who(other).who if other is not None else "another process", event)

    def report(self, event: KernelsReported) -> None:
        """Replace what a server said of its kernels."""
        self._reports[event.peer] = event
        self._index()

    def kernels(self) -> Iterator[tuple[Kernel, Mapping[str, Any]]]:
        """Yield each reported kernel with the server it belongs to."""
        for report in self._reports.values():
            for kernel in report.kernels:
                yield kernel, report.server

    def kernel_of(self, pid: int, ancestors: tuple[int, ...]) -> Kernel | None:
        """Return the kernel that a process is or descends from; the nearest one counts."""
        return next((self._kernels[p] for p in (pid, *ancestors) if p in self._kernels), None)

    def who(self, peer: Peer) -> Who:
        """Return how a peer is shown."""
        kernel = self.kernel_of(peer.pid, peer.ancestors)
        if kernel is None:
            return Who(peer.program, peer.pid)
        return Who(kernel.path.rpartition("/")[2] or kernel.name, peer.pid, kernel.kernel_id, kernel.path)

    def holders(self, object_id: str) -> list[tuple[Peer, int]]:
        """Return who holds an object, one entry for each version held."""
        return [
            (peer, version)
            for peer in self.peers.values()
            if object_id in peer.holds
            for version in sorted(peer.holds[object_id])
        ]

    def held(self, object_id: str) -> bool:
        """Tell whether any peer said that it holds this object."""
        return any(object_id in peer.holds for peer in self.peers.values())

    def promises(self, name: str) -> int:
        """Return how many peers were promised room for a name and have not given that back."""
        return sum(r.name == name for peer in self.peers.values() for r in peer.reservations.values())

    def _index(self) -> None:
        self._kernels = {kernel.pid: kernel for kernel, _ in self.kernels()}
