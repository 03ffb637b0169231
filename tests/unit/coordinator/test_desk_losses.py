"""The desk: drops, damage, leftovers and promises, where something could be lost or counted twice."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator import views
from jupyter_nq.coordinator.desk import GRACE_SECONDS, Desk
from jupyter_nq.errors import StoreError, StoreFull, UnknownDataset
from tests.unit.coordinator.desks import FULL, arrive, publish, stored, ticket_of


def test_a_drop_is_remembered_until_nothing_of_it_is_left(desk: Desk) -> None:
    """The next coordinator frees what a reader held of a dropped name, and forgets the drop then."""
    objects = (stored("a", first=1, last=2), stored("b", first=3))
    assert desk.handle(ev.Rebuilt(objects, {}, now=0.0, drops={"bars": 3, "gone": 1})) == [ev.ForgetDrop("gone", 1)]
    assert views.datasets(desk) == []
    assert set(desk.handle(ev.Tick(1.0))) == {ev.Collect("a"), ev.Collect("b")}
    assert desk.handle(ev.Collected("b", gone=True)) == []
    assert desk.handle(ev.Collected("a", gone=True)) == [ev.ForgetDrop("bars", 3)]


def test_a_second_drop_of_a_name_replaces_the_record_of_the_first(desk: Desk) -> None:
    """While a reader holds something of the first."""
    publish(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    desk.handle(ev.Drop(1, "bars"))
    publish(desk, "b")
    actions = [action for action in desk.handle(ev.Drop(1, "bars")) if not isinstance(action, ev.RemoveCopy)]
    assert actions[:2] == [ev.RecordDrop("bars", 2), ev.ForgetDrop("bars", 1)]


def test_what_is_put_after_a_drop_is_no_part_of_what_was_dropped(desk: Desk) -> None:
    """It counts on behind the newest version that was dropped, though only an older one is still held."""
    publish(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    publish(desk, "b")
    desk.handle(ev.Drop(1, "bars"))
    desk.handle(ev.Collected("b", gone=True))
    assert publish(desk, "new")[0] == ev.Stamp("new", 3)
    assert not desk.versions.was_dropped(desk.versions.newest("bars"))


def test_a_version_that_was_dropped_is_not_given_out_again(desk: Desk) -> None:
    """Though somebody holds it and the name is there again."""
    publish(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    desk.handle(ev.Drop(1, "bars"))
    publish(desk, "b")
    assert desk.versions.find("bars", 2)[0].id == "b"
    with pytest.raises(UnknownDataset, match=r"no version 1 any more: kept is 2\."):
        desk.versions.find("bars", 1)


def test_a_record_of_a_drop_that_nothing_is_left_of_is_removed_when_it_is_found(desk: Desk) -> None:
    """One that is about something stays."""
    publish(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    desk.handle(ev.Drop(1, "bars"))
    found = ev.Found((), 0.0, drops={"bars": 1, "gone": 4})
    assert desk.handle(found) == [ev.ForgetDrop("gone", 4)]


def test_rows_of_a_process_that_died_unheard_are_taken_in_when_they_are_found(desk: Desk) -> None:
    """Its connection ended before it told of them; a look that is older than what was told takes nothing back."""
    publish(desk, "a")
    desk.handle(ev.Found((stored("a", first=1, last=2, rows=15),), 0.0))
    assert [(row["version"], row["rows"]) for row in views.datasets(desk)] == [(2, 15)]
    desk.handle(ev.Found((stored("a", first=1, rows=10),), 1.0))
    assert [(row["version"], row["rows"]) for row in views.datasets(desk)] == [(2, 15)]


def test_what_was_published_and_dropped_is_not_named_again_by_a_late_request() -> None:
    """The coordinator that answered the first request is gone, the record of the drop is not."""
    desk = Desk()
    desk.handle(ev.Rebuilt((stored("a", first=1),), {}, now=0.0, drops={"bars": 1}))
    arrive(desk, 1)
    with pytest.raises(UnknownDataset, match="was dropped"):
        desk.handle(ev.Publish(1, stored("a", first=1)))
    assert views.datasets(desk) == []


@pytest.mark.parametrize("later_first", [False, True])
def test_of_two_objects_that_are_the_same_version_the_later_one_has_the_name(later_first: bool) -> None:
    """A copy of a name that was lost and begun anew is still on the disk, and goes."""
    objects = [stored("lost", first=1, last=1), stored("anew", first=1, created_ns=2)]
    desk = Desk()
    restart = ev.Rebuilt(tuple(objects[::-1] if later_first else objects), {}, now=0.0)
    assert desk.handle(restart) == [ev.Link("bars", "anew")]
    assert desk.handle(ev.Tick(1.0)) == [ev.Collect("lost")]


def test_a_damaged_object_keeps_its_name_until_it_is_replaced_or_dropped(desk: Desk) -> None:
    """It is listed as damaged, older versions are kept, and both ways out free its file; a drop takes those along."""
    broken = stored("x", kind=ev.DAMAGED)
    assert desk.handle(ev.Rebuilt((broken, stored("old", first=1)), {"bars": "x"}, now=0.0)) == []
    assert [(row["kind"], row["version"]) for row in views.datasets(desk)] == [("damaged", 0)]
    assert desk.handle(ev.Tick(GRACE_SECONDS + 1)) == []
    dropped = desk.handle(ev.Drop(1, "bars"))
    assert ev.RecordDrop("bars", 1) in dropped
    assert [action for action in dropped if isinstance(action, ev.Collect)] == [ev.Collect("x"), ev.Collect("old")]
    desk.handle(ev.Failed())
    published = publish(desk, "new")
    assert (published[0], published[-1]) == (ev.Stamp("new", 2), ev.Collect("x"))


def test_a_writer_discards_what_it_will_not_publish(desk: Desk) -> None:
    """Only its own, and only while nobody was told of it."""
    desk.handle(ev.Found((stored("u", owner_pid=1001),), now=0.0))
    with pytest.raises(StoreError, match="another process"):
        desk.handle(ev.Discard(2, stored("u", owner_pid=1001)))
    assert desk.handle(ev.Discard(1, stored("u", owner_pid=1001))) == [ev.Collect("u")]
    publish(desk, "p")
    with pytest.raises(StoreError, match="was published"):
        desk.handle(ev.Discard(1, stored("p", owner_pid=1001)))


def test_a_drop_that_is_asked_for_again_has_worked(desk: Desk) -> None:
    """It touches neither what was put under the name since, nor a newer version that it did not mean."""
    publish(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    assert ev.RecordDrop("bars", 1) in desk.handle(ev.Drop(1, "bars", "a"))
    publish(desk, "b")
    nothing = [ev.Reply({"name": "bars", "versions": 0, "bytes": 0})]
    assert desk.handle(ev.Drop(1, "bars", "a")) == nothing
    desk.handle(ev.PeerLeft(2))
    desk.handle(ev.Collected("a", gone=True))
    assert desk.handle(ev.Drop(1, "bars", "a")) == nothing
    desk.handle(ev.Hold(1, add=(("b", 2),)))
    publish(desk, "c")
    with pytest.raises(StoreError, match="newer version"):
        desk.handle(ev.Drop(1, "bars", "b"))
    assert views.found(desk, "bars", None)["id"] == "c"


def test_a_ticket_of_an_older_coordinator_frees_nothing() -> None:
    """Tickets are random; here they are counted, to see that they come from where they should."""
    old, new = Desk(), Desk(new_ticket=iter((7, 8)).__next__)
    for desk in (old, new):
        arrive(desk, 1)
    tickets = {ticket_of(old.handle(ev.Reserve(1, f"n{i}", 1, FULL))) for i in range(20)}
    assert len(tickets) == 20
    assert all(0 <= ticket < 1 << 62 for ticket in tickets)
    assert ticket_of(new.handle(ev.Reserve(1, "bars", 10, FULL))) == 7


def test_what_is_written_of_a_promise_is_counted_once(desk: Desk) -> None:
    """A writer's growing file, and then its sealed object, are taken off what it was promised."""
    desk.handle(ev.Reserve(1, "bars", 300, FULL, at_ns=50))
    growing = ev.Measured(200, (ev.Unfinished(1001, None, 200, 60),))
    sealed = ev.Measured(310, (ev.Unfinished(1001, "bars", 310, 60),))
    assert (desk.used_bytes(growing), desk.used_bytes(sealed), desk.used_bytes()) == (300, 310, 300)


def test_what_a_writer_left_behind_is_not_taken_off_its_next_promise(desk: Desk) -> None:
    """Nor is what another process writes, or what is meant for another name."""
    left = ev.Measured(400, (ev.Unfinished(1001, "bars", 400, 10),))
    with pytest.raises(StoreFull, match="400 B are in use"):
        desk.handle(ev.Reserve(1, "bars", 601, FULL, left, at_ns=50))
    desk.handle(ev.Reserve(1, "bars", 300, FULL, left, at_ns=50))
    assert desk.used_bytes(left) == 700
    others = (ev.Unfinished(1002, None, 100, 60), ev.Unfinished(1001, "signals", 100, 60))
    assert desk.used_bytes(ev.Measured(200, others)) == 500
