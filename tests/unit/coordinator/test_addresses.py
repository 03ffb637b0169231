"""Whom a name, a path, a program or a pid means."""

from __future__ import annotations

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.addresses import find
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.people import People
from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.errors import InvalidArgument, UnknownNotebook


@pytest.fixture
def people() -> People:
    """Give two notebooks (one with a child, one that is not connected), two feeds, and a registered name."""
    desk = Desk()
    desk.handle(ev.PeerArrived(1, 50, (), "jupyter-lab", "server"))
    kernels = (ev.Kernel(100, "k-1", "desk/risk.ipynb", "risk"), ev.Kernel(200, "k-2", "desk/idle.ipynb", "idle"))
    desk.handle(ev.KernelsReported(1, {}, kernels))
    desk.handle(ev.PeerArrived(2, 100, (50,), "ipykernel_launcher", "client"))
    desk.handle(ev.PeerArrived(3, 101, (100, 50), "worker.py", "client"))
    desk.handle(ev.PeerArrived(4, 300, (), "feed.py", "client"))
    desk.handle(ev.PeerArrived(5, 301, (), "feed.py", "client"))
    desk.handle(ev.PeerArrived(6, 302, (), "alone.py", "client"))
    desk.handle(Introduced(6, "execution"))
    return desk.people


@pytest.mark.parametrize(
    ("target", "pids", "name", "shown"),
    [
        ("execution", {302}, "execution", "'execution' (pid 302)"),
        ("alone.py", {302}, None, "'alone.py' (pid 302)"),
        ("desk/risk.ipynb", {100, 101}, None, "'desk/risk.ipynb' (pid 100)"),
        ("risk.ipynb", {100, 101}, None, "'risk.ipynb' (pid 100)"),
        ("risk", {100, 101}, None, "'risk' (pid 100)"),
        ("100", {100, 101}, None, "'100' (pid 100)"),
        ("101", {100, 101}, None, "'101' (pid 101)"),
        ("idle", {200}, None, "'idle' (pid 200)"),
        ("301", {301}, None, "'301' (pid 301)"),
    ],
)
def test_a_target_is_found(people: People, target: str, pids: set[int], name: str | None, shown: str) -> None:
    """A kernel with its children, a registered name with its process alone."""
    found = find(people, target)
    assert (found.pids, found.name, found.shown) == (frozenset(pids), name, shown)


def test_a_registered_name_goes_before_a_path(people: People) -> None:
    """Who takes a notebook's name as its own is meant by it."""
    people.introduce(people.peers[4], Introduced(4, "risk"))
    assert find(people, "risk").pids == {300}


def test_an_unknown_target_is_told_the_nearest(people: People) -> None:
    """And who is there."""
    with pytest.raises(
        UnknownNotebook, match=r"No notebook 'exekution' is connected\. Did you mean 'execution'\?"
    ) as told:
        find(people, "exekution")
    assert "There are: alone.py, desk/idle.ipynb, desk/risk.ipynb, execution, feed.py" in str(told.value)


def test_several_of_one_name_are_asked_for(people: People) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidArgument, match=r"'feed\.py': say which pid you mean, 300, 301"):
        find(people, "feed.py")
