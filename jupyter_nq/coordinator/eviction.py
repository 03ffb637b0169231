"""What may leave memory when it is needed: which objects, in which order, and what is on the disk already.

Only the newest version of a name is put on the disk: older ones go for good when nobody holds them. What is held,
pinned, or not published stays. An object was used when a process mapped it, or wrote it; that is all that the desk
sees, and it forgets it when another process becomes the host.

A durable copy goes when a newer version of its name has one, or is meant to have none, or with the name. So the disk
always has one, whoever dies, or is refused, between a publish and the copy that is to follow it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.events import Copy, Reserve, StoredObject
from jupyter_nq.coordinator.people import People
from jupyter_nq.coordinator.quota import lacking, wrote
from jupyter_nq.coordinator.snapshots import Snapshots
from jupyter_nq.coordinator.versions import Versions
from jupyter_nq.errors import StoreError, UnknownDataset

POLICIES = ("lru", "lfu", "fifo")
"""Longest not used first, least often used first, oldest first."""


class Eviction:
    """Copies, pins and uses. Only the desk changes them."""

    def __init__(self, versions: Versions, people: People, collecting: Set[str], snapshots: Snapshots) -> None:
        self._versions = versions
        self._snapshots = snapshots
        self._people = people
        self._collecting = collecting  # objects whose memory is being freed, for good or for the disk
        self.copies: dict[str, Copy] = {}
        self.pins: set[str] = set()
        self.leaving: set[str] = set()  # objects whose memory is being freed and whose copy stays
        self.fleeting: set[str] = set()  # objects that are meant to have no durable copy
        self.kept: dict[str, StoredObject] = {}  # name -> replaced object of which only the copy is left, for a restart
        self.outgoing: dict[str, str] = {}  # replaced object of which only a copy is left that is being removed -> name
        self._used: dict[str, tuple[int, int]] = {}  # object id -> (how often, when last: a count of all uses)
        self._clock = 0
        self._stayed: dict[str, int] = {}  # object id -> when it could not go, because of a lock that nobody announced

    def use(self, id_: str) -> None:
        """Count a use of an object."""
        self._clock += 1
        self._used[id_] = self._used.get(id_, (0, 0))[0] + 1, self._clock

    def stayed(self, id_: str) -> None:
        """Take in that an object could not go: it is not tried again before somebody has used something."""
        self._stayed[id_] = self._clock

    def forget(self, id_: str) -> None:
        """Forget an object that is gone."""
        self._stayed.pop(id_, None)
        self.copies.pop(id_, None)
        self.leaving.discard(id_)
        self.fleeting.discard(id_)
        self.outgoing.pop(id_, None)
        self._used.pop(id_, None)

    def undoing(self) -> Callable[[], None]:
        """Return what brings copies and pins back to what they are now."""
        copies, pins, kept, outgoing = dict(self.copies), set(self.pins), dict(self.kept), dict(self.outgoing)

        def undo() -> None:
            self.copies, self.pins, self.kept, self.outgoing = copies, pins, kept, outgoing

        return undo

    # -- what may go -----------------------------------------------------------------------------
    def candidates(self, policy: str) -> list[StoredObject]:
        """Return all objects that may go, first what is to go first."""
        return sorted(self._free(), key=lambda stored: self._rank(stored, policy))

    def in_the_way(self, wanted: Reserve) -> list[str]:
        """Return what a reservation would find room in place of; nothing when it would not, or does not want to."""
        if wanted.policy is None:
            return []
        lack, own = lacking(self._versions, self._people, wanted)
        order = self.candidates(wanted.policy)
        owner = self._people.peers[wanted.peer]
        going = [self._versions.objects[id_] for id_ in self._collecting if id_ in self._versions.objects]
        lack -= sum(stored.bytes for stored in going)
        own -= sum(stored.bytes for stored in going if wrote(owner, stored))
        mine = _enough(own, [stored for stored in order if wrote(owner, stored)])
        if mine is None:
            return []
        rest = _enough(lack - sum(stored.bytes for stored in mine), [stored for stored in order if stored not in mine])
        return [] if rest is None else [stored.id for stored in (*mine, *rest)]

    def _free(self) -> Iterator[StoredObject]:
        for name, id_ in self._versions.links.items():
            stored = self._versions.objects[id_]
            stays = name in self.pins or self._snapshots.keeps(id_) or self._stayed.get(id_) == self._clock
            busy = stays or id_ in self.leaving or self._people.held(id_)
            if stored.bytes and stored.version and stored.kind != ev.DAMAGED and not busy:
                yield stored

    def _rank(self, stored: StoredObject, policy: str) -> tuple[int, ...]:
        uses, last = self._used.get(stored.id, (0, 0))
        if policy == "fifo":
            return (stored.created_ns,)
        return (uses, last, stored.created_ns) if policy == "lfu" else (last, stored.created_ns)

    # -- what is on the disk ---------------------------------------------------------------------
    def is_on_disk(self, id_: str) -> bool:
        """Tell whether an object is on the disk alone, or about to be."""
        stored = self._versions.objects.get(id_)
        return id_ in self.leaving or (stored is not None and not stored.bytes and id_ in self.copies)

    def copied_whole(self, id_: str) -> StoredObject | None:
        """Return an object whose copy on the disk has all its versions; None when it has none such."""
        known, copy = self._versions.objects.get(id_), self.copies.get(id_)
        return known if known is not None and copy is not None and copy.version == known.version else None

    def outlasts(self, id_: str) -> bool:
        """Tell whether the copy of a replaced object is all that the disk has for good of its name."""
        stored = self._versions.objects.get(id_)
        if stored is None or not self._is_durable(id_) or self._versions.was_dropped(stored):
            return False
        if not self._versions.superseded(stored) or self._kept_is_newer(stored):
            return False
        newer = [found.id for found, _ in self._versions.of(stored.name) if found.first_version > stored.first_version]
        return not any(self._is_durable(found) or found in self.fleeting for found in newer)

    def spared(self, event: ev.Collected) -> list[ev.Action]:
        """Take in that only the copy of an object is left, if it is; one that nobody needs by now goes after it."""
        stored = self._versions.objects.get(event.id)
        if stored is None or not event.copy_kept:
            return []
        if not self.outlasts(event.id):
            self.outgoing[event.id] = stored.name
            return [ev.Collect(event.id)]
        outlived = self.outlived(stored)
        self.kept[stored.name] = stored
        return outlived

    def outlived(self, by: StoredObject) -> list[ev.Action]:
        """Let the copy go that outlasted its object, because a newer object has one too."""
        if by.name not in self.kept or self._kept_is_newer(by):
            return []
        id_ = self.kept.pop(by.name).id
        self.outgoing[id_] = by.name
        return [ev.Collect(id_)]

    def keeps(self, stored: StoredObject) -> bool:
        """Tell whether the copy of an object is what is left of its name for a restart."""
        kept = self.kept.get(stored.name)
        return kept is not None and kept.id == stored.id

    def _kept_is_newer(self, stored: StoredObject) -> bool:
        kept = self.kept.get(stored.name)
        return kept is not None and kept.first_version > stored.first_version

    def falls_back_to(self, name: str) -> list[str]:
        """Return the objects of a name that may have a durable copy, newest first."""
        return [stored.id for stored in self._newest_first(name)]

    def fell_back(self, stored: StoredObject, copy: Copy) -> None:
        """Take in that a name means an object again because its copy is left."""
        self.copies[stored.id] = copy
        if self.keeps(stored):
            del self.kept[stored.name]

    def _newest_first(self, name: str) -> list[StoredObject]:
        """Return the objects of a name, and among them the one of which only the copy is left."""
        kept = self.kept.get(name)
        found = [*(stored for stored, _ in self._versions.of(name)), *([] if kept is None else [kept])]
        return sorted(found, key=lambda stored: -stored.first_version)

    def _left_alone(self, name: str) -> list[str]:
        """Return the replaced objects of a name of which only a copy is left, if it is not removed yet."""
        kept = self.kept.get(name)
        return [id_ for id_, of in self.outgoing.items() if of == name] + ([] if kept is None else [kept.id])

    def lasts(self, name: str) -> bool:
        """Tell whether a name is kept for good: its newest version, or one before that has no successor on the disk."""
        kept = self.kept.get(name)
        for stored in self._newest_first(name):
            if stored.id in self.fleeting:
                return False
            if stored is kept or self._is_durable(stored.id):
                return True
        return False

    def unkept(self, fleeting: StoredObject) -> list[ev.Action]:
        """Remove the copies of all versions before a fleeting one: who holds a version does not keep them.

        One may be there that nobody told of. They go behind the name: a host that dies before has lost nothing then.
        """
        objects = self._versions.objects.values()
        older = [s.id for s in objects if s.name == fleeting.name and s.first_version < fleeting.first_version]
        return self._without_copies(fleeting.name, older)

    def _without_copies(self, name: str, ids: list[str]) -> list[ev.Action]:
        ids = [*ids, *self._left_alone(name)]
        self.kept.pop(name, None)
        for id_ in ids:
            self.copies.pop(id_, None)
        return [ev.RemoveCopy(id_) for id_ in ids]

    def is_unwanted(self, stored: StoredObject) -> bool:
        """Tell whether an object is to have no copy any more: it was dropped, or one that is fleeting replaced it."""
        if self._versions.was_dropped(stored):
            return True
        objects = (self._versions.objects[id_] for id_ in self.fleeting)
        return any(s.name == stored.name and s.first_version > stored.first_version for s in objects)

    def _is_durable(self, id_: str) -> bool:
        return id_ in self.copies and self.copies[id_].durable

    def found(self, copies: Mapping[str, Copy]) -> list[str]:
        """Take in durable copies of named objects that nobody told of; returns those names."""
        links = self._versions.links.items()
        names = [name for name, id_ in links if id_ in copies and copies[id_].durable and not self._is_durable(id_)]
        self.copies.update((id_, copies[id_]) for id_ in map(self._versions.links.__getitem__, names))
        return names

    def copied(self, event: ev.Copied, *, going: bool) -> tuple[ev.Reply, list[ev.Action]]:
        """Take in a copy, and have the memory freed if that is wanted; `going` says that it is being freed for good."""
        stored = self._versions.objects.get(event.id)
        if stored is None:
            raise UnknownDataset(f"The object {event.id} is not known here.")
        if event.copy.version != stored.version:
            raise StoreError(f"{stored.name!r} has changed since it was copied to the disk. Copy it again.")
        if event.evict and stored.bytes:
            self._refuse_busy(stored, going)
        if self.is_unwanted(stored):  # while it was written
            return _answer(stored), [ev.RemoveCopy(event.id)]
        self.copies[event.id] = event.copy
        if not event.evict or not stored.bytes:
            return _answer(stored), []
        self.leaving.add(event.id)
        return _answer(stored), [ev.Collect(event.id, keep_copy=True)]

    def _refuse_busy(self, stored: StoredObject, going: bool) -> None:
        if stored.name in self.pins:
            raise StoreError(f"{stored.name!r} is pinned. Unpin it first.")
        if labels := self._snapshots.labels_of(stored.id):
            raise StoreError(f"{stored.name!r} is in the snapshot {labels[0]!r}. Release that first.")
        if going:
            raise StoreError(f"{stored.name!r} is about to be freed, or was replaced.")
        if self._people.held(stored.id):
            holders = dict.fromkeys(self._people.who(peer) for peer, _ in self._people.holders(stored.id))
            held = ", ".join(f"{who.who}, pid {who.pid}" for who in holders)
            raise StoreError(f"{stored.name!r} is held by {held}. It stays in memory.")

    def grown(self, stored: StoredObject) -> list[ev.Action]:
        """Drop a copy that lacks rows now; a durable one stays until its writer has replaced it."""
        copy = self.copies.get(stored.id)
        if copy is None or copy.durable or copy.version == stored.version:
            return []
        del self.copies[stored.id]
        return [ev.RemoveCopy(stored.id)]

    def dropped(self, name: str, ids: list[str]) -> list[ev.Action]:
        """Forget copies and the pin of a name that is dropped.

        Copies go before the name does: what is kept for good would come back when the memory is gone.
        """
        removed = self._without_copies(name, ids)  # one may be there that nobody told of
        if name in self.pins:
            self.pins.discard(name)
            removed.append(ev.RecordPin(name, False))
        return removed

    # -- pins ------------------------------------------------------------------------------------
    def pin(self, event: ev.Pin) -> tuple[ev.Reply, list[ev.Action]]:
        """Pin a name, or unpin it; `UnknownDataset` when there is no such."""
        answer = _answer(self._versions.newest(event.name))
        if event.pinned == (event.name in self.pins):
            return answer, []
        (self.pins.add if event.pinned else self.pins.discard)(event.name)
        return answer, [ev.RecordPin(event.name, event.pinned)]


def _enough(wanted: int, order: list[StoredObject]) -> list[StoredObject] | None:
    """Return the first objects that take `wanted` bytes together; None when all of them do not."""
    chosen, found = [], 0
    for stored in order:
        if found >= wanted:
            break
        chosen.append(stored)
        found += stored.bytes
    return chosen if found >= wanted else None


def _answer(stored: StoredObject) -> ev.Reply:
    return ev.Reply({"name": stored.name, "version": stored.version, "rows": stored.rows, "bytes": stored.bytes})
