"""The desk: one synchronous state machine that knows peers, names, versions, holds and reservations.

`handle(event)` changes the state and returns the actions that follow; it does no I/O, reads no clock and
takes no lock, because the service calls it from one thread only. A refused event raises an `NQError` and
changes nothing. `revision` grows with every change that somebody could see.

The truth about holds is the lock on each object's file; what peers announce is for showing and for not
trying in vain. So a `Collect` may come back as "still held", and is tried again at a later tick.

An object that had a version is collected only when its name was dropped or means a newer one, and no snapshot has it;
that no name links to it is not enough, because a name may have been lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from cachetools import FIFOCache

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import snapshot_events as sn
from jupyter_nq.coordinator.eviction import Eviction
from jupyter_nq.coordinator.people import Peer, People, Reservation
from jupyter_nq.coordinator.quota import refuse_beyond, used_bytes
from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.coordinator.snapshots import Snapshots, answer
from jupyter_nq.coordinator.versions import Versions
from jupyter_nq.errors import ProtocolError, StoreError, StoreFull, UnknownDataset
from jupyter_nq.sizes import shortened

# A sealed object that nobody published: its writer may be reconnecting.
GRACE_SECONDS = 60.0
_REMEMBERED_PUBLISHES = 1024
_LONGEST_PROBLEM = 500
_TICKET_BITS = 62  # random, so that a ticket of an older coordinator frees nobody's reservation

Actions = list[ev.Action | sn.SnapshotAction]


def _random_ticket() -> int:
    return secrets.randbits(_TICKET_BITS)


class Desk:
    """The state behind the control socket. All attributes are for reading; only `handle` changes them."""

    def __init__(self, host_role: str = "client", new_ticket: Callable[[], int] = _random_ticket) -> None:
        self.host_role = host_role
        self.versions = Versions()
        self.people = People()
        self._collecting: set[str] = set()
        self.snapshots = Snapshots(self.versions)
        self.eviction = Eviction(self.versions, self.people, self._collecting, self.snapshots)
        self.owners: dict[str, str] = {}  # object id -> who published it, as shown then
        self.problem: dict[str, Any] | None = None
        self.revision = 0
        self._new_ticket = new_ticket
        self._grace: dict[str, float] = {}  # object id -> monotonic second until which it is kept for its writer
        # object id -> the answer it got, for as many as somebody may ask for again
        self._published: FIFOCache[str, dict[str, Any]] = FIFOCache(_REMEMBERED_PUBLISHES)
        self._undo: Callable[[], None] | None = None  # takes the event back that is being carried out
        self._asked: list[str] = []  # the collections that this event asked for

    def handle(self, event: ev.Event | sn.SnapshotEvent) -> Actions:
        """Change the state by one event and return what is to be done, in order."""
        if not isinstance(event, ev.Failed):
            self._undo = None
            self._asked = []
        actions: Actions = _HANDLERS[type(event)](self, event)
        return actions

    def used_bytes(self, files: ev.Measured = ev.NOT_MEASURED) -> int:
        """Return the bytes of all files and of what was promised and is not written yet."""
        return used_bytes(self.versions, self.people, files)

    # -- the store ---------------------------------------------------------------------------------
    def _rebuilt(self, event: ev.Rebuilt) -> Actions:
        for stored in event.objects:
            self.versions.add(stored)
        self.versions.dropped = dict(event.drops)
        self.eviction.copies, self.eviction.pins = dict(event.copies), set(event.pins)
        self.snapshots.restore(event.snapshots)
        known = self.versions.objects
        actions: Actions = []
        for name, id_ in event.links.items():
            if id_ in known:
                self.versions.link(name, id_)
            else:
                actions.append(ev.Unlink(name))
        actions += [ev.Link(name, id_) for name, id_ in self.versions.find_names()]
        self.eviction.pins &= set(self.versions.links)
        for name in event.drops:
            actions += self.versions.forget_drop(name)
        self._grace = {id_: event.now + GRACE_SECONDS for id_ in self.versions.loose if not known[id_].version}
        self.revision += 1
        return actions

    def _found(self, event: ev.Found) -> Actions:
        """Take in what the store has and nobody told of.

        What is not published is kept for its writer a while; what was brought back after it was dropped or replaced
        goes. A durable copy, whose writer died before it said so, replaces an older one; a needless record of a drop
        goes.
        """
        actions: Actions = []
        self._forget_unpublished({stored.id for stored in event.objects})
        for stored in event.objects:
            known = self.versions.objects.get(stored.id)
            if known is not None and known.bytes and stored.rows > known.rows:  # by a process that died unheard
                self._grown(ev.Grown(stored))
            if known is not None or stored.id in self._collecting:
                continue
            if stored.version:
                self._collecting.add(stored.id)
                actions.append(ev.Collect(stored.id, keep_copy=self.eviction.keeps(stored)))
            elif stored.id not in self._published:  # it was seen before that
                self.versions.add(stored)
                self._grace[stored.id] = event.now + GRACE_SECONDS
        for name in self.eviction.found(event.copies):
            actions += self.eviction.outlived(self.versions.newest(name))
        needless = (drop for drop in event.drops.items() if drop[0] not in self.versions.dropped)
        return [*actions, *(ev.ForgetDrop(name, version) for name, version in needless)]

    def _forget_unpublished(self, there: Collection[str]) -> None:
        """Forget what was kept for a writer that has died since: its file went with the look that did not find it."""
        for id_ in self.versions.loose - self._collecting:
            stored = self.versions.objects[id_]
            if id_ not in there and not stored.version and stored.kind != ev.DAMAGED:
                self._forget(id_)

    def _tick(self, event: ev.Tick) -> Actions:
        self._grace = {id_: until for id_, until in self._grace.items() if until > event.now}
        return self._collect(list(self.versions.loose))

    def _collect(self, candidates: Iterable[str]) -> Actions:
        """Ask for the collection of those candidates that no name, peer or writer needs."""
        idle = (id_ for id_ in candidates if id_ in self.versions.loose and not self.people.held(id_))
        chosen = [id_ for id_ in idle if id_ not in self._collecting and self._may_go(self.versions.objects[id_])]
        self._collecting.update(chosen)
        self._asked = chosen
        return [ev.Collect(id_, keep_copy=self.eviction.outlasts(id_)) for id_ in chosen]

    def _may_go(self, stored: ev.StoredObject) -> bool:
        """Is an object that no name links to not needed any more?"""
        if not stored.version:
            return stored.id not in self._grace
        if self.snapshots.keeps(stored.id):
            return False
        return self.versions.was_dropped(stored) or self.versions.superseded(stored)

    def _collected(self, event: ev.Collected) -> Actions:
        self._collecting.discard(event.id)
        if event.id in self.eviction.leaving:
            self.eviction.leaving.discard(event.id)
            return self._evicted(event)
        if not event.gone:
            return []
        spared = self.eviction.spared(event)
        stored = self._forget(event.id)
        return [*spared, *self.versions.forget_drop(stored.name)] if stored else []

    def _evicted(self, event: ev.Collected) -> Actions:
        """What was put on the disk has left memory, unless somebody mapped it meanwhile."""
        stored = self.versions.objects.get(event.id)
        if stored is None:
            return []
        if event.gone:
            self._left_memory(stored)
        else:
            self.eviction.stayed(event.id)
        return self._collect([event.id])  # a newer version may have come meanwhile

    def _left_memory(self, stored: ev.StoredObject) -> None:
        self.versions.add(replace(stored, bytes=0))
        self.revision += 1

    def _vanished(self, event: ev.Vanished) -> Actions:
        if (known := self.eviction.copied_whole(event.id)) is not None:
            self._left_memory(known)
            return []
        stored = self._forget(event.id)
        if stored is None or self.versions.links.get(stored.name) != event.id:
            return []
        if event.left is not None:
            return self._fell_back(*event.left)
        self.versions.link(stored.name, None)
        return [*self.versions.record_drop(stored.name, stored.version)]

    def _fell_back(self, stored: ev.StoredObject, copy: ev.Copy) -> Actions:
        """Let a name mean what the disk has of it for good, as it would after a restart of the machine."""
        self.versions.add(self.versions.objects.get(stored.id, stored))  # it may be in memory, for its holders
        self.versions.link(stored.name, stored.id)
        self.eviction.fell_back(stored, copy)
        if stored.id in self._collecting:  # its memory goes, and it stays
            self.eviction.leaving.add(stored.id)
        return [ev.Link(stored.name, stored.id)]

    def _forget(self, id_: str) -> ev.StoredObject | None:
        self.eviction.forget(id_)
        self.owners.pop(id_, None)
        self._grace.pop(id_, None)
        for peer in self.people.peers.values():
            peer.holds.pop(id_, None)
        self.revision += 1
        return self.versions.remove(id_)

    # -- peers -------------------------------------------------------------------------------------
    def _arrived(self, event: ev.PeerArrived) -> Actions:
        self.revision += 1
        return [ev.AskWho()] if self.people.arrive(event) else []

    def _left(self, event: ev.PeerLeft) -> Actions:
        peer = self.people.leave(event.peer)
        if peer is None:
            return []
        self.revision += 1
        return self._collect(peer.holds)

    def _hold(self, event: ev.Hold) -> Actions:
        peer = self._peer(event.peer)
        for id_, version in event.add:
            if id_ in self.versions.objects:
                peer.holds.setdefault(id_, set()).add(version)
                self.eviction.use(id_)
        self.revision += 1
        return self._collect(peer.let_go(event.drop))

    def _introduced(self, event: Introduced) -> Actions:
        self.people.introduce(self._peer(event.peer), event)
        self.revision += 1
        return []

    def _kernels(self, event: ev.KernelsReported) -> Actions:
        self._peer(event.peer)
        self.people.report(event)
        self.revision += 1
        return []

    def _problem(self, event: ev.ProblemReported) -> Actions:
        peer = self.people.peers.get(event.peer) if event.peer is not None else None
        who = self.people.who(peer).who if peer else "coordinator"
        self.problem = {"text": shortened(event.text, _LONGEST_PROBLEM), "who": who, "at_ns": event.at_ns}
        self.revision += 1
        return []

    def _handover(self, event: ev.HandoverAsked) -> Actions:
        granted = self.host_role != "server" and self._peer(event.peer).role == "server"
        return [ev.Reply({"granted": granted}), *([ev.Yield()] if granted else [])]

    # -- names and versions ------------------------------------------------------------------------
    def _reserve(self, event: ev.Reserve) -> Actions:
        peer = self._peer(event.peer)
        peer.renounce(event.name)
        try:
            refuse_beyond(self.versions, self.people, self.eviction.pins, self.snapshots, event)
        except StoreFull:
            if not (ids := self.eviction.in_the_way(event)):
                raise
            return [ev.Reply({"evict": ids})]
        ticket = self._new_ticket()
        peer.reservations[ticket] = Reservation(event.name, event.bytes, event.at_ns, event.back)
        return [ev.Reply({"ticket": ticket})]

    def _copied(self, event: ev.Copied) -> Actions:
        self._peer(event.peer)
        answer, follows = self.eviction.copied(event, going=event.id in self._collecting)
        self.revision += 1
        if event.id in self.eviction.leaving and follows:
            self._collecting.add(event.id)
            self._asked = [event.id]
            self._undo = partial(self.eviction.leaving.discard, event.id)
        kept = event.id in self.eviction.copies and event.copy.durable
        return [answer, *follows, *(self.eviction.outlived(self.versions.objects[event.id]) if kept else [])]

    def _pin(self, event: ev.Pin) -> Actions:
        self._peer(event.peer)
        answer, recorded = self.eviction.pin(event)
        if recorded:
            self._undo = partial(self.eviction.pins.symmetric_difference_update, {event.name})
            self.revision += 1
        return [*recorded, answer]

    def _take_snapshot(self, event: sn.TakeSnapshot) -> Actions:
        peer, before = self._peer(event.peer), dict(self.snapshots.taken)
        if (again := self.snapshots.repeated(event)) is not None:
            return [answer(again)]
        chosen = self.snapshots.chosen(event)
        if away := [stored.name for stored in chosen if self.eviction.is_on_disk(stored.id)]:
            return [ev.Reply({"bring_back": away})]
        taken = self.snapshots.take(event, chosen, self.people.who(peer).who)
        self._undo = partial(self.snapshots.restore, before)
        self.revision += 1
        return [sn.RecordSnapshot(taken), answer(taken)]

    def _release_snapshot(self, event: sn.ReleaseSnapshot) -> Actions:
        self._peer(event.peer)
        before = dict(self.snapshots.taken)
        if (gone := self.snapshots.release(event)) is None:
            return [ev.Reply({"released": False})]
        self._undo = partial(self.snapshots.restore, before)
        self.revision += 1
        freed = self._collect(member.id for member in gone.members)
        return [sn.ForgetSnapshot(gone.label), ev.Reply({"released": True}), *freed]

    def _release(self, event: ev.Release) -> Actions:
        self._peer(event.peer).reservations.pop(event.ticket, None)
        return []

    def _publish(self, event: ev.Publish) -> Actions:
        peer, stored = self._peer(event.peer), event.stored
        if stored.id in self._published:
            peer.reservations.pop(event.ticket or 0, None)
            return [ev.Reply(self._published[stored.id])]
        if stored.id in self._collecting:
            raise UnknownDataset(f"{stored.name!r} was published too late: its memory is being freed. Put it again.")
        if stored.version and self.versions.was_dropped(stored):
            raise UnknownDataset(f"{stored.name!r} was dropped after it had been published. Put it again.")
        before = self.versions.links.get(stored.name)
        version = stored.version or self.versions.next_version(stored.name)
        if before not in (None, stored.id) and version <= self.versions.newest(stored.name).version:
            raise StoreError(f"Version {version} of {stored.name!r} was replaced before it was named. Put it again.")
        self._undo = partial(self._unpublish, stored, before)
        if event.fleeting:
            self.eviction.fleeting.add(stored.id)
        stamp: Actions = [] if stored.version else [ev.Stamp(stored.id, version)]
        named = self._name(stored, version)
        peer.reservations.pop(event.ticket or 0, None)
        answer = {"name": named.name, "version": named.version, "id": named.id, "rows": named.rows}
        self._published[named.id] = answer
        self.eviction.use(named.id)
        self.owners[named.id] = self.people.who(peer).who
        replaced = [before] if before and before != named.id else []
        return [*stamp, ev.Link(named.name, named.id), ev.Reply(answer), *self._collect(replaced)]

    def _unkeep(self, event: ev.Unkeep) -> Actions:
        stored = self.versions.objects.get(event.id)
        if stored is None or self.versions.links.get(stored.name) != stored.id:  # dropped, or replaced since
            return []
        self._undo = self.eviction.undoing()
        self.revision += 1
        return [*self.eviction.unkept(stored)]

    def _name(self, stored: ev.StoredObject, version: int) -> ev.StoredObject:
        self._grace.pop(stored.id, None)
        self.revision += 1
        if not stored.version:
            return self.versions.publish(stored, version)
        self.versions.add(stored)
        self.versions.link(stored.name, stored.id)
        return stored

    def _failed(self, _event: ev.Failed) -> Actions:
        if self._undo is not None:
            self._undo()
            self._undo = None
            self._collecting.difference_update(self._asked)
            self.revision += 1
        return []

    def _unpublish(self, stored: ev.StoredObject, before: str | None) -> None:
        self.versions.add(stored)
        self.versions.link(stored.name, before)
        self._published.pop(stored.id, None)
        self.eviction.fleeting.discard(stored.id)

    def _grown(self, event: ev.Grown) -> Actions:
        stored = event.stored
        if stored.id not in self.versions.objects:
            raise UnknownDataset(f"The object {stored.id} of {stored.name!r} is not known here.")
        if self.versions.objects[stored.id] != stored:
            self.versions.add(stored)
            self.revision += 1
        if event.peer is None:
            return []
        self.eviction.use(stored.id)
        if stored.name not in self.versions.links:  # its memory is not free yet
            raise UnknownDataset(f"{stored.name!r} was dropped.")
        if stored.id in self.versions.loose:
            raise StoreError(f"{stored.name!r} was replaced or dropped while rows were appended. Append them again.")
        self._peer(event.peer).reservations.pop(event.ticket or 0, None)
        answer = {"name": stored.name, "version": stored.version, "rows": stored.rows}
        return [*self.eviction.grown(stored), ev.Reply(answer)]

    def _discard(self, event: ev.Discard) -> Actions:
        stored = event.stored
        if stored.version or stored.id in self._published:
            raise StoreError(f"{stored.name!r} was published: drop it.")
        if self._peer(event.peer).pid != stored.owner_pid:
            raise StoreError(f"The object {stored.id} was written by another process, {stored.owner_pid}.")
        self.versions.add(stored)
        self._grace.pop(stored.id, None)
        self.revision += 1
        return self._collect([stored.id])

    def _drop(self, event: ev.Drop) -> Actions:
        if event.id is not None and self.versions.is_gone(event.name, event.id):
            return [ev.Reply({"name": event.name, "versions": 0, "bytes": 0})]
        newest = self.versions.newest(event.name)
        if event.id not in (None, newest.id):
            raise StoreError(f"{event.name!r} got a newer version while it was being dropped. Drop it again.")
        ids = [newest.id, *(id_ for id_ in self.versions.all_of(event.name) if id_ != newest.id)]
        last = self.versions.next_version(event.name) - 1  # of all objects: a damaged header tells no version
        answer = {"name": event.name, "versions": newest.version, "bytes": self.versions.bytes_of(event.name)}
        self._undo = partial(self._undrop, event.name, newest.id, dict(self.versions.dropped), self.eviction.undoing())
        self.versions.link(event.name, None)
        self.revision += 1
        forgotten = self.eviction.dropped(event.name, ids)
        dropped = self.versions.record_drop(event.name, last)
        return [*forgotten, *dropped, ev.Reply(answer), *self._collect(ids)]

    def _undrop(self, name: str, id_: str, dropped: dict[str, int], forgotten: Callable[[], None]) -> None:
        forgotten()
        self.versions.link(name, id_)
        self.versions.dropped = dropped

    def _peer(self, id_: int) -> Peer:
        try:
            return self.people.peers[id_]
        except KeyError:
            raise ProtocolError("Say hello first.") from None


_HANDLERS: dict[type[Any], Any] = {
    ev.Rebuilt: Desk._rebuilt,
    ev.Found: Desk._found,
    ev.PeerArrived: Desk._arrived,
    ev.PeerLeft: Desk._left,
    ev.Reserve: Desk._reserve,
    ev.Release: Desk._release,
    ev.Publish: Desk._publish,
    ev.Unkeep: Desk._unkeep,
    ev.Discard: Desk._discard,
    ev.Failed: Desk._failed,
    ev.Grown: Desk._grown,
    ev.Drop: Desk._drop,
    ev.Copied: Desk._copied,
    ev.Pin: Desk._pin,
    ev.Hold: Desk._hold,
    ev.Collected: Desk._collected,
    ev.Vanished: Desk._vanished,
    ev.KernelsReported: Desk._kernels,
    ev.ProblemReported: Desk._problem,
    ev.HandoverAsked: Desk._handover,
    Introduced: Desk._introduced,
    ev.Tick: Desk._tick,
    sn.TakeSnapshot: Desk._take_snapshot,
    sn.ReleaseSnapshot: Desk._release_snapshot,
}
