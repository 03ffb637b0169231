"""The desk: events in, actions out, without a store."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import views
from jupyter_nq.coordinator.desk import GRACE_SECONDS, Desk
from jupyter_nq.errors import ProtocolError, StoreError, StoreFull, UnknownDataset
from tests.unit.coordinator.desks import FULL, arrive, publish, stored, ticket_of


def test_publishing_stamps_links_and_answers(desk: Desk) -> None:
    """The first version is 1, and the actions come in the order that survives a crash."""
    answer = {"name": "bars", "version": 1, "id": "a", "rows": 10}
    assert publish(desk, "a") == [ev.Stamp("a", 1), ev.Link("bars", "a"), ev.Reply(answer)]
    found = {"id": "a", "name": "bars", "version": 1, "rows": 10, "in_memory": True, "lasts": False}
    assert views.found(desk, "bars", None) == found


def test_publishing_again_is_the_same_answer_and_no_second_version(desk: Desk) -> None:
    """A request that is sent twice because the line broke counts once, even when the version was replaced."""
    first = publish(desk, "a")[-1]
    assert publish(desk, "a") == [first]
    publish(desk, "b")
    desk.handle(ev.Collected("a", gone=True))
    assert publish(desk, "a") == [first]
    assert views.found(desk, "bars", None)["version"] == 2


def test_a_replaced_version_goes_when_nobody_holds_it(desk: Desk) -> None:
    """Unheld it goes at once; held it goes when the last holder lets go or leaves."""
    publish(desk, "a")
    assert publish(desk, "b")[-1] == ev.Collect("a")
    desk.handle(ev.Hold(1, add=(("b", 2),)))
    desk.handle(ev.Hold(2, add=(("b", 2),)))
    assert ev.Collect("b") not in publish(desk, "c")
    assert views.found(desk, "bars", 2)["id"] == "b"
    assert desk.handle(ev.Hold(1, drop=(("b", 2),))) == []
    assert desk.handle(ev.PeerLeft(2)) == [ev.Collect("b")]


def test_what_is_still_locked_is_tried_again_at_a_tick(desk: Desk) -> None:
    """The file's lock is the truth: a collection may fail, and one attempt is under way at a time."""
    publish(desk, "a")
    publish(desk, "b")
    assert desk.handle(ev.Tick(1.0)) == []
    desk.handle(ev.Collected("a", gone=False))
    assert desk.handle(ev.Tick(2.0)) == [ev.Collect("a")]
    desk.handle(ev.Collected("a", gone=True))
    assert desk.handle(ev.Tick(3.0)) == []
    with pytest.raises(UnknownDataset, match=r"no version 1 any more: kept is 2"):
        views.found(desk, "bars", 1)


@pytest.mark.parametrize(
    ("version", "told"), [(0, ", they count from 1"), (3, " any more"), (9, " yet"), (99, " yet")], ids=str
)
def test_a_version_that_is_not_there_never_was_or_is_gone(desk: Desk, version: int, told: str) -> None:
    """Versions of several objects that follow each other are one range."""
    for id_, first, last in (("a", 1, 2), ("c", 4, 6), ("d", 7, 7), ("e", 8, 8)):
        desk.versions.add(stored(id_, first=first, last=last))
    desk.versions.link("bars", "e")
    with pytest.raises(UnknownDataset, match=f"has no version {version}{told}: kept is 1 to 2, 4 to 8[.] Leave"):
        views.found(desk, "bars", version)


def test_a_failed_publish_leaves_everything_as_it_was(desk: Desk) -> None:
    """When the store refuses the stamp or the link, the old version stays the newest."""
    publish(desk, "a")
    publish(desk, "b")
    desk.handle(ev.Failed())
    assert views.found(desk, "bars", None)["id"] == "a"
    assert desk.handle(ev.Tick(GRACE_SECONDS))[:1] == [ev.Collect("b")]
    desk.handle(ev.Collected("b", gone=False))
    assert publish(desk, "b")[0] == ev.Stamp("b", 2)


def test_a_failed_first_publish_leaves_no_name(desk: Desk) -> None:
    """The name is as unknown as before; a second failure changes nothing."""
    publish(desk, "a")
    desk.handle(ev.Failed())
    desk.handle(ev.Failed())
    assert views.datasets(desk) == []


