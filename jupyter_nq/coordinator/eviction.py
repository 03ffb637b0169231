"""What may leave memory when it is needed: which objects, in which order, and what is on the disk already.

Only the newest version of a name is put on the disk: older ones go for good when nobody holds them. What is held,
pinned, or not published stays. An object was used when a process mapped it, or wrote it; that is all that the desk
sees, and it forgets it when another process becomes the host.
"""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_nq.coordinator.events import DAMAGED, Copy, StoredObject
from jupyter_nq.coordinator.people import People
from jupyter_nq.coordinator.versions import Versions

POLICIES = ("lru", "lfu", "fifo")
"""Longest not used first, least often used first, oldest first."""


class Eviction:
    """Copies, pins and uses. Only the desk changes them."""

    def __init__(self) -> None:
        self.copies: dict[str, Copy] = {}
        self.pins: set[str] = set()
        self.leaving: set[str] = set()  # objects whose memory is being freed and whose copy stays
        self._used: dict[str, tuple[int, int]] = {}  # object id -> (how often, when last: a count of all uses)
        self._clock = 0

    def use(self, id_: str) -> None:
        """Count a use of an object."""
        self._clock += 1
        self._used[id_] = self._used.get(id_, (0, 0))[0] + 1, self._clock

    def forget(self, id_: str) -> None:
        """Forget an object that is gone."""
        self.copies.pop(id_, None)
        self.leaving.discard(id_)
        self._used.pop(id_, None)

    def victims(self, wanted: int, policy: str, versions: Versions, people: People, owner: int | None) -> list[str]:
        """Return objects that take `wanted` bytes together, first what is to go first; none when there is not so much.

        With an `owner` only what that process wrote.
        """
        chosen, found = [], 0
        for stored in self.candidates(policy, versions, people):
            if owner in (None, stored.owner_pid) and found < wanted:
                chosen.append(stored.id)
                found += stored.bytes
        return chosen if found >= wanted else []

    def candidates(self, policy: str, versions: Versions, people: People) -> list[StoredObject]:
        """Return all objects that may go, first what is to go first."""
        return sorted(self._free(versions, people), key=lambda stored: self._rank(stored, policy))

    def _free(self, versions: Versions, people: People) -> Iterator[StoredObject]:
        for name, id_ in versions.links.items():
            stored = versions.objects[id_]
            busy = name in self.pins or id_ in self.leaving or people.held(id_)
            if stored.bytes and stored.version and stored.kind != DAMAGED and not busy:
                yield stored

    def _rank(self, stored: StoredObject, policy: str) -> tuple[int, ...]:
        uses, last = self._used.get(stored.id, (0, 0))
        if policy == "fifo":
            return (stored.created_ns,)
        return (uses, last, stored.created_ns) if policy == "lfu" else (last, stored.created_ns)
