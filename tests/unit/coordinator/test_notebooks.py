"""The operations that hand versions over, on real sockets: what a target and a sender hear, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jupyter_nq.buffers import ObjectInfo
from jupyter_nq.coordinator import notebooks
from jupyter_nq.coordinator.service import Service
from jupyter_nq.errors import InvalidName, NotDelivered, NQError, ProtocolError, UnknownNotebook
from tests.unit.coordinator.conftest import Dial

_SYNC = {"target": "risk", "name": "limits", "version": 1}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the coordinator refuse at once what it does not know."""
    monkeypatch.setattr(notebooks, "SETTLING_SECONDS", 0.0)


def test_a_version_is_handed_over(
    settled: None, service: Service, connect: Dial, put: Callable[..., ObjectInfo]
) -> None:
    """The target hears what, from whom and under which number; the sender hears of it when the target has answered."""
    risk, hears, sender = connect(), connect("watch"), connect("watch")
    risk.call("register", {"name": "risk"})
    hears.call("receive", {"name": None})
    put(risk, "limits")
    number = sender.call("sync", {**_SYNC, "sender": "risk"})["number"]
    name, told = hears.next_event()
    assert (name, told["name"], told["version"], told["number"]) == ("sent", "limits", 1, number)
    assert (told["sender"], told["pid"]) == ("risk", risk.call("notebooks", {})[0]["pid"])
    risk.call("synced", {"number": number, "refusal": None})
    assert sender.next_event() == ("delivered", {"number": number, "pid": told["pid"]})


def test_who_hangs_up_has_refused(settled: None, service: Service, connect: Dial) -> None:
    """The sender hears that the target went away; the next one finds nobody who hears."""
    risk, hears, sender = connect(), connect("watch"), connect("watch")
    risk.call("register", {"name": "risk"})
    hears.call("receive", {})
    sender.call("sync", _SYNC)
    hears.next_event()
    hears.close()
    name, told = sender.next_event()
    assert (name, told["error"]["type"]) == ("delivered", "NotDelivered")
    with pytest.raises(NotDelivered, match="has not asked for anything"):
        sender.call("sync", _SYNC)
    risk.close()
    with pytest.raises((UnknownNotebook, NotDelivered)):
        sender.call("sync", _SYNC)


def test_a_new_coordinator_has_senders_ask_again(service: Service, connect: Dial) -> None:
    """It may not know the target yet."""
    assert connect("watch").call("sync", _SYNC) == {"again": True}


@pytest.mark.parametrize(
    ("op", "args", "error"),
    [
        ("receive", {"name": 3}, ProtocolError),
        ("receive", {"name": "a/b"}, InvalidName),
        ("sync", {**_SYNC, "target": 3}, ProtocolError),
        ("sync", {**_SYNC, "name": "a/b"}, InvalidName),
        ("sync", {**_SYNC, "version": -1}, ProtocolError),
        ("sync", {**_SYNC, "sender": 3}, ProtocolError),
        ("synced", {"number": "7"}, ProtocolError),
        ("synced", {"number": 7, "refusal": 3}, ProtocolError),
    ],
)
def test_arguments_of_another_form_are_refused(
    service: Service, connect: Dial, op: str, args: dict[str, Any], error: type[NQError]
) -> None:
    """With their name, and the line goes on."""
    wire = connect()
    with pytest.raises(error):
        wire.call(op, args)
    assert wire.call("synced", {"number": 7}) is None, "a word that nobody waits for"