def test_dropping_a_name_unlinks_it_and_frees_what_nobody_holds(desk: Desk) -> None:
    """Holders keep their versions; the next object of the name counts on behind all of them while they do."""
    publish(desk, "a")
    desk.handle(ev.Hold(1, add=(("a", 1),)))
    publish(desk, "b")
    actions = desk.handle(ev.Drop(2, "bars"))
    answer = {"name": "bars", "versions": 2, "bytes": 200}
    copies = [ev.RemoveCopy("b"), ev.RemoveCopy("a")]
    assert actions == [*copies, ev.RecordDrop("bars", 2), ev.Reply(answer), ev.Collect("b")]
    with pytest.raises(UnknownDataset, match="empty"):
        desk.handle(ev.Drop(2, "bars"))
    desk.handle(ev.Collected("b", gone=True))
    assert publish(desk, "c")[0] == ev.Stamp("c", 3)
    assert views.found(desk, "bars", 3)["id"] == "c"


def test_a_name_that_went_altogether_counts_from_one_again(desk: Desk) -> None:
    """Nothing is remembered of a name of which nothing is left."""
    publish(desk, "a")
    desk.handle(ev.Drop(1, "bars"))
    desk.handle(ev.Collected("a", gone=True))
    assert publish(desk, "b")[0] == ev.Stamp("b", 1)


def test_a_failed_drop_keeps_the_name(desk: Desk) -> None:
    """When the link cannot be removed, the dataset is still there."""
    publish(desk, "a")
    desk.handle(ev.Drop(1, "bars"))
    desk.handle(ev.Failed())
    assert views.found(desk, "bars", None)["id"] == "a"
    assert desk.handle(ev.Tick(1.0)) == []


def test_an_unknown_name_is_answered_with_the_nearest(desk: Desk) -> None:
    """The message lists what there is, at most ten names."""
    for n in range(12):
        publish(desk, f"id{n}", f"NQ.{n}min")
    with pytest.raises(UnknownDataset, match=r"Did you mean 'NQ.3min'.*and 2 more"):
        views.found(desk, "NQ_3min", None)


def test_appending_adds_versions_to_the_same_object(desk: Desk) -> None:
    """A version is an object and its rows; an older one is found in the same object."""
    publish(desk, "a")
    grown = stored("a", first=1, last=3, rows=30)
    assert desk.handle(ev.Grown(grown, peer=1)) == [ev.Reply({"name": "bars", "version": 3, "rows": 30})]
    found = {"id": "a", "name": "bars", "version": 2, "rows": None, "in_memory": True, "lasts": False}
    assert views.found(desk, "bars", 2) == found
    assert publish(desk, "b")[0] == ev.Stamp("b", 4)


def test_growing_what_was_dropped_is_refused_as_unknown(desk: Desk) -> None:
    """Also while its memory is not free yet: who brought it back frees it then."""
    publish(desk, "x")
    desk.handle(ev.Drop(1, "bars"))
    with pytest.raises(UnknownDataset, match="'bars' was dropped"):
        desk.handle(ev.Grown(stored("x", first=1), 1))


def test_appending_to_what_was_replaced_is_refused(desk: Desk) -> None:
    """The rows would be lost to everybody, so their writer must know."""
    publish(desk, "a")
    desk.handle(ev.Hold(1, add=(("a", 1),)))
    publish(desk, "b")
    with pytest.raises(StoreError, match="replaced or dropped"):
        desk.handle(ev.Grown(stored("a", first=1, last=2), peer=1))
    assert views.found(desk, "bars", 2)["id"] == "b"
    assert publish(desk, "c")[0] == ev.Stamp("c", 3)
    with pytest.raises(UnknownDataset, match="not known here"):
        desk.handle(ev.Grown(stored("x", first=1), peer=1))


def test_a_reservation_beyond_the_quota_is_refused_with_the_holders(desk: Desk) -> None:
    """The message has the sizes and who holds what; nothing is promised."""
    desk.handle(ev.Publish(1, stored("a", bytes=600)))
    desk.handle(ev.KernelsReported(2, {}, (ev.Kernel(1002, "k", "a/risk.ipynb", "risk"),)))
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    with pytest.raises(StoreFull, match=r"500 B.*1000 B.*600 B are in use.*risk.ipynb, pid 1002"):
        desk.handle(ev.Reserve(1, "new", 500, FULL))
    assert desk.used_bytes() == 600
    desk.handle(ev.Reserve(1, "new", 400, FULL))
    assert desk.used_bytes() == 1000


def test_bytes_that_the_desk_does_not_know_count_too(desk: Desk) -> None:
    """Files of other origin take room as well."""
    with pytest.raises(StoreFull, match="990 B are in use"):
        desk.handle(ev.Reserve(1, "new", 11, FULL, ev.Measured(990)))


