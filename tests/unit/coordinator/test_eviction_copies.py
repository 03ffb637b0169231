"""Copies that are kept for good: which goes, when, and which stays, event by event."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.desk import Desk
from tests.unit.coordinator.desks import arrive, publish, stored


@pytest.fixture
def desk() -> Desk:
    """Give a desk with two peers and a dataset of 100 bytes."""
    desk = Desk()
    arrive(desk, 1, 2)
    publish(desk, "a", "a")
    return desk


def _durable(desk: Desk, id_: str) -> list[ev.Action]:
    return desk.handle(ev.Copied(1, id_, ev.Copy(desk.versions.objects[id_].version, 10, durable=True)))


def _replace(desk: Desk, id_: str, *, fleeting: bool = False) -> list[ev.Action]:
    return desk.handle(ev.Publish(1, stored(id_, "a"), fleeting=fleeting))[3:]


def test_a_durable_copy_stays_until_a_newer_one_is_there(desk: Desk) -> None:
    """The memory of what was replaced goes; the copy is what a restart brings back if the new one never comes."""
    _durable(desk, "a")
    assert _replace(desk, "a2") == [ev.Collect("a", keep_copy=True)]
    assert desk.handle(ev.Collected("a", gone=True, copy_kept=True)) == []
    assert "a" not in desk.versions.objects
    assert _replace(desk, "a3") == [ev.Collect("a2")]
    assert _durable(desk, "a3")[1:] == [ev.Collect("a")]


def test_a_durable_copy_that_is_held_in_memory_goes_like_any_other_behind_a_newer_one(desk: Desk) -> None:
    """Its memory could not be freed before; then both go."""
    _durable(desk, "a")
    _replace(desk, "a2")
    assert desk.handle(ev.Collected("a", gone=False, copy_kept=True)) == []
    assert _durable(desk, "a2")[1:] == []
    assert desk.handle(ev.Tick(1.0)) == [ev.Collect("a")]


def test_a_durable_copy_that_was_outlived_while_its_memory_was_freed_goes_too(desk: Desk) -> None:
    """What was asked for was to keep it."""
    _durable(desk, "a")
    _replace(desk, "a2")
    _durable(desk, "a2")
    assert desk.handle(ev.Collected("a", gone=True, copy_kept=True)) == [ev.Collect("a")]


def test_memory_of_which_only_the_copy_is_needed_goes_without_that(desk: Desk) -> None:
    """Somebody brings back what was replaced meanwhile: its copy is what a restart has, until there is a newer one."""
    _durable(desk, "a")
    _replace(desk, "a2")
    desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    assert desk.handle(ev.Found((stored("a", "a", first=1),), 0.0)) == [ev.Collect("a", keep_copy=True)]
    assert desk.handle(ev.Collected("a", gone=True, copy_kept=True)) == []
    assert _durable(desk, "a2")[-1] == ev.Collect("a")


def test_a_name_that_falls_back_to_what_is_leaving_memory_keeps_it_on_the_disk(desk: Desk) -> None:
    """The memory of the newer version was removed by hand while that of the older one was being freed."""
    _durable(desk, "a")
    _replace(desk, "a2")
    desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    older = stored("a", "a", first=1)
    assert desk.handle(ev.Found((older,), 0.0)) == [ev.Collect("a", keep_copy=True)]
    assert desk.handle(ev.Vanished("a2", (older, ev.Copy(1, 10, durable=True)))) == [ev.Link("a", "a")]
    assert desk.handle(ev.Collected("a", gone=True, copy_kept=True)) == []
    assert desk.eviction.is_on_disk("a")
    assert desk.versions.newest("a").id == "a"


def test_a_durable_copy_that_nobody_told_of_replaces_the_older_one(desk: Desk) -> None:
    """Its writer was killed in between; a copy that is not durable, or of an object without a name, is no such."""
    _durable(desk, "a")
    _replace(desk, "a2")
    desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    spilled, kept = {"a2": ev.Copy(2, 10)}, {"other": ev.Copy(2, 10, durable=True)}
    assert desk.handle(ev.Found((), 0.0, {**spilled, **kept})) == []
    durable = {"a2": ev.Copy(2, 10, durable=True)}
    assert desk.handle(ev.Found((), 0.0, durable)) == [ev.Collect("a")]
    assert desk.handle(ev.Found((), 0.0, durable)) == []
    assert _replace(desk, "a3") == [ev.Collect("a2", keep_copy=True)]


def test_a_copy_of_a_dropped_dataset_is_never_kept_for_its_successor(desk: Desk) -> None:
    """Somebody holds it, and its copy is told of after the drop; the name is used again."""
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    desk.handle(ev.Drop(1, "a"))
    publish(desk, "a2", "a")
    desk.handle(ev.Copied(1, "a", ev.Copy(1, 10, durable=True)))
    assert desk.handle(ev.PeerLeft(2)) == [ev.Collect("a")]


@pytest.mark.parametrize("freed", [True, False])
def test_a_version_that_is_meant_not_to_be_durable_takes_the_copy_with_it(desk: Desk, freed: bool) -> None:
    """Somebody said so, before or after the copy was all that is left."""
    _durable(desk, "a")
    if freed:
        _replace(desk, "a2")
        desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    _replace(desk, "a3", fleeting=True)
    assert ev.RemoveCopy("a") in desk.handle(ev.Unkeep("a3"))
    assert desk.eviction.kept == {}


def test_a_publish_that_failed_leaves_the_copy_that_is_kept(desk: Desk) -> None:
    """As if it had not been."""
    _durable(desk, "a")
    _replace(desk, "a2")
    desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    _replace(desk, "a3", fleeting=True)
    desk.handle(ev.Failed())
    assert [stored.id for stored in desk.eviction.kept.values()] == ["a"]


def _keep_alone(desk: Desk, id_: str, by: str) -> None:
    _replace(desk, by)
    desk.handle(ev.Collected(id_, gone=True, copy_kept=True))


def test_the_newest_durable_copy_is_kept_whoever_let_go_of_an_older_one(desk: Desk) -> None:
    """The older goes when its holder is gone, and a drop knows of the newer."""
    _durable(desk, "a")
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    _replace(desk, "a2")
    _durable(desk, "a2")
    _keep_alone(desk, "a2", "a3")
    assert desk.handle(ev.PeerLeft(2)) == [ev.Collect("a")]
    desk.handle(ev.Collected("a", gone=True))
    assert ev.RemoveCopy("a2") in desk.handle(ev.Drop(1, "a"))


def test_a_name_lasts_when_what_was_not_to_is_older_than_what_is_kept(desk: Desk) -> None:
    """Somebody holds a version that was not to be durable; the one behind it was, and has no successor on the disk."""
    _replace(desk, "a2", fleeting=True)
    desk.handle(ev.Hold(2, add=(("a2", 2),)))
    _replace(desk, "a3")
    _durable(desk, "a3")
    _keep_alone(desk, "a3", "a4")
    assert desk.eviction.lasts("a")
    _replace(desk, "a5", fleeting=True)
    assert not desk.eviction.lasts("a")


def test_an_older_version_that_is_durable_later_takes_no_newer_copy_along(desk: Desk) -> None:
    """Its writer was slow, and its successor was durable before it."""
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    _replace(desk, "a2")
    _durable(desk, "a2")
    _keep_alone(desk, "a2", "a3")
    assert _durable(desk, "a")[1:] == []
    assert desk.handle(ev.PeerLeft(2)) == [ev.Collect("a")]


@pytest.mark.parametrize("drops", [True, False])
def test_a_copy_that_is_about_to_go_is_gone_when_the_answer_comes(desk: Desk, drops: bool) -> None:
    """The thread that was to remove it may have other work, and the machine may be restarted before."""
    _durable(desk, "a")
    _keep_alone(desk, "a", "a2")
    assert _durable(desk, "a2")[1:] == [ev.Collect("a")]
    _replace(desk, "a3", fleeting=True)
    assert ev.RemoveCopy("a") in desk.handle(ev.Drop(1, "a") if drops else ev.Unkeep("a3"))


def test_a_held_version_has_no_copy_behind_a_fleeting_one_though_nobody_told_of_it(desk: Desk) -> None:
    """Its writer was killed when the disk had it; what is replaced or dropped itself removes nothing."""
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    _replace(desk, "a2", fleeting=True)
    assert desk.handle(ev.Unkeep("a2")) == [ev.RemoveCopy("a")]
    _replace(desk, "a3")
    assert desk.handle(ev.Unkeep("a2")) == desk.handle(ev.Unkeep("b2")) == []


@pytest.mark.parametrize("drops", [True, False])
def test_a_copy_that_was_written_while_it_became_unwanted_goes(desk: Desk, drops: bool) -> None:
    """Somebody holds the object, which was dropped, or replaced by one that is not to be durable."""
    desk.handle(ev.Hold(2, add=(("a", 1),)))
    if drops:
        desk.handle(ev.Drop(1, "a"))
    else:
        _replace(desk, "a2", fleeting=True)
    assert _durable(desk, "a")[1:] == [ev.RemoveCopy("a")]
    assert desk.eviction.copies == {}


def test_a_drop_that_the_disk_refuses_leaves_what_is_there_alone(desk: Desk) -> None:
    """What is on the disk alone can be got as before, and stays pinned."""
    desk.handle(ev.Copied(1, "a", ev.Copy(1, 10), evict=True))
    desk.handle(ev.Collected("a", gone=True))
    desk.handle(ev.Pin(1, "a", pinned=True))
    desk.handle(ev.Drop(1, "a"))
    desk.handle(ev.Failed())
    assert desk.eviction.is_on_disk("a")
    assert desk.eviction.pins == {"a"}


def test_a_drop_removes_the_copy_that_was_kept(desk: Desk) -> None:
    """It would bring the name back."""
    _durable(desk, "a")
    _replace(desk, "a2")
    desk.handle(ev.Collected("a", gone=True, copy_kept=True))
    assert [action for action in desk.handle(ev.Drop(1, "a")) if isinstance(action, ev.RemoveCopy)] == [
        ev.RemoveCopy("a2"),
        ev.RemoveCopy("a"),
    ]


def test_the_next_coordinator_keeps_the_copy_too() -> None:
    """It finds the name at a newer object, and nothing else that is durable."""
    desk = Desk()
    objects = stored("x", first=1, bytes=0), stored("y", first=2)
    desk.handle(ev.Rebuilt(objects, {"bars": "y"}, 0.0, {}, {"x": ev.Copy(1, 10, durable=True)}))
    assert desk.handle(ev.Tick(1.0)) == [ev.Collect("x", keep_copy=True)]
