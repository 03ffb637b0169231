"""Deliveries without processes: who is told of what, and who is answered when."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from jupyter_nq.coordinator import events as ev
from jupyter_nq.coordinator.deliveries import Deliveries
from jupyter_nq.coordinator.desk import Desk
from jupyter_nq.coordinator.registered import Introduced
from jupyter_nq.errors import NotDelivered, UnknownNotebook
from tests.unit.coordinator.desks import arrive

_TOLD = {"name": "limits", "version": 3, "sender": "execution", "pid": 1001}


class Letters:
    """What was told to whom, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str, Mapping[str, Any]]] = []

    def tell(self, peer: int, event: str, data: Mapping[str, Any]) -> None:
        """Keep it."""
        self.told.append((peer, event, data))


@pytest.fixture
def letters() -> Letters:
    """Give somewhere for events to go."""
    return Letters()


@pytest.fixture
def young() -> list[bool]:
    """Give whether the coordinator is young, as its last element."""
    return [False]


@pytest.fixture
def deliveries(desk: Desk, letters: Letters, young: list[bool]) -> Deliveries:
    """Give deliveries between peers 1 and 2, which is registered as risk and hears on a connection of its own, 12."""
    desk.handle(Introduced(2, "risk"))
    desk.handle(ev.PeerArrived(12, 1002, (), "program2", "watch"))
    numbers = count(7)
    return Deliveries(desk.people, letters, lambda: young[-1], lambda: next(numbers))


def test_a_target_is_told_and_then_the_sender(deliveries: Deliveries, letters: Letters) -> None:
    """Once, and only when the target itself has answered."""
    deliveries.receive(12, None)
    assert deliveries.send(1, "risk", _TOLD) == {"number": 7}
    assert letters.told == [(12, "sent", {**_TOLD, "number": 7})]
    deliveries.done(1001, 7, None)  # somebody else's word
    assert len(letters.told) == 1
    deliveries.done(1002, 7, None)
    deliveries.done(1002, 7, "too late")
    assert letters.told[1:] == [(1, "delivered", {"number": 7, "pid": 1002})]
    assert repr(deliveries) == "<Deliveries to 1 inboxes, 0 under way>"


def test_a_refusal_is_told_with_its_reason(deliveries: Deliveries, letters: Letters) -> None:
    """As the error that the sender raises."""
    deliveries.receive(12, "risk")
    deliveries.send(1, "risk", _TOLD)
    deliveries.done(1002, 7, "it has version 4, which is newer")
    error = letters.told[1][2]["error"]
    assert error["type"] == "NotDelivered"
    assert error["message"] == "'risk' (pid 1002) has not got 'limits' version 3: it has version 4, which is newer."


def test_who_has_not_asked_is_told_nothing(deliveries: Deliveries, letters: Letters) -> None:
    """Nor is an unknown target; a young coordinator has the sender ask again."""
    for target, error, says in [
        ("risk", NotDelivered, r"has not asked for anything.*nq\.accept\('limits'\)"),
        ("risc", UnknownNotebook, "Did you mean 'risk'"),
    ]:
        with pytest.raises(error, match=says):
            deliveries.send(1, target, _TOLD)
    assert letters.told == []


def test_a_young_coordinator_has_the_sender_ask_again(
    deliveries: Deliveries, letters: Letters, young: list[bool]
) -> None:
    """The target may be about to connect."""
    young.append(True)
    for target in ("risk", "nobody"):
        assert deliveries.send(1, target, _TOLD) == {"again": True}
    deliveries.receive(12, None)
    assert deliveries.send(1, "risk", _TOLD) == {"number": 7}


def test_a_target_that_goes_has_refused(deliveries: Deliveries, letters: Letters) -> None:
    """Everything that was under way to it, and nothing else."""
    deliveries.receive(12, None)
    deliveries.send(1, "risk", _TOLD)
    deliveries.send(2, "risk", _TOLD)
    deliveries.left(12)
    assert [(peer, data["number"]) for peer, event, data in letters.told if event == "delivered"] == [(1, 7), (2, 8)]
    assert "it went away before it said" in letters.told[-1][2]["error"]["message"]
    with pytest.raises(NotDelivered, match="has not asked"):
        deliveries.send(1, "risk", _TOLD)