def test_a_reservation_ends_with_publish_release_repetition_or_its_peer(desk: Desk) -> None:
    """Promised bytes never outlive their reason."""
    ticket = ticket_of(desk.handle(ev.Reserve(1, "bars", 300, FULL)))
    desk.handle(ev.Publish(1, stored("a", bytes=100), ticket))
    assert desk.used_bytes() == 100
    ticket = ticket_of(desk.handle(ev.Reserve(1, "bars", 300, FULL)))
    desk.handle(ev.Release(1, ticket))
    desk.handle(ev.Release(1, ticket))
    assert desk.used_bytes() == 100
    desk.handle(ev.Reserve(1, "bars", 300, FULL))
    desk.handle(ev.Reserve(1, "bars", 400, FULL))
    desk.handle(ev.Reserve(2, "bars", 50, FULL))
    assert desk.used_bytes() == 550
    desk.handle(ev.PeerLeft(1))
    assert desk.used_bytes() == 150
    ticket = ticket_of(desk.handle(ev.Reserve(2, "bars", 60, FULL)))
    desk.handle(ev.Grown(stored("a", first=1, last=2, bytes=120), 2, ticket))
    assert desk.used_bytes() == 120


def test_another_peers_ticket_is_not_taken(desk: Desk) -> None:
    """A ticket belongs to the connection that got it."""
    ticket = ticket_of(desk.handle(ev.Reserve(1, "bars", 300, FULL)))
    desk.handle(ev.Release(2, ticket))
    desk.handle(ev.Publish(2, stored("a", bytes=1), ticket))
    assert desk.used_bytes() == 301


def test_the_desk_is_rebuilt_from_headers_and_links() -> None:
    """Links say what is newest; a stamped object that was not linked in time is linked now."""
    desk = Desk()
    objects = (
        stored("a", first=1, last=2),
        stored("b", first=3),
        stored("x", "lost", first=1),
        stored("u", "unpublished"),
    )
    actions = desk.handle(ev.Rebuilt(objects, {"bars": "a", "gone": "nothing"}, now=0.0))
    assert actions == [ev.Unlink("gone"), ev.Link("bars", "b"), ev.Link("lost", "x")]
    assert [row["name"] for row in views.datasets(desk)] == ["bars", "lost"]
    assert desk.handle(ev.Tick(1.0)) == [ev.Collect("a")]
    assert desk.handle(ev.Tick(GRACE_SECONDS)) == [ev.Collect("u")]


def test_a_writer_that_reconnects_publishes_what_it_sealed_before(desk: Desk) -> None:
    """An object without a name waits for its writer; one that was stamped keeps its version."""
    desk.handle(ev.Rebuilt((stored("u"), stored("s", "stamped", first=4)), {}, now=0.0))
    assert desk.handle(ev.Tick(1.0)) == []
    assert publish(desk, "u")[0] == ev.Stamp("u", 1)
    answer = {"name": "stamped", "version": 4, "id": "s", "rows": 10}
    actions = desk.handle(ev.Publish(1, stored("s", "stamped", first=4)))
    assert actions == [ev.Link("stamped", "s"), ev.Reply(answer)]


def test_a_stamped_object_that_was_overtaken_is_not_linked_over_a_newer_one(desk: Desk) -> None:
    """Versions never go back."""
    publish(desk, "a")
    publish(desk, "b")
    with pytest.raises(StoreError, match="replaced before it was named"):
        desk.handle(ev.Publish(1, stored("late", first=2)))


def test_sealed_objects_that_turn_up_wait_for_their_writer(desk: Desk) -> None:
    """A writer that died between sealing and publishing leaves an object that is freed after a while."""
    desk.handle(ev.Found((stored("u"),), now=10.0))
    desk.handle(ev.Found((stored("u"),), now=60.0))
    assert desk.handle(ev.Tick(10.0 + GRACE_SECONDS - 1)) == []
    assert desk.handle(ev.Tick(10.0 + GRACE_SECONDS)) == [ev.Collect("u")]
    publish(desk, "p")
    desk.handle(ev.Found((stored("p"),), now=99.0))
    assert views.found(desk, "bars", None)["id"] == "p"


def test_what_a_look_for_leftovers_removed_takes_no_room(desk: Desk) -> None:
    """A writer was seen between sealing and publishing, and had died when the next look removed its object."""
    publish(desk, "a")
    before = desk.used_bytes()
    desk.handle(ev.Found((stored("a"), stored("u", bytes=4096)), now=10.0))
    assert desk.used_bytes() == before + 4096
    desk.handle(ev.Found((stored("a"),), now=11.0))
    assert desk.used_bytes() == before
    assert views.found(desk, "bars", None)["id"] == "a"


