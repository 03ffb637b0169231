"""The operations about memory: what may leave it, what is pinned in it, and freeing it at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_nq.buffers import Catalogue, check_name
from jupyter_nq.buffers.platform import available_bytes
from jupyter_nq.coordinator import arguments
from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.files import cold_copies, copy_of
from jupyter_nq.errors import UnknownDataset


@dataclass(frozen=True)
class MemoryRules:
    """How the memory of a store is shared out, beside its quota."""

    spare_share: float = 0.0
    """Share of the quota that freed memory may take while it waits for the next write."""
    own_bytes: int = 0
    """Quota of one process; 0 means none."""
    policy: str = "lru"
    """Which objects leave memory first: `lru`, `lfu` or `fifo`."""
    spills: bool = True
    """Whether objects may leave memory for the disk at all."""


class Memory:
    """What a coordinator answers about memory.

    Parameters
    ----------
    store, desk
        What it is about.
    rules
        The host's.
    apply
        Moves the desk and does what follows.
    limit
        Tells the pool's limit.
    hold_disk
        Makes sure that the directory of copies is this machine's.
    """

    def __init__(
        self,
        store: Catalogue,
        desk: Desk,
        rules: MemoryRules,
        apply: Callable[[ev.Event], Any],
        limit: Callable[[], int],
        hold_disk: Callable[[], None],
    ) -> None:
        self._store = store
        self._desk = desk
        self.rules = rules
        self._apply = apply
        self._limit = limit
        self._hold_disk = hold_disk

    def __repr__(self) -> str:
        return f"<Memory of {self._store.path}: {self.rules}>"

    def spare_bytes(self) -> int:
        """Return how much of the memory that is freed now may be kept for the next write."""
        allowed = self.rules.spare_share * min(self._limit(), available_bytes())
        return max(0, min(int(allowed), self._limit() - self._desk.used_bytes()))

    def may_prefault(self, wanted: int) -> bool:
        """Return whether so much memory may be prepared for the next write, beside what waits for it already."""
        return wanted <= self.spare_bytes() - self._store.pool.nbytes()

    def policy(self, args: Mapping[str, Any]) -> str | None:
        """Return by which rule objects make way for a reservation, None when they shall not."""
        return self.rules.policy if args.get("evict") is True and self.rules.spills else None

    def copied(self, peer: int, args: Mapping[str, Any]) -> Any:
        """Take in that an object was copied to the disk; with `evict` its memory is freed."""
        id_ = arguments.text(args, "id")
        cold = cold_copies(self._store)
        if cold is None:
            raise UnknownDataset(f"There is no copy of {id_} on the disk.")
        self._hold_disk()
        return self._apply(ev.Copied(peer, id_, copy_of(cold.info(id_)), args.get("evict") is True))

    def pin(self, peer: int, args: Mapping[str, Any]) -> Any:
        """Pin a name in memory, or unpin it."""
        name = check_name(arguments.text(args, "name"))
        return self._apply(ev.Pin(peer, name, args.get("pinned") is True))

    def evictable(self) -> list[dict[str, Any]]:
        """Return what may leave memory, first what is to go first; nothing where nothing may."""
        order = self._desk.eviction.candidates(self.rules.policy) if self.rules.spills else []
        return [{"id": stored.id, "name": stored.name, "bytes": stored.bytes} for stored in order]

    def loose(self) -> list[dict[str, Any]]:
        """Return the objects that no name leads to, with the pids of those who hold them."""
        desk = self._desk
        return [
            {
                "id": stored.id,
                "name": stored.name,
                "version": stored.version,
                "bytes": stored.bytes,
                "pids": sorted({peer.pid for peer, _ in desk.people.holders(stored.id)}),
                "snapshots": desk.snapshots.labels_of(stored.id),
            }
            for stored in (desk.versions.objects[id_] for id_ in sorted(desk.versions.loose))
        ]
