"""What leaves memory: the desk's side, event by event."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.errors import StoreError, StoreFull, UnknownDataset
from tests.unit.coordinator.desks import arrive, publish, stored, ticket_of


@pytest.fixture
def desk() -> Desk:
    """Give a desk with one peer and three datasets of 100 bytes, a, b and c, put in this order."""
    desk = Desk()
    arrive(desk, 1, 2)
    for name in "abc":
        publish(desk, name, name)
    return desk


def _reserve(desk: Desk, nbytes: int, **more: object) -> list[ev.Action]:
    fields: dict[str, object] = {"peer": 1, "limit": 400, "policy": "lru", **more}
    return desk.handle(ev.Reserve(name="new", bytes=nbytes, **fields))  # type: ignore[arg-type]


def _victims(actions: list[ev.Action]) -> list[str]:
    (reply,) = actions
    assert isinstance(reply, ev.Reply)
    return list(reply.value["evict"])


def _use(desk: Desk, *ids: str) -> None:
    for id_ in ids:
        desk.handle(ev.Hold(1, add=((id_, 1),)))
        desk.handle(ev.Hold(1, drop=((id_, 1),)))


def _evict(desk: Desk, id_: str, version: int = 1) -> list[ev.Action]:
    return desk.handle(ev.Copied(1, id_, ev.Copy(version, 10), evict=True))


def test_what_fits_evicts_nothing(desk: Desk) -> None:
    """A promise is made as ever."""
    assert ticket_of(_reserve(desk, 100))


@pytest.mark.parametrize(("policy", "order"), [("lru", "bca"), ("lfu", "cba"), ("fifo", "abc")])
def test_the_policy_orders(desk: Desk, policy: str, order: str) -> None:
    """By the last use, by the number of uses, or by age."""
    desk.versions.add(stored("a", "a", first=1, created_ns=1))
    desk.versions.add(stored("b", "b", first=1, created_ns=2))
    desk.versions.add(stored("c", "c", first=1, created_ns=3))
    for name in "abc":
        desk.versions.link(name, name)
    _use(desk, "a", "b", "b", "c", "a", "a")
    if policy == "lru":
        _use(desk, "b", "c", "a")
    assert [found.id for found in desk.eviction.candidates(policy)] == list(order)


def test_as_much_goes_as_is_needed(desk: Desk) -> None:
    """First what was used longest ago; two for what one does not make room for."""
    assert _victims(_reserve(desk, 101)) == ["a"]
    assert _victims(_reserve(desk, 250)) == ["a", "b"]
    assert desk.people.peers[1].reservations == {}


@pytest.mark.parametrize("policy", [None, "lru"])
def test_what_never_fits_is_refused(desk: Desk, policy: str | None) -> None:
    """When all of them do not make room, or none may go, nobody is asked to go."""
    with pytest.raises(StoreFull):
        _reserve(desk, 401 if policy else 101, policy=policy)


def test_held_pinned_and_leaving_ones_stay(desk: Desk) -> None:
    """What a peer mapped, what is pinned, and what is about to go already."""
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    assert desk.handle(ev.Pin(1, "b", pinned=True))[0] == ev.RecordPin("b", True)
    assert _victims(_reserve(desk, 101)) == ["c"]
    with pytest.raises(StoreError, match="'a' is held by program2, pid 1002"):
        _evict(desk, "a")
    with pytest.raises(StoreError, match="'b' is pinned"):
        _evict(desk, "b")
    assert _evict(desk, "c")[1] == ev.Collect("c", keep_copy=True)
    with pytest.raises(StoreFull):
        _reserve(desk, 201)


def test_what_is_about_to_be_free_counts(desk: Desk) -> None:
    """Nothing more is evicted while the memory of one is being freed; the reservation waits for that."""
    _evict(desk, "a")
    with pytest.raises(StoreFull):
        _reserve(desk, 150)
    assert desk.handle(ev.Collected("a", True)) == []
    assert ticket_of(_reserve(desk, 150))


def test_an_object_on_the_disk_is_known(desk: Desk) -> None:
    """It keeps name and version, takes no memory, and comes back with its next header."""
    _evict(desk, "a")
    assert desk.eviction.is_on_disk("a")
    desk.handle(ev.Collected("a", True))
    assert desk.versions.newest("a").bytes == 0
    assert desk.versions.bytes == 200
    desk.handle(ev.Grown(stored("a", "a", first=1)))
    assert not desk.eviction.is_on_disk("a")
    assert desk.versions.bytes == 300


def test_somebody_maps_it_meanwhile(desk: Desk) -> None:
    """Then it stays, with its copy."""
    _evict(desk, "a")
    desk.handle(ev.Collected("a", False))
    assert (desk.versions.newest("a").bytes, desk.eviction.is_on_disk("a")) == (100, False)
    assert _victims(_reserve(desk, 101)) == ["b"], "it is not asked again at once"
    _use(desk, "c")
    assert _victims(_reserve(desk, 101)) == ["a"]
    assert _evict(desk, "a")[1] == ev.Collect("a", keep_copy=True)


def test_a_store_that_refuses_leaves_all_as_it_was(desk: Desk) -> None:
    """Of an eviction and of a pin."""
    _evict(desk, "a")
    desk.handle(ev.Failed())
    assert not desk.eviction.leaving
    desk.handle(ev.Pin(1, "a", pinned=True))
    desk.handle(ev.Failed())
    assert desk.eviction.pins == set()


def test_a_copy_must_be_of_this_version(desk: Desk) -> None:
    """Rows that came meanwhile are not in it; an object that is not there has none."""
    with pytest.raises(StoreError, match="has changed since it was copied"):
        _evict(desk, "a", version=2)
    with pytest.raises(UnknownDataset):
        _evict(desk, "zz")


def test_rows_make_a_copy_stale(desk: Desk) -> None:
    """It is removed, unless it is durable and about to be replaced."""
    desk.handle(ev.Copied(1, "a", ev.Copy(1, 10)))
    desk.handle(ev.Copied(1, "b", ev.Copy(1, 10, durable=True)))
    assert ev.RemoveCopy("a") in desk.handle(ev.Grown(stored("a", "a", first=1, last=2), peer=1))
    assert ev.RemoveCopy("b") not in desk.handle(ev.Grown(stored("b", "b", first=1, last=2), peer=1))
    assert set(desk.eviction.copies) == {"b"}


def test_dropping_removes_copies_before_the_name(desk: Desk) -> None:
    """A durable copy would bring the name back, also one that nobody told of; the pin goes too."""
    desk.handle(ev.Copied(1, "a", ev.Copy(1, 10, durable=True)))
    desk.handle(ev.Pin(1, "a", pinned=True))
    actions = desk.handle(ev.Drop(1, "a"))
    assert actions[:2] == [ev.RemoveCopy("a"), ev.RecordPin("a", False)]
    assert actions.index(ev.RemoveCopy("a")) < actions.index(ev.RecordDrop("a", 1))
    assert ev.RemoveCopy("b") in desk.handle(ev.Drop(1, "b"))


def test_a_removed_file_with_a_copy_is_on_the_disk(desk: Desk) -> None:
    """Somebody removed the memory by hand: nothing is lost when the copy is whole."""
    desk.handle(ev.Copied(1, "a", ev.Copy(1, 10)))
    assert desk.handle(ev.Vanished("a")) == []
    assert desk.eviction.is_on_disk("a")


def test_a_newer_version_frees_what_is_on_the_disk(desk: Desk) -> None:
    """The old object is collected with its copy, in whatever order it happens."""
    _evict(desk, "a")
    desk.handle(ev.Publish(1, stored("a2", "a")))
    assert desk.handle(ev.Collected("a", True)) == [ev.Collect("a")]
    desk.handle(ev.Collected("a", True))
    assert "a" not in desk.eviction.copies
    assert "a" not in desk.versions.objects


def test_a_rebuilt_desk_knows_copies_and_pins() -> None:
    """What is on the disk alone gets its name again."""
    desk = Desk()
    on_disk = stored("x", "kept", first=3, bytes=0)
    actions = desk.handle(ev.Rebuilt((on_disk,), {}, 0.0, {}, {"x": ev.Copy(3, 10, durable=True)}, frozenset({"kept"})))
    assert actions == [ev.Link("kept", "x")]
    assert desk.eviction.is_on_disk("x")
    assert desk.eviction.pins == {"kept"}


def test_what_a_dead_process_of_the_same_pid_wrote_is_not_charged(desk: Desk) -> None:
    """A process is its pid and when it began: neither the quota nor what makes way for it counts older objects."""
    for id_, name, created_ns in (("o", "old", 99), ("n", "new", 101)):
        desk.handle(ev.Publish(1, stored(id_, name, owner_pid=55, created_ns=created_ns)))
    desk.handle(ev.PeerArrived(9, 55, (), "again", "client", started_ns=100))
    desk.handle(ev.PeerArrived(8, 55, (), "dead, and not heard of yet", "client", started_ns=50))
    _reserve(desk, 1_000, limit=10_000, peer=8)
    with pytest.raises(StoreFull, match="this one has 100 B"):
        _reserve(desk, 201, limit=10_000, own_limit=200, peer=9)
    assert _victims(_reserve(desk, 150, limit=10_000, own_limit=200, peer=9)) == ["n"]


def test_one_process_has_its_own_limit(desk: Desk) -> None:
    """Its own objects make way, and nobody else's; when they do not suffice it is refused."""
    mine = stored("m", "mine", owner_pid=1001)
    desk.handle(ev.Publish(1, mine))
    assert _victims(_reserve(desk, 150, limit=10_000, own_limit=200)) == ["m"]
    with pytest.raises(StoreFull, match=r"one process may have 200 B in the store \(notebook_bytes\) and this one has"):
        _reserve(desk, 201, limit=10_000, own_limit=200)


