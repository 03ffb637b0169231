"""The desk against a model of the store: any order of events, failures and crashes keeps the promises.

The model store carries out the actions as the real one does. A crash ends the desk between any two actions;
a new desk is rebuilt from the headers and links that are there then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import snapshot_events as sn
from jupyter_nq.coordinator import views
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.errors import NQError, StoreError, StoreFull, UnknownDataset

_NAMES = st.sampled_from(["bars", "signals"])
_PEERS = st.integers(1, 3)
_LABELS = st.sampled_from(["x", "y"])
_LIMIT = 1000


@dataclass
class ModelStore:
    """Headers, links and locks, as files would keep them."""

    headers: dict[str, ev.StoredObject] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    drops: dict[tuple[str, int], None] = field(default_factory=dict)  # the records, by name and version
    snapshots: dict[str, sn.Snapshot] = field(default_factory=dict)
    locks: set[tuple[int, str]] = field(default_factory=set)  # who (peer) holds the lock of which object

    def stamp(self, id_: str, version: int) -> None:
        """Give an object its version."""
        self.headers[id_] = replace(self.headers[id_], first_version=version, version=version)

    def collect(self, id_: str) -> bool:
        """Remove an object unless it is locked."""
        if any(held == id_ for _, held in self.locks):
            return False
        self.headers.pop(id_, None)
        return True


class DeskMachine(RuleBasedStateMachine):
    """Clients put, append, map, let go, drop, take snapshots, leave and crash; so do the store and the coordinator."""

    def __init__(self) -> None:
        super().__init__()
        self.store = ModelStore()
        self.desk = Desk()
        self.present: set[int] = set()
        self.collecting: list[str] = []
        self.sealed: dict[str, int] = {}  # objects that were written and not published -> their writer
        self.dropped: set[str] = set()
        self.serial = 0
        self.now = 0.0

    # -- carrying out -------------------------------------------------------------------------------
    def carry_out(self, actions: list[ev.Action | sn.SnapshotAction], stop_after: int = 99) -> None:
        for action in actions[:stop_after]:
            match action:
                case ev.Stamp(id_, version):
                    self.store.stamp(id_, version)
                case ev.Link(name, id_):
                    assert id_ in self.store.headers
                    self.store.links[name] = id_
                case ev.Unlink(name):
                    self.store.links.pop(name, None)
                case ev.RecordDrop(name, version):
                    if self.store.links.pop(name, None):
                        self.store.drops[name, version] = None
                case ev.ForgetDrop(name, version):
                    self.store.drops.pop((name, version), None)
                case sn.RecordSnapshot(snapshot):
                    self.store.snapshots[snapshot.label] = snapshot
                case sn.ForgetSnapshot(label):
                    del self.store.snapshots[label]
                case ev.Collect(id_):
                    assert id_ not in self.kept(), "nothing is collected that a snapshot has"
                    assert id_ not in self.store.links.values(), "the newest version is never collected"
                    assert not self.desk.people.held(id_), "nothing is collected that a peer said it holds"
                    assert id_ not in self.collecting
                    assert self.may_go(self.store.headers[id_]), "only what was dropped or replaced is collected"
                    self.collecting.append(id_)
                case _:
                    pass

    def kept(self) -> set[str]:
        """Return what the recorded snapshots have."""
        return {member.id for snapshot in self.store.snapshots.values() for member in snapshot.members}

    def may_go(self, header: ev.StoredObject) -> bool:
        linked = self.store.headers.get(self.store.links.get(header.name, ""))
        replaced = linked is not None and linked.first_version > header.first_version
        return not header.version or replaced or header.id in self.dropped

    # -- clients ------------------------------------------------------------------------------------
    @rule(peer=_PEERS)
    def arrive(self, peer: int) -> None:
        if peer not in self.present:
            self.present.add(peer)
            self.carry_out(self.desk.handle(ev.PeerArrived(peer, 100 + peer, (), "p", "client")))

    @rule(peer=_PEERS)
    def leave(self, peer: int) -> None:
        self.present.discard(peer)
        self.store.locks = {lock for lock in self.store.locks if lock[0] != peer}
        self.carry_out(self.desk.handle(ev.PeerLeft(peer)))

    @rule(peer=_PEERS, name=_NAMES, size=st.integers(0, 700))
    def reserve(self, peer: int, name: str, size: int) -> None:
        if peer in self.present:
            try:
                self.desk.handle(ev.Reserve(peer, name, size, _LIMIT))
            except StoreFull:
                return
            assert self.desk.used_bytes() <= max(_LIMIT, self.desk.versions.bytes)

    @rule(peer=_PEERS, name=_NAMES, size=st.integers(1, 300))
    def seal(self, peer: int, name: str, size: int) -> None:
        self.serial += 1
        id_ = f"{self.serial:032x}"
        self.store.headers[id_] = ev.StoredObject(id_, name, 0, 0, 1, size, self.serial, peer)
        self.sealed[id_] = peer

    @precondition(lambda self: self.sealed)
    @rule(data=st.data(), outcome=st.sampled_from(["done", "done", "done", "failed", "killed"]), at=st.integers(0, 2))
    def publish(self, data: st.DataObject, outcome: str, at: int) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.sealed)))
        if self.sealed[id_] not in self.present or id_ not in self.store.headers:
            return
        stored = self.store.headers[id_]
        if stored.name in self.store.links:  # the service reads the newest header again before it publishes
            self.desk.handle(ev.Grown(self.store.headers[self.store.links[stored.name]]))
        try:
            actions = self.desk.handle(ev.Publish(self.sealed[id_], stored))
        except (StoreError, UnknownDataset):
            return
        if outcome == "done":
            self.carry_out(actions)
            del self.sealed[id_]
            assert self.store.links[stored.name] == id_
        elif outcome == "failed":
            self.carry_out(actions, stop_after=0 if isinstance(actions[0], ev.Stamp) else 99)
            if isinstance(actions[0], ev.Stamp):
                self.desk.handle(ev.Failed())
        else:
            self.carry_out(actions, stop_after=at)
            self.restart()

    @rule(name=_NAMES, peer=_PEERS, heard=st.booleans())
    def append(self, name: str, peer: int, heard: bool) -> None:
        id_ = self.store.links.get(name)
        if id_ is None or peer not in self.present:
            return
        header = self.store.headers[id_]
        self.store.headers[id_] = replace(header, version=header.version + 1, rows=header.rows + 1)
        if heard:
            self.desk.handle(ev.Grown(self.store.headers[id_], peer))

    @rule(peer=_PEERS, data=st.data(), told=st.booleans())
    def map_version(self, peer: int, data: st.DataObject, told: bool) -> None:
        if peer in self.present and self.store.headers:
            id_ = data.draw(st.sampled_from(sorted(self.store.headers)))
            self.store.locks.add((peer, id_))
            if told:
                self.desk.handle(ev.Hold(peer, add=((id_, self.store.headers[id_].version),)))

    @rule(peer=_PEERS, data=st.data())
    def let_go(self, peer: int, data: st.DataObject) -> None:
        held = sorted(id_ for who, id_ in self.store.locks if who == peer)
        if held and peer in self.present:
            id_ = data.draw(st.sampled_from(held))
            self.store.locks.discard((peer, id_))
            versions = self.desk.people.peers[peer].holds.get(id_, set())
            self.carry_out(self.desk.handle(ev.Hold(peer, drop=tuple((id_, v) for v in versions))))

    @rule(name=_NAMES, peer=_PEERS)
    def drop(self, name: str, peer: int) -> None:
        self.dropped |= {h.id for h in self.store.headers.values() if h.name == name and h.version}
        try:
            self.carry_out(self.desk.handle(ev.Drop(peer, name)))
        except NQError:
            assert name not in self.store.links
        else:
            assert name not in self.store.links

    @rule(peer=_PEERS, label=_LABELS, outcome=st.sampled_from(["done", "done", "failed", "killed"]))
    def take_snapshot(self, peer: int, label: str, outcome: str) -> None:
        self.serial += 1
        try:
            actions = self.desk.handle(sn.TakeSnapshot(peer, (), label, str(self.serial), 0))
        except NQError:
            return
        if outcome == "done":
            self.carry_out(actions)
            assert {m.id for m in self.store.snapshots[label].members} == set(self.store.links.values())
        elif outcome == "failed":
            self.desk.handle(ev.Failed())
        else:
            self.restart()

    @rule(peer=_PEERS, label=_LABELS, at=st.sampled_from([0, 1, 99, 99]))
    def release_snapshot(self, peer: int, label: str, at: int) -> None:
        if peer in self.present and label in self.store.snapshots:
            actions = self.desk.handle(sn.ReleaseSnapshot(peer, label, self.store.snapshots[label].token))
            self.carry_out(actions, stop_after=at)
            if at != 99:
                self.restart()

    # -- the coordinator ----------------------------------------------------------------------------
    @precondition(lambda self: self.collecting)
    @rule()
    def finish_collecting(self) -> None:
        id_ = self.collecting.pop(0)
        self.carry_out(self.desk.handle(ev.Collected(id_, self.store.collect(id_))))
        assert (id_ in self.store.headers) == (id_ in self.desk.versions.objects)

    @rule(seconds=st.sampled_from([1.0, 100.0]))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.desk.handle(ev.Tick(self.now)))

    @rule()
    def find_leftovers(self) -> None:
        strays = tuple(h for h in self.store.headers.values() if not h.version)
        self.desk.handle(ev.Found(strays, self.now))

    @rule()
    def restart(self) -> None:
        """Kill the coordinator: the next one knows only what is in the store, and clients come back."""
        self.desk = Desk()
        self.collecting = []
        objects = tuple(self.store.headers.values())
        drops = {name: max(v for n, v in self.store.drops if n == name) for name, _ in self.store.drops}
        told = ev.Rebuilt(objects, dict(self.store.links), self.now, drops, snapshots=dict(self.store.snapshots))
        self.carry_out(self.desk.handle(told))
        for peer in self.present:
            self.desk.handle(ev.PeerArrived(peer, 100 + peer, (), "p", "client"))
        for peer, id_ in self.store.locks:
            if peer in self.present and id_ in self.store.headers:
                self.desk.handle(ev.Hold(peer, add=((id_, self.store.headers[id_].version),)))

    # -- promises -----------------------------------------------------------------------------------
    @invariant()
    def names_lead_to_the_newest_version(self) -> None:
        """The desk and the links agree, and a link leads to an object that has a version."""
        assert self.desk.versions.links == self.store.links
        for name, id_ in self.store.links.items():
            header = self.store.headers[id_]
            assert header.name == name
            assert header.version >= 1
            rivals = [h for h in self.store.headers.values() if h.name == name and h.id != id_]
            assert all(h.first_version < header.first_version for h in rivals)

    @invariant()
    def books_are_right(self) -> None:
        """Sums that are kept along are what a recount gives, and nothing is negative."""
        catalogue = self.desk.versions
        assert catalogue.bytes == sum(stored.bytes for stored in catalogue.objects.values())
        linked = set(catalogue.links.values())
        assert catalogue.loose == set(catalogue.objects) - linked
        assert all(r.bytes >= 0 for p in self.desk.people.peers.values() for r in p.reservations.values())
        assert set(catalogue.objects) <= set(self.store.headers)

    @invariant()
    def what_is_locked_is_there(self) -> None:
        """Nobody loses an object under a view."""
        assert all(id_ in self.store.headers for _, id_ in self.store.locks)

    @invariant()
    def snapshots_are_whole(self) -> None:
        """The desk knows those that are recorded, and all that they have is there."""
        assert self.desk.snapshots.taken == self.store.snapshots
        assert self.kept() <= set(self.store.headers)

    @invariant()
    def views_can_always_be_made(self) -> None:
        """Every state can be shown."""
        views.datasets(self.desk)
        views.notebooks(self.desk)
        views.totals(self.desk)


DeskMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDeskMachine = DeskMachine.TestCase