def test_a_name_whose_object_was_removed_by_hand_is_healed(desk: Desk) -> None:
    """The name goes, and can be used again."""
    publish(desk, "a")
    desk.handle(ev.Hold(1, add=(("a", 1),)))
    assert desk.handle(ev.Vanished("a")) == [ev.RecordDrop("bars", 1), ev.ForgetDrop("bars", 1)]
    assert desk.handle(ev.Vanished("a")) == []
    assert desk.people.peers[1].holds == {}
    assert publish(desk, "b")[0] == ev.Stamp("b", 1)


def test_a_server_takes_over_from_a_host_that_is_none() -> None:
    """A script yields; a server does not; a client cannot ask."""
    script, server = Desk("client"), Desk("server")
    for desk in (script, server):
        arrive(desk, 1, role="server")
        arrive(desk, 2, role="client")
    assert script.handle(ev.HandoverAsked(1)) == [ev.Reply({"granted": True}), ev.Yield()]
    assert script.handle(ev.HandoverAsked(2)) == [ev.Reply({"granted": False})]
    assert server.handle(ev.HandoverAsked(1)) == [ev.Reply({"granted": False})]


def test_only_who_greeted_has_a_place(desk: Desk) -> None:
    """An event of an unknown peer is refused; a second farewell is none."""
    with pytest.raises(ProtocolError, match="hello"):
        desk.handle(ev.Hold(9))
    assert desk.handle(ev.PeerLeft(9)) == []


def test_the_newest_problem_is_shown_with_its_origin(desk: Desk) -> None:
    """A problem is cut, behind a word, to a length that a panel can show."""
    desk.handle(ev.ProblemReported(1, "word " * 200, at_ns=5))
    assert desk.problem == {"text": "word " * 99 + "…", "who": "program1", "at_ns": 5}
    desk.handle(ev.ProblemReported(None, "disk", at_ns=6))
    assert desk.problem == {"text": "disk", "who": "coordinator", "at_ns": 6}


def test_datasets_name_each_process_once_with_the_newest_version_it_holds(desk: Desk) -> None:
    """A process with two connections and two versions is one holder."""
    publish(desk, "a")
    desk.handle(ev.PeerArrived(3, 1001, (), "program1", "client"))
    desk.handle(ev.Hold(1, add=(("a", 1),)))
    desk.handle(ev.Hold(2, add=(("a", 1), ("unknown", 1))))
    publish(desk, "b", peer=2)
    desk.handle(ev.Hold(3, add=(("b", 2),)))
    row = views.datasets(desk)[0]
    assert [(h["pid"], h["version"]) for h in row["holders"]] == [(1001, 2), (1002, 1)]
    assert (row["version"], row["bytes"], row["bytes_all_versions"]) == (2, 100, 200)
    assert row["owner"] == {"who": "program2", "pid": 7}


def test_notebooks_join_kernels_and_connections(desk: Desk) -> None:
    """A kernel is listed before it connects; a child's holds are its notebook's; watchers are not listed."""
    publish(desk, "a")
    arrive(desk, 3, role="server")
    arrive(desk, 4, role="watch")
    kernels = (ev.Kernel(1002, "k1", "risk.ipynb", "risk"), ev.Kernel(5000, "k2", "", "kernel k2"))
    desk.handle(ev.KernelsReported(3, {"port": 1}, kernels))
    desk.handle(ev.PeerArrived(5, 6000, (1002,), "worker", "client"))
    desk.handle(ev.Hold(5, add=(("a", 1),)))
    desk.handle(ev.Reserve(5, "new", 30, FULL))
    rows = {row["who"]: row for row in views.notebooks(desk)}
    assert sorted(rows) == ["kernel k2", "program1", "program3", "risk.ipynb"]
    assert (rows["risk.ipynb"]["holds"], rows["risk.ipynb"]["reserved_bytes"]) == (["bars"], 30)
    assert rows["risk.ipynb"]["connected"]
    assert not rows["kernel k2"]["connected"]
    assert rows["program3"]["role"] == "server"
    assert views.totals(desk)["notebooks"] == 2


def test_every_change_that_can_be_seen_has_a_new_revision(desk: Desk) -> None:
    """What the panel shows changes only with the revision."""
    seen = [desk.revision]
    for event in (
        ev.Publish(1, stored("a")),
        ev.Hold(1, add=(("a", 1),)),
        ev.KernelsReported(1, {}, ()),
        ev.ProblemReported(1, "x", 1),
        ev.Drop(1, "bars"),
        ev.PeerLeft(1),
        ev.Collected("a", gone=True),
    ):
        desk.handle(event)
        seen.append(desk.revision)
    assert seen == sorted(set(seen))