def test_bringing_back_is_no_writing(desk: Desk) -> None:
    """What left memory comes back beyond the limit of one process, and is not charged to it while it does."""
    desk.handle(ev.Publish(1, stored("m", "mine", owner_pid=1001)))
    desk.handle(ev.Hold(1, add=(("m", 1),)))
    assert ticket_of(_reserve(desk, 150, limit=10_000, own_limit=200, back=True))
    assert ticket_of(desk.handle(ev.Reserve(1, "written", 100, 10_000, own_limit=200)))
    with pytest.raises(StoreFull, match="this one has 200 B"):
        desk.handle(ev.Reserve(1, "more", 1, 10_000, own_limit=200))
    with pytest.raises(StoreFull, match="the store may hold"):
        _reserve(desk, 801, limit=1_000, own_limit=200, back=True)


def test_the_refusal_says_why_each_dataset_stays(desk: Desk) -> None:
    """Pinned, held, both or neither; an old version is not pinned, and what is on the disk alone is not listed."""
    desk.handle(ev.Pin(1, "a", True))
    desk.handle(ev.Pin(1, "b", True))
    desk.handle(ev.Hold(2, add=(("b", 1),)))
    publish(desk, "b2", "b")
    _evict(desk, "c")
    desk.handle(ev.Collected("c", True))
    with pytest.raises(StoreFull) as refused:
        _reserve(desk, 350)
    told = str(refused.value)
    assert "(a version 1, 100 B, pinned; b version 1, 100 B, held by program2, pid 1002; b version 2, 100 B, " in told
    assert "b version 2, 100 B, pinned). Unpin what may leave memory (nq.unpin, %nq_unpin), drop what is not" in told
    desk.handle(ev.Hold(1, add=(("a", 1),)))
    with pytest.raises(StoreFull, match=r"a version 1, 100 B, pinned and held by program1, pid 1001; .*\. Drop what"):
        _reserve(desk, 350, policy=None)