def test_a_sender_that_goes_is_not_told(deliveries: Deliveries, letters: Letters) -> None:
    """The target's word comes, and is nobody's."""
    deliveries.receive(12, None)
    deliveries.send(1, "risk", _TOLD)
    deliveries.left(1)
    deliveries.done(1002, 7, None)
    assert [event for _, event, _ in letters.told] == ["sent"]


def test_an_inbox_hears_for_its_name_first(desk: Desk, deliveries: Deliveries, letters: Letters) -> None:
    """For a registered name its own, else the process's; for a pid the process's, else any; of several the newest."""
    desk.handle(Introduced(2, "hedge"))
    for peer, name in ((13, "hedge"), (14, None), (15, None)):
        desk.handle(ev.PeerArrived(peer, 1002, (), "program2", "watch"))
        deliveries.receive(peer, name)
    for target in ("hedge", "risk", "1002"):
        deliveries.send(1, target, _TOLD)
    deliveries.left(15)
    deliveries.left(14)
    deliveries.send(1, "1002", _TOLD)
    with pytest.raises(NotDelivered):
        deliveries.send(1, "risk", _TOLD)
    assert [peer for peer, event, _ in letters.told if event == "sent"] == [13, 15, 15, 13]


def test_a_kernel_hears_before_its_children(letters: Letters) -> None:
    """For its notebook's path; a child that is meant by its pid hears itself."""
    desk = Desk()
    arrive(desk, 1)
    desk.handle(ev.PeerArrived(2, 50, (), "lab", "server"))
    desk.handle(ev.KernelsReported(2, {}, (ev.Kernel(100, "k", "desk/risk.ipynb", "risk"),)))
    deliveries = Deliveries(desk.people, letters, lambda: False)
    for peer, pid, ancestors in ((3, 100, (50,)), (4, 101, (100, 50))):
        desk.handle(ev.PeerArrived(peer, pid, ancestors, "program", "watch"))
        deliveries.receive(peer, None)
    for target in ("desk/risk.ipynb", "100", "101"):
        deliveries.send(1, target, _TOLD)
    assert [peer for peer, _, _ in letters.told] == [3, 3, 4]


def test_deliveries_to_one_target_are_bounded(desk: Desk, deliveries: Deliveries) -> None:
    """A target that does not answer cannot make the coordinator's memory grow."""
    deliveries.receive(12, None)
    for _ in range(1000):
        deliveries.send(1, "risk", _TOLD)
    with pytest.raises(NotDelivered, match="1000 deliveries to answer"):
        deliveries.send(1, "risk", _TOLD)


def test_who_gives_up_again_and_again_fills_nothing(desk: Desk, deliveries: Deliveries, letters: Letters) -> None:
    """A target that is stopped is told a bounded number of times, whoever has left since; it can be reached again."""
    deliveries.receive(12, None)
    for peer in range(1000, 2000):
        deliveries.send(peer, "risk", _TOLD)
        deliveries.left(peer)
    with pytest.raises(NotDelivered, match="1000 deliveries to answer"):
        deliveries.send(1, "risk", _TOLD)
    deliveries.done(1002, 7, None)
    deliveries.done(1002, 8, "it is late")
    assert {event for _, event, _ in letters.told} == {"sent"}
    deliveries.send(1, "risk", _TOLD)
    deliveries.left(12)
    assert [peer for peer, event, _ in letters.told if event == "delivered"] == [1]


def test_a_target_without_a_line_is_not_found(desk: Desk, deliveries: Deliveries) -> None:
    """Peers of other processes that hear do not hear for it."""
    arrive(desk, 3)
    deliveries.receive(3, None)
    with pytest.raises(NotDelivered):
        deliveries.send(1, "risk", _TOLD)