def test_a_store_without_data_in_memory_names_none(desk: Desk) -> None:
    """Then the limit is all that can be changed."""
    for id_ in "abc":
        _evict(desk, id_)
        desk.handle(ev.Collected(id_, True))
    with pytest.raises(StoreFull, match=r"0 B are in use\. Raise pool_bytes\."):
        _reserve(desk, 500)


def test_what_was_brought_back_after_its_drop_is_freed(desk: Desk) -> None:
    """An object with a version that the desk does not know has no name to come; one that it knows stays."""
    found = (stored("a", "a", first=1), stored("late", "gone", first=3), stored("fresh", "new"))
    assert desk.handle(ev.Found(found, 0.0)) == [ev.Collect("late")]
    assert desk.handle(ev.Found(found, 0.0)) == [], "it is being freed"
    desk.handle(ev.Collected("late", True))
    assert "fresh" in desk.versions.objects


def test_what_was_published_here_and_is_brought_back_after_its_drop_is_freed(desk: Desk) -> None:
    """Who brings it back is slow; a look that saw it before it was published is about nothing."""
    before = desk.used_bytes()
    publish(desk, "d")
    assert desk.handle(ev.Drop(1, "bars"))[-1] == ev.Collect("d")
    desk.handle(ev.Collected("d", True))
    assert desk.handle(ev.Found((stored("d"),), 0.0)) == []
    assert desk.handle(ev.Found((stored("d", first=1),), 0.0)) == [ev.Collect("d")]
    assert desk.handle(ev.Collected("d", True)) == []
    assert desk.used_bytes() == before


def test_memory_of_old_versions_counts_as_room(desk: Desk) -> None:
    """Nothing leaves memory while what a new version replaced is being freed."""
    assert ev.Collect("a") in publish(desk, "a2", "a")
    with pytest.raises(StoreFull):
        _reserve(desk, 100)
    desk.handle(ev.Collected("a", True))
    assert ticket_of(_reserve(desk, 100))


def test_a_pin_of_a_name_that_is_gone_is_forgotten() -> None:
    """The next dataset of that name is not pinned by it."""
    desk = Desk()
    desk.handle(ev.Rebuilt((stored("x", "there", first=1),), {"there": "x"}, 0.0, pins=frozenset({"there", "gone"})))
    assert desk.eviction.pins == {"there"}
